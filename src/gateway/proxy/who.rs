//! A caller in the words of apps and of the audit log.

use http::HeaderValue;

use super::head::Identity;
use crate::control::access::Principal;
use crate::gateway::auth::Session;
use crate::gateway::context::Context;
use crate::gateway::origin::Origin;
use crate::telemetry::{GatewayEvent, GatewayRecord};

/// The fields of a request in the audit log, beside those of its principal.
#[derive(Default)]
pub(super) struct AuditFields<'a> {
    pub(super) target: &'a str,
    pub(super) verb: &'a str,
    pub(super) decision: &'a str,
    pub(super) reason: &'a str,
    pub(super) duration_ms: Option<u64>,
}

/// A caller as an app is told about them: by what does not change hands. None for nobody,
/// and for what no header can say.
pub(super) fn identity(session: &Session) -> Option<Identity> {
    let user = match &session.principal {
        Principal::Anonymous => return None,
        Principal::ServiceAccount(account, _) => {
            let of = [&*account.namespace, ":", &account.name].concat();
            ["system:serviceaccount:", &of].concat()
        }
        Principal::Person(person) => person.subject.clone(),
    };
    let roles = session.permissions.roles.join(",");
    Some(Identity {
        user: HeaderValue::from_str(&user).ok()?,
        roles: HeaderValue::from_str(&roles).ok()?,
    })
}

/// Writes a line about a caller to the audit log.
pub(super) fn record(
    context: &Context,
    event: GatewayEvent,
    session: &Session,
    origin: &Origin,
    told: &AuditFields<'_>,
) {
    let record = GatewayRecord {
        remote_ip: &origin.ip.to_string(),
        request_id: &origin.id.to_string(),
        target: told.target,
        verb: told.verb,
        decision: told.decision,
        reason: told.reason,
        duration_ms: told.duration_ms,
        ..session.record(event)
    };
    context.audit.record(context.clock.now_ms(), &record);
}
