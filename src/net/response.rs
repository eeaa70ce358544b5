//! An answer.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

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
    /// The time of its arrival, by this machine's clock.
    pub arrived: SystemTime,
}

impl Response {
    /// The time that the server asks to wait (`Retry-After`,
    /// <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>), at most
    /// [`MAX_RETRY_AFTER`]; a date in the past is zero. None if it does not ask or is
    /// not understood.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if text.is_empty() {
            return None;
        }
        let asked = if text.bytes().all(|byte| byte.is_ascii_digit()) {
            // Digits that overflow are a long wait too.
            Duration::from_secs(text.parse().unwrap_or(u64::MAX))
        } else {
            date_of(text)?
                .duration_since(self.arrived)
                .unwrap_or_default()
        };
        Some(asked.min(MAX_RETRY_AFTER))
    }

    /// The time of the answer by the server's clock (`Date`,
    /// <https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1>). None if it does not say
    /// or is not understood.
    pub fn date(&self) -> Option<SystemTime> {
        date_of(self.headers.get(DATE)?.to_str().ok()?.trim())
    }
}

/// Reads an IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT`
/// (<https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7>). The two obsolete forms,
/// which no server has sent for decades, and dates before 1970 are None.
fn date_of(text: &str) -> Option<SystemTime> {
    let is_fixdate = text.len() == "Sun, 06 Nov 1994 08:49:37 GMT".len();
    let date = is_fixdate.then(|| httpdate::parse_http_date(text))?;
    date.ok()
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
            arrived: SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777),
        };
        response.retry_after().map(|wait| wait.as_secs())
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
                arrived: SystemTime::UNIX_EPOCH,
            };
            response.date()
        };
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(date(" Sun, 06 Nov 1994 08:49:37 GMT "), Some(at));
        assert_eq!(date("today"), None);
    }

    fn seconds(text: &str) -> Option<u64> {
        let time = date_of(text)?;
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        Some(since.unwrap().as_secs())
    }

    #[test]
    fn dates_are_seconds_since_1970() {
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(
            seconds("Thu, 29 Feb 2024 23:59:59 GMT"),
            Some(1_709_251_199)
        );
        assert_eq!(
            seconds("Fri, 01 Mar 2024 00:00:00 GMT"),
            Some(1_709_251_200)
        );
        assert_eq!(
            seconds("Fri, 31 Dec 9999 23:59:59 GMT"),
            Some(253_402_300_799)
        );
    }

    #[test]
    fn anything_else_is_no_date() {
        for text in [
            "",
            ", ",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49:37 GMT x",
            "Sun, 06 Nov 1994 08:49:37:00 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
        ] {
            assert_eq!(date_of(text), None, "{text}");
        }
    }
}
