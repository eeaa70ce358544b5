//! One request of an authenticated caller: what they may do, and doing it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::answer::{Answer, Detail, JSON, Now, list, response, target};
use super::body::change;
use super::problem::{Kind, Problem};
use super::route::Operation;
use crate::control::TargetName;
use crate::control::access::{Action, Ask, Permissions, Principal};
use crate::gateway::auth::Session;
use crate::gateway::context::Context;
use crate::gateway::origin::Origin;
use crate::gateway::wake::{Change, Changed, Phase, TargetHandle, View};
use crate::telemetry::{GatewayEvent, GatewayRecord};
use crate::util::{First, race};

/// The description of the API, which is served as it is.
pub(super) const DESCRIPTION: &str = include_str!("../../../docs/openapi.json");

/// Somebody who asks for something.
pub(super) struct Caller<'a> {
    /// The context that the request is served with.
    pub(super) context: &'a Context,
    /// The principal.
    pub(super) session: Arc<Session>,
    /// The origin of the request, with the address that the connection comes from.
    pub(super) origin: Origin,
}

impl Caller<'_> {
    /// Describes the API to everybody who has shown a token.
    ///
    /// # Errors
    /// None was shown.
    pub(super) fn describe(&self) -> Result<Answer, Problem> {
        match self.is_nobody() {
            true => Err(Problem::nobody()),
            false => Ok(response(StatusCode::OK, JSON, DESCRIPTION.to_owned())),
        }
    }

    /// The targets that the caller may list.
    ///
    /// # Errors
    /// No token was shown, and there are none for nobody.
    pub(super) fn list(&self) -> Result<Answer, Problem> {
        let table = self.context.table();
        let permissions = &self.session.permissions;
        let targets = table.targets.iter();
        let listed = targets.filter(|(name, _)| permissions.allows(name, Action::List));
        let now = self.now();
        let listed: Vec<String> = listed
            .map(|(name, handle)| {
                let detail = match permissions.allows(name, Action::Status) {
                    true => Detail::All,
                    false => Detail::Name,
                };
                target(name, &handle.view(), now, detail)
            })
            .collect();
        match listed.is_empty() && self.is_nobody() {
            true => Err(Problem::nobody()),
            false => Ok(response(StatusCode::OK, JSON, list(&listed))),
        }
    }

    /// The target of a request, if the caller may do this with it.
    ///
    /// # Errors
    /// They may not, or there is none.
    pub(super) fn target(
        &self,
        name: &TargetName,
        operation: Operation,
    ) -> Result<TargetHandle, Problem> {
        let found = self.context.table().targets.get(name).cloned();
        let action = operation.action();
        let permitted = found.ok_or_else(Problem::not_found).and_then(|handle| {
            permit(&self.session.permissions, &ask(name, action, None))?;
            Ok(handle)
        });
        permitted.map_err(|problem| self.deny(name, action, problem))
    }

    /// Does what was asked of a target.
    ///
    /// # Errors
    /// It was not done.
    pub(super) async fn serve(
        &self,
        name: &TargetName,
        operation: Operation,
        handle: &TargetHandle,
        body: &[u8],
    ) -> Result<Answer, Problem> {
        let now_ms = self.context.shared_clock.now_ms();
        if let Some(change) = change(operation, body, now_ms)? {
            return self.change(name, operation.action(), handle, change).await;
        }
        let view = match operation {
            Operation::Wait(time) => self.settled(handle, time).await,
            _ => return Ok(self.answer(StatusCode::OK, name, &handle.view())),
        };
        match view.phase {
            Phase::Ready => Ok(self.answer(StatusCode::OK, name, &view)),
            Phase::Failed => {
                let reason = view.reason.filter(|_| self.detail(name) == Detail::All);
                let reason = reason.unwrap_or_else(|| "it did not come up".to_owned());
                Err(Problem::new(Kind::Failed, reason))
            }
            _ => Ok(self.answer(StatusCode::ACCEPTED, name, &view)),
        }
    }

    /// Makes a change, and shows the target after it.
    async fn change(
        &self,
        name: &TargetName,
        action: Action,
        handle: &TargetHandle,
        mut change: Change,
    ) -> Result<Answer, Problem> {
        let target = handle.target();
        let most = target.max;
        let asked = ask(name, action, Some(&change));
        let within = match asked.replicas {
            Some(replicas) if replicas > most => Err(Problem::over(most)),
            _ => permit(&self.session.permissions, &asked),
        };
        within.map_err(|problem| self.deny(name, action, problem))?;
        if let Change::Start { replicas, .. } = &mut change
            && replicas.is_none()
        {
            // The configured number is nobody's right.
            let most = self.session.permissions.most_replicas(&asked);
            *replicas = most.map(|most| most.min(target.replicas));
        }
        let began = Instant::now();
        let changed = handle.change(change, self.session.principal.by()).await;
        let took = began.elapsed();
        let changed = changed.map_err(Problem::of_refusal);
        let (decision, outcome) = match &changed {
            Ok(Changed::Done(replicas)) => ("allowed", format!("has {replicas} replicas")),
            Ok(Changed::AlreadyOn(replicas)) => ("allowed", format!("had {replicas} replicas")),
            Err(problem) => ("failed", problem.detail.clone().into_owned()),
        };
        let told = AuditOutcome {
            decision,
            reason: &outcome,
            duration_ms: Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        };
        self.record(GatewayEvent::Changed, name, action, told);
        let (Changed::Done(replicas) | Changed::AlreadyOn(replicas)) = changed?;
        let view = View {
            desired: Some(replicas),
            ..handle.view()
        };
        Ok(self.answer(StatusCode::OK, name, &view))
    }

    /// The target once it is ready or has failed, or as it is when the time is over or the
    /// gateway is about to end: another replica goes on waiting then.
    async fn settled(&self, handle: &TargetHandle, time: Duration) -> View {
        let deadline = Instant::now() + time;
        let over = async {
            // Whichever is first.
            let _ = timeout_at(deadline, self.context.draining()).await;
        };
        let mut over = pin!(over);
        loop {
            let view = handle.view();
            if matches!(view.phase, Phase::Ready | Phase::Failed) {
                return view;
            }
            if let First::Left(()) = race(over.as_mut(), handle.changed(view.phase)).await {
                return handle.view();
            }
        }
    }

    /// Tells the audit log that something was denied, and hands on what the caller is told:
    /// somebody who has shown nothing learns nothing.
    fn deny(&self, name: &TargetName, action: Action, problem: Problem) -> Problem {
        let told = AuditOutcome {
            decision: "denied",
            reason: problem.slug(),
            duration_ms: None,
        };
        self.record(GatewayEvent::Denied, name, action, told);
        match self.is_nobody() {
            true => Problem::nobody(),
            false => problem,
        }
    }

    /// Writes a line to the audit log about this caller and what they asked for.
    fn record(
        &self,
        event: GatewayEvent,
        target: &TargetName,
        action: Action,
        told: AuditOutcome<'_>,
    ) {
        let record = GatewayRecord {
            remote_ip: &self.origin.ip.to_string(),
            request_id: &self.origin.id.to_string(),
            target: target.as_str(),
            verb: action.as_str(),
            decision: told.decision,
            reason: told.reason,
            duration_ms: told.duration_ms,
            ..self.session.record(event)
        };
        let at_ms = self.context.clock.now_ms();
        self.context.audit.record(at_ms, &record);
    }

    fn answer(&self, status: StatusCode, name: &TargetName, view: &View) -> Answer {
        let body = target(name, view, self.now(), self.detail(name));
        response(status, JSON, body)
    }

    /// The part of the state of a target that the caller is told, who may do something with it.
    fn detail(&self, name: &TargetName) -> Detail {
        match self.session.permissions.allows(name, Action::Status) {
            true => Detail::All,
            false => Detail::Phase,
        }
    }

    /// True for somebody who has shown nothing.
    pub(super) fn is_nobody(&self) -> bool {
        self.session.principal == Principal::Anonymous
    }

    fn now(&self) -> Now {
        Now {
            instant: Instant::now(),
            wall: self.context.shared_clock.now(),
        }
    }
}

/// The part of a line of the audit log that depends on what came of a request.
struct AuditOutcome<'a> {
    decision: &'static str,
    reason: &'a str,
    duration_ms: Option<u64>,
}

/// The request about a target, as the decision sees it.
fn ask<'a>(target: &'a TargetName, action: Action, change: Option<&Change>) -> Ask<'a> {
    let (replicas, run_for) = match change {
        Some(Change::Start { replicas, run_for }) => (*replicas, *run_for),
        Some(Change::Scale(replicas)) => (Some(*replicas), None),
        Some(Change::Stop) | None => (None, None),
    };
    Ask {
        target,
        action,
        replicas,
        run_for,
    }
}

/// Compares what is asked for with what is allowed.
fn permit(permissions: &Permissions, asked: &Ask<'_>) -> Result<(), Problem> {
    match Problem::of_access(permissions.decide(asked)) {
        Some(problem) => Err(problem),
        None => Ok(()),
    }
}
