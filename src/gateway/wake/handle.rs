//! The handle of a target: what requests, the API and the health pages know of its state,
//! and how they ask for a change of it. Clones share the target; a task of its own does
//! what is asked.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::activity::Use;
use super::asked::{Change, Changed, Cold, Refusal, Wanted};
use super::shared::{Hot, Look, Shared};
use super::view::{Endpoint, Phase, View};
use crate::config::gateway::GatewayTarget;
use crate::util::paced;

/// The longest time that a request waits for the Lease to be renewed, should the keeper
/// not end that sooner.
const MAX_RENEWAL: Duration = Duration::from_secs(5);

/// A target of the running gateway.
#[derive(Clone)]
pub struct TargetHandle(pub(super) Arc<Shared>);

/// Keeps a target in use while a request or a socket is open: dropped when it ends.
pub struct InUse {
    handle: TargetHandle,
    id: u64,
}

/// A moment in the life of a target.
#[derive(Clone)]
pub struct StopMark(watch::Receiver<u64>);

impl StopMark {
    /// Returns true if the target was stopped since, or taken out of the configuration.
    pub fn has_stopped(&self) -> bool {
        self.0.has_changed().unwrap_or(true)
    }
}

impl TargetHandle {
    /// Its configuration, as it was read last.
    pub fn target(&self) -> Arc<GatewayTarget> {
        self.0.with(|hot| Arc::clone(&hot.target))
    }

    /// An endpoint to use now; None if the target has none that is ready, or another replica
    /// may be stopping it. The hot path: no waiting, no IO, a lock for nanoseconds.
    pub fn ready(&self) -> Option<Endpoint> {
        self.0.with(|hot| hot.ready())
    }

    /// Waits until the target can be reached, and wakes it if that is wanted. Dropping the
    /// future leaves the target to the others who wait; a wake whose last waiter left goes on.
    ///
    /// # Errors
    /// The reason why it cannot be reached.
    pub async fn reach(&self, wanted: Wanted) -> Result<Endpoint, Cold> {
        let begun = Instant::now();
        let mut signal = self.0.signal();
        let mut place = None;
        loop {
            signal.mark_unchanged();
            let until = match self.0.with(|hot| hot.look(&wanted)) {
                Look::Go(endpoint) => return Ok(endpoint),
                Look::Turn(cold) => return Err(cold),
                Look::Renewing => {
                    self.0.poke.notify_one();
                    begun + wanted.hold.max(MAX_RENEWAL)
                }
                Look::Wait => {
                    self.0.poke.notify_one();
                    if wanted.hold.is_zero() {
                        return Err(self.given_up(Cold::Starting));
                    }
                    if self.0.is_draining() {
                        return Err(Cold::Draining);
                    }
                    if place.is_none() {
                        place = Some(self.0.hold()?);
                    }
                    begun + wanted.hold
                }
            };
            if timeout_at(until, signal.changed()).await.is_err() {
                return Err(self.given_up(Cold::TimedOut));
            }
        }
    }

    /// This with the target's reason, or the reason for it that is not the target's.
    fn given_up(&self, cold: fn(Option<String>) -> Cold) -> Cold {
        self.0.with(|hot| match hot.is_unavailable {
            true => Cold::Unavailable,
            false => cold(hot.why_starting.clone()),
        })
    }

    /// An endpoint did not answer the connect: it is not given out again until it was tried.
    pub fn failed(&self, endpoint: Endpoint) {
        self.0.with(|hot| hot.suspect(endpoint));
        self.0.poke.notify_one();
    }

    /// Counts as use: a request that ended below 400, bytes of a body, a data frame.
    pub fn touch(&self, is_client: bool) {
        if self.0.with(|hot| hot.touch(is_client)) {
            self.0.poke.notify_one();
        }
    }

    /// A request or socket begins. While one is open that had traffic within the idle time,
    /// the target is not stopped.
    pub fn begin(&self, as_use: Use) -> InUse {
        InUse {
            handle: self.clone(),
            id: self.0.with(|hot| hot.begin(as_use)),
        }
    }

    /// As it is now.
    pub fn view(&self) -> View {
        let now = Instant::now();
        self.0.with(|hot| {
            let target = &hot.target;
            let idle_at = hot.idle_from.map(|from| {
                let used = target
                    .idle
                    .and_then(|idle| hot.activity.used_until(paced(idle), paced(target.presence)));
                used.map_or(from, |used| from.max(used))
            });
            View {
                phase: hot.phase,
                since: hot.since,
                reason: hot.reason.clone(),
                desired: hot.desired,
                ready: hot.reachable,
                started_by: hot.started_by.clone(),
                idle_left: idle_at.map(|at| at.saturating_duration_since(now)),
                keep_until_ms: hot.keep_until_ms,
            }
        })
    }

    /// Waits until [`TargetHandle::view`] shows another phase than this one.
    pub async fn changed(&self, from: Phase) -> View {
        self.changes(|hot| hot.phase != from).await
    }

    /// Waits until [`TargetHandle::view`] shows another phase than this one, or another reason.
    pub async fn changed_from(&self, view: &View) -> View {
        self.changes(|hot| hot.phase != view.phase || hot.reason != view.reason)
            .await
    }

    async fn changes(&self, is_other: impl Fn(&Hot) -> bool) -> View {
        let mut signal = self.0.signal();
        loop {
            signal.mark_unchanged();
            if self.0.with(|hot| is_other(hot)) {
                return self.view();
            }
            // The sender lives as long as this does.
            let _ = signal.changed().await;
        }
    }

    /// Makes a change that was asked for by the API.
    ///
    /// # Errors
    /// It was not made.
    pub async fn change(&self, change: Change, by: String) -> Result<Changed, Refusal> {
        self.0.ask(change, by).await
    }

    /// This moment, for whoever has to know later whether the target was stopped since.
    pub fn mark(&self) -> StopMark {
        StopMark(self.0.closings())
    }

    /// Resolves when idle sockets of the target have to close, because it is being stopped.
    pub async fn closing(&self) {
        let mut closings = self.0.closings();
        if self.0.with(|hot| hot.phase) == Phase::Stopping {
            return;
        }
        // The sender lives as long as this does.
        let _ = closings.changed().await;
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.handle.0.with(|hot| hot.activity.end(self.id));
    }
}
