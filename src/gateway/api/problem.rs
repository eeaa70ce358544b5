//! Answers that say why something is not done, as problem details
//! (<https://www.rfc-editor.org/rfc/rfc9457>).

use std::borrow::Cow;

use http::StatusCode;
use http::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

use super::answer::{Answer, response};
use crate::control::access::Access;
use crate::control::time::describe_duration;
use crate::gateway::auth::AuthFault;
use crate::gateway::object::Object;
use crate::gateway::wake::Refusal;
use crate::telemetry::Rejection;

/// The beginning of the `type` of each problem.
const TYPES: &str = "urn:openclaw-gateway:";

/// The time in seconds after which a request is worth another try when the API server or the
/// identity provider cannot be asked.
const UNAVAILABLE_FOR: u32 = 5;

/// The time in seconds after which a peer that tried too often may try again.
const TOO_MANY_FOR: u32 = 10;

/// The kind of a problem, which decides its `type`, its title and its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The request means nothing.
    Malformed,
    /// The caller has shown nothing, or what proves nothing; true for the latter.
    Unauthorized(bool),
    /// The caller may not do this.
    Forbidden,
    /// There is nothing of this name, or nothing that the caller may see.
    NotFound,
    /// The path is asked by another method: this one.
    Method(&'static str),
    /// The body did not come in time.
    Slow,
    /// The body is too large.
    TooLarge,
    /// The body is no JSON by its media type.
    MediaType,
    /// Somebody else holds the number of replicas, or the cluster will not.
    Refused,
    /// The target did not come up.
    Failed,
    /// This peer asks too often.
    TooMany,
    /// The gateway is not set up for it.
    Impossible,
    /// The credential cannot be checked now.
    Unchecked,
    /// The cluster cannot be asked.
    Unavailable,
}

/// The reason why something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// Its kind.
    pub(super) kind: Kind,
    /// A sentence about this occurrence, without a full stop.
    pub(super) detail: Cow<'static, str>,
}

impl Kind {
    /// The status, the last part of `type`, and the title.
    pub(super) const fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Malformed => (400, "malformed", "The request is malformed"),
            Self::Unauthorized(_) => (401, "unauthorized", "A valid bearer token is needed"),
            Self::Forbidden => (403, "forbidden", "This is not allowed"),
            Self::NotFound => (404, "not-found", "There is no such thing"),
            Self::Method(_) => (405, "method", "The path is asked by another method"),
            Self::Slow => (408, "slow", "The body did not come in time"),
            Self::TooLarge => (413, "too-large", "The body is too large"),
            Self::MediaType => (415, "media-type", "The body has to be JSON"),
            Self::Refused => (409, "refused", "The change was refused"),
            Self::Failed => (409, "failed", "The target did not come up"),
            Self::TooMany => (429, "too-many", "Too many requests"),
            Self::Impossible => (500, "impossible", "The gateway is not set up for this"),
            Self::Unchecked => (503, "unchecked", "The token cannot be checked now"),
            Self::Unavailable => (503, "unavailable", "The cluster cannot be asked"),
        }
    }

    /// The reason in metrics.
    pub(super) const fn rejection(self) -> Rejection {
        match self {
            Self::Malformed => Rejection::Malformed,
            Self::Unauthorized(_) => Rejection::Credential,
            Self::Forbidden => Rejection::Denied,
            Self::NotFound => Rejection::NotFound,
            Self::Method(_) => Rejection::Method,
            Self::Slow => Rejection::Slow,
            Self::TooLarge => Rejection::TooLarge,
            Self::MediaType => Rejection::MediaType,
            Self::Refused => Rejection::Refused,
            Self::Failed => Rejection::Failed,
            Self::TooMany => Rejection::TooMany,
            Self::Impossible => Rejection::Impossible,
            Self::Unchecked => Rejection::Unchecked,
            Self::Unavailable => Rejection::Unavailable,
        }
    }

    /// The seconds after which it is worth another try, if it is.
    const fn retry_after(self) -> Option<u32> {
        match self {
            Self::TooMany => Some(TOO_MANY_FOR),
            Self::Unchecked | Self::Unavailable => Some(UNAVAILABLE_FOR),
            _ => None,
        }
    }
}

