//! The loop of one session, from login to logout: one task that owns the store and
//! everything that is under way.

use std::{collections::VecDeque, future::poll_fn, rc::Rc, sync::Arc, task::Poll, time::Duration};

use log::{debug, error, info};
use ruma::OwnedUserId;
use tokio::{
    task::JoinError,
    time::{Instant, timeout_at},
};

use super::{
    backlog::Backlog,
    chat::Chat,
    jobs::{self, Job, Jobs},
    log_once::LogOnce,
    storage::Storage,
};
use crate::{
    login::Access,
    matrix::{
        client::Homeserver,
        e2ee::{
            self, Commanders, Engine, KEY_GRACE_MS, Outgoing, OutgoingRequest, OwnKeys, RequestKey,
        },
        session::{self, RefreshAction, Requests, SessionEnd},
    },
    store::{Store, Transaction},
    telemetry::{HealthState, MetricEvents},
    util::now_ms,
};

/// Upper bound on the time between two turns of the loop.
const MAX_SLEEP: Duration = Duration::from_secs(60);

/// A turn of the loop that takes so long is logged: others wait meanwhile.
const LOGGED_TURN: Duration = Duration::from_millis(10);

/// Delay before the store is tried again after it refused something.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// What came to an end.
enum Event {
    Request(session::Finished),
    Job(jobs::Finished),
}

/// What one transaction leaves to be started.
struct Next {
    requests: Vec<OutgoingRequest>,
    has_more: bool,
    job: Option<Job>,
    since: Option<String>,
    held_until: Option<u64>,
    patience_ends: Option<u64>,
    keys_uploaded: bool,
    bootstrap_done: bool,
    /// What the bot can be known by, where it is to be said.
    fingerprints: Vec<String>,
}

/// What all sessions of a process have in common.
pub struct Context<'a> {
    /// What the chat answers, and to whom.
    pub chat: &'a Chat,
    /// Whose messages are looked at, and how their devices are believed.
    pub commanders: Commanders,
    /// The homeserver.
    pub homeserver: &'a Homeserver,
    /// What the bot's own identity can come from.
    pub own_keys: Rc<OwnKeys>,
    /// Counters and states for the health port.
    pub health: Arc<HealthState>,
    /// True if the bot goes on with the same device where the homeserver shows that it
    /// has had another life.
    pub keeps_device: bool,
}

/// One session: from login to logout.
pub struct SessionLoop<'a> {
    pub(super) storage: Storage<'a>,
    pub(super) engine: Engine,
    pub(super) chat: &'a Chat,
    pub(super) jobs: &'a mut Jobs,
    pub(super) requests: Requests,
    pub(super) health: Arc<HealthState>,
    pub(super) log: LogOnce,
    user: OwnedUserId,
    pub(super) keeps_device: bool,
    /// When this session began, by the bot's own clock, in milliseconds.
    started_at: u64,
    /// Answers that are taken in piece by piece.
    pub(super) backlog: VecDeque<Backlog>,
    /// How far the homeserver's events were read.
    pub(super) since: Option<String>,
    /// When a message stops waiting for its key, in milliseconds since the Unix epoch.
    held_until: Option<u64>,
    /// When a reply stops waiting for others, by the bot's own clock.
    patience_ends: Option<u64>,
    /// There is more to prepare than one transaction should.
    pub(super) has_more: bool,
    /// Until then nothing is tried, after the store refused.
    not_before: Instant,
    /// Syncs in a row that were refused as bad requests.
    pub(super) bad_syncs: u32,
}

impl<'a> SessionLoop<'a> {
    /// Nothing is sent before [`SessionLoop::run`].
    pub fn new(
        store: &'a mut Store,
        jobs: &'a mut Jobs,
        access: Access,
        context: Context<'a>,
    ) -> Self {
        let Access {
            user,
            device,
            tokens,
        } = access;
        let engine = Engine::new(
            user.clone(),
            device,
            context.commanders,
            context.own_keys,
            context.chat.plaintext_replies(),
        );
        let requests = Requests::new(context.homeserver.clone(), tokens, engine.audience());
        Self {
            storage: Storage::new(store),
            engine,
            chat: context.chat,
            jobs,
            requests,
            health: context.health,
            log: LogOnce::default(),
            user,
            keeps_device: context.keeps_device,
            started_at: 0,
            backlog: VecDeque::new(),
            since: None,
            held_until: None,
            patience_ends: None,
            has_more: false,
            not_before: Instant::now(),
            bad_syncs: 0,
        }
    }

