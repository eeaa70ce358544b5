//! The session that something which is open for long was opened with: it ends when the
//! credential does, and when that is not taken any more.

use std::sync::Arc;
use std::task;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep_until};

use super::tunnel::Over;
use crate::control::access::Action;
use crate::gateway::auth::Session;
use crate::gateway::context::Context;
use crate::gateway::origin::Origin;
use crate::gateway::wake::TargetHandle;
use crate::util::{Boxed, boxed};

/// The pause after which the credential is checked again.
pub(super) const CHECK_AGAIN: Duration = Duration::from_secs(60);

/// A session, and what it is used for.
#[derive(Clone)]
pub(super) struct Standing {
    pub(super) context: Arc<Context>,
    pub(super) target: TargetHandle,
    pub(super) session: Arc<Session>,
    /// The action that has to be allowed.
    pub(super) action: Action,
    /// The request that opened it.
    pub(super) origin: Origin,
}

impl Standing {
    /// Resolves when it is over with what was opened at this time.
    pub(super) async fn ended(&self, opened: Instant) -> Over {
        if self.session.is_nobody() {
            return std::future::pending().await;
        }
        let mut check = opened + CHECK_AGAIN;
        loop {
            let end = self.left().map(|left| Instant::now() + left);
            sleep_until(end.map_or(check, |end| end.min(check))).await;
            if end.is_some_and(|end| end <= check) {
                return Over::Expired;
            }
            // Boxed: an idle socket does not keep room for a question to the API server.
            let again = self
                .context
                .authenticator
                .check_again(&self.session, &self.origin);
            let again = Box::pin(again).await;
            if !again.is_ok_and(|now| self.may_stay(&now)) {
                return Over::Refused;
            }
            check = Instant::now() + CHECK_AGAIN;
        }
    }

    fn may_stay(&self, now: &Session) -> bool {
        let target = self.target.target();
        now.permissions.allows(&target.name, self.action)
    }

    /// This, for what began to be answered now.
    pub(super) fn rechecked(self, is_for_long: bool) -> Recheck {
        let mut recheck = Recheck {
            opened: Instant::now(),
            standing: (!self.session.is_nobody()).then_some(self),
            over: None,
        };
        if is_for_long {
            recheck.begin();
        }
        recheck
    }

    /// The time until the credential expires, by the clock that it was judged by.
    fn left(&self) -> Option<Duration> {
        let now = self.context.shared_clock.now();
        let left = |end: SystemTime| end.duration_since(now).unwrap_or_default();
        self.session.expires.map(left)
    }
}

/// The session of an answer: it costs nothing until the answer has lasted for long.
pub(super) struct Recheck {
    opened: Instant,
    standing: Option<Standing>,
    over: Option<Boxed<Over>>,
}

impl Recheck {
    fn begin(&mut self) {
        let opened = self.opened;
        self.over = self
            .standing
            .take()
            .map(|standing| boxed(async move { standing.ended(opened).await }));
    }

    /// Returns whether the answer is over; wakes the task when it is, once it has lasted for
    /// [`CHECK_AGAIN`] or was to last for long.
    pub(super) fn is_over(&mut self, context: &mut task::Context<'_>) -> bool {
        if self.standing.is_some() && self.opened.elapsed() >= CHECK_AGAIN {
            self.begin();
        }
        let over = self.over.as_mut();
        over.is_some_and(|over| over.as_mut().poll(context).is_ready())
    }
}
