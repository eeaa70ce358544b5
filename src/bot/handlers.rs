//! Handlers of syncs and of the answers to requests.

use std::{collections::BTreeSet, fmt, time::Duration};

use log::{debug, error, warn};
use ruma::RoomId;
use tokio::time::Instant;

use super::{
    answers::{Refused, give_up, give_up_unsendable, handle_body},
    pending::Pending,
    session::Session,
};
use crate::{
    json::Sifted,
    matrix::{
        client::Fault,
        e2ee::{self, RequestContext, RequestKey},
        session::{Refusal, SessionEnd, refused, with_code},
    },
    util::shown,
};

/// So many refusals of a sync in a row, and its `since` is taken for the fault:
/// a homeserver that was moved or restored does not know it any more.
const BAD_SYNCS: u32 = 3;

/// Requests of the outbox that were taken by the server, after which more of what
/// waits is prepared.
const DELIVERED_TOGETHER: usize = 4;

impl Session<'_> {
    pub(super) fn handle_sync(
        &mut self,
        generation: u32,
        result: Result<Sifted, Fault>,
    ) -> Result<(), SessionEnd> {
        match result {
            Ok(answer) => {
                self.bad_syncs = 0;
                self.log.skipped(&answer.skipped, &self.health);
                self.backlog.push_back(Pending::Sync { answer, done: 0 });
                Ok(())
            }
            Err(Fault::UnknownToken { soft_logout }) => {
                self.requests.sync.failed();
                self.health.synced(false);
                let wait = self.requests.tokens.refused(generation, soft_logout)?;
                self.requests.sync_not_before = Instant::now() + wait.unwrap_or_default();
                Ok(())
            }
            Err(fault) => {
                self.requests.sync.failed();
                if matches!(fault, Fault::Refused { status: 400, .. }) {
                    self.suspect_since();
                }
                if matches!(fault, Fault::Unsendable(_)) {
                    warn!("what the bot has read so far fits into no request: reading anew");
                    self.attempt(|_, _, tx, _| Ok(tx.session().forget_next_batch()?));
                }
                self.sync_failed(&fault, fault.retry_after())
            }
        }
    }

    /// A sync was refused as a bad request. After some of these the next one
    /// starts from nothing: what was sent meanwhile is history to it.
    fn suspect_since(&mut self) {
        self.bad_syncs += 1;
        if self.bad_syncs >= BAD_SYNCS && self.since.is_some() {
            warn!("the homeserver does not know how far the bot has read: reading anew from now");
            self.bad_syncs = 0;
            self.attempt(|_, _, tx, _| Ok(tx.session().forget_next_batch()?));
        }
    }

    pub(super) fn sync_failed(
        &mut self,
        why: &dyn fmt::Display,
        asked: Option<Duration>,
    ) -> Result<(), SessionEnd> {
        self.health.synced(false);
        match self.requests.sync_backoff.fail(asked) {
            Some(wait) => {
                warn!("sync: {why}; trying again in {} s", wait.as_secs());
                self.requests.sync_not_before = Instant::now() + wait;
                Ok(())
            }
            None => Err(SessionEnd::GaveUp(format!(
                "giving up on the homeserver: {why}"
            ))),
        }
    }

    pub(super) fn handle_answer(
        &mut self,
        key: &RequestKey,
        about: RequestContext,
        generation: u32,
        result: Result<Sifted, Fault>,
    ) -> Result<(), SessionEnd> {
        let about = match (about, &result) {
            (RequestContext::Query(asked), Ok(_)) => {
                let answer = result.unwrap_or_default();
                self.log.skipped(&answer.skipped, &self.health);
                self.backlog.push_back(Pending::Query {
                    key: key.clone(),
                    asked,
                    answer,
                    done: 0,
                });
                return Ok(());
            }
            (about, _) => about,
        };
        let about = &about;
        let result = result.map_err(|fault| with_code(about, fault));
        self.requests.in_flight.finish(key);
        if matches!(about, RequestContext::Outbox(..)) && result.is_err() {
            self.has_more |= self.requests.in_flight.is_crowded();
        }
        if matches!(about, RequestContext::Upload { .. }) {
            self.requests.sync.keys_uploaded();
        }
        let taken = match result {
            Ok(answer) => {
                self.log.skipped(&answer.skipped, &self.health);
                if let RequestContext::Outbox(row, _) = about {
                    return self.delivered(key, *row);
                }
                if let RequestContext::Invites = about {
                    return self.handle_listed_invites(key, &answer);
                }
                self.log.taken(key);
                self.transact(|engine, chat, tx, now| {
                    handle_body(engine, chat, tx, about, &answer, now)
                })
            }
            Err(Fault::UnknownToken { soft_logout }) => {
                match self.requests.tokens.refused(generation, soft_logout)? {
                    None => self.has_more = true,
                    Some(wait) => {
                        self.requests.in_flight.failed(key, Some(wait));
                    }
                }
                return Ok(());
            }
            Err(Fault::Interactive {
                session,
                by_password,
            }) if matches!(about, RequestContext::OwnIdentity(_)) => {
                self.transact(|engine, _, tx, _| {
                    engine.handle_cross_signing_challenge(tx, session.as_deref(), by_password)
                })
            }
            Err(fault)
                if let RequestContext::Join(room) = about
                    && !matches!(fault, Fault::Unsendable(_)) =>
            {
                self.join_failed(key, room, &fault);
                return Ok(());
            }
            Err(Fault::Refused {
                status,
                errcode,
                message,
            }) => match refused(about, status, &errcode, &message) {
                Refusal::Outlived(why) if !self.keeps_device => {
                    return Err(SessionEnd::Outlived(why));
                }
                Refusal::Outlived(why) | Refusal::IdsTaken(why) => {
                    self.requests.in_flight.failed(key, None);
                    self.recover_from_rollback(&why, &BTreeSet::new());
                    return Ok(());
                }
                Refusal::Retry => {
                    let refusal = format!("{status} {errcode} ({message})");
                    let wait = self.requests.in_flight.failed(key, None);
                    let seconds = wait.as_secs();
                    match about {
                        _ if !self.log.is_news(key, &refusal) => {
                            debug!("{key:?}: {refusal} again; next in {seconds} s");
                        }
                        RequestContext::Upload { .. } => error!(
                            "the homeserver refuses this device's keys: {refusal}; until it takes \
                             them nobody can write to the bot encrypted, and its log tells why (look \
                             for POST /keys/upload); trying again in {seconds} s"
                        ),
                        _ => warn!("{key:?}: {refusal}; trying again in {seconds} s"),
                    }
                    return Ok(());
                }
                Refusal::Final => {
                    if let RequestContext::Outbox(row, _) = about {
                        error!("a message is given up: {status} {errcode} ({message})");
                        return self.delivered(key, *row);
                    }
                    let refusal = Refused {
                        status,
                        errcode: &errcode,
                        message: &message,
                    };
                    self.transact(|engine, chat, tx, now| {
                        give_up(engine, chat, tx, about, &refusal, now)
                    })
                }
            },
            Err(Fault::Unsendable(why)) => {
                let wait = self.requests.in_flight.failed(key, None);
                error!("{key:?} cannot be sent and is given up: {why}");
                debug!(
                    "if it is wanted all the same, again in {} s",
                    wait.as_secs()
                );
                self.attempt(|engine, _, tx, _| give_up_unsendable(engine, tx, about, &why));
                // What waited for it can be judged.
                self.has_more = true;
                return Ok(());
            }
            Err(fault) => {
                if let RequestContext::Query(asked) = about {
                    self.split_query(asked, &fault);
                }
                let wait = self.requests.in_flight.failed(key, fault.retry_after());
                warn!("{key:?}: {fault}; trying again in {} s", wait.as_secs());
                if matches!(about, RequestContext::OwnIdentity(_)) {
                    // Nobody waits for it any more.
                    self.attempt(|engine, _, tx, _| engine.delay_cross_signing(tx));
                }
                return Ok(());
            }
        };
        match taken {
            Ok(()) => {
                self.requests.in_flight.succeeded(key);
                Ok(())
            }
            Err(error) => self.not_taken(key, &error),
        }
    }

    /// Judges all invites that stand.
    fn handle_listed_invites(
        &mut self,
        key: &RequestKey,
        answer: &Sifted,
    ) -> Result<(), SessionEnd> {
        let mut invites = Vec::new();
        let taken = self.transact(|engine, chat, tx, _| {
            for invite in engine.handle_invites(tx, answer)? {
                let verdict = chat.judge_invite(tx, &invite)?;
                invites.push((invite, verdict));
            }
            Ok(())
        });
        match taken {
            Ok(()) => {
                self.requests.in_flight.succeeded(key);
                self.log.invites(&invites);
                Ok(())
            }
            Err(error) => self.not_taken(key, &error),
        }
    }

    /// A room could not be joined. The invite stands until the server says that it
    /// does not: a refusal can be a race between servers, or last until somebody
    /// changes something, so it is tried again ever more seldom.
    pub(super) fn join_failed(&mut self, key: &RequestKey, room: &RoomId, fault: &Fault) {
        let wait = match fault {
            Fault::Unreachable(_) | Fault::Limited(_) => {
                self.requests.in_flight.failed(key, fault.retry_after())
            }
            _ => self
                .requests
                .in_flight
                .failed_slowly(key, fault.retry_after()),
        };
        let refusal = fault.to_string();
        let (room_name, seconds) = (shown(room), wait.as_secs());
        if self.log.is_news(key, &refusal) {
            warn!(
                "joining {room_name} failed: {refusal}; the invite is kept and tried again in \
                 {seconds} s, then ever more seldom, at last once an hour, and at each start"
            );
        } else {
            debug!("joining {room_name} failed again: {refusal}; next in {seconds} s");
        }
    }

    /// A request of the outbox was taken by the server. That is written down
    /// with the next commit, not with one of its own: should it be lost, the
    /// same request goes out again and the server knows its transaction id.
    fn delivered(&mut self, key: &RequestKey, row: i64) -> Result<(), SessionEnd> {
        self.requests.in_flight.succeeded(key);
        self.storage.delivered.push(row);
        let sends = self.storage.store.begin().and_then(|tx| {
            // Mostly that was all: then there is nothing to look for behind it.
            if !tx.outbox().has_more_than(self.storage.delivered.len())? {
                return Ok((Vec::new(), tx.replies().has_unprepared()?));
            }
            for row in &self.storage.delivered {
                tx.outbox().finish(*row)?;
            }
            let sends = self.engine.outbox_requests(
                &tx,
                self.requests.phase.has_synced(),
                &self.requests.in_flight.gate(),
            )?;
            Ok((sends, tx.replies().has_unprepared()?))
        });
        match sends {
            Ok((sends, is_behind)) => {
                // What had no room in the outbox has some now. Not after each one:
                // every time is a commit.
                self.has_more |= is_behind
                    && (sends.is_empty() || self.storage.delivered.len() >= DELIVERED_TOGETHER);
                self.requests.send(sends);
                self.sync_if_due();
            }
            Err(error) => error!("{error}"),
        }
        Ok(())
    }
}

/// Passes an error that came with an answer.
///
/// # Errors
/// It leaves nothing to go on with: the session ends.
pub(super) fn survive(error: &e2ee::Error) -> Result<(), SessionEnd> {
    match error {
        e2ee::Error::OwnKeys(_) => Err(SessionEnd::Fatal(error.to_string())),
        e2ee::Error::RolledBack(_) => Err(SessionEnd::Outlived(error.to_string())),
        _ => Ok(()),
    }
}
