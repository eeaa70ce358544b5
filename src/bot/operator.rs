//! The loop: one task that owns the store and everything that is under way.

use std::{
    collections::{BTreeSet, VecDeque},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use log::{debug, error, info};
use ruma::OwnedEventId;
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    answers::judge_again,
    backlog::Backlog,
    end::SessionEnd,
    in_flight::InFlight,
    outcome::Outcome,
    policy::{Decision, Policy},
    renewal::Renewal,
    said::Said,
    starts::next_work,
};
use crate::json::Sifted;
use crate::kube::{self, Target};
use crate::login::Access;
use crate::matrix::client::{Audience, Fault, Homeserver};
use crate::matrix::e2ee::{
    self, Engine, KEY_GRACE_MS, Outgoing, OutgoingRequest, OwnKeys, RequestContext, RequestKey,
};
use crate::net::Backoff;
use crate::store::{JournalEntry, OwnClock, Store, Transaction};
use crate::telemetry::{HealthState, MetricEvents};
use crate::util::{OwnTime, now_ms};

/// The loop looks around at least this often.
const LONGEST_NAP: Duration = Duration::from_secs(60);

/// With nothing to do for so long after a commit, the write-ahead log is emptied.
const IDLE: Duration = Duration::from_secs(3);

/// Commits after which it is emptied however busy the bot is: some 25 commands.
/// Each time costs four waits for the disk.
const COMMITS_IN_LOG: u32 = 75;

/// After this a log is tried again that somebody else was reading.
const LOG_RETRY: Duration = Duration::from_secs(3);

/// A turn of the loop that takes so long is logged: others wait meanwhile.
const NOTED_TURN: Duration = Duration::from_millis(10);

/// After this the store is tried again.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// What came of something that was under way.
pub(super) enum Finished {
    Sync {
        generation: u32,
        result: Result<Sifted, Fault>,
    },
    Answer {
        key: RequestKey,
        about: RequestContext,
        generation: u32,
        result: Result<Sifted, Fault>,
    },
    Renewal(Result<Vec<u8>, Fault>),
    Command(Outcome),
    Preflight(kube::Preflight),
}

/// What one transaction leaves to be started.
struct Next {
    outgoing: Vec<OutgoingRequest>,
    again: bool,
    work: Option<Work>,
    since: Option<String>,
    held_until: Option<u64>,
    patience_ends: Option<u64>,
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

/// What a session is served with, the same for all of them.
pub struct SessionContext<'a> {
    /// Who may command.
    pub policy: &'a Policy,
    /// The homeserver.
    pub homeserver: &'a Homeserver,
    /// The API server.
    pub kube: &'a kube::Api,
    /// What is scaled.
    pub target: &'a Target,
    /// What the bot's own identity can come from.
    pub own_keys: Rc<OwnKeys>,
    /// What is noted of it all.
    pub health: Arc<HealthState>,
    /// Whether the bot goes on with the same device where the homeserver shows that
    /// it has had another life.
    pub keeps_device: bool,
}

/// One session: from login to logout.
pub struct Operator<'a> {
    pub(super) store: &'a mut Store,
    pub(super) engine: Engine,
    pub(super) policy: &'a Policy,
    pub(super) homeserver: &'a Homeserver,
    pub(super) kube: &'a kube::Api,
    pub(super) target: &'a Target,
    pub(super) health: Arc<HealthState>,
    pub(super) access: Access,
    pub(super) renewal: Renewal,
    pub(super) tasks: JoinSet<Finished>,
    pub(super) in_flight: InFlight,
    pub(super) said: Said,
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
    /// When a reply stops waiting for others, by the bot's own clock.
    pub(super) patience_ends: Option<u64>,
    /// Answers that are taken in piece by piece.
    pub(super) backlog: VecDeque<Backlog>,
    /// Kinds of items of which it was said that there were too many.
    pub(super) said_skipped: BTreeSet<&'static str>,
    /// Whose items are kept of answers.
    pub(super) audience: Arc<Audience>,
    pub(super) working: Option<OwnedEventId>,
    /// What came of it, while the store refuses to take it.
    pub(super) unsaved: Option<Outcome>,
    /// The bot's own clock; none before the first transaction.
    pub(super) own_time: Option<OwnTime>,
    pub(super) keeps_device: bool,
    /// When this session began, by the bot's own clock, in milliseconds.
    pub(super) started_at: u64,
    /// Until then nothing is tried, after the store refused.
    pub(super) not_before: Instant,
    /// Syncs in a row that were refused as bad requests.
    pub(super) bad_syncs: u32,
    pub(super) delivered: Vec<i64>,
    /// Commits in the write-ahead log, and when it is to be emptied.
    pub(super) commits_in_log: u32,
    pub(super) empty_log_at: Option<Instant>,
    pub(super) keys_uploaded: bool,
    pub(super) settled: bool,
    pub(super) listening: bool,
    /// There is more to prepare than one transaction should.
    pub(super) again: bool,
}

