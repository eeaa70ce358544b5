//! The numbers of the gateway.

use std::time::Duration;

/// The numbers of the gateway, which the metrics page shows.
#[derive(Default)]
pub struct GatewayMetrics {}

impl GatewayMetrics {
    /// Counts an attempt to authenticate (`openclaw_k8s_auth_attempts_total`).
    pub fn auth_attempt(&self, ok: bool) {
        let _ = ok;
    }

    /// A session of a namespace's service account begins (`openclaw_k8s_sessions_active`).
    pub fn session_began(&self, namespace: &str) {
        let _ = namespace;
    }

    /// It ends.
    pub fn session_ended(&self, namespace: &str) {
        let _ = namespace;
    }

    /// A target was ready so long after its wake (`…_wake_seconds`).
    pub fn woken(&self, target: &str, after: Duration) {
        let _ = (target, after);
    }

    /// Requests that are held (`…_held`), by `1` or `-1`.
    pub fn held(&self, by: i64) {
        let _ = by;
    }

    /// A request was turned away (`…_rejected_total`).
    pub fn rejected(&self, reason: &'static str) {
        let _ = reason;
    }

    /// A request for a target ended with this status (`…_requests_total`).
    pub fn request(&self, target: &str, status: u16) {
        let _ = (target, status);
    }

    /// An idle stop ended so: `stopped`, `kept`, `lost`, `failed` (`…_idle_stops_total`).
    pub fn idle_stop(&self, target: &str, outcome: &'static str) {
        let _ = (target, outcome);
    }
}
