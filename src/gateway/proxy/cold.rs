//! A request whose target is not ready: it wakes it or not, and waits, or is told to come
//! back.

use std::time::Duration;

use http::Response;
use http::request::Parts;
use tokio::time::Instant;

use super::answer::Answer;
use super::replies;
use super::visit::{Plan, Visit};
use super::visitor::Visitor;
use crate::config::gateway::{Backend, GatewayTarget};
use crate::control::access::Action;
use crate::gateway::auth::Session;
use crate::gateway::origin::RequestId;
use crate::gateway::wake::{Cold, Endpoint, TargetHandle, Use, Wanted, WokenBy};
use crate::util::{First, race};

/// The time for which one is held who gets the page: in it a target that is almost there is
/// ready, and one that may not be woken has said why.
const PATIENCE: Duration = Duration::from_millis(200);

/// A request whose target is not ready.
pub(super) struct Waiting<'a> {
    pub(super) visitor: &'a Visitor,
    pub(super) parts: &'a Parts,
    pub(super) session: &'a Session,
    pub(super) request: &'a RequestId,
    pub(super) handle: &'a TargetHandle,
    pub(super) target: &'a GatewayTarget,
    pub(super) backend: &'a Backend,
    /// The use that it is of the target. What is none neither wakes it nor waits: it is served
    /// while the target is ready.
    pub(super) as_use: Use,
    /// True if it showed a token that the gateway took.
    pub(super) has_token: bool,
    /// The end of the time that it is held, at most.
    pub(super) deadline: Instant,
}

impl Waiting<'_> {
    /// Waits until the target can be reached, as the configuration has it for such a
    /// request.
    ///
    /// # Errors
    /// The answer that it gets instead.
    pub(super) async fn wait(&self) -> Result<Endpoint, Box<Response<Answer>>> {
        let visit = Visit::of(&self.parts.method, &self.parts.headers);
        let is_quiet = self.as_use == Use::None;
        let plan = match is_quiet {
            true => Plan::Refuse,
            false => visit.plan(self.backend.on_cold, &self.parts.method),
        };
        let left = self.deadline.saturating_duration_since(Instant::now());
        let wanted = Wanted {
            wake: !is_quiet
                && self.may(Action::Wake)
                && visit.wakes(self.backend.wake_by, self.has_token),
            as_use: self.as_use,
            hold: match plan {
                Plan::Hold => left,
                Plan::Page => left.min(PATIENCE),
                Plan::Refuse => Duration::ZERO,
            },
            by: WokenBy {
                principal: self.session.principal.clone(),
                request: self.request.clone(),
            },
        };
        // Boxed: a request that finds its target ready needs no room for this.
        let reach = Box::pin(self.handle.reach(wanted));
        match race(reach, self.visitor.socket.left()).await {
            First::Left(Ok(endpoint)) => Ok(endpoint),
            First::Left(Err(cold)) => Err(self.refusal(plan, &cold)),
            // Nobody reads this.
            First::Right(()) => Err(Box::new(replies::bad_gateway())),
        }
    }

    fn may(&self, action: Action) -> bool {
        self.session.permissions.allows(&self.target.name, action)
    }

    /// The answer to a request that does not reach its target.
    fn refusal(&self, plan: Plan, cold: &Cold) -> Box<Response<Answer>> {
        self.visitor
            .context
            .metrics
            .rejected(replies::rejection(cold));
        let may_see = self.may(Action::Status);
        Box::new(match plan {
            Plan::Page => replies::waiting(self.backend.page_status, cold, may_see),
            Plan::Hold | Plan::Refuse => replies::cold(cold, &self.parts.headers, may_see),
        })
    }
}