impl<'a> Operator<'a> {
    /// Nothing is sent before [`Operator::run`].
    pub fn new(store: &'a mut Store, access: Access, surroundings: SessionContext<'a>) -> Self {
        let SessionContext {
            policy,
            homeserver,
            kube,
            target,
            own_keys,
            health,
            keeps_device,
        } = surroundings;
        let engine = Engine::new(
            access.user.clone(),
            access.device.clone(),
            policy.commanders.clone(),
            own_keys,
            policy.plaintext_replies(),
        );
        let audience = engine.audience();
        Self {
            store,
            engine,
            policy,
            homeserver,
            kube,
            target,
            health,
            access,
            renewal: Renewal::default(),
            tasks: JoinSet::new(),
            in_flight: InFlight::default(),
            said: Said::default(),
            syncing: false,
            uploaded_meanwhile: false,
            recount: false,
            synced: false,
            sync_after: Instant::now(),
            sync_backoff: Backoff::new(),
            since: None,
            held_until: None,
            patience_ends: None,
            backlog: VecDeque::new(),
            said_skipped: BTreeSet::new(),
            audience,
            working: None,
            unsaved: None,
            own_time: None,
            keeps_device,
            started_at: 0,
            not_before: Instant::now(),
            bad_syncs: 0,
            delivered: Vec::new(),
            commits_in_log: 0,
            empty_log_at: None,
            keys_uploaded: false,
            settled: false,
            listening: false,
            again: false,
        }
    }

