//! The task of a target: it takes in what is seen of it and what is asked for, and does one
//! thing at a time in the cluster.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::agreement::Agreement;
use super::asked::WokenBy;
use super::cluster::{Cluster, Fault, Found};
use super::idle::{Stops, Why};
use super::lifecycle::{Event, Lifecycle, State};
use super::readiness::Readiness;
use super::reason::Reason;
use super::service_read::ServiceRead;
use super::shared::{Asked, Forward, Shared};
use super::view::Phase;
use super::work::{Raised, Seen, Stopped, Work};
use crate::config::gateway::{GatewayTarget, IdleStop};
use crate::control::progress::Observation;
use crate::kube::{CollectionChange, EndpointSlice, Lease, ScaleAnswer, Service};
use crate::telemetry::{GatewayAudit, GatewayMetrics};
use crate::util::{ServerClock, SortedSet, paced};

/// The longest time between two looks at the whole.
pub(super) const MAX_TURN: Duration = Duration::from_secs(60);

/// The time for which a target that was taken out of the file is not tried again: longer
/// than anybody waits.
const GONE: Duration = Duration::from_secs(86_400);

/// A timer that is so late is one of a process that has stood still: it looks around before
/// it says that others are too late.
const FROZEN: Duration = Duration::from_secs(3);

/// Something that the watches tell a keeper: all of its namespace, its own Lease.
#[derive(Debug, Clone)]
pub(super) enum Watched {
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
    /// The clock that the replicas have in common.
    pub(super) clock: ServerClock,
    pub(super) audit: GatewayAudit,
    pub(super) metrics: Arc<GatewayMetrics>,
    /// The looks for reasons that may be under way.
    pub(super) looks: Arc<Semaphore>,
}

/// The task of a target.
pub(super) struct Keeper<C> {
    pub(super) shared: Arc<Shared>,
    pub(super) work: Work<C>,
    pub(super) means: Means,
    pub(super) target: Arc<GatewayTarget>,
    told: mpsc::Receiver<Watched>,
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
    pub(super) probes: JoinSet<(SocketAddr, bool)>,
    /// The addresses that are being tried, and the one that was tried last.
    pub(super) probing: SortedSet<SocketAddr>,
    pub(super) last_probed: Option<SocketAddr>,
    pub(super) next_probe: Instant,
    /// Failures in a row to reach the API server, and the time of the next try.
    pub(super) failures: u32,
    pub(super) retry_at: Option<Instant>,
    pub(super) renewal_wanted_since: Option<Instant>,
    pub(super) is_scale_wanted: bool,
    pub(super) service: ServiceRead,
    pub(super) desired: Option<i32>,
    /// The next look at a workload that has no Service.
    pub(super) look_at: Instant,
    pub(super) reason: Reason,
    pub(super) last_wake: Option<Duration>,
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
    Wake(WokenBy),
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

/// The result of a piece of work.
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
    Watched(Option<Watched>),
    Asked(Asked),
    Done(Outcome),
    Probed(SocketAddr, bool),
    Found(Option<Found>),
    Poked,
    Late,
}

impl<C: Cluster> Keeper<C> {
    /// The keeper of a target of which nothing is known yet.
    pub(super) fn new(
        shared: Arc<Shared>,
        work: Work<C>,
        means: Means,
        told: mpsc::Receiver<Watched>,
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
            stops: Stops::new(now, means.clock.own.now()),
            job: None,
            pending: None,
            claim: None,
            probes: JoinSet::new(),
            probing: SortedSet::new(),
            last_probed: None,
            next_probe: now,
            failures: 0,
            retry_at: None,
            renewal_wanted_since: None,
            is_scale_wanted: true,
            service: ServiceRead::default(),
            desired: None,
            look_at: now,
            reason: Reason::default(),
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
            let happened = self.next(due).await;
            let now = Instant::now();
            if now >= due + FROZEN {
                self.lifecycle.postpone(now + FROZEN);
            }
            match happened {
                Happened::Watched(None) => return self.end(),
                Happened::Watched(Some(told)) => self.observe(told),
                Happened::Asked(asked) => self.pending = Some((asked, Instant::now())),
                Happened::Done(outcome) => {
                    if let Some(job) = self.job.take() {
                        self.done(&job.kind, job.begun, outcome);
                    }
                }
                Happened::Probed(address, is_open) => self.probed(address, is_open),
                Happened::Found(Some(found)) => self.found(found),
                Happened::Found(None) | Happened::Poked | Happened::Late => {}
            }
            // What is known already is looked at before anything is decided.
            while let Ok(told) = self.told.try_recv() {
                self.observe(told);
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
                return Poll::Ready(Happened::Watched(told));
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
            if let Poll::Ready(found) = self.reason.poll(context) {
                return Poll::Ready(Happened::Found(found));
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
        self.lifecycle.set_reason(self.why_starting());
        self.on(Event::Time, now);
        self.see(now);
        let mut due = now + MAX_TURN;
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
        let looks = self.look_for_reason(now);
        for at in [self.lifecycle.due(), looks].into_iter().flatten() {
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
            match (&mut self.readiness, &target.backend) {
                // Its slices are not told of again.
                (Some(readiness), Some(backend)) if readiness.is_of(&backend.service) => {
                    readiness.reconfigure(backend);
                }
                (readiness, backend) => *readiness = backend.as_ref().map(Readiness::new),
            }
            self.service = ServiceRead::default();
        }
        self.lifecycle.set_ready_timeout(target.ready_timeout);
        self.target = target;
    }

    /// The idle time, if the target is stopped for being idle.
    pub(super) fn idle(&self) -> Option<Duration> {
        let is_stopped = self.target.idle_stop != IdleStop::Never && self.readiness.is_some();
        self.target.idle.filter(|_| is_stopped).map(paced)
    }

    /// Shows the state to the handles.
    fn publish(&mut self) {
        let idle = self.idle();
        let endpoints = self.readiness.as_ref().map(Readiness::endpoints);
        let reachable = match &endpoints {
            Some(endpoints) => endpoints.len(),
            // How many are left is not looked at.
            None if self.lifecycle.phase() == Phase::Stopping => 0,
            None => self.lifecycle.seen().1,
        };
        let endpoints = endpoints.unwrap_or_default();
        let forward = self.agreement.forward(idle);
        let why_starting = self.lifecycle.reason().map(ToOwned::to_owned);
        let (reason, is_refused, retry_at) = match self.lifecycle.state() {
            State::Failed {
                reason,
                is_refused,
                until,
            } => (Some(reason.clone()), *is_refused, Some(*until)),
            State::Starting { .. } if why_starting.is_some() => (why_starting.clone(), false, None),
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
            hot.reachable = reachable;
            hot.forward = forward;
            hot.reason = reason;
            hot.why_starting = why_starting;
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
            // Whoever waits for it, waits for nobody.
            hot.phase = Phase::Failed;
            hot.is_refused = true;
            hot.retry_at = Some(Instant::now() + GONE);
            hot.endpoints.clear();
            hot.reachable = 0;
            hot.reason = Some("no longer configured".to_owned());
        });
        self.shared.close();
        self.shared.tell();
    }
}
