//! What the loop takes in: syncs, and answers to requests.

use std::{collections::BTreeSet, fmt, time::Duration};

use log::{debug, error, warn};
use tokio::time::Instant;

use super::{
    answers::{Refusal, Said, give_up, give_up_unsendable, handle_body, refused},
    backlog::Backlog,
    end::SessionEnd,
    operator::Operator,
    renewal::Refused,
};
use crate::{
    json::Sifted,
    matrix::{
        client::Fault,
        e2ee::{self, RequestContext, RequestKey},
    },
};

/// So many refusals of a sync in a row, and its `since` is taken for the fault:
/// a homeserver that was moved or restored does not know it any more.
const BAD_SYNCS: u32 = 3;

/// Requests of the outbox that were taken by the server, after which more of what
/// waits is prepared.
const DELIVERED_TOGETHER: usize = 4;

impl Operator<'_> {
    pub(super) fn handle_sync(
        &mut self,
        generation: u32,
        result: Result<Sifted, Fault>,
    ) -> Option<SessionEnd> {
        match result {
            Ok(answer) => {
                self.bad_syncs = 0;
                self.note_skipped(&answer.skipped);
                self.backlog.push_back(Backlog::Sync { answer, done: 0 });
                None
            }
            Err(Fault::UnknownToken { soft_logout }) => {
                self.syncing = false;
                self.health.synced(false);
                let wait = match self.token_refused(generation, soft_logout) {
                    Refused::Over(end) => return Some(end),
                    Refused::Again => Duration::ZERO,
                    Refused::Wait(wait) => wait,
                };
                self.sync_after = Instant::now() + wait;
                None
            }
            Err(fault) => {
                self.syncing = false;
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
    ) -> Option<SessionEnd> {
        self.health.synced(false);
        match self.sync_backoff.fail(asked) {
            Some(wait) => {
                warn!("sync: {why}; trying again in {} s", wait.as_secs());
                self.sync_after = Instant::now() + wait;
                None
            }
            None => Some(SessionEnd::GaveUp(format!(
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
    ) -> Option<SessionEnd> {
        let about = match (about, &result) {
            (RequestContext::Query(asked), Ok(_)) => {
                let answer = result.unwrap_or_default();
                self.note_skipped(&answer.skipped);
                self.backlog.push_back(Backlog::Query {
                    key: key.clone(),
                    asked,
                    answer,
                    done: 0,
                });
                return None;
            }
            (about, _) => about,
        };
        let about = &about;
        let result = result.map_err(|fault| worded(about, fault));
        self.in_flight.finish(key);
        if matches!(about, RequestContext::Outbox(..)) && result.is_err() {
            self.again |= self.in_flight.is_crowded();
        }
        if matches!(about, RequestContext::Upload { .. }) {
            self.uploaded_meanwhile = true;
        }
        let taken = match result {
            Ok(answer) => {
                self.note_skipped(&answer.skipped);
                if let RequestContext::Outbox(row, _) = about {
                    return self.delivered(key, *row);
                }
                if let RequestContext::Invites = about {
                    return self.handle_listed_invites(key, &answer);
                }
                self.said.taken(key);
                self.transact(|engine, policy, tx, now| {
                    handle_body(engine, policy, tx, about, &answer, now)
                })
            }
            Err(Fault::UnknownToken { soft_logout }) => {
                match self.token_refused(generation, soft_logout) {
                    Refused::Over(end) => return Some(end),
                    Refused::Again => self.again = true,
                    Refused::Wait(wait) => {
                        self.in_flight.failed(key, Some(wait));
                    }
                }
                return None;
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
                return None;
            }
            Err(Fault::Refused {
                status,
                errcode,
                message,
            }) => match refused(about, status, &errcode, &message) {
                Refusal::Outlived(why) if !self.keeps_device => {
                    return Some(SessionEnd::Outlived(why));
                }
                Refusal::Outlived(why) | Refusal::IdsTaken(why) => {
                    self.in_flight.failed(key, None);
                    self.recover_from_rollback(&why, &BTreeSet::new());
                    return None;
                }
                Refusal::Retry => {
                    let refusal = format!("{status} {errcode} ({message})");
                    let wait = self.in_flight.failed(key, None);
                    let seconds = wait.as_secs();
                    match about {
                        _ if !self.said.is_news(key, &refusal) => {
                            debug!("{key:?}: {refusal} again; next in {seconds} s");
                        }
                        RequestContext::Upload { .. } => error!(
                            "the homeserver refuses this device's keys: {refusal}; until it takes \
                             them nobody can write to the bot encrypted, and its log tells why (look \
                             for POST /keys/upload); trying again in {seconds} s"
                        ),
                        _ => warn!("{key:?}: {refusal}; trying again in {seconds} s"),
                    }
                    return None;
                }
                Refusal::Final => {
                    if let RequestContext::Outbox(row, _) = about {
                        error!("a message is given up: {status} {errcode} ({message})");
                        return self.delivered(key, *row);
                    }
                    let said = Said {
                        status,
                        errcode: &errcode,
                        message: &message,
                    };
                    self.transact(|engine, policy, tx, now| {
                        give_up(engine, policy, tx, about, &said, now)
                    })
                }
            },
            Err(Fault::Unsendable(why)) => {
                let wait = self.in_flight.failed(key, None);
                error!("{key:?} cannot be sent and is given up: {why}");
                debug!(
                    "if it is wanted all the same, again in {} s",
                    wait.as_secs()
                );
                self.attempt(|engine, _, tx, _| give_up_unsendable(engine, tx, about, &why));
                // What waited for it can be judged.
                self.again = true;
                return None;
            }
            Err(fault) => {
                if let RequestContext::Query(asked) = about {
                    self.split_query(asked, &fault);
                }
                let wait = self.in_flight.failed(key, fault.retry_after());
                warn!("{key:?}: {fault}; trying again in {} s", wait.as_secs());
                if matches!(about, RequestContext::OwnIdentity(_)) {
                    // Nobody waits for it any more.
                    self.attempt(|engine, _, tx, _| engine.delay_own_identity(tx));
                }
                return None;
            }
        };
        match taken {
            Ok(()) => {
                self.in_flight.succeeded(key);
                None
            }
            Err(error) => self.not_taken(key, &error),
        }
    }

    /// Judges all invites that stand.
    fn handle_listed_invites(&mut self, key: &RequestKey, answer: &Sifted) -> Option<SessionEnd> {
        let mut invites = Vec::new();
        let taken = self.transact(|engine, policy, tx, _| {
            for invite in engine.handle_invites(tx, answer)? {
                let verdict = policy.judge_invite(tx, &invite)?;
                invites.push((invite, verdict));
            }
            Ok(())
        });
        match taken {
            Ok(()) => {
                self.in_flight.succeeded(key);
                self.said.invites(&invites);
                None
            }
            Err(error) => self.not_taken(key, &error),
        }
    }

    /// A request of the outbox was taken by the server. That is written down
    /// with the next commit, not with one of its own: should it be lost, the
    /// same request goes out again and the server knows its transaction id.
    fn delivered(&mut self, key: &RequestKey, row: i64) -> Option<SessionEnd> {
        self.in_flight.succeeded(key);
        self.delivered.push(row);
        let sends = self.store.begin().and_then(|tx| {
            // Mostly that was all: then there is nothing to look for behind it.
            if !tx.outbox().has_more_than(self.delivered.len())? {
                return Ok((Vec::new(), tx.replies().has_unprepared()?));
            }
            for row in &self.delivered {
                tx.outbox().finish(*row)?;
            }
            let sends = self
                .engine
                .outbox_requests(&tx, self.synced, &self.in_flight.gate())?;
            Ok((sends, tx.replies().has_unprepared()?))
        });
        match sends {
            Ok((sends, is_behind)) => {
                // What had no room in the outbox has some now. Not after each one:
                // every time is a commit.
                self.again |=
                    is_behind && (sends.is_empty() || self.delivered.len() >= DELIVERED_TOGETHER);
                self.spawn_requests(sends);
            }
            Err(error) => error!("{error}"),
        }
        None
    }
}

/// What a server says of keys counts, also where it has no code for it.
fn worded(about: &RequestContext, fault: Fault) -> Fault {
    match (about, fault) {
        (RequestContext::Upload { .. }, Fault::Broken { status, words, .. })
            if (400..500).contains(&status) && !words.is_empty() =>
        {
            Fault::Refused {
                status,
                errcode: "without a code".to_owned(),
                message: words,
            }
        }
        (_, fault) => fault,
    }
}

/// Whether an error that came with an answer leaves nothing to go on with.
pub(super) fn ends_the_session(error: &e2ee::Error) -> Option<SessionEnd> {
    match error {
        e2ee::Error::OwnKeys(_) => Some(SessionEnd::Fatal(error.to_string())),
        e2ee::Error::RolledBack(_) => Some(SessionEnd::Outlived(error.to_string())),
        _ => None,
    }
}
