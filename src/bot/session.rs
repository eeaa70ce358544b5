//! One session, from login to logout: everything that its loop holds, and the
//! transactions by which it changes.

use std::{collections::VecDeque, rc::Rc, sync::Arc, time::Duration};

use log::{error, info};
use ruma::{OwnedRoomId, OwnedUserId};
use tokio::time::Instant;

use super::{
    chat::{Chat, Door},
    due::Job,
    jobs::Jobs,
    log_once::LogOnce,
    outcome,
    pending::Pending,
    receipts::Receipts,
    storage::Storage,
};
use crate::{
    matrix::{
        client::{Homeserver, LoggedIn},
        e2ee::{self, Commanders, Engine, Outgoing, OutgoingRequest, OwnKeys, RequestKey, Turn},
        session::{Phase, Requests},
    },
    store::Store,
    telemetry::{HealthState, MetricEvents},
    util::{Clock, SortedMap},
};

/// Delay before the store is tried again after it refused something.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// Longest wait for the jobs under way when their session ends.
const LAST_JOBS: Duration = Duration::from_secs(15);

/// Things that one transaction leaves to be started.
struct Next {
    requests: Vec<OutgoingRequest>,
    jobs: Vec<Job>,
    phase: Phase,
    /// Fingerprints of the bot, where they are to be told.
    fingerprints: Vec<String>,
}

/// The parts that all sessions of a process have in common.
pub struct Context<'a> {
    /// The chat's rules.
    pub chat: &'a Chat,
    /// The users whose messages are looked at, and the trust in their devices.
    pub commanders: Commanders,
    /// The homeserver.
    pub homeserver: &'a Homeserver,
    /// The keys that the bot's own identity can come from.
    pub own_keys: Rc<OwnKeys>,
    /// Counters and states for the health port.
    pub health: Arc<HealthState>,
    /// True if the bot goes on with the same device where the homeserver shows that it
    /// has had another life.
    pub keeps_device: bool,
}

/// One session: from login to logout.
pub struct Session<'a> {
    pub(super) clock: Clock,
    pub(super) storage: Storage<'a>,
    pub(super) engine: Engine,
    pub(super) chat: &'a Chat,
    pub(super) jobs: &'a mut Jobs,
    pub(super) requests: Requests,
    pub(super) health: Arc<HealthState>,
    pub(super) log: LogOnce,
    user: OwnedUserId,
    pub(super) keeps_device: bool,
    /// The start of this session, by the bot's own clock, in milliseconds.
    pub(super) started_at: u64,
    /// Answers that are taken in piece by piece.
    pub(super) backlog: VecDeque<Pending>,
    /// The position up to which the homeserver's events were read (`next_batch`).
    pub(super) since: Option<String>,
    /// The time at which a message stops waiting for its key, in milliseconds since the Unix epoch.
    pub(super) held_until: Option<u64>,
    /// The time at which a reply stops waiting for others, by the bot's own clock.
    pub(super) patience_ends: Option<u64>,
    /// There is more to prepare than one transaction should.
    pub(super) has_more: bool,
    /// Until then nothing is tried, after the store refused.
    pub(super) not_before: Instant,
    /// The receipts that are not sent yet.
    pub(super) receipts: Receipts,
    /// The rooms that show the bot as typing, and when each was told so.
    pub(super) typing: SortedMap<OwnedRoomId, Instant>,
    /// Syncs in a row that were refused as bad requests.
    pub(super) bad_syncs: u32,
}

