//! Things done because of the time, as the process remembers them.

use tokio::time::{Duration, Instant};

use super::{execute::Done, gateway::Told};
use crate::{
    control::time::{ClockWatch, Edge, GRACE_MS},
    kube::ScaleAnswer,
    store::StoredTimer,
    util::{SortedSet, paced},
};

/// The time after which what failed is tried again, and the longest wait for the next
/// look.
pub(super) const RETRY: Duration = Duration::from_secs(60);

/// The time in which the API server tells its time.
pub(super) const CLOCK_ANSWER: Duration = Duration::from_secs(5);

/// Commands that came before this are not waited for before a target is stopped, in
/// milliseconds: who is asked about devices may not answer.
pub(super) const RECENT_MS: u64 = 2 * 60_000;

/// The timers of the process.
pub(super) struct Timers {
    /// Watches the wall clock from the first look on.
    pub(super) watch: Option<ClockWatch>,
    /// True if the wall clock was not believed at the last look.
    pub(super) doubts: bool,
    epoch: Instant,
    /// The time of the next look; None while there is no timer.
    pub(super) next: Option<Instant>,
    /// Targets that are being stopped.
    pub(super) firing: SortedSet<String>,
    /// Targets of which it was told that they cannot be stopped.
    pub(super) told: SortedSet<String>,
}

/// A timer whose time had come.
pub(super) struct Fired {
    pub(super) timer: StoredTimer,
    pub(super) result: Stopped,
    /// The wish that the gateway was told.
    pub(super) told: Told,
}

/// The outcome of the stop.
pub(super) enum Stopped {
    /// It was made.
    Done(Box<ScaleAnswer>),
    /// Somebody else has set another number of replicas since, or the autoscaler.
    Rescaled(i32, bool),
    /// The object is gone, or another one has its name.
    Gone,
    /// Its volumes would be lost.
    LosesData,
    /// The cluster did not do it: this sentence.
    Failed(String),
}

impl Default for Timers {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            watch: None,
            doubts: false,
            epoch: now,
            next: Some(now),
            firing: SortedSet::new(),
            told: SortedSet::new(),
        }
    }
}

impl Timers {
    /// Something was set, put off or taken back: look at once.
    pub(super) fn touch(&mut self) {
        self.next = Some(Instant::now());
    }

    /// The time of the next look.
    pub(super) const fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Something is done about this target because of the time.
    pub(super) fn acting(&mut self, target: &str) {
        self.firing.insert(target.to_owned());
    }

    /// Returns true while something is done about this target because of the time.
    pub(super) fn is_acting(&self, target: &str) -> bool {
        self.firing.contains(target)
    }

    /// It was done, or is to be tried again.
    pub(super) fn acted(&mut self, target: &str, is_done: bool) {
        self.firing.remove(target);
        let wait = if is_done { Duration::ZERO } else { RETRY };
        self.next = Some(Instant::now() + wait);
    }

    /// Returns true if a homeserver that is away was waited for long enough.
    pub(super) fn has_waited(&self) -> bool {
        self.epoch.elapsed() >= paced(Duration::from_millis(GRACE_MS))
    }

    /// The time since the process began, in milliseconds.
    pub(super) fn up_ms(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// An edge that was acted on.
pub(super) struct Scheduled {
    pub(super) target: String,
    pub(super) at_ms: u64,
    pub(super) edge: Edge,
    pub(super) result: Result<Done, String>,
}
