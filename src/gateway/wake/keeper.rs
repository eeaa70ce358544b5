//! The task of a target: it takes in what is seen of it and what is asked for, and does one
//! thing at a time in the cluster.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::agreement::{Agreement, LeasePhase};
use super::cluster::{Cluster, Fault};
use super::idle::{Stops, Why};
use super::lifecycle::{Effect, Event, Lifecycle, State};
use super::readiness::Readiness;
use super::shared::{Asked, Forward, Shared};
use super::view::Phase;
use super::work::{Raised, Seen, Stopped, Work};
use crate::config::gateway::{GatewayTarget, IdleStop};
use crate::control::progress::Observation;
use crate::kube::{CollectionChange, EndpointSlice, Lease, ScaleAnswer, Service};
use crate::telemetry::{GatewayAudit, GatewayEvent, GatewayMetrics, GatewayRecord};
use crate::util::{Clock, paced};

/// From one try to connect to a pod to the next.
const PROBE: Duration = Duration::from_millis(50);

/// The same for pods that have not answered for long, or beside others that did.
const SLOW_PROBE: Duration = Duration::from_millis(500);

/// The time after which tries to connect become seldom.
const LONG: Duration = Duration::from_secs(60);

/// Tries to connect at the same time.
const MAX_PROBES: usize = 10;

/// The longest time between two looks at the whole.
const LOOK: Duration = Duration::from_secs(60);

/// The idle time is warned of where it is less than this many times as long as a wake.
const WAKES: u32 = 3;

/// Something that the watches tell a keeper: all of its namespace, its own Lease.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// About the EndpointSlices.
    Slices(CollectionChange<EndpointSlice>),
    /// About its Lease; `All` has at most that one.
    Lease(CollectionChange<Lease>),
}

/// The things that are handed to all keepers.
#[derive(Clone)]
pub(super) struct Means {
    /// The name of this replica.
    pub(super) replica: String,
    pub(super) clock: Clock,
    pub(super) audit: GatewayAudit,
    pub(super) metrics: Arc<GatewayMetrics>,
}

/// The task of a target.
pub(super) struct Keeper<C> {
    pub(super) shared: Arc<Shared>,
    pub(super) work: Work<C>,
    pub(super) means: Means,
    pub(super) target: Arc<GatewayTarget>,
    told: mpsc::Receiver<Told>,
    asked: mpsc::Receiver<Asked>,
    /// None where there is nothing behind it that is proxied to.
    pub(super) readiness: Option<Readiness>,
    pub(super) lifecycle: Lifecycle,
    pub(super) agreement: Agreement,
    pub(super) stops: Stops,
    pub(super) job: Option<Job>,
    /// The change that is being made.
    pub(super) pending: Option<(Asked, Instant)>,
    /// The claim of this replica to stop it.
    pub(super) claim: Option<Claim>,
    probes: JoinSet<(SocketAddr, bool)>,
    next_probe: Instant,
    /// Failures in a row to reach the API server, and the time of the next try.
    pub(super) failures: u32,
    pub(super) retry_at: Option<Instant>,
    pub(super) renewal_wanted_since: Option<Instant>,
    pub(super) is_scale_wanted: bool,
    pub(super) is_service_wanted: bool,
    pub(super) desired: Option<i32>,
    /// The next look at a workload that has no Service.
    pub(super) look_at: Instant,
    last_wake: Option<Duration>,
    pub(super) begun: Instant,
}

/// A claim to stop it.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) since: Instant,
    /// None if somebody has asked for it.
    pub(super) why: Option<Why>,
    /// The outcome, which the Lease does not say yet.
    pub(super) outcome: Option<Stopped>,
}

/// A piece of work that is under way.
pub(super) struct Job {
    pub(super) kind: JobKind,
    pub(super) begun: Instant,
    future: Pin<Box<dyn Future<Output = Outcome> + Send>>,
}

/// The kinds of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JobKind {
    /// The Lease is renewed.
    Renew,
    /// It is woken for this one.
    Wake(String),
    /// A change that is pending is made.
    Change,
    /// A stop is claimed.
    Claim(Option<Why>),
    /// It is stopped.
    Stop,
    /// The Lease is told what came of a stop.
    Settle,
    /// Something is read.
    Read,
}

/// What came of a piece of work.
pub(super) enum Outcome {
    /// Whether the Lease was changed, and the Lease.
    Lease(Result<(bool, Lease), Fault>),
    Raised(Result<Raised, Fault>, Seen),
    Stopped(Result<Stopped, Fault>),
    Service(Result<Service, Fault>),
    Scale(Result<ScaleAnswer, Fault>),
    Looked(Result<Observation, Fault>),
}