    /// Serves until the session ends. May be dropped at any time: what was not
    /// committed never happened, and what was is taken up at the next start.
    pub async fn run(mut self) -> SessionEnd {
        self.health.session_began();
        self.jobs.spawn_preflight();
        let mut invites = Vec::new();
        let started = self.transact(|engine, chat, tx, now| {
            engine.prepare_account(tx, now)?;
            invites = chat.judge_standing_invites(tx)?;
            Ok(())
        });
        if let Err(error) = started {
            return SessionEnd::Fatal(error.to_string());
        }
        self.log.invites(&invites);
        self.started_at = self.engine.own_now();
        loop {
            let event = self.next_event().await;
            self.health.turned();
            let began = Instant::now();
            let end = match event {
                Some(Ok(event)) => self.handle(event),
                Some(Err(error)) => Some(SessionEnd::Fatal(format!("a task broke: {error}"))),
                None => {
                    self.poll_due();
                    None
                }
            };
            self.storage.empty_log_if_due();
            let end = end.or_else(|| self.handle_backlog());
            let took = began.elapsed();
            if took >= LOGGED_TURN {
                debug!("a turn of the loop took {} ms", took.as_millis());
            }
            if end.is_none() && !self.backlog.is_empty() {
                // Requests that are under way have their turn.
                tokio::task::yield_now().await;
            }
            if let Some(end) = end {
                match end {
                    SessionEnd::Outlived(_) => self.jobs.abandon(),
                    _ => self.jobs.settle(self.storage.store, &self.engine).await,
                }
                self.storage.flush();
                return end;
            }
        }
    }

    /// The next thing that comes to an end; None when it is time for something
    /// that waited.
    async fn next_event(&mut self) -> Option<Result<Event, JoinError>> {
        let wake_at = self.wake_at();
        let (requests, jobs) = (&mut self.requests, &mut self.jobs);
        let next = poll_fn(|context| {
            if let Poll::Ready(finished) = requests.poll_finished(context) {
                return Poll::Ready(finished.map(Event::Request));
            }
            jobs.poll_finished(context)
                .map(|finished| finished.map(Event::Job))
        });
        timeout_at(wake_at, next).await.ok()
    }

    fn handle(&mut self, event: Event) -> Option<SessionEnd> {
        match event {
            Event::Request(session::Finished::Sync { generation, result }) => {
                return self.handle_sync(generation, result);
            }
            Event::Request(session::Finished::Answer {
                key,
                about,
                generation,
                result,
            }) => return self.handle_answer(&key, about, generation, result),
            Event::Request(session::Finished::Refresh(result)) => {
                let action = self.requests.tokens.answered(result);
                self.refresh_tokens(action);
            }
            Event::Job(jobs::Finished::Job(answered)) => {
                self.jobs.note(answered);
                self.save_answer();
            }
            Event::Job(jobs::Finished::Preflight(preflight)) => {
                self.jobs.log_preflight(&preflight);
            }
        }
        None
    }

