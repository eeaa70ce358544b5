//! The loop: one task that owns the store and everything that is under way.

use std::{fmt, rc::Rc, time::Duration};

use log::{debug, error, info, warn};
use ruma::{OwnedEventId, OwnedRoomId};
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    answers::{Refusal, Said, give_up, judge, judge_again, refused, take_body},
    flight::Flight,
    policy::{Decision, Policy},
    session::Access,
    starts::next_work,
};
use crate::{
    http::Backoff,
    kube::{self, Target},
    matrix::{
        self, About, Engine, Fault, Homeserver, KEY_GRACE_MS, OwnKeys, SyncBody, Want, WantKey,
        Wants,
    },
    ops::now_ms,
    store::{JournalEntry, Store, Transaction},
};

/// The loop looks around at least this often.
const LONGEST_NAP: Duration = Duration::from_secs(60);

/// After this the store is tried again.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// So many refusals of a sync in a row, and its `since` is taken for the fault:
/// a homeserver that was moved or restored does not know it any more.
const BAD_SYNCS: u32 = 3;

/// Why the loop ended.
#[derive(Debug)]
pub enum End {
    /// The homeserver no longer takes the access token.
    LoggedOut {
        /// The device is still there.
        soft: bool,
    },
    /// The homeserver could not be synced with for too long.
    GaveUp(String),
    /// The store is an older copy of what this device has lived through: its
    /// keys must not be used again.
    Outlived(String),
    /// Going on would do harm.
    Fatal(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoggedOut { soft: true } => f.write_str("the session has expired"),
            Self::LoggedOut { soft: false } => f.write_str("the session was ended"),
            Self::GaveUp(why) | Self::Outlived(why) | Self::Fatal(why) => f.write_str(why),
        }
    }
}

/// What came of a command.
pub(super) struct Outcome {
    pub(super) event_id: OwnedEventId,
    pub(super) room: OwnedRoomId,
    pub(super) answer: String,
    pub(super) is_status: bool,
}

/// What came of something that was under way.
pub(super) enum Finished {
    Sync(Result<Vec<u8>, Fault>),
    Answer {
        key: WantKey,
        about: About,
        result: Result<Vec<u8>, Fault>,
    },
    Command(Outcome),
    Preflight(kube::Preflight),
}

/// What one transaction leaves to be started.
struct Next {
    wants: Vec<Want>,
    again: bool,
    work: Option<Work>,
    since: Option<String>,
    held_until: Option<u64>,
    keys_uploaded: bool,
    /// To be shown once, when the bot begins to listen.
    fingerprints: Vec<String>,
    settled: bool,
}

/// The oldest command that is not done, and what is to become of it.
pub(super) struct Work {
    pub(super) entry: JournalEntry,
    pub(super) decision: Decision,
}

/// One session: from login to logout.
pub struct Operator<'a> {
    pub(super) store: &'a mut Store,
    pub(super) engine: Engine,
    pub(super) policy: &'a Policy,
    pub(super) homeserver: &'a Homeserver,
    pub(super) kube: &'a kube::Api,
    pub(super) target: &'a Target,
    pub(super) access: Access,
    pub(super) tasks: JoinSet<Finished>,
    pub(super) flight: Flight,
    pub(super) syncing: bool,
    /// Keys were uploaded while the sync was under way.
    pub(super) uploaded_meanwhile: bool,
    /// The last sync's count of keys did not hold: the next one does not wait.
    pub(super) recount: bool,
    pub(super) synced: bool,
    pub(super) sync_after: Instant,
    pub(super) sync_backoff: Backoff,
    pub(super) since: Option<String>,
    pub(super) held_until: Option<u64>,
    pub(super) working: Option<OwnedEventId>,
    /// What came of it, while the store refuses to take it.
    pub(super) unsaved: Option<Outcome>,
    /// When this process began to serve, milliseconds since the Unix epoch.
    pub(super) started_at: u64,
    /// Until then nothing is tried, after the store refused.
    pub(super) not_before: Instant,
    /// Syncs in a row that were refused as bad requests.
    pub(super) bad_syncs: u32,
    pub(super) delivered: Vec<i64>,
    pub(super) keys_uploaded: bool,
    pub(super) settled: bool,
    pub(super) listening: bool,
    /// There is more to prepare than one transaction should.
    pub(super) again: bool,
}

