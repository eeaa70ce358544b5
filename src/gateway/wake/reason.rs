//! The reason why a target that starts is not ready yet: when it is looked for, and which is
//! told.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::cluster::{Cluster, Found};
use crate::control::Workload;
use crate::control::progress::{Cause, Details, Finding};
use crate::util::{boxed, paced};

/// The time after which a target that starts is looked at.
const STUCK: Duration = Duration::from_secs(5);

/// From one look to the next.
const AGAIN: Duration = Duration::from_secs(10);

/// The time for which nothing is asked for that the gateway may not read.
const FORBIDDEN: Duration = Duration::from_secs(600);

/// Looks at the same time, of all targets: each holds lists of pods and Events.
pub(super) const MAX_LOOKS: usize = 2;

/// The reason why a target is not ready yet.
#[derive(Debug, Default)]
pub(super) struct Reason {
    /// The look that is under way.
    look: JoinSet<Found>,
    /// The next one.
    at: Option<Instant>,
    /// The cause that was found last.
    last: Option<Cause>,
    told: Option<Finding>,
    forbidden_until: Option<Instant>,
}

impl Reason {
    /// A short sentence without the server's words, as a room may read it, too.
    pub(super) fn told(&self) -> Option<String> {
        let told = self.told.as_ref()?;
        Some(told.sentence(Details::Short))
    }

    /// The server's words with it, for the log.
    pub(super) fn detail(&self) -> Option<String> {
        let told = self.told.as_ref()?;
        Some(told.sentence(Details::Full))
    }

    /// Begins a look at a target that starts since then, if it is time to. Returns the time
    /// of the next one.
    pub(super) fn look<C: Cluster>(
        &mut self,
        since: Instant,
        now: Instant,
        of: (&C, &Workload),
        turns: &Arc<Semaphore>,
    ) -> Option<Instant> {
        if !self.look.is_empty() {
            return None;
        }
        let at = *self.at.get_or_insert_with(|| since + paced(STUCK));
        if now < at {
            return Some(at);
        }
        self.at = Some(now + paced(AGAIN));
        let may_read = self.forbidden_until.is_none_or(|until| now >= until);
        let (cluster, workload) = (of.0.clone(), of.1.clone());
        let turns = Arc::clone(turns);
        self.look
            .spawn(boxed(look(cluster, workload, may_read, turns)));
        None
    }

    /// Nothing starts any longer.
    pub(super) fn end(&mut self) {
        if self.at.is_none() {
            return;
        }
        let forbidden_until = self.forbidden_until;
        *self = Self {
            forbidden_until,
            ..Self::default()
        };
    }

    /// The outcome of the look that is under way.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Found> {
        match self.look.poll_join_next(context) {
            Poll::Ready(Some(Ok(found))) => Poll::Ready(found),
            Poll::Ready(Some(Err(_))) => Poll::Ready(Found::default()),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// Takes in what was found. Returns true if a trouble of another kind is told from now on.
    ///
    /// First pulls fail, and first starts crash, where all is well: such a cause is told once
    /// it was found twice in a row.
    pub(super) fn take(&mut self, found: Found, now: Instant) -> bool {
        if found.is_forbidden {
            self.forbidden_until = Some(now + FORBIDDEN);
        }
        let cause = found.finding.as_ref().map(|finding| &finding.cause);
        let is_sure = match (cause, &self.last) {
            (None, _) => true,
            (Some(cause), last) => {
                let is_again = |last: &Cause| last.agrees_with(cause);
                !cause.needs_two_looks() || last.as_ref().is_some_and(is_again)
            }
        };
        self.last = cause.cloned();
        if !is_sure {
            return false;
        }
        let is_known = match (&self.told, cause) {
            (Some(told), Some(cause)) => told.cause.agrees_with(cause),
            (_, cause) => cause.is_none(),
        };
        self.told = found.finding;
        !is_known
    }
}

/// One that cannot be made finds nothing.
async fn look<C: Cluster>(
    cluster: C,
    workload: Workload,
    may_read: bool,
    turns: Arc<Semaphore>,
) -> Found {
    let _turn = turns.acquire_owned().await;
    let found = cluster.why(&workload, may_read).await;
    found.unwrap_or_default()
}