    /// One transaction: `change` changes the store, then everything that follows
    /// from the change is prepared in it too, committed, and only then begun.
    pub(super) fn transact<T: Into<MetricEvents>>(
        &mut self,
        change: impl FnOnce(&Engine, &Chat, &Transaction<'_>, u64) -> Result<T, e2ee::Error>,
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
        change: impl FnOnce(&Engine, &Chat, &Transaction<'_>, u64) -> Result<T, e2ee::Error>,
    ) -> Result<Next, e2ee::Error> {
        let now = now_ms();
        let (engine, phase) = (&self.engine, self.requests.phase);
        let (tx, own_now) = self.storage.begin(now)?;
        engine.set_own_now(own_now);
        engine.set_server_ahead(self.requests.server_ahead_ms());
        let metrics = change(engine, self.chat, &tx, now)?.into();
        engine.check_rollback()?;
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
        } = engine.outgoing(&tx, has_synced, now, &busy)?;
        requests.extend(engine.outbox_requests(&tx, has_synced, &in_flight.gate())?);
        let job = match has_synced {
            true => self
                .jobs
                .next(self.chat, engine, &tx, self.started_at, now)?,
            false => None,
        };
        let tells_fingerprints =
            phase.is_unannounced() || job.as_ref().is_some_and(Job::tells_fingerprints);
        let next = Next {
            requests,
            has_more,
            job,
            since: tx.session().next_batch()?,
            held_until: engine.next_undecrypted_deadline(&tx, now)?,
            patience_ends,
            keys_uploaded: engine.keys_uploaded(&tx)?,
            bootstrap_done: engine.bootstrap_done(&tx)?,
            fingerprints: match tells_fingerprints {
                true => engine.fingerprints(&tx)?,
                false => Vec::new(),
            },
        };
        let counts = match self.health.wants_counts() {
            true => Some(tx.counts()?),
            false => None,
        };
        let dropped = tx.dropped();
        let has_changes = Storage::commit(tx, own_now, now)?;
        self.storage.committed(has_changes, &self.health);
        if let Some(counts) = counts {
            self.health.counted(counts);
        }
        self.health.count(&metrics);
        self.log.dropped(&dropped, &self.health);
        Ok(next)
    }

    fn begin(&mut self, next: Next) {
        self.since = next.since;
        self.held_until = next.held_until;
        self.patience_ends = next.patience_ends;
        self.has_more = next.has_more;
        let begins_to_serve = self
            .requests
            .phase
            .committed(next.keys_uploaded, next.bootstrap_done);
        self.requests.send(next.requests);
        self.requests.in_flight.forget_unwanted();
        if let Some(job) = next.job {
            self.jobs.start(job, &next.fingerprints);
        }
        self.requests.sync_if_due(self.since.as_deref());
        if begins_to_serve {
            for line in &next.fingerprints {
                info!("{line}");
            }
            info!(
                "listening as {} for {} allowed user(s)",
                self.user,
                self.chat.policy.users.len()
            );
        }
    }

    /// Time for something that waited.
    fn poll_due(&mut self) {
        let action = self.requests.tokens.next_action();
        self.refresh_tokens(action);
        if self.jobs.has_unsaved() {
            self.save_answer();
        } else {
            self.attempt(|engine, chat, tx, now| chat.receive_undecrypted(tx, engine, now));
        }
    }

    fn refresh_tokens(&mut self, action: RefreshAction) {
        match action {
            RefreshAction::Nothing => {}
            RefreshAction::Ask(token) => self.requests.refresh(token),
            RefreshAction::Save(tokens) => {
                match self.write_down(|tx| tx.session().put_tokens(&tokens)) {
                    true => {
                        debug!("the session is refreshed");
                        self.requests.tokens.saved(tokens);
                    }
                    false => self.requests.tokens.not_saved(tokens),
                }
            }
            RefreshAction::Forget => {
                self.write_down(|tx| tx.session().lose_refresh_token());
            }
        }
    }

    /// A small transaction with nothing that follows from it. Returns true if it was
    /// committed.
    fn write_down(
        &mut self,
        change: impl FnOnce(&Transaction<'_>) -> Result<(), crate::store::Error>,
    ) -> bool {
        let done = self.storage.store.begin().and_then(|tx| {
            change(&tx)?;
            tx.commit()
        });
        match &done {
            Ok(()) => self.health.stored(),
            Err(error) => {
                error!("{error}");
                self.health.store_refused();
            }
        }
        done.is_ok()
    }

    /// Writes down the answer of a job. While the store refuses, it stays the one under
    /// way.
    fn save_answer(&mut self) {
        let Some(answered) = self.jobs.take_unsaved() else {
            return;
        };
        let saved = self.attempt(|engine, _, tx, _| jobs::put_answer(engine, tx, &answered));
        if !saved {
            self.jobs.put_back(answered);
        }
    }

    /// A transaction of the bot's own: when the store refuses, nothing was
    /// changed, and the loop comes by here again. Returns true if it was committed.
    pub(super) fn attempt<T: Into<MetricEvents>>(
        &mut self,
        change: impl FnOnce(&Engine, &Chat, &Transaction<'_>, u64) -> Result<T, e2ee::Error>,
    ) -> bool {
        let done = self.transact(change);
        if let Err(error) = &done {
            error!("{error}");
            self.not_before = Instant::now() + STORE_RETRY;
        }
        done.is_ok()
    }

    fn wake_at(&mut self) -> Instant {
        let now = Instant::now();
        if self.has_more || !self.backlog.is_empty() || self.jobs.has_unsaved() {
            return now.max(self.not_before);
        }
        let held = self.held_until.map(|held| {
            // The clock may have gone back since.
            let wait = held.saturating_sub(now_ms()).min(KEY_GRACE_MS);
            now + Duration::from_millis(wait)
        });
        let patience = self
            .patience_ends
            .and_then(|ends| self.storage.until(ends, now_ms()))
            .map(|wait| now + wait);
        let due = [
            self.requests.next_turn(),
            self.storage.empty_log_at(),
            held,
            patience,
        ];
        let at = due.into_iter().flatten().min();
        at.map_or(now + MAX_SLEEP, |at| at.min(now + MAX_SLEEP))
            .max(self.not_before)
    }
}

impl Drop for SessionLoop<'_> {
    fn drop(&mut self) {
        self.health.session_ended();
        self.storage.flush();
    }
}