impl<'a> Session<'a> {
    /// Nothing is sent before [`Session::run`].
    pub fn new(
        store: &'a mut Store,
        jobs: &'a mut Jobs,
        access: LoggedIn,
        context: Context<'a>,
    ) -> Self {
        let engine = Engine::new(
            access.user.clone(),
            access.device,
            context.commanders,
            context.own_keys,
            context.chat.plaintext_replies(),
        );
        let homeserver = context.homeserver.clone();
        let requests = Requests::new(homeserver, access.tokens, engine.audience());
        Self {
            clock: context.homeserver.local_clock(),
            storage: Storage::new(store),
            engine,
            chat: context.chat,
            jobs,
            requests,
            health: context.health,
            log: LogOnce::default(),
            user: access.user,
            keeps_device: context.keeps_device,
            started_at: 0,
            backlog: VecDeque::new(),
            since: None,
            held_until: None,
            patience_ends: None,
            has_more: false,
            not_before: Instant::now(),
            receipts: Receipts::default(),
            typing: SortedMap::new(),
            bad_syncs: 0,
        }
    }

    /// One transaction: `change` changes the store, then everything that follows
    /// from the change is prepared in it too, committed, and only then begun.
    pub(super) fn transact<T: Into<MetricEvents>>(
        &mut self,
        change: impl FnOnce(Door<'_>) -> Result<T, e2ee::Error>,
    ) -> Result<(), e2ee::Error> {
        let done = self.commit(change);
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
        change: impl FnOnce(Door<'_>) -> Result<T, e2ee::Error>,
    ) -> Result<Next, e2ee::Error> {
        let now = self.clock.now_ms();
        let (engine, phase) = (&self.engine, self.requests.phase);
        let (tx, own_now) = self.storage.begin(now)?;
        engine.begin(own_now, self.requests.homeserver.ahead_ms());
        let turn = engine.on(&tx, now);
        let executing = self.jobs.running();
        let door = Door {
            chat: self.chat,
            executing: &executing,
            turn,
        };
        self.chat.read.borrow_mut().clear();
        let metrics = change(door)?.into();
        turn.check_rollback()?;
        // Before the first sync this store may be an older copy, which shows only
        // there: what it wants done was done, and what it would encrypt with was
        // used.
        let has_synced = phase.has_synced();
        let in_flight = &self.requests.in_flight;
        let busy = |key: &RequestKey| in_flight.is_busy(key);
        let Outgoing {
            mut requests,
            has_more,
            patience_ends,
        } = turn.outgoing(has_synced, &busy)?;
        requests.extend(engine.outbox_requests(&tx, has_synced, &in_flight.gate())?);
        let jobs = match has_synced {
            true => self.jobs.next(door, self.started_at)?,
            false => Vec::new(),
        };
        let tells_fingerprints = phase.is_unannounced() || jobs.iter().any(Job::tells_fingerprints);
        let next = Next {
            requests,
            jobs,
            phase: phase.after(|| turn.keys_uploaded(), || turn.bootstrap_done())?,
            fingerprints: match tells_fingerprints {
                true => turn.fingerprints()?,
                false => Vec::new(),
            },
        };
        let since = tx.session().next_batch()?;
        let held_until = turn.next_undecrypted_deadline()?;
        let wants_counts = self.health.wants_counts();
        let counts = wants_counts.then(|| tx.counts()).transpose()?;
        let dropped = tx.dropped();
        let ended = Storage::commit(tx, own_now, now)?;
        self.storage.ended(ended, since.as_deref(), &self.health);
        for read in self.chat.read.take() {
            self.receipts.add(read);
        }
        (self.since, self.held_until) = (since, held_until);
        (self.has_more, self.patience_ends) = (has_more, patience_ends);
        if let Some(counts) = counts {
            self.health.counted(counts);
        }
        self.health.count(&metrics);
        self.log.dropped(&dropped, &self.health);
        Ok(next)
    }

    fn begin(&mut self, next: Next) {
        let begins_to_serve = self.requests.phase.is_unannounced() && !next.phase.is_unannounced();
        self.requests.phase = next.phase;
        self.requests.send(next.requests);
        self.requests.in_flight.forget_unwanted();
        let fingerprints = next.fingerprints;
        if begins_to_serve {
            for line in &fingerprints {
                info!("{line}");
            }
            info!(
                "listening as {} for {} allowed user(s)",
                self.user,
                self.chat.policy.users.len()
            );
        }
        for job in next.jobs {
            let now = self.cluster_now();
            self.jobs.start(job, fingerprints.clone(), now);
        }
        self.sync_if_due();
    }

    /// The time by the API server's clock, in milliseconds since the Unix epoch: what is
    /// written into Leases, and what is read there, is compared by others.
    pub(super) fn cluster_now(&self) -> u64 {
        self.jobs.cluster.kube.clock(self.clock).now_ms()
    }

    /// Asks for the next sync, if its time has come.
    pub(super) fn sync_if_due(&mut self) {
        let is_executing = self.jobs.is_running();
        self.requests
            .sync_if_due(self.since.as_deref(), is_executing);
    }

    /// A small transaction with nothing that follows from it. None if the store refused it.
    pub(super) fn write_down<T>(
        &mut self,
        change: impl FnOnce(Turn<'_>) -> Result<T, e2ee::Error>,
    ) -> Option<T> {
        let now = self.clock.now_ms();
        let begun = self.storage.store.begin().map_err(e2ee::Error::from);
        let done = begun.and_then(|tx| {
            let value = change(self.engine.on(&tx, now))?;
            tx.commit()?;
            Ok(value)
        });
        match &done {
            Ok(_) => self.health.stored(),
            Err(error) => {
                error!("{error}");
                self.health.store_refused();
            }
        }
        done.ok()
    }

    /// Reads the store. None if it refuses.
    pub(super) fn read<T>(
        &mut self,
        read: impl FnOnce(Turn<'_>) -> Result<T, e2ee::Error>,
    ) -> Option<T> {
        let now = self.clock.now_ms();
        let begun = self.storage.store.begin().map_err(e2ee::Error::from);
        let done = begun.and_then(|tx| read(self.engine.on(&tx, now)));
        done.inspect_err(|error| error!("{error}")).ok()
    }

    /// Writes down the answer of a job. While the store refuses, it stays under way.
    pub(super) fn save_answer(&mut self) {
        let Some(answered) = self.jobs.take_unsaved() else {
            return;
        };
        if !self.attempt(|door| outcome::put(door, &answered)) {
            self.jobs.put_back(answered);
            return;
        }
        self.jobs.timers.touch();
        self.jobs.leave_trace(&answered, self.clock.now_ms());
        if answered.changed().is_some() {
            self.take_up_followed(answered.changed());
        }
    }

    /// Waits for the jobs under way and writes their answers down, or the next session
    /// would execute them once more. For when the session has ended.
    pub(super) async fn settle(&mut self) {
        let until = Instant::now() + LAST_JOBS;
        while let Some(answered) = self.jobs.last_answer(until).await {
            let chat = self.chat;
            let written = self.write_down(|turn| {
                let door = Door {
                    chat,
                    executing: &[],
                    turn,
                };
                outcome::put(door, &answered)
            });
            match written {
                Some(metrics) => {
                    self.health.count(&metrics);
                    self.jobs.leave_trace(&answered, self.clock.now_ms());
                    // The next session takes up what is to be followed.
                    self.jobs.follows.is_loaded = false;
                }
                None => return self.jobs.put_back(answered),
            }
        }
    }

    /// A transaction of the bot's own: when the store refuses, nothing was
    /// changed, and the loop comes by here again. Returns true if it was committed.
    pub(super) fn attempt<T: Into<MetricEvents>>(
        &mut self,
        change: impl FnOnce(Door<'_>) -> Result<T, e2ee::Error>,
    ) -> bool {
        let done = self.transact(change);
        if let Err(error) = &done {
            error!("{error}");
            self.not_before = Instant::now() + STORE_RETRY;
        }
        done.is_ok()
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.health.session_ended();
        self.storage.flush();
    }
}
