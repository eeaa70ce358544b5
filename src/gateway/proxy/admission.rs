//! Whose a request is, which target it is for, and whether that may be asked for.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Method, Response};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::answer::Answer;
use super::replies;
use super::request::{Checked, OWN_PATHS, Shown, is_preflight};
use super::standing::Standing;
use super::status::Events;
use super::visit::{Visit, is_quiet};
use super::visitor::Visitor;
use super::who::{self, AuditFields};
use crate::config::gateway::{Backend, GatewayTarget};
use crate::control::access::{Access, Action, Ask, Principal};
use crate::gateway::auth::{AuthFault, Credential, Session};
use crate::gateway::origin::{Origin, RequestId};
use crate::gateway::wake::{Cold, TargetHandle, Use};
use crate::telemetry::{GatewayEvent, Rejection};

/// The path of the waiting page's event stream.
const STATUS: &str = "/.gateway/status";

/// An answer instead of the app's.
pub(super) type Refused = Box<Response<Answer>>;

/// The origin of a request, with the address that a trusted proxy has added last, or that of
/// the connection.
pub(super) fn origin(visitor: &Visitor, headers: &HeaderMap) -> Origin {
    let told = headers.get_all("x-forwarded-for").iter().next_back();
    let told = told.filter(|_| visitor.is_trusted);
    let told = told.and_then(|told| told.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    Origin {
        ip: told.unwrap_or_else(|| visitor.peer.ip()),
        id: RequestId::of(headers, visitor.is_trusted),
    }
}

/// One request.
pub(super) struct One<'a> {
    pub(super) visitor: &'a Visitor,
    pub(super) parts: &'a Parts,
    pub(super) checked: &'a Checked<'a>,
    pub(super) origin: Origin,
}

/// A request that may go on to its target.
pub(super) struct Admitted<'a> {
    pub(super) session: Arc<Session>,
    pub(super) handle: &'a TargetHandle,
    pub(super) target: &'a GatewayTarget,
    pub(super) backend: &'a Backend,
    /// True if its token is the gateway's.
    pub(super) is_ours: bool,
    /// The use that it is of the target.
    pub(super) as_use: Use,
}

impl One<'_> {
    /// Finds the target and looks whether it may be asked for; passes the request on, or
    /// answers it.
    ///
    /// # Errors
    /// The answer instead of the app's.
    pub(super) async fn serve(
        &self,
        body: Option<Incoming>,
        upgrade: Option<OnUpgrade>,
    ) -> Result<Response<Answer>, Refused> {
        let table = self.visitor.context.table();
        let found = table.hosts.get(&*self.checked.host);
        let found = found.map(|handle| (handle, handle.target()));
        let target = found.as_ref().map(|(_, target)| &**target);
        let (session, is_ours) = self.session(target).await?;
        let hidden = || -> Refused {
            Box::new(match session.principal {
                Principal::Anonymous => replies::unauthorized(),
                _ => replies::not_found(),
            })
        };
        let Some((handle, target)) = &found else {
            self.deny(&session, "", "unknown");
            return Err(hidden());
        };
        let Some(backend) = &target.backend else {
            return Err(hidden());
        };
        let path = self.parts.uri.path();
        let may_see = || session.permissions.allows(&target.name, Action::Status);
        if path == STATUS && self.parts.method == Method::GET && may_see() {
            let standing = self.standing(&session, handle, Action::Status);
            return Events::of(standing)
                .map(replies::events)
                .ok_or_else(|| self.full(Rejection::Full));
        }
        let is_preflight =
            backend.preflight && self.checked.shown == Shown::Nothing && is_preflight(self.parts);
        let ask = Ask {
            target: &target.name,
            action: Action::Connect,
            replicas: None,
            run_for: None,
        };
        match session.permissions.decide(&ask) {
            Access::Granted => {}
            _ if is_preflight => {}
            Access::Hidden => {
                self.deny(&session, target.name.as_str(), "hidden");
                return Err(hidden());
            }
            _ => {
                self.deny(&session, target.name.as_str(), "not granted");
                return Err(match session.principal {
                    Principal::Anonymous => hidden(),
                    _ => Box::new(replies::forbidden()),
                });
            }
        }
        if path.starts_with(OWN_PATHS) {
            return Err(Box::new(replies::not_found()));
        }
        let as_use = self.as_use(backend, is_ours);
        let admitted = Admitted {
            session: Arc::clone(&session),
            handle,
            target,
            backend,
            is_ours,
            as_use,
        };
        self.forward(&admitted, body, upgrade).await
    }

    /// The use that the request is of its target.
    fn as_use(&self, backend: &Backend, is_ours: bool) -> Use {
        let (method, headers) = (&self.parts.method, &self.parts.headers);
        if is_quiet(method, headers, self.parts.uri.path(), backend) {
            return Use::None;
        }
        let visit = Visit::of(method, headers);
        match visit.is_client(backend.wake_by, method, is_ours) {
            true => Use::Client,
            false => Use::Page,
        }
    }

    /// The session of the request, and true if it showed a token of the gateway's.
    async fn session(
        &self,
        target: Option<&GatewayTarget>,
    ) -> Result<(Arc<Session>, bool), Refused> {
        let context = &self.visitor.context;
        let is_public = target.is_some_and(|target| target.anonymous.has(Action::Connect));
        let asked =
            context
                .authenticator
                .authenticate(&self.parts.headers, &self.origin, is_public);
        // Boxed: the room for a question to the API server is not each connection's.
        let (reason, refused) = match Box::pin(asked).await {
            Ok(caller) => return Ok((caller.session, caller.credential == Credential::Ours)),
            Err(AuthFault::Unauthorized(_)) => (Rejection::Credential, replies::unauthorized()),
            Err(AuthFault::Forbidden) => (Rejection::Denied, replies::forbidden()),
            Err(AuthFault::Unavailable) => (Rejection::Unchecked, replies::unchecked()),
            Err(AuthFault::TooMany) => (Rejection::TooMany, replies::too_many()),
        };
        context.metrics.rejected(reason);
        Err(Box::new(refused))
    }

    /// The session of something that stays open for as long as it may do this.
    pub(super) fn standing(
        &self,
        session: &Arc<Session>,
        target: &TargetHandle,
        action: Action,
    ) -> Standing {
        Standing {
            context: Arc::clone(&self.visitor.context),
            target: target.clone(),
            session: Arc::clone(session),
            action,
            origin: self.origin.clone(),
        }
    }

    /// There is no room for it.
    pub(super) fn full(&self, reason: Rejection) -> Refused {
        self.visitor.context.metrics.rejected(reason);
        let may_see = false;
        Box::new(replies::cold(&Cold::Full, &self.parts.headers, may_see))
    }

    fn deny(&self, session: &Session, target: &str, reason: &str) {
        let context = &self.visitor.context;
        context.metrics.rejected(Rejection::Denied);
        let told = AuditFields {
            target,
            verb: Action::Connect.as_str(),
            decision: "denied",
            reason,
            ..AuditFields::default()
        };
        who::record(context, GatewayEvent::Denied, session, &self.origin, &told);
    }
}
