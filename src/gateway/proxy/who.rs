//! A caller in the words of logs, Leases and apps.

use http::HeaderValue;

use super::head::Identity;
use crate::control::access::Principal;
use crate::gateway::auth::Session;
use crate::gateway::context::Context;
use crate::telemetry::{GatewayEvent, GatewayRecord};

/// What there is to be said about a caller in the audit log.
#[derive(Default)]
pub(super) struct Told<'a> {
    pub(super) target: &'a str,
    pub(super) verb: &'a str,
    pub(super) decision: &'a str,
    pub(super) reason: &'a str,
    pub(super) remote_ip: &'a str,
    pub(super) duration_ms: Option<u64>,
}

/// A caller as a short text without secrets.
pub(super) fn by(principal: &Principal) -> String {
    match principal {
        Principal::Anonymous => "anonymous".to_owned(),
        Principal::ServiceAccount(account, _) => {
            format!("sa:{}/{}", account.namespace, account.name)
        }
        Principal::Person(person) if person.shown.is_empty() => {
            format!("person:{}", person.subject)
        }
        Principal::Person(person) => format!("person:{}", person.shown),
    }
}

/// A caller as an app is told about them: by what does not change hands. None for nobody,
/// and for what no header can say.
pub(super) fn identity(session: &Session) -> Option<Identity> {
    let user = match &session.principal {
        Principal::Anonymous => return None,
        Principal::ServiceAccount(account, _) => {
            format!(
                "system:serviceaccount:{}:{}",
                account.namespace, account.name
            )
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
pub(super) fn record(context: &Context, event: GatewayEvent, session: &Session, told: &Told<'_>) {
    let roles = session.permissions.roles.join(",");
    let mut record = GatewayRecord {
        role: &roles,
        remote_ip: told.remote_ip,
        target: told.target,
        verb: told.verb,
        decision: told.decision,
        reason: told.reason,
        credential_id: session.credential_id.as_deref().unwrap_or_default(),
        duration_ms: told.duration_ms,
        ..GatewayRecord::new(event)
    };
    match &session.principal {
        Principal::Anonymous => {}
        Principal::ServiceAccount(account, pod) => {
            (record.namespace, record.service_account) = (&account.namespace, &account.name);
            if let Some(pod) = pod {
                (record.pod_uid, record.display_name) = (&pod.uid, &pod.name);
            }
        }
        Principal::Person(person) => record.sub = &person.subject,
    }
    context.audit.record(context.clock.now_ms(), &record);
}
