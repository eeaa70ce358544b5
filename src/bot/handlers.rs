//! Handlers of syncs and of the answers to requests.

use std::{fmt, time::Duration};

use log::{debug, error, warn};
use ruma::{OwnedEventId, RoomId};
use tokio::time::Instant;

use super::{
    named::QUESTION,
    pending::Pending,
    session::Session,
    storage::{Delivered, write_deferred},
};
use crate::{
    json::Sifted,
    matrix::{
        client::{Fault, read_sent},
        e2ee::{RequestContext, RequestKey},
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
                    self.attempt(|door| Ok(door.turn.tx.session().forget_next_batch()?));
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
            self.attempt(|door| Ok(door.turn.tx.session().forget_next_batch()?));
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
        key: RequestKey,
        about: RequestContext,
        generation: u32,
        result: Result<Sifted, Fault>,
    ) -> Result<(), SessionEnd> {
        if let Ok(answer) = &result {
            self.log.skipped(&answer.skipped, &self.health);
        }
        let (about, result) = match (about, result) {
            (RequestContext::Query(asked), Ok(answer)) => {
                self.backlog.push_back(Pending::Query {
                    key,
                    asked,
                    answer,
                    done: 0,
                });
                return Ok(());
            }
            (about, result) => (about, result),
        };
        let (key, about) = (&key, &about);
        self.requests.in_flight.finish(key);
        if matches!(about, RequestContext::Outbox(..)) && result.is_err() {
            self.has_more |= self.requests.in_flight.is_crowded();
        }
        if matches!(about, RequestContext::Upload { .. }) {
            self.requests.sync.keys_uploaded();
        }
        let mut judged = Vec::new();
        let taken = match result.map_err(|fault| with_code(about, fault)) {
            Ok(answer) if let RequestContext::Outbox(row, _) = about => {
                self.delivered(key, *row, read_sent(&answer.body));
                return Ok(());
            }
            Ok(_) if matches!(about, RequestContext::Signal) => return Ok(()),
            Ok(answer) => {
                self.log.taken(key);
                self.transact(|door| door.take_in(about, &answer, &mut judged))
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
            Err(fault) if matches!(about, RequestContext::Signal) => {
                debug!("{key:?}: {fault}; left out");
                if let Fault::Limited(_) = fault {
                    self.requests.in_flight.failed(key, fault.retry_after());
                }
                return Ok(());
            }
            Err(Fault::Interactive {
                session,
                by_password,
            }) if matches!(about, RequestContext::OwnIdentity(_)) => self.transact(|door| {
                let session = session.as_deref();
                door.turn
                    .handle_cross_signing_challenge(session, by_password)
            }),
            Err(ref fault @ Fault::Unsendable(ref why)) => {
                let seconds = self.requests.in_flight.failed(key, None).as_secs();
                error!("{key:?} cannot be sent and is given up: {why}");
                debug!("if it is wanted all the same, again in {seconds} s");
                self.attempt(|door| door.give_up(about, fault));
                // What waited for it can be judged.
                self.has_more = true;
                return Ok(());
            }
            Err(fault) if let RequestContext::Join(room) = about => {
                self.join_failed(key, room, &fault);
                return Ok(());
            }
            Err(
                ref fault @ Fault::Refused {
                    status,
                    ref errcode,
                    ref message,
                },
            ) => match refused(about, status, errcode, message) {
                Refusal::Outlived(why) if !self.keeps_device => {
                    return Err(SessionEnd::Outlived(why));
                }
                Refusal::Outlived(why) | Refusal::IdsTaken(why) => {
                    self.requests.in_flight.failed(key, None);
                    self.recover_from_rollback(&why, &[]);
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
                ref refusal @ (Refusal::Final | Refusal::Related)
                    if let RequestContext::Outbox(row, _) = about =>
                {
                    let words = format!("{status} {errcode} ({message})");
                    match refusal {
                        Refusal::Related => self.leave_out_relation(key, *row, &words),
                        _ => self.give_message_up(key, *row, &words),
                    }
                    return Ok(());
                }
                Refusal::Final | Refusal::Related => {
                    self.transact(|door| door.give_up(about, fault))
                }
            },
            Err(fault) => {
                if let RequestContext::Query(asked) = about {
                    self.split_query(asked, &fault);
                }
                let wait = self.requests.in_flight.failed(key, fault.retry_after());
                warn!("{key:?}: {fault}; trying again in {} s", wait.as_secs());
                self.delay_cross_signing(key);
                return Ok(());
            }
        };
        match taken {
            Ok(()) => {
                self.requests.in_flight.succeeded(key);
                self.log.invites(&judged);
                Ok(())
            }
            Err(error) => self.not_taken(key, &error),
        }
    }

    /// A step of cross-signing failed: nobody waits for it any more.
    pub(super) fn delay_cross_signing(&mut self, key: &RequestKey) {
        if *key == RequestKey::OwnIdentity {
            self.attempt(|door| Ok(door.turn.tx.cross_signing().delay()?));
        }
    }

    /// A room could not be joined. The invite stands until the server says that it
    /// does not: a refusal can be a race between servers, or last until somebody
    /// changes something, so it is tried again ever more seldom.
    fn join_failed(&mut self, key: &RequestKey, room: &RoomId, fault: &Fault) {
        let wait = match fault {
            Fault::Unreachable(_) | Fault::Limited(_) => {
                self.requests.in_flight.failed(key, fault.retry_after())
            }
            _ => {
                let in_flight = &mut self.requests.in_flight;
                in_flight.failed_slowly(key, fault.retry_after())
            }
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

    /// A message was refused as a bad request: once more without what it is related to,
    /// if it is.
    fn leave_out_relation(&mut self, key: &RequestKey, row: i64, refusal: &str) {
        match self.write_down(|turn| turn.leave_out_relation(row)) {
            Some(true) => {
                warn!("a message goes without its relation to others: {refusal}");
                self.has_more = true;
            }
            Some(false) => self.give_message_up(key, row, refusal),
            None => {
                self.requests.in_flight.failed(key, None);
            }
        }
    }

    fn give_message_up(&mut self, key: &RequestKey, row: i64, refusal: &str) {
        error!("a message is given up: {refusal}");
        self.delivered(key, row, None);
    }

    /// The time for an answer begins where the request carries a question.
    fn note_question(&mut self, row: i64) {
        if self.chat.challenges.borrow().is_empty() {
            return;
        }
        let chat = self.chat;
        self.read(|turn| {
            if let Some(anchor) = turn.tx.outbox().anchor_of(row)?
                && let Some((event_id, about)) = anchor.split_once(' ')
                && about == QUESTION
            {
                let mut challenges = chat.challenges.borrow_mut();
                challenges.delivered(event_id, turn.own_now);
            }
            Ok(())
        });
    }

    /// A request of the outbox was taken by the server. That is written down
    /// with the next commit, not with one of its own: should it be lost, the
    /// same request goes out again and the server knows its transaction id.
    fn delivered(&mut self, key: &RequestKey, row: i64, event_id: Option<OwnedEventId>) {
        self.requests.in_flight.succeeded(key);
        self.note_question(row);
        self.storage.delivered.push(Delivered { row, event_id });
        let sends = self.storage.store.begin().and_then(|tx| {
            // Mostly that was all: then there is nothing to look for behind it.
            if !tx.outbox().has_more_than(self.storage.delivered.len())? {
                return Ok((Vec::new(), tx.replies().has_unprepared()?));
            }
            write_deferred(&tx, &self.storage.delivered, None)?;
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
    }
}
