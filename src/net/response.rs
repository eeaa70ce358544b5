//! What was answered.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};

use super::date;
use crate::json::Skipped;

/// The longest wait that a server can ask for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// A whole answer, of any status; its body is within the request's limit.
#[derive(Clone)]
pub struct Response {
    /// The status code. A redirect is an answer like any other: it is not
    /// followed.
    pub status: u16,
    /// The headers, at most 100 and 64 KiB together.
    pub headers: HeaderMap,
    /// The body without transfer coding.
    pub body: Vec<u8>,
    /// Items of the body that a sieve left out, by their kinds.
    pub skipped: Skipped,
    /// The sieve left out some of them because the whole became too large.
    pub is_cut: bool,
}

impl Response {
    /// How long the server asks to wait, at most [`MAX_RETRY_AFTER`]; a date
    /// in the past is zero. `None` if it does not ask or is not understood.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_at(SystemTime::now())
    }

    /// When the server says that it answered, by its clock (`Date`). `None` if
    /// it does not say or is not understood.
    pub fn date(&self) -> Option<SystemTime> {
        date::parse(self.headers.get(DATE)?.to_str().ok()?.trim())
    }

    fn retry_after_at(&self, now: SystemTime) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if text.is_empty() {
            return None;
        }
        let asked = if text.bytes().all(|byte| byte.is_ascii_digit()) {
            // Digits that overflow are a long wait too.
            Duration::from_secs(text.parse().unwrap_or(u64::MAX))
        } else {
            date::parse(text)?.duration_since(now).unwrap_or_default()
        };
        Some(asked.min(MAX_RETRY_AFTER))
    }
}

/// For libraries that parse answers in the form of the `http` crate.
impl From<Response> for http::Response<Vec<u8>> {
    fn from(response: Response) -> Self {
        let mut message = http::Response::new(response.body);
        // Cannot fail: the number came from a `StatusCode`, unless a caller
        // made it up; then it is a server's fault as far as anyone can tell.
        *message.status_mut() =
            StatusCode::from_u16(response.status).unwrap_or(StatusCode::BAD_GATEWAY);
        *message.headers_mut() = response.headers;
        message
    }
}

/// Shows neither headers nor body: a login's answer holds an access token.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry_after(value: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        let response = Response {
            status: 429,
            headers,
            body: Vec::new(),
            skipped: Skipped::new(),
            is_cut: false,
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        response.retry_after_at(now).map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_capped() {
        assert_eq!(retry_after("0"), Some(0));
        assert_eq!(retry_after(" 7 "), Some(7));
        assert_eq!(retry_after("601"), Some(600));
        assert_eq!(retry_after("99999999999999999999999"), Some(600));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(retry_after("Mon, 07 Nov 1994 08:00:00 GMT"), Some(600));
        assert_eq!(retry_after("soon"), None);
        assert_eq!(retry_after("-1"), None);
        assert_eq!(retry_after("1.5"), None);
        assert_eq!(retry_after(""), None);
    }

    #[test]
    fn the_date_is_the_servers() {
        let date = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(DATE, value.parse().unwrap());
            let response = Response {
                status: 200,
                headers,
                body: Vec::new(),
                skipped: Skipped::new(),
                is_cut: false,
            };
            response.date()
        };
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(date(" Sun, 06 Nov 1994 08:49:37 GMT "), Some(at));
        assert_eq!(date("today"), None);
    }
}