/// Something that happened.
enum Happened {
    Told(Option<Told>),
    Asked(Asked),
    Done(Outcome),
    Probed(SocketAddr, bool),
    Poked,
    Late,
}

impl<C: Cluster> Keeper<C> {
    /// The keeper of a target of which nothing is known yet.
    pub(super) fn new(
        shared: Arc<Shared>,
        work: Work<C>,
        means: Means,
        told: mpsc::Receiver<Told>,
        asked: mpsc::Receiver<Asked>,
    ) -> Self {
        let now = Instant::now();
        let target = shared.with(|hot| Arc::clone(&hot.target));
        Self {
            told,
            asked,
            readiness: target.backend.as_ref().map(Readiness::new),
            lifecycle: Lifecycle::new(target.ready_timeout, now),
            agreement: Agreement::new(means.replica.clone(), now),
            stops: Stops::new(now, means.clock.now()),
            job: None,
            pending: None,
            claim: None,
            probes: JoinSet::new(),
            next_probe: now,
            failures: 0,
            retry_at: None,
            renewal_wanted_since: None,
            is_scale_wanted: true,
            is_service_wanted: true,
            desired: None,
            look_at: now,
            last_wake: None,
            begun: now,
            shared,
            work,
            means,
            target,
        }
    }

    /// Keeps the target until the watches end.
    pub(super) async fn run(mut self) {
        loop {
            let due = self.turn();
            match self.next(due).await {
                Happened::Told(None) => return self.end(),
                Happened::Told(Some(told)) => self.observe(told),
                Happened::Asked(asked) => self.pending = Some((asked, Instant::now())),
                Happened::Done(outcome) => {
                    if let Some(job) = self.job.take() {
                        self.done(&job.kind, job.begun, outcome);
                    }
                }
                Happened::Probed(address, is_open) => self.probed(address, is_open),
                Happened::Poked | Happened::Late => {}
            }
        }
    }

    /// The next thing that happens.
    async fn next(&mut self, due: Instant) -> Happened {
        let shared = Arc::clone(&self.shared);
        let mut poked = pin!(shared.poke.notified());
        let mut late = pin!(sleep_until(due));
        poll_fn(|context| {
            if let Poll::Ready(told) = self.told.poll_recv(context) {
                return Poll::Ready(Happened::Told(told));
            }
            if let Some(job) = &mut self.job
                && let Poll::Ready(outcome) = job.future.as_mut().poll(context)
            {
                return Poll::Ready(Happened::Done(outcome));
            }
            if self.pending.is_none()
                && let Poll::Ready(Some(asked)) = self.asked.poll_recv(context)
            {
                return Poll::Ready(Happened::Asked(asked));
            }
            if let Poll::Ready(Some(Ok((address, is_open)))) = self.probes.poll_join_next(context) {
                return Poll::Ready(Happened::Probed(address, is_open));
            }
            if poked.as_mut().poll(context).is_ready() {
                return Poll::Ready(Happened::Poked);
            }
            late.as_mut().poll(context).map(|()| Happened::Late)
        })
        .await
    }

    /// Decides, begins what is to be done, and shows the state. Returns the time of the
    /// next turn at the latest.
    fn turn(&mut self) -> Instant {
        let now = Instant::now();
        self.reconfigure();
        self.on(Event::Time, now);
        self.see(now);
        let mut due = now + LOOK;
        if self.job.is_none() {
            match self.decide(now) {
                Ok((kind, future)) => {
                    self.job = Some(Job {
                        kind,
                        begun: now,
                        future,
                    });
                }
                Err(later) => due = due.min(later),
            }
        }
        due = due.min(self.waits(now)).min(self.probe(now));
        if let Some(at) = self.lifecycle.due() {
            due = due.min(at);
        }
        self.publish();
        // What is overdue waits for the job that is under way.
        due.max(now + Duration::from_millis(1))
    }

    /// Takes over what the file says by now.
    fn reconfigure(&mut self) {
        let target = self.shared.with(|hot| Arc::clone(&hot.target));
        if Arc::ptr_eq(&target, &self.target) {
            return;
        }
        let way = |target: &GatewayTarget| {
            let backend = target.backend.clone();
            backend.map(|backend| (backend.service, backend.port, backend.route))
        };
        if way(&target) != way(&self.target) {
            self.readiness = target.backend.as_ref().map(Readiness::new);
            self.is_service_wanted = true;
        }
        self.lifecycle.set_ready_timeout(target.ready_timeout);
        self.target = target;
    }