impl<'a> Operator<'a> {
    /// Nothing is sent before [`Operator::run`].
    pub fn new(
        store: &'a mut Store,
        policy: &'a Policy,
        homeserver: &'a Homeserver,
        kube: &'a kube::Api,
        target: &'a Target,
        access: Access,
        own_keys: Rc<OwnKeys>,
    ) -> Self {
        let engine = Engine::new(
            access.user.clone(),
            access.device.clone(),
            policy.commanders.clone(),
            own_keys,
        );
        Self {
            store,
            engine,
            policy,
            homeserver,
            kube,
            target,
            access,
            tasks: JoinSet::new(),
            flight: Flight::default(),
            syncing: false,
            uploaded_meanwhile: false,
            recount: false,
            synced: false,
            sync_after: Instant::now(),
            sync_backoff: Backoff::new(),
            since: None,
            held_until: None,
            working: None,
            unsaved: None,
            started_at: now_ms(),
            not_before: Instant::now(),
            bad_syncs: 0,
            delivered: Vec::new(),
            keys_uploaded: false,
            settled: false,
            listening: false,
            again: false,
        }
    }

    /// Serves until the session ends. May be dropped at any time: what was not
    /// committed never happened, and what was is taken up at the next start.
    pub async fn run(mut self) -> End {
        self.spawn_preflight();
        let started = self.transact(|engine, _, tx, now| engine.prepare_account(tx, now).map(drop));
        if let Err(error) = started {
            return End::Fatal(error.to_string());
        }
        loop {
            let end = match self.next_finished().await {
                Some(Ok(finished)) => self.take(finished),
                Some(Err(error)) => Some(End::Fatal(format!("a task broke: {error}"))),
                None => {
                    self.look_around();
                    None
                }
            };
            if let Some(end) = end {
                self.flush();
                return end;
            }
        }
    }

    /// The next thing that comes to an end; None when it is time for something
    /// that waited.
    async fn next_finished(&mut self) -> Option<Result<Finished, JoinError>> {
        let wake_at = self.wake_at();
        if self.tasks.is_empty() {
            sleep_until(wake_at).await;
            return None;
        }
        timeout_at(wake_at, self.tasks.join_next())
            .await
            .ok()
            .flatten()
    }

    fn take(&mut self, finished: Finished) -> Option<End> {
        match finished {
            Finished::Sync(result) => {
                self.syncing = false;
                self.take_sync(result)
            }
            Finished::Answer { key, about, result } => self.take_answer(&key, &about, result),
            Finished::Command(outcome) => {
                self.unsaved = Some(outcome);
                self.save_answer();
                None
            }
            Finished::Preflight(preflight) => {
                self.log_preflight(&preflight);
                None
            }
        }
    }

    fn take_sync(&mut self, result: Result<Vec<u8>, Fault>) -> Option<End> {
        let body = match result {
            Ok(body) => body,
            Err(Fault::UnknownToken { soft_logout }) => {
                return Some(End::LoggedOut { soft: soft_logout });
            }
            Err(fault) => {
                if matches!(fault, Fault::Refused { status: 400, .. }) {
                    self.suspect_since();
                }
                return self.sync_failed(&fault, fault.retry_after());
            }
        };
        self.bad_syncs = 0;
        let parsed: SyncBody<'_> = match serde_json::from_slice(&body) {
            Ok(parsed) => parsed,
            Err(error) => return self.sync_failed(&format!("a sync is malformed: {error}"), None),
        };
        let counts_hold = !self.uploaded_meanwhile;
        self.recount = !counts_hold;
        let synced_before = std::mem::replace(&mut self.synced, true);
        let taken = self.transact(|engine, policy, tx, now| {
            let received = engine.take_sync(tx, &parsed, counts_hold, now)?;
            for invite in &received.invites {
                policy.judge_invite(tx, invite)?;
            }
            judge(engine, policy, tx, &received.messages, now)
        });
        match taken {
            Ok(()) => {
                self.sync_backoff.succeed();
                None
            }
            Err(error) => {
                if let Some(end) = ends_the_session(&error) {
                    return Some(end);
                }
                self.synced = synced_before;
                if let matrix::Error::Store(error) = &error {
                    error!("{error}");
                }
                self.sync_failed(&error, None)
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
            self.attempt(|_, _, tx, _| Ok(tx.forget_next_batch()?));
        }
    }

