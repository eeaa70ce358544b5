//! The reason why a target that starts is not ready yet: when it is looked for, and which is
//! told.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::cluster::{Cluster, Found};
use crate::control::Workload;
use crate::control::progress::{Cause, Details, Finding};
use crate::kube::LookAt;
use crate::util::{boxed, paced};

/// The time after which a target that starts is looked at.
const STUCK: Duration = Duration::from_secs(5);

/// From one look to the next.
const AGAIN: Duration = Duration::from_secs(10);

/// The longest time of a look.
const MAX_LOOK: Duration = Duration::from_secs(30);

/// The time for which nothing is asked for that the gateway may not read.
const FORBIDDEN: Duration = Duration::from_secs(600);

/// Looks at the same time, of all targets: each holds lists of pods and Events.
pub(super) const MAX_LOOKS: usize = 2;

/// The reason why a target is not ready yet.
#[derive(Debug, Default)]
pub(super) struct Reason {
    /// The beginning of the start that this is about.
    since: Option<Instant>,
    /// The look that is under way; None is one that could not be made.
    look: JoinSet<Option<Found>>,
    /// The next one.
    at: Option<Instant>,
    /// The last look has found trouble.
    had_trouble: bool,
    told: Option<Finding>,
    no_pods_until: Option<Instant>,
    no_events_until: Option<Instant>,
}

impl Reason {
    /// A short sentence about the start of this time, without the server's words, as a room may
    /// read it, too.
    pub(super) fn told(&self, since: Instant) -> Option<String> {
        let told = self.told.as_ref().filter(|_| self.since == Some(since))?;
        Some(told.sentence(Details::Short))
    }

    /// The finding that is told.
    pub(super) const fn finding(&self) -> Option<&Finding> {
        self.told.as_ref()
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
        if self.since != Some(since) {
            self.end();
            self.since = Some(since);
        }
        if !self.look.is_empty() {
            return None;
        }
        let at = *self.at.get_or_insert_with(|| since + paced(STUCK));
        if now < at {
            return Some(at);
        }
        self.at = Some(now + paced(AGAIN));
        let may = |until: Option<Instant>| until.is_none_or(|until| now >= until);
        let at = LookAt {
            pods: may(self.no_pods_until),
            events: may(self.no_events_until),
        };
        let (cluster, workload) = (of.0.clone(), of.1.clone());
        let turns = Arc::clone(turns);
        self.look.spawn(boxed(look(cluster, workload, at, turns)));
        None
    }

    /// Nothing starts any longer.
    pub(super) fn end(&mut self) {
        if self.since.is_none() {
            return;
        }
        *self = Self {
            no_pods_until: self.no_pods_until,
            no_events_until: self.no_events_until,
            ..Self::default()
        };
    }

    /// The outcome of the look that is under way.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Found>> {
        match self.look.poll_join_next(context) {
            Poll::Ready(Some(found)) => Poll::Ready(found.ok().flatten()),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// Takes in what was found. Returns true if a trouble of another kind is told from now on.
    ///
    /// Where all is well, too, first pulls fail, nodes have to be made and apps need a while:
    /// but for pods that may not be made, trouble is told once there was some twice in a row.
    pub(super) fn take(&mut self, found: Found, now: Instant) -> bool {
        if found.forbidden.pods {
            self.no_pods_until = Some(now + FORBIDDEN);
        }
        if found.forbidden.events {
            self.no_events_until = Some(now + FORBIDDEN);
        }
        let cause = found.finding.as_ref().map(|finding| &finding.cause);
        // Trouble twice in a row, also if it is another one by now.
        let is_again = std::mem::replace(&mut self.had_trouble, cause.is_some());
        let is_sure = matches!(cause, None | Some(Cause::NotCreated(_))) || is_again;
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

async fn look<C: Cluster>(
    cluster: C,
    workload: Workload,
    at: LookAt,
    turns: Arc<Semaphore>,
) -> Option<Found> {
    let _turn = turns.acquire_owned().await;
    let found = timeout(paced(MAX_LOOK), cluster.why(&workload, at)).await;
    found.ok()?.ok()
}