    /// The idle time, if the target is stopped for being idle.
    pub(super) fn idle(&self) -> Option<Duration> {
        let is_stopped = self.target.idle_stop != IdleStop::Never && self.readiness.is_some();
        self.target.idle.filter(|_| is_stopped)
    }

    /// Takes in what the watches tell.
    fn observe(&mut self, told: Told) {
        let now = Instant::now();
        match told {
            Told::Slices(change) => {
                if let Some(readiness) = &mut self.readiness {
                    readiness.observe(change);
                }
            }
            Told::Lease(CollectionChange::All(leases)) => {
                self.agreement.watched(now);
                match leases.into_iter().next() {
                    Some(lease) => self.lease_is(lease, now),
                    None => self.lease_is_missing(),
                }
            }
            Told::Lease(CollectionChange::Set(lease)) => self.lease_is(lease, now),
            Told::Lease(CollectionChange::Gone(_)) => self.lease_is_missing(),
            Told::Lease(CollectionChange::Lost(_)) => self.agreement.lost(),
        }
    }

    /// There is no Lease.
    pub(super) fn lease_is_missing(&mut self) {
        if !self.agreement.is_missing() {
            let name = &self.target.name;
            log::error!(
                "{name} is never stopped for being idle: {}",
                self.work.no_lease()
            );
        }
        self.agreement.missing();
        self.claim = None;
        if self.lifecycle.phase() == Phase::Stopping {
            self.on(Event::Kept, Instant::now());
        }
    }

    /// The Lease is so, as the watch or the answer to a write shows it.
    pub(super) fn lease_is(&mut self, lease: Lease, now: Instant) {
        let is_first = self.agreement.lease().is_none();
        let before = self.agreement.phase();
        let (_, at) = self.agreement.started();
        let started = at.to_owned();
        self.agreement.observe(lease, now);
        let phase = self.agreement.phase();
        let is_woken = !is_first && self.agreement.started().1 != started;
        match phase {
            LeasePhase::Stopping => self.on(Event::Stopping, now),
            LeasePhase::Stopped if !is_first && before != phase => {
                self.stops.stopped(now);
                self.on(Event::Stopped, now);
            }
            LeasePhase::Stopped => {}
            LeasePhase::Run => {
                // What happened in between was not seen.
                if before == LeasePhase::Stopping {
                    let event = match is_woken {
                        true => Event::Stopped,
                        false => Event::Kept,
                    };
                    self.on(event, now);
                }
                if is_woken && !self.agreement.started().1.is_empty() {
                    self.stops.woken();
                    self.on(Event::WokenByOther, now);
                }
            }
        }
        if !self.agreement.is_own_claim() {
            self.claim = None;
        }
    }

    /// Takes in the pods that there are now.
    fn see(&mut self, now: Instant) {
        let Some(readiness) = &mut self.readiness else {
            return;
        };
        let suspects = self.shared.with(|hot| std::mem::take(&mut hot.suspects));
        for suspect in suspects {
            readiness.refused(suspect.address);
        }
        let (pods, ready) = (readiness.pods(), readiness.endpoints().len());
        self.seen(pods, ready, now);
    }

    /// Takes in that there are so many pods.
    pub(super) fn seen(&mut self, pods: usize, ready: usize, now: Instant) {
        let before = self.lifecycle.phase();
        self.on(Event::Seen { pods, ready }, now);
        let phase = self.lifecycle.phase();
        if phase == before {
            return;
        }
        self.is_scale_wanted = true;
        let is_up = before == Phase::Off && phase != Phase::Off;
        if is_up && self.agreement.phase() == LeasePhase::Stopped && self.stops.put_back(now) {
            log::warn!(
                "{} is left on: somebody else puts it back on",
                self.target.name
            );
        }
    }

    /// Takes in an event, and does what follows from it here.
    pub(super) fn on(&mut self, event: Event, now: Instant) {
        let before = self.lifecycle.phase();
        let effect = self.lifecycle.on(event, now);
        match effect {
            Effect::None | Effect::Changed => {}
            Effect::Ready(after) => self.is_ready(after),
            Effect::Closing => self.shared.close(),
            Effect::Stopped => {
                if let Some(readiness) = &mut self.readiness {
                    readiness.stopped(now);
                }
            }
        }
        let phase = self.lifecycle.phase();
        if before == Phase::Ready && phase == Phase::Off {
            self.shared.close();
        }
        if phase != before {
            self.next_probe = now;
        }
    }

