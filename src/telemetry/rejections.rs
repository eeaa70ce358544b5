//! The reasons for which the gateway turns somebody away, as its metrics name them
//! (`openclaw_gateway_rejected_total`).

use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::exposition::Exposition;

/// Reason why a request, or a connection, was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// Its head is none, or too large.
    Head,
    /// Two servers could see different ends of the request.
    Framing,
    /// It has no `Host`, or one that is none.
    Host,
    /// Its target is none that is passed on.
    Target,
    /// Its method is not taken here.
    Method,
    /// It asks for an upgrade that cannot be.
    Upgrade,
    /// Its `Connection` names a field that is needed.
    Connection,
    /// Its `Authorization` cannot be read in one way only.
    Authorization,
    /// Its `Expect` cannot be met.
    Expectation,
    /// The request to the API means nothing.
    Malformed,
    /// The body of a request to the API did not come in time.
    Slow,
    /// That body is too large.
    TooLarge,
    /// That body is no JSON.
    MediaType,
    /// There is no credential, or none that is taken.
    Credential,
    /// The caller may not do this.
    Denied,
    /// The credential could not be checked now.
    Unchecked,
    /// The caller asks too often.
    TooMany,
    /// There is no such path or target in the API.
    NotFound,
    /// The target is off, and the request does not wake it.
    Off,
    /// The target is starting, and the request is not held.
    Starting,
    /// The target did not come up.
    Failed,
    /// The start, or the change, was refused.
    Refused,
    /// More wait for the target, or for all of them, than may.
    Full,
    /// The target took longer to start than the request was held.
    HoldTimeout,
    /// The gateway is about to end.
    Draining,
    /// The API server cannot be asked.
    Unavailable,
    /// The gateway is not set up for what is asked of the API.
    Impossible,
    /// The app did not answer, or with what is no answer.
    Unreachable,
    /// There is no room for a connection, or for what it asks.
    Connections,
    /// The client did not get through the handshake of TLS, or spoke HTTP where TLS is spoken.
    Tls,
}

impl Rejection {
    /// All of them.
    pub const ALL: [Self; 30] = [
        Self::Head,
        Self::Framing,
        Self::Host,
        Self::Target,
        Self::Method,
        Self::Upgrade,
        Self::Connection,
        Self::Authorization,
        Self::Expectation,
        Self::Malformed,
        Self::Slow,
        Self::TooLarge,
        Self::MediaType,
        Self::Credential,
        Self::Denied,
        Self::Unchecked,
        Self::TooMany,
        Self::NotFound,
        Self::Off,
        Self::Starting,
        Self::Failed,
        Self::Refused,
        Self::Full,
        Self::HoldTimeout,
        Self::Draining,
        Self::Unavailable,
        Self::Impossible,
        Self::Unreachable,
        Self::Connections,
        Self::Tls,
    ];

    /// The value of the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Framing => "framing",
            Self::Host => "host",
            Self::Target => "target",
            Self::Method => "method",
            Self::Upgrade => "upgrade",
            Self::Connection => "connection",
            Self::Authorization => "authorization",
            Self::Expectation => "expectation",
            Self::Malformed => "malformed",
            Self::Slow => "slow",
            Self::TooLarge => "too_large",
            Self::MediaType => "media_type",
            Self::Credential => "credential",
            Self::Denied => "denied",
            Self::Unchecked => "unchecked",
            Self::TooMany => "too_many",
            Self::NotFound => "not_found",
            Self::Off => "off",
            Self::Starting => "starting",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Full => "full",
            Self::HoldTimeout => "hold_timeout",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
            Self::Impossible => "impossible",
            Self::Unreachable => "unreachable",
            Self::Connections => "connections",
            Self::Tls => "tls",
        }
    }
}

/// The number of times that each has happened.
pub(super) struct Rejections([AtomicU64; Rejection::ALL.len()]);

impl Default for Rejections {
    fn default() -> Self {
        Self(array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Rejections {
    /// Counts one.
    pub(super) fn count(&self, reason: Rejection) {
        if let Some(count) = self.0.get(reason as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Writes all of them, those that have not happened too: of a series that begins with its
    /// first event, no increase is seen.
    pub(super) fn write(&self, out: &mut Exposition) {
        let mut family = out.counter(
            "openclaw_gateway_rejected_total",
            "Requests and connections that the gateway turned away itself.",
        );
        for (reason, count) in Rejection::ALL.iter().zip(&self.0) {
            family.labelled(&[("reason", reason.as_str())], count.load(Relaxed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_place_and_a_name_of_its_own() {
        for (at, reason) in Rejection::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, at, "{reason:?}");
            let others = Rejection::ALL.iter().filter(|other| *other != reason);
            assert!(
                others
                    .map(|other| other.as_str())
                    .all(|name| name != reason.as_str())
            );
        }
    }
}
