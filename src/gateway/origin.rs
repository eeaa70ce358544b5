//! The origin of a request, as the audit log and the share of what may be tried have it.

use std::fmt;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::{HeaderMap, HeaderValue};

/// The field in which an ingress tells the id of a request.
const REQUEST_ID: &str = "x-request-id";

/// The longest id that is taken over, in bytes.
const MAX_ID: usize = 128;

/// The origin of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The address of whoever asks.
    pub ip: IpAddr,
    /// The id of the request.
    pub id: RequestId,
}

/// The id of a request, by which its lines in the logs of an ingress and of the gateway are
/// found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Id);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Id {
    /// The ingress's. A copy: a part of the head would keep all of it for as long as a socket is
    /// open.
    Told(Box<[u8]>),
    /// One of the gateway's own.
    Own(u64),
}

impl RequestId {
    /// The id that `X-Request-ID` tells, if that counts: if the request comes from a proxy that
    /// is trusted, and if it is one word of at most 128 visible ASCII characters. Otherwise a
    /// new one.
    pub fn of(headers: &HeaderMap, is_trusted: bool) -> Self {
        let mut told = headers.get_all(REQUEST_ID).iter();
        let told = match (told.next(), told.next()) {
            (Some(told), None) if is_trusted => Some(told),
            _ => None,
        };
        let is_word = |told: &&HeaderValue| {
            let bytes = told.as_bytes();
            (1..=MAX_ID).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
        };
        match told.filter(is_word) {
            Some(told) => Self(Id::Told(Box::from(told.as_bytes()))),
            None => Self::own(),
        }
    }

    /// A new one: the next number of a row that begins somewhere else in each process.
    pub fn own() -> Self {
        static NEXT: OnceLock<AtomicU64> = OnceLock::new();
        let next = NEXT.get_or_init(|| AtomicU64::new(getrandom::u64().unwrap_or_default()));
        Self(Id::Own(next.fetch_add(1, Relaxed)))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Id::Told(told) => f.write_str(&String::from_utf8_lossy(told)),
            Id::Own(number) => write!(f, "{number:016x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(told: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for told in told {
            headers.append(REQUEST_ID, HeaderValue::from_str(told).unwrap());
        }
        headers
    }

    #[test]
    fn the_word_of_a_trusted_proxy_counts() {
        let long = "a".repeat(MAX_ID + 1);
        for (told, is_trusted, is_taken) in [
            (&["f47ac10b-58cc-4372-a567-0e02b2c3d479"][..], true, true),
            (&["1:a/b+c=="], true, true),
            (&[&long[1..]], true, true),
            (&["f47ac10b"], false, false),
            (&[&long], true, false),
            (&["two words"], true, false),
            (&[""], true, false),
            (&["one", "two"], true, false),
            (&[], true, false),
        ] {
            let id = RequestId::of(&headers(told), is_trusted).to_string();
            let first = told.first().copied().unwrap_or_default();
            assert_eq!(id == first, is_taken, "{told:?}: {id}");
            let is_own = id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert_eq!(is_own, !is_taken, "{id}");
        }
    }

    #[test]
    fn each_request_has_its_own() {
        let (one, other) = (RequestId::own(), RequestId::own());
        assert_ne!(one, other);
        assert_eq!(one.to_string(), one.clone().to_string());
    }
}