    /// Serves until the session ends. May be dropped at any time: what was not
    /// committed never happened, and what was is taken up at the next start.
    pub async fn run(mut self) -> SessionEnd {
        self.health.session_began();
        self.spawn_preflight();
        let mut invites = Vec::new();
        let started = self.transact(|engine, policy, tx, now| {
            engine.prepare_account(tx, now)?;
            invites = policy.judge_standing_invites(tx)?;
            Ok(())
        });
        if let Err(error) = started {
            return SessionEnd::Fatal(error.to_string());
        }
        self.said.invites(&invites);
        self.started_at = self.engine.own_now();
        loop {
            let next = self.next_finished().await;
            self.health.turned();
            let began = Instant::now();
            let end = match next {
                Some(Ok(finished)) => self.take(finished),
                Some(Err(error)) => Some(SessionEnd::Fatal(format!("a task broke: {error}"))),
                None => {
                    self.look_around();
                    None
                }
            };
            if self.empty_log_at.is_some_and(|at| at <= Instant::now()) {
                self.empty_log();
            }
            let end = end.or_else(|| self.work_off());
            let took = began.elapsed();
            if took >= NOTED_TURN {
                debug!("a turn of the loop took {} ms", took.as_millis());
            }
            if end.is_none() && !self.backlog.is_empty() {
                // Requests that are under way have their turn.
                tokio::task::yield_now().await;
            }
            if let Some(end) = end {
                if !matches!(end, SessionEnd::Outlived(_)) {
                    self.finish_work().await;
                }
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

    fn take(&mut self, finished: Finished) -> Option<SessionEnd> {
        match finished {
            Finished::Sync { generation, result } => self.handle_sync(generation, result),
            Finished::Answer {
                key,
                about,
                generation,
                result,
            } => self.handle_answer(&key, about, generation, result),
            Finished::Renewal(result) => {
                self.handle_renewal(result);
                None
            }
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

    /// One transaction: `take` changes the store, then everything that follows
    /// from the change is prepared in it too, committed, and only then begun.
    pub(super) fn transact<T: Into<MetricEvents>>(
        &mut self,
        take: impl FnOnce(&Engine, &Policy, &Transaction<'_>, u64) -> Result<T, e2ee::Error>,
    ) -> Result<(), e2ee::Error> {
        let done = self.commit(take);
        if let Err(e2ee::Error::Store(error)) = &done
            && !error.is_busy()
        {
            self.health.store_refused();
        }
        self.begin(done?);
        Ok(())
    }

    fn commit<T: Into<MetricEvents>>(
        &mut self,
        take: impl FnOnce(&Engine, &Policy, &Transaction<'_>, u64) -> Result<T, e2ee::Error>,
    ) -> Result<Next, e2ee::Error> {
        let now = now_ms();
        let tx = self.store.begin()?;
        let stored = tx.own_clock().load()?;
        let own_now = self
            .own_time
            .get_or_insert_with(|| OwnTime::resume(stored.own_time, stored.wall_time, now))
            .now(now);
        self.engine.set_own_now(own_now);
        self.engine.set_server_ahead(self.homeserver.ahead_ms());
        for row in &self.delivered {
            tx.outbox().finish(*row)?;
        }
        let metrics = take(&self.engine, self.policy, &tx, now)?.into();
        self.engine.check_rollback()?;
        // Before the first sync this store may be an older copy, which shows only
        // there: what it wants done was done, and what it would encrypt with was
        // used.
        let Outgoing {
            requests,
            has_more,
            patience_ends,
        } = {
            let busy = |key: &RequestKey| self.in_flight.is_busy(key);
            self.engine.outgoing(&tx, self.synced, now, &busy)?
        };
        let mut requests = requests;
        requests.extend(
            self.engine
                .outbox_requests(&tx, self.synced, &self.in_flight.gate())?,
        );
        let work = match self.working {
            None if self.synced => next_work(&self.engine, self.policy, &tx, self.started_at, now)?,
            _ => None,
        };
        let next = Next {
            outgoing: requests,
            again: has_more,
            work,
            since: tx.session().next_batch()?,
            held_until: self.engine.next_undecrypted_deadline(&tx, now)?,
            patience_ends,
            keys_uploaded: self.engine.keys_uploaded(&tx)?,
            fingerprints: match self.listening {
                true => Vec::new(),
                false => self.engine.fingerprints(&tx)?,
            },
            settled: self.engine.bootstrap_done(&tx)?,
        };
        let counts = match self.health.wants_counts() {
            true => Some(tx.counts()?),
            false => None,
        };
        let has_changes = tx.has_changes();
        let dropped = tx.dropped();
        if has_changes {
            tx.own_clock().put(OwnClock {
                own_time: own_now,
                wall_time: now,
            })?;
        }
        tx.commit()?;
        self.delivered.clear();
        if has_changes {
            self.health.stored();
            self.commits_in_log += 1;
            let wait = match self.commits_in_log >= COMMITS_IN_LOG {
                true => Duration::ZERO,
                false => IDLE,
            };
            self.empty_log_at = Some(Instant::now() + wait);
        }
        if let Some(counts) = counts {
            self.health.counted(counts);
        }
        self.health.count(&metrics);
        self.note_dropped(&dropped);
        Ok(next)
    }

    fn begin(&mut self, next: Next) {
        self.since = next.since;
        self.held_until = next.held_until;
        self.patience_ends = next.patience_ends;
        self.settled = next.settled;
        self.keys_uploaded = next.keys_uploaded;
        self.spawn_requests(next.outgoing);
        self.in_flight.forget_unwanted();
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
        let keys_first = !self.keys_uploaded && !self.in_flight.is_delayed(&RequestKey::Upload);
        !self.syncing && (self.synced || !keys_first)
    }

    /// Time for something that waited.
    fn look_around(&mut self) {
        self.renew();
        if self.unsaved.is_some() {
            self.save_answer();
        } else {
            self.attempt(judge_again);
        }
    }

    /// Empties the write-ahead log, whose pages have ratchets of before. If it
    /// cannot be now, nothing is lost, and it is tried again.
    fn empty_log(&mut self) {
        let emptied = self.store.checkpoint();
        if let Err(error) = &emptied {
            debug!("the write-ahead log stays for now: {error}");
        }
        self.empty_log_at = match emptied {
            Ok(true) => {
                self.commits_in_log = 0;
                None
            }
            Ok(false) | Err(_) => Some(Instant::now() + LOG_RETRY),
        };
    }

    /// A transaction of the bot's own: when the store refuses, nothing was
    /// changed, and the loop comes by here again. Whether it was committed.
    pub(super) fn attempt<T: Into<MetricEvents>>(
        &mut self,
        take: impl FnOnce(&Engine, &Policy, &Transaction<'_>, u64) -> Result<T, e2ee::Error>,
    ) -> bool {
        let done = self.transact(take);
        if let Err(error) = &done {
            error!("{error}");
            self.not_before = Instant::now() + STORE_RETRY;
        }
        done.is_ok()
    }

    fn wake_at(&mut self) -> Instant {
        let now = Instant::now();
        let mut at = now + LONGEST_NAP;
        if self.again || !self.backlog.is_empty() {
            at = now;
        }
        if let Some(turn) = self.in_flight.next_turn() {
            at = at.min(turn);
        }
        if let Some(due) = self.renew_at() {
            at = at.min(due);
        }
        if let Some(held) = self.held_until {
            // The clock may have gone back since.
            let wait = held.saturating_sub(now_ms()).min(KEY_GRACE_MS);
            at = at.min(now + Duration::from_millis(wait));
        }
        if let (Some(ends), Some(own_time)) = (self.patience_ends, &mut self.own_time) {
            let wait = ends.saturating_sub(own_time.now(now_ms()));
            at = at.min(now + Duration::from_millis(wait));
        }
        if let Some(due) = self.empty_log_at {
            at = at.min(due);
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
                tx.outbox().finish(*row)?;
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
        self.health.session_ended();
        self.flush();
    }
}