impl Problem {
    /// A problem of this kind.
    pub(super) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    /// A request that means nothing.
    pub(super) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Malformed, detail)
    }

    /// The one answer for paths that are none, targets that do not exist and targets that
    /// the caller may not see: which of them it is, nobody learns.
    pub(super) fn not_found() -> Self {
        Self::new(
            Kind::NotFound,
            "no such path or target, or none that you may see",
        )
    }

    /// Nothing was shown, and nobody may do this.
    pub(super) fn nobody() -> Self {
        Self::new(Kind::Unauthorized(false), "show a bearer token")
    }

    /// A credential that is not taken.
    pub(super) fn of_credential(fault: AuthFault) -> Self {
        match fault {
            // The reason would help whoever tries.
            AuthFault::Unauthorized(_) => {
                Self::new(Kind::Unauthorized(true), "the token is not taken")
            }
            AuthFault::Forbidden => Self::new(Kind::Forbidden, "you have no role here"),
            AuthFault::TooMany => Self::new(
                Kind::TooMany,
                "too many tokens from your address were refused",
            ),
            AuthFault::Unavailable => Self::new(
                Kind::Unchecked,
                "the API server or the identity provider does not answer",
            ),
        }
    }

    /// The answer of a decision to the caller; None if it allows what was asked for.
    pub(super) fn of_access(access: Access) -> Option<Self> {
        Some(match access {
            Access::Granted => return None,
            Access::Hidden => Self::not_found(),
            Access::Denied => Self::new(Kind::Forbidden, "none of your roles allows this"),
            Access::TooMany(most) => Self::over(most),
            Access::TooLong(most) => {
                let most = describe_duration(most);
                Self::new(Kind::Forbidden, format!("at most {most} may be asked for"))
            }
        })
    }

    /// More replicas than may be asked for.
    pub(super) fn over(most: i32) -> Self {
        let detail = format!("at most {most} replicas may be asked for");
        Self::new(Kind::Forbidden, detail)
    }

    /// A change that was not made.
    pub(super) fn of_refusal(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Refused(why) => Self::new(Kind::Refused, why),
            Refusal::Impossible(why) => Self::new(Kind::Impossible, why),
            Refusal::Unavailable => Self::new(
                Kind::Unavailable,
                "the API server of the cluster does not answer",
            ),
        }
    }

    /// The status of the answer.
    pub(super) const fn status(&self) -> u16 {
        self.kind.parts().0
    }

    /// The word by which it is counted, and the end of its `type`.
    pub(super) const fn slug(&self) -> &'static str {
        self.kind.parts().1
    }

    /// The body of the answer.
    pub(super) fn json(&self) -> String {
        let (status, slug, title) = self.kind.parts();
        let mut object = Object::new();
        object.text("type", &[TYPES, slug].concat());
        object.text("title", title);
        object.raw("status", &status);
        object.text("detail", &self.detail);
        if let Some(seconds) = self.kind.retry_after() {
            object.raw("retryAfter", &seconds);
        }
        object.end()
    }

    /// The answer.
    pub(super) fn response(&self) -> Answer {
        let status = StatusCode::from_u16(self.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = response(status, "application/problem+json", self.json());
        let headers = answer.headers_mut();
        match self.kind {
            // <https://www.rfc-editor.org/rfc/rfc6750#section-3>
            Kind::Unauthorized(is_shown) => {
                let value = match is_shown {
                    true => "Bearer error=\"invalid_token\"",
                    false => "Bearer",
                };
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(value));
            }
            Kind::Method(allowed) => {
                headers.insert(ALLOW, HeaderValue::from_static(allowed));
            }
            _ => {}
        }
        if let Some(seconds) = self.kind.retry_after() {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        answer
    }
}
