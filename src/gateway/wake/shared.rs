//! The state of a target that its handles and its keeper share, behind one lock that is
//! held for nanoseconds.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::activity::{Activity, Use};
use super::asked::{Change, Changed, Cold, Refusal, Wanted, WokenBy};
use super::view::{Endpoint, Phase};
use crate::config::gateway::GatewayTarget;
use crate::telemetry::GatewayMetrics;
use crate::util::paced;

/// Changes of one target that wait for their turn.
const MAX_CHANGES: usize = 16;

/// Requests that are held for a target that lost its Service while they were on their way.
const MAX_HELD: usize = 100;

/// The room for held requests of this replica, and whether it is about to end.
pub(super) struct Room {
    held: AtomicUsize,
    max: usize,
    is_draining: AtomicBool,
    metrics: Arc<GatewayMetrics>,
}

/// A change that waits for its turn.
pub(super) struct Asked {
    pub(super) change: Change,
    pub(super) by: String,
    pub(super) reply: oneshot::Sender<Result<Changed, Refusal>>,
}

/// A target, for its handles and its keeper.
pub(super) struct Shared {
    hot: Mutex<Hot>,
    /// Marked as changed with each change that somebody may wait for.
    signal: watch::Sender<()>,
    /// The number of times that sockets had to close.
    closings: watch::Sender<u64>,
    /// Wakes the keeper: there is something in [`Hot`] for it.
    pub(super) poke: Notify,
    changes: mpsc::Sender<Asked>,
    pub(super) room: Arc<Room>,
}

/// The agreement of this replica with the others about what it may send to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forward {
    /// Without asking.
    Always,
    /// Without asking until then; afterwards the Lease is renewed first.
    Until(Instant),
}

/// The part of a target that each request reads.
pub(super) struct Hot {
    pub(super) target: Arc<GatewayTarget>,
    pub(super) phase: Phase,
    pub(super) since: Instant,
    pub(super) reason: Option<String>,
    /// The reason why it is not ready yet, while it starts.
    pub(super) why_starting: Option<String>,
    /// It failed because it is not to be woken.
    pub(super) is_refused: bool,
    /// The end of the time in which a failure is remembered.
    pub(super) retry_at: Option<Instant>,
    /// The API server could not be asked lately.
    pub(super) is_unavailable: bool,
    pub(super) endpoints: Vec<Endpoint>,
    /// The pods that can be reached; of a target without a Service those that are ready.
    pub(super) reachable: usize,
    next: usize,
    pub(super) forward: Forward,
    pub(super) activity: Activity,
    /// From then on the keeper has to be told of a use.
    pub(super) tell_use_from: Option<Instant>,
    /// The one who wants it woken.
    pub(super) wake_wanted: Option<WokenBy>,
    /// A request waits for the Lease to be renewed.
    pub(super) renewal_wanted: bool,
    /// Endpoints that did not answer.
    pub(super) suspects: Vec<Endpoint>,
    held: usize,
    pub(super) desired: Option<i32>,
    pub(super) started_by: Option<String>,
    /// Before then it is not stopped for being idle, whoever uses it or not; None if it never is.
    pub(super) idle_from: Option<Instant>,
    pub(super) keep_until_ms: Option<u64>,
}

/// The outcome of a look at a target that a request wants to reach.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It goes there.
    Go(Endpoint),
    /// It is turned away.
    Turn(Cold),
    /// It waits for the Lease to be renewed, which the keeper sees to soon.
    Renewing,
    /// It waits until the target is ready.
    Wait,
}

/// The place of a held request, until it is dropped.
pub(super) struct Place(Arc<Shared>);

impl Room {
    /// Room for this many held requests.
    pub(super) fn new(max: usize, metrics: Arc<GatewayMetrics>) -> Arc<Self> {
        Arc::new(Self {
            held: AtomicUsize::new(0),
            max,
            is_draining: AtomicBool::new(false),
            metrics,
        })
    }

    /// From now on nothing is held.
    pub(super) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// A target of which nothing is known yet, and where its changes arrive.
    pub(super) fn new(
        target: Arc<GatewayTarget>,
        room: Arc<Room>,
    ) -> (Arc<Self>, mpsc::Receiver<Asked>) {
        let (changes, asked) = mpsc::channel(MAX_CHANGES);
        let hot = Hot {
            target,
            phase: Phase::Off,
            since: Instant::now(),
            reason: None,
            why_starting: None,
            is_refused: false,
            retry_at: None,
            is_unavailable: false,
            endpoints: Vec::new(),
            reachable: 0,
            next: 0,
            forward: Forward::Always,
            activity: Activity::default(),
            tell_use_from: None,
            wake_wanted: None,
            renewal_wanted: false,
            suspects: Vec::new(),
            held: 0,
            desired: None,
            started_by: None,
            idle_from: None,
            keep_until_ms: None,
        };
        let shared = Self {
            hot: Mutex::new(hot),
            signal: watch::Sender::new(()),
            closings: watch::Sender::new(0),
            poke: Notify::new(),
            changes,
            room,
        };
        (Arc::new(shared), asked)
    }