    fn sync_failed(&mut self, why: &dyn fmt::Display, asked: Option<Duration>) -> Option<End> {
        match self.sync_backoff.fail(asked) {
            Some(wait) => {
                warn!("sync: {why}; trying again in {} s", wait.as_secs());
                self.sync_after = Instant::now() + wait;
                None
            }
            None => Some(End::GaveUp(format!("giving up on the homeserver: {why}"))),
        }
    }

    fn take_answer(
        &mut self,
        key: &WantKey,
        about: &About,
        result: Result<Vec<u8>, Fault>,
    ) -> Option<End> {
        self.flight.landed(key);
        if matches!(about, About::Upload { .. }) {
            self.uploaded_meanwhile = true;
        }
        let taken = match result {
            Ok(body) => {
                if let About::Outbox(row, _) = about {
                    return self.delivered(key, *row);
                }
                self.transact(|engine, policy, tx, now| {
                    take_body(engine, policy, tx, about, &body, now)
                })
            }
            Err(Fault::UnknownToken { soft_logout }) => {
                return Some(End::LoggedOut { soft: soft_logout });
            }
            Err(Fault::Interactive {
                session,
                by_password,
            }) => self.transact(|engine, _, tx, _| {
                engine.take_own_challenge(tx, session.as_deref(), by_password)
            }),
            Err(Fault::Refused {
                status,
                errcode,
                message,
            }) => match refused(about, status, &errcode, &message) {
                Refusal::Outlived(why) => return Some(End::Outlived(why)),
                Refusal::Fatal(why) => return Some(End::Fatal(why)),
                Refusal::Retry => {
                    let wait = self.flight.failed(key, None);
                    warn!(
                        "{key:?}: {status} {errcode} ({message}); trying again in {} s",
                        wait.as_secs()
                    );
                    return None;
                }
                Refusal::Final => {
                    if let About::Outbox(row, _) = about {
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
            Err(fault) => {
                let wait = self.flight.failed(key, fault.retry_after());
                warn!("{key:?}: {fault}; trying again in {} s", wait.as_secs());
                if matches!(about, About::OwnIdentity(_)) {
                    // Nobody waits for it any more.
                    self.attempt(|engine, _, tx, _| engine.delay_own_identity(tx));
                }
                return None;
            }
        };
        match taken {
            Ok(()) => {
                self.flight.succeeded(key);
                None
            }
            Err(error) => {
                if let Some(end) = ends_the_session(&error) {
                    return Some(end);
                }
                let wait = self.flight.failed(key, None);
                error!("{key:?}: {error}; trying again in {} s", wait.as_secs());
                None
            }
        }
    }

    /// A request of the outbox was taken by the server. That is written down
    /// with the next commit, not with one of its own: should it be lost, the
    /// same request goes out again and the server knows its transaction id.
    fn delivered(&mut self, key: &WantKey, row: i64) -> Option<End> {
        self.flight.succeeded(key);
        self.delivered.push(row);
        let sends = self.store.begin().and_then(|tx| {
            for row in &self.delivered {
                tx.finish_outbox(*row)?;
            }
            self.engine.sends(&tx, &|key| self.flight.is_busy(key))
        });
        match sends {
            Ok(sends) => self.spawn_wants(sends),
            Err(error) => error!("{error}"),
        }
        None
    }

    /// One transaction: `take` changes the store, then everything that follows
    /// from the change is prepared in it too, committed, and only then begun.
    fn transact(
        &mut self,
        take: impl FnOnce(&Engine, &Policy, &Transaction<'_>, u64) -> Result<(), matrix::Error>,
    ) -> Result<(), matrix::Error> {
        let now = now_ms();
        let tx = self.store.begin()?;
        for row in &self.delivered {
            tx.finish_outbox(*row)?;
        }
        take(&self.engine, self.policy, &tx, now)?;
        // Before the first sync this store may be an older copy, which shows only
        // there: what it wants done was done, and what it would encrypt with was
        // used.
        let Wants { requests, again } = {
            let busy = |key: &WantKey| self.flight.is_busy(key);
            self.engine.wants(&tx, self.synced, now, &busy)?
        };
        let work = match self.working {
            None if self.synced => next_work(&self.engine, self.policy, &tx, self.started_at, now)?,
            _ => None,
        };
        let next = Next {
            wants: requests,
            again,
            work,
            since: tx.next_batch()?,
            held_until: self.engine.next_held_deadline(&tx)?,
            keys_uploaded: self.engine.keys_uploaded(&tx)?,
            fingerprints: match self.listening {
                true => Vec::new(),
                false => self.engine.fingerprints(&tx)?,
            },
            settled: self.engine.is_settled(&tx)?,
        };
        tx.commit()?;
        self.delivered.clear();
        self.begin(next);
        Ok(())
    }

    fn begin(&mut self, next: Next) {
        self.since = next.since;
        self.held_until = next.held_until;
        self.settled = next.settled;
        self.keys_uploaded = next.keys_uploaded;
        self.spawn_wants(next.wants);
        self.flight.forget_unwanted();
        self.again = next.again;
        if let Some(work) = next.work {
            self.spawn_work(work);
        }
        if self.may_sync() && Instant::now() >= self.sync_after {
            self.spawn_sync();
        }
        if !self.listening && self.synced && self.settled {
            self.listening = true;
            for line in &next.fingerprints {
                info!("{line}");
            }
            info!(
                "listening as {} for {} allowed user(s)",
                self.access.user,
                self.policy.commanders.users.len()
            );
        }
    }

    /// Whether the next sync has only its time to wait for. On a new device the
    /// keys go first: a sync counted before they arrived would ask for as many
    /// again. Where they cannot be uploaded the sync goes on, and gives up in time.
    fn may_sync(&self) -> bool {
        let keys_first = !self.keys_uploaded && !self.flight.is_delayed(&WantKey::Upload);
        !self.syncing && (self.synced || !keys_first)
    }

    /// Time for something that waited.
    fn look_around(&mut self) {
        if self.unsaved.is_some() {
            self.save_answer();
        } else {
            self.attempt(judge_again);
        }
    }

    /// Writes down what came of a command. While the store refuses, the command
    /// stays the one under way: without its answer it would be run once more.
    fn save_answer(&mut self) {
        let Some(outcome) = self.unsaved.take() else {
            return;
        };
        self.working = None;
        let saved = self.attempt(|engine, _, tx, _| {
            let fault = match outcome.is_status {
                true => engine.own_identity_fault(tx)?,
                false => None,
            };
            let answer = match fault {
                Some(fault) => &format!("{}\n\n⚠ {fault}", outcome.answer),
                None => &outcome.answer,
            };
            engine.reply(tx, &outcome.room, answer)?;
            Ok(tx.finish(&outcome.event_id)?)
        });
        if !saved {
            self.working = Some(outcome.event_id.clone());
            self.unsaved = Some(outcome);
        }
    }

    /// A transaction of the bot's own: when the store refuses, nothing was
    /// changed, and the loop comes by here again. Whether it was committed.
    fn attempt(
        &mut self,
        take: impl FnOnce(&Engine, &Policy, &Transaction<'_>, u64) -> Result<(), matrix::Error>,
    ) -> bool {
        let done = self.transact(take);
        if let Err(error) = &done {
            error!("{error}");
            self.not_before = Instant::now() + STORE_RETRY;
        }
        done.is_ok()
    }

    fn wake_at(&self) -> Instant {
        let now = Instant::now();
        let mut at = now + LONGEST_NAP;
        if self.again {
            at = now;
        }
        if let Some(turn) = self.flight.next_turn() {
            at = at.min(turn);
        }
        if let Some(held) = self.held_until {
            // The clock may have gone back since.
            let wait = held.saturating_sub(now_ms()).min(KEY_GRACE_MS);
            at = at.min(now + Duration::from_millis(wait));
        }
        if self.may_sync() {
            at = at.min(self.sync_after);
        }
        if self.unsaved.is_some() {
            at = now;
        }
        at.max(self.not_before)
    }

    /// Writes down what was delivered, at the end.
    fn flush(&mut self) {
        let flushed = self.store.begin().and_then(|tx| {
            for row in &self.delivered {
                tx.finish_outbox(*row)?;
            }
            tx.commit()
        });
        if let Err(error) = flushed {
            debug!("{error}");
        }
    }
}

impl Drop for Operator<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Whether an error that came with an answer leaves nothing to go on with.
fn ends_the_session(error: &matrix::Error) -> Option<End> {
    match error {
        matrix::Error::OwnKeys(_) => Some(End::Fatal(error.to_string())),
        matrix::Error::RolledBack => Some(End::Outlived(error.to_string())),
        _ => None,
    }
}