    fn is_ready(&mut self, after: Option<Duration>) {
        let name = self.target.name.as_str();
        let mut record = GatewayRecord::new(GatewayEvent::Ready);
        record.duration_ms =
            after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        self.record(record);
        let Some(after) = after else { return };
        self.means.metrics.woken(name, after);
        if let Some(idle) = self.idle().filter(|idle| *idle < after * WAKES)
            && self.last_wake.is_none()
        {
            log::warn!("{name} takes {after:?} to wake and is stopped after {idle:?} without use");
        }
        self.last_wake = Some(after);
    }

    /// Writes a line of the audit log about the target.
    pub(super) fn record(&self, record: GatewayRecord<'_>) {
        let record = GatewayRecord {
            target: self.target.name.as_str(),
            ..record
        };
        self.means.audit.record(self.means.clock.now_ms(), &record);
    }

    /// Tries the pods that have not answered yet. Returns the time of the next try.
    fn probe(&mut self, now: Instant) -> Instant {
        let never = now + LOOK;
        let Some(readiness) = &self.readiness else {
            return never;
        };
        let phase = self.lifecycle.phase();
        let untried = readiness.to_probe(phase == Phase::Starting, now);
        if untried.is_empty() {
            // Addresses of before a stop may be tried soon.
            return match phase {
                Phase::Starting => now + SLOW_PROBE,
                _ => never,
            };
        }
        if now < self.next_probe {
            return self.next_probe;
        }
        for address in untried {
            if self.probes.len() >= MAX_PROBES {
                break;
            }
            let cluster = self.work.cluster.clone();
            self.probes
                .spawn(async move { (address, cluster.connect(address).await) });
        }
        let is_urgent = phase != Phase::Ready && now < self.lifecycle.since() + LONG;
        self.next_probe = now + paced(if is_urgent { PROBE } else { SLOW_PROBE });
        self.next_probe
    }

    fn probed(&mut self, address: SocketAddr, is_open: bool) {
        if let Some(readiness) = &mut self.readiness
            && is_open
        {
            readiness.accepted(address);
        }
    }

    /// Shows the state to the handles.
    fn publish(&mut self) {
        let idle = self.idle();
        let endpoints = self.readiness.as_ref().map(Readiness::endpoints);
        let endpoints = endpoints.unwrap_or_default();
        let forward = self.agreement.forward(idle);
        let (reason, is_refused, retry_at) = match self.lifecycle.state() {
            State::Failed {
                reason,
                is_refused,
                until,
            } => (Some(reason.clone()), *is_refused, Some(*until)),
            _ if self.agreement.is_missing() => (Some(self.work.no_lease()), false, None),
            _ => (self.stops.note().map(ToOwned::to_owned), false, None),
        };
        let (phase, since) = (self.lifecycle.phase(), self.lifecycle.since());
        let started_by = Some(self.agreement.started().0)
            .filter(|by| !by.is_empty() && phase != Phase::Off)
            .map(ToOwned::to_owned);
        let is_unavailable = self.failures > 0;
        let (idle_from, keep_until_ms) = self.shown_stop();
        let tell_use_from = self.tell_use_from();
        let desired = self.desired;
        let is_news = self.shared.with(|hot| {
            let is_news = hot.phase != phase
                || hot.endpoints != endpoints
                || hot.forward != forward
                || hot.reason != reason
                || hot.retry_at != retry_at
                || hot.is_unavailable != is_unavailable;
            hot.phase = phase;
            hot.since = since;
            hot.endpoints = endpoints;
            hot.forward = forward;
            hot.reason = reason;
            hot.is_refused = is_refused;
            hot.retry_at = retry_at;
            hot.is_unavailable = is_unavailable;
            hot.started_by = started_by;
            hot.idle_from = idle_from;
            hot.keep_until_ms = keep_until_ms;
            hot.tell_use_from = tell_use_from;
            hot.desired = desired;
            if hot.forward == Forward::Always {
                hot.renewal_wanted = false;
            }
            is_news
        });
        if is_news {
            self.shared.tell();
        }
    }

    /// The target is no longer configured.
    fn end(self) {
        self.shared.with(|hot| {
            hot.phase = Phase::Off;
            hot.endpoints.clear();
            hot.reason = Some("no longer configured".to_owned());
        });
        self.shared.close();
        self.shared.tell();
    }
}