    /// Looks at the state, or changes it; nothing is awaited in between.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Hot) -> T) -> T {
        look(&mut self.hot.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells all who wait that there is something new.
    pub(super) fn tell(&self) {
        self.signal.send_replace(());
    }

    /// Is told of each change from now on.
    pub(super) fn signal(&self) -> watch::Receiver<()> {
        self.signal.subscribe()
    }

    /// Sockets have to close.
    pub(super) fn close(&self) {
        self.closings.send_modify(|closings| *closings += 1);
    }

    /// Is told when sockets have to close after now.
    pub(super) fn closings(&self) -> watch::Receiver<u64> {
        self.closings.subscribe()
    }

    /// Hands a change to the keeper.
    pub(super) async fn ask(&self, change: Change, by: String) -> Result<Changed, Refusal> {
        let (reply, answer) = oneshot::channel();
        let asked = Asked { change, by, reply };
        if self.changes.try_send(asked).is_err() {
            return Err(Refusal::Unavailable);
        }
        answer.await.unwrap_or(Err(Refusal::Unavailable))
    }

    /// A place for a held request.
    pub(super) fn hold(self: &Arc<Self>) -> Result<Place, Cold> {
        let room = &self.room;
        if room.is_draining.load(Ordering::Relaxed) {
            return Err(Cold::Draining);
        }
        let is_full = self.with(|hot| {
            let backend = hot.target.backend.as_ref();
            let is_full = hot.held >= backend.map_or(MAX_HELD, |backend| backend.max_held)
                || room.held.load(Ordering::Relaxed) >= room.max;
            hot.held += usize::from(!is_full);
            is_full
        });
        if is_full {
            return Err(Cold::Full);
        }
        room.held.fetch_add(1, Ordering::Relaxed);
        room.metrics.held(1);
        Ok(Place(Arc::clone(self)))
    }

    /// Returns true once nothing is held any longer.
    pub(super) fn is_draining(&self) -> bool {
        self.room.is_draining.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.with(|hot| hot.held = hot.held.saturating_sub(1));
        self.0.room.held.fetch_sub(1, Ordering::Relaxed);
        self.0.room.metrics.held(-1);
    }
}

impl Hot {
    /// The endpoint whose turn it is, if it may be used without asking.
    pub(super) fn ready(&mut self) -> Option<Endpoint> {
        let is_agreed = match self.forward {
            Forward::Always => true,
            Forward::Until(until) => Instant::now() < until,
        };
        (self.phase == Phase::Ready && is_agreed)
            .then(|| self.turn())
            .flatten()
    }

    /// Returns true while a request is held.
    pub(super) const fn is_anybody_held(&self) -> bool {
        self.held > 0
    }

    fn turn(&mut self) -> Option<Endpoint> {
        self.next = self.next.wrapping_add(1);
        let turn = self.next.checked_rem(self.endpoints.len())?;
        self.endpoints.get(turn).copied()
    }

    /// Looks for a request, and notes its wish.
    pub(super) fn look(&mut self, wanted: &Wanted) -> Look {
        if let Some(endpoint) = self.ready() {
            return Look::Go(endpoint);
        }
        let now = Instant::now();
        let presence = paced(self.target.presence);
        let counts = self.activity.counts(wanted.as_use, presence, now);
        let left = self
            .retry_at
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        match self.phase {
            // It is served while it is there, and is no reason to keep it.
            Phase::Ready if !counts => self.turn().map_or(Look::Wait, Look::Go),
            Phase::Ready if !self.endpoints.is_empty() => {
                self.renewal_wanted = true;
                Look::Renewing
            }
            Phase::Failed if !wanted.wake || !left.is_zero() => {
                let reason = self.reason.clone().unwrap_or_default();
                Look::Turn(match self.is_refused {
                    true => Cold::Refused(reason),
                    false => Cold::Failed(reason, left),
                })
            }
            Phase::Off | Phase::Stopping if !wanted.wake => Look::Turn(Cold::Off),
            Phase::Ready | Phase::Starting => Look::Wait,
            Phase::Off | Phase::Stopping | Phase::Failed => {
                if self.wake_wanted.is_none() {
                    self.wake_wanted = Some(wanted.by.clone());
                }
                Look::Wait
            }
        }
    }

    /// Counts a use; returns true if the keeper has to be told.
    pub(super) fn touch(&mut self, is_client: bool) -> bool {
        let now = Instant::now();
        self.activity.touch(is_client, now);
        self.tell_use_from.take_if(|from| now >= *from).is_some()
    }

    /// A request or socket begins; returns its id.
    pub(super) fn begin(&mut self, as_use: Use) -> u64 {
        let presence = paced(self.target.presence);
        self.activity.begin(as_use, presence, Instant::now())
    }

    /// An endpoint did not answer.
    pub(super) fn suspect(&mut self, endpoint: Endpoint) {
        self.endpoints.retain(|known| *known != endpoint);
        if !self.suspects.contains(&endpoint) {
            self.suspects.push(endpoint);
        }
    }
}
