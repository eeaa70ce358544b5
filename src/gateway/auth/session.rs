//! An authenticated caller.

use std::sync::Arc;
use std::time::SystemTime;

use crate::control::access::{Permissions, Principal, ServiceAccountName};
use crate::telemetry::{GatewayEvent, GatewayRecord};
use crate::util::Secret;

/// The SHA-256 of a credential.
pub(super) type Digest = [u8; 32];

/// Somebody whose credential was checked, and what they may do. Shared by all requests that
/// carry the same credential until it has to be checked again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The principal.
    pub principal: Principal,
    /// Their permissions.
    pub permissions: Permissions,
    /// The end of the credential's validity; None for nobody's.
    pub expires: Option<SystemTime>,
    /// `authentication.kubernetes.io/credential-id` or `jti`, for the audit log.
    pub credential_id: Option<String>,
    /// The names of the roles, with commas between them, for the audit log.
    roles: String,
    /// The credential by its digest, by which it is checked again; None for nobody's.
    pub(super) digest: Option<Digest>,
    /// The token of a service account, which is shown to the API server again.
    pub(super) token: Option<Secret>,
}

/// The session of a request, and the part that its `Authorization` has in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Their session; nobody's unless the credential is [`Credential::Ours`].
    pub session: Arc<Session>,
    /// The kind of credential that was shown.
    pub credential: Credential,
}

/// The kinds of credentials that a request may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// None.
    None,
    /// One that is for the app: passed on as it is.
    Theirs,
    /// One that was for the gateway: taken out before the app sees the request.
    Ours,
}

/// The reasons why a credential is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthFault {
    /// It proves nothing: 401 with `WWW-Authenticate: Bearer`. The reason is for the audit
    /// log and no answer.
    Unauthorized(&'static str),
    /// It proves who asks, and they may do nothing at all: 403.
    Forbidden,
    /// It cannot be checked now: 503 with `Retry-After`.
    Unavailable,
    /// This peer tries too often: 429 with `Retry-After`.
    TooMany,
}

impl AuthFault {
    /// The reason for the audit log.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unauthorized(reason) => reason,
            Self::Forbidden => "no role allows anything",
            Self::Unavailable => "it cannot be checked now",
            Self::TooMany => "too many attempts",
        }
    }
}

impl Session {
    /// A session without a credential behind it: nobody's, or that of a test.
    pub fn new(principal: Principal, permissions: Permissions) -> Self {
        let roles = permissions.roles.join(",");
        Self {
            principal,
            permissions,
            expires: None,
            credential_id: None,
            roles,
            digest: None,
            token: None,
        }
    }

    /// The same session, which may do this now.
    pub(super) fn with(&self, permissions: Permissions) -> Self {
        Self {
            roles: permissions.roles.join(","),
            permissions,
            ..self.clone()
        }
    }

    /// Returns true if nothing was shown for it.
    pub const fn is_nobody(&self) -> bool {
        self.digest.is_none()
    }

    /// The service account that it is of.
    pub const fn account(&self) -> Option<&ServiceAccountName> {
        match &self.principal {
            Principal::ServiceAccount(account, _) => Some(account),
            _ => None,
        }
    }

    /// A line of the audit log that says who it is and as what; the rest is left out.
    pub fn record(&self, event: GatewayEvent) -> GatewayRecord<'_> {
        GatewayRecord {
            role: &self.roles,
            credential_id: self.credential_id.as_deref().unwrap_or_default(),
            ..record_of(&self.principal, event)
        }
    }
}

/// A line of the audit log that says who it is, by the same fields in every line: those that
/// nobody can choose, and beside them the name that is shown.
pub fn record_of(principal: &Principal, event: GatewayEvent) -> GatewayRecord<'_> {
    let mut record = GatewayRecord::new(event);
    match principal {
        Principal::Anonymous => {}
        Principal::ServiceAccount(account, pod) => {
            record.namespace = &account.namespace;
            record.service_account = &account.name;
            if let Some(pod) = pod {
                record.pod_uid = &pod.uid;
                record.display_name = &pod.name;
            }
        }
        Principal::Person(person) => {
            record.sub = &person.subject;
            record.display_name = &person.shown;
        }
    }
    record
}
