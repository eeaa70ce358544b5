//! The requests that are taken: what hyper lets through and one server or the next would
//! read in its own way is refused here.
//!
//! Specifications: <https://www.rfc-editor.org/rfc/rfc9112>,
//! <https://www.rfc-editor.org/rfc/rfc9110#section-7>.

use std::borrow::Cow;

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, ORIGIN,
    SEC_WEBSOCKET_KEY, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Version};

use crate::telemetry::Rejection;

/// The beginning of the paths that are the gateway's own on every host.
pub(super) const OWN_PATHS: &str = "/.gateway/";

/// Reason why a request is refused whoever sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It says in a way of its own, or twice, where its body ends.
    Framing,
    /// It has no `Host`, more than one, or one that is none.
    Host,
    /// Its target is not a path, or it is one of another server.
    Target,
    /// Its method is for proxies of another kind.
    Method,
    /// It wants to switch the protocol and has a body.
    Upgrade,
    /// Its `Connection` names a field that is not for the next server alone.
    Connection,
    /// It has more than one `Authorization`.
    Authorization,
    /// It expects something unknown.
    Expectation,
}

impl Fault {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The reason in metrics and answers.
    pub(super) const fn rejection(self) -> Rejection {
        match self {
            Self::Framing => Rejection::Framing,
            Self::Host => Rejection::Host,
            Self::Target => Rejection::Target,
            Self::Method => Rejection::Method,
            Self::Upgrade => Rejection::Upgrade,
            Self::Connection => Rejection::Connection,
            Self::Authorization => Rejection::Authorization,
            Self::Expectation => Rejection::Expectation,
        }
    }
}

/// The kind of a request's `Authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Nothing.
    Nothing,
    /// A bearer token.
    Bearer,
    /// Something that is for the app.
    Other,
}

/// The facts about a request that is taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checked<'a> {
    /// The name in `Host`: lower case, without a port.
    pub(super) host: Cow<'a, str>,
    /// `Host` as it was received.
    pub(super) authority: &'a HeaderValue,
    /// True if it asks for a WebSocket.
    pub(super) is_websocket: bool,
    /// True if its body comes in chunks.
    pub(super) is_chunked: bool,
    /// True if it takes trailers.
    pub(super) takes_trailers: bool,
    /// Its credential.
    pub(super) shown: Shown,
    /// The further fields that are for this gateway alone.
    pub(super) named: Vec<HeaderName>,
}

/// Looks at a request. `has_body` is whether there is one; `has_conflict` whether its head
/// said twice how long it is.
///
/// # Errors
/// It is not taken.
pub(super) fn check(
    parts: &Parts,
    has_body: bool,
    has_conflict: bool,
) -> Result<Checked<'_>, Fault> {
    let headers = &parts.headers;
    let is_chunked = framing(headers, has_conflict)?;
    if parts.method == Method::CONNECT || parts.method == Method::TRACE {
        return Err(Fault::Method);
    }
    let authority = only(headers, &HOST).ok_or(Fault::Host)?;
    let host = host(authority)?;
    target(parts, authority)?;
    expectation(parts)?;
    let connection = connection(headers)?;
    let is_upgrade = headers.contains_key(UPGRADE);
    if is_upgrade && (has_body || is_chunked) {
        return Err(Fault::Upgrade);
    }
    let is_websocket = is_upgrade
        && connection.is_upgrade
        && parts.version == Version::HTTP_11
        && parts.method == Method::GET
        && only(headers, &UPGRADE).is_some_and(|token| is(token, b"websocket"))
        && only(headers, &SEC_WEBSOCKET_KEY).is_some();
    Ok(Checked {
        host,
        authority,
        is_websocket,
        is_chunked,
        takes_trailers: connection_trailers(headers),
        shown: shown(headers)?,
        named: connection.named,
    })
}

fn framing(headers: &HeaderMap, has_conflict: bool) -> Result<bool, Fault> {
    if has_conflict {
        return Err(Fault::Framing);
    }
    if !headers.contains_key(TRANSFER_ENCODING) {
        return Ok(false);
    }
    let is_plain = only(headers, &TRANSFER_ENCODING).is_some_and(|value| is(value, b"chunked"));
    if is_plain && !headers.contains_key(CONTENT_LENGTH) {
        Ok(true)
    } else {
        Err(Fault::Framing)
    }
}

/// The value of a field that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

fn is(value: &HeaderValue, word: &[u8]) -> bool {
    value.as_bytes().eq_ignore_ascii_case(word)
}

/// The name in a `Host`.
fn host(value: &HeaderValue) -> Result<Cow<'_, str>, Fault> {
    let text = value.to_str().map_err(|_| Fault::Host)?;
    let (name, port) = match text.rsplit_once(':') {
        // The colon of an address of IPv6 stands within its brackets.
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (text, None),
    };
    let is_port = |port: &str| port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_name) || !port.is_none_or(is_port) {
        return Err(Fault::Host);
    }
    Ok(if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    })
}

fn target(parts: &Parts, authority: &HeaderValue) -> Result<(), Fault> {
    let uri = &parts.uri;
    let named = uri.authority().map(|named| named.as_str().as_bytes());
    let is_ours = match (uri.scheme_str(), named) {
        (None, None) => true,
        (Some("http" | "https"), Some(named)) => is(authority, named),
        _ => false,
    };
    if is_ours && uri.path().starts_with('/') {
        Ok(())
    } else {
        Err(Fault::Target)
    }
}

fn expectation(parts: &Parts) -> Result<(), Fault> {
    let mut expected = parts.headers.get_all(EXPECT).iter();
    if parts.version == Version::HTTP_11 && !expected.all(|value| is(value, b"100-continue")) {
        return Err(Fault::Expectation);
    }
    Ok(())
}

/// The content of the `Connection` lines.
#[derive(Default)]
struct Connection {
    is_upgrade: bool,
    named: Vec<HeaderName>,
}

fn connection(headers: &HeaderMap) -> Result<Connection, Fault> {
    let mut found = Connection::default();
    for value in headers.get_all(CONNECTION) {
        for token in value.as_bytes().split(|byte| *byte == b',') {
            let token = token.trim_ascii();
            if token.eq_ignore_ascii_case(b"keep-alive")
                || token.eq_ignore_ascii_case(b"close")
                || token.is_empty()
            {
                continue;
            }
            if token.eq_ignore_ascii_case(b"upgrade") {
                found.is_upgrade = true;
                continue;
            }
            let name = HeaderName::from_bytes(token).map_err(|_| Fault::Connection)?;
            if is_end_to_end(&name) {
                return Err(Fault::Connection);
            }
            found.named.push(name);
        }
    }
    Ok(found)
}

/// Returns true for a field that no client may have removed: the gateway or the app
/// decides by it.
fn is_end_to_end(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(
        name,
        "authorization"
            | "cookie"
            | "host"
            | "forwarded"
            | "content-length"
            | "content-type"
            | "origin"
            | "expect"
            | "x-real-ip"
    ) || name.starts_with("x-forwarded-")
        || name.starts_with("x-auth-")
        || name.starts_with("x-original-")
        || name.starts_with("sec-")
}

fn connection_trailers(headers: &HeaderMap) -> bool {
    headers.get_all(TE).iter().any(|value| {
        let mut codings = value.as_bytes().split(|byte| *byte == b',');
        codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    })
}

fn shown(headers: &HeaderMap) -> Result<Shown, Fault> {
    if !headers.contains_key(AUTHORIZATION) {
        return Ok(Shown::Nothing);
    }
    let value = only(headers, &AUTHORIZATION).ok_or(Fault::Authorization)?;
    let scheme = value.as_bytes().split(|byte| *byte == b' ').next();
    Ok(match scheme {
        Some(scheme) if scheme.eq_ignore_ascii_case(b"bearer") => Shown::Bearer,
        _ => Shown::Other,
    })
}

/// Returns true for the question of a browser whether a script of another origin may ask.
pub(super) fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS
        && parts.headers.contains_key(ORIGIN)
        && parts
            .headers
            .contains_key(http::header::ACCESS_CONTROL_REQUEST_METHOD)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request from its lines.
    fn parts(text: &str) -> Parts {
        let mut lines = text.lines();
        let mut words = lines.next().unwrap().split(' ');
        let mut request = http::Request::builder()
            .method(words.next().unwrap())
            .uri(words.next().unwrap())
            .version(match words.next() {
                Some("HTTP/1.0") => Version::HTTP_10,
                _ => Version::HTTP_11,
            });
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn fault(text: &str, has_body: bool) -> Option<Fault> {
        check(&parts(text), has_body, false).err()
    }

    #[test]
    fn what_others_would_read_differently_is_refused() {
        for (text, expected) in [
            ("GET / HTTP/1.1", Fault::Host),
            ("GET / HTTP/1.1\nHost: a\nHost: a", Fault::Host),
            ("GET / HTTP/1.1\nHost: ", Fault::Host),
            ("GET / HTTP/1.1\nHost: a b", Fault::Host),
            ("GET / HTTP/1.1\nHost: u@a", Fault::Host),
            ("GET / HTTP/1.1\nHost: a/b", Fault::Host),
            ("GET / HTTP/1.1\nHost: a,b", Fault::Host),
            ("GET / HTTP/1.1\nHost: a:8x", Fault::Host),
            ("GET / HTTP/1.1\nHost: a:123456", Fault::Host),
            ("GET / HTTP/1.1\nHost: a?", Fault::Host),
            (
                "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: gzip, chunked",
                Fault::Framing,
            ),
            (
                "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked",
                Fault::Framing,
            ),
            (
                "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: identity\nTransfer-Encoding: chunked",
                Fault::Framing,
            ),
            (
                "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked, chunked",
                Fault::Framing,
            ),
            (
                "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nContent-Length: 5",
                Fault::Framing,
            ),
            ("GET http://b/ HTTP/1.1\nHost: a", Fault::Target),
            ("GET http://u@a/ HTTP/1.1\nHost: a", Fault::Target),
            ("GET http://a:81/ HTTP/1.1\nHost: a", Fault::Target),
            ("GET ftp://a/ HTTP/1.1\nHost: a", Fault::Target),
            ("GET a:80 HTTP/1.1\nHost: a:80", Fault::Target),
            ("OPTIONS * HTTP/1.1\nHost: a", Fault::Target),
            ("CONNECT a:80 HTTP/1.1\nHost: a:80", Fault::Method),
            ("TRACE / HTTP/1.1\nHost: a", Fault::Method),
            (
                "GET / HTTP/1.1\nHost: a\nConnection: close, Authorization",
                Fault::Connection,
            ),
            (
                "GET / HTTP/1.1\nHost: a\nConnection: cookie",
                Fault::Connection,
            ),
            (
                "GET / HTTP/1.1\nHost: a\nConnection: X\nConnection: Host",
                Fault::Connection,
            ),
            (
                "GET / HTTP/1.1\nHost: a\nConnection: X-Forwarded-For",
                Fault::Connection,
            ),
            (
                "GET / HTTP/1.1\nHost: a\nConnection: X-Auth-User",
                Fault::Connection,
            ),
            (
                "GET / HTTP/1.1\nHost: a\nConnection: a b",
                Fault::Connection,
            ),
            (
                "POST / HTTP/1.1\nHost: a\nExpect: miracles",
                Fault::Expectation,
            ),
            (
                "GET / HTTP/1.1\nHost: a\nAuthorization: Bearer x\nAuthorization: Basic y",
                Fault::Authorization,
            ),
            (
                "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nUpgrade: h2c\nConnection: upgrade",
                Fault::Upgrade,
            ),
        ] {
            assert_eq!(fault(text, false), Some(expected), "{text}");
        }
        let upgrade =
            "POST / HTTP/1.1\nHost: a\nUpgrade: websocket\nConnection: upgrade\nContent-Length: 1";
        assert_eq!(fault(upgrade, true), Some(Fault::Upgrade));
        let plain = parts("GET / HTTP/1.1\nHost: a");
        assert_eq!(check(&plain, false, true), Err(Fault::Framing));
        for fault in [Fault::Framing, Fault::Host, Fault::Target] {
            assert_eq!(fault.status(), StatusCode::BAD_REQUEST);
        }
        assert_eq!(Fault::Expectation.status(), StatusCode::EXPECTATION_FAILED);
    }

    #[test]
    fn the_host_is_a_name_in_lower_case() {
        for (text, host) in [
            ("a.example.org", "a.example.org"),
            ("A.Example.ORG:8080", "a.example.org"),
            ("a:", "a"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            let parts = parts(&format!("GET / HTTP/1.1\nHost: {text}"));
            assert_eq!(check(&parts, false, false).unwrap().host, host);
        }
    }

    #[test]
    fn proper_requests_are_taken_as_they_are() {
        let absolute = parts("GET http://A.b:8080/x?y HTTP/1.1\nHost: a.B:8080");
        assert_eq!(check(&absolute, false, false).unwrap().host, "a.b");
        let chunked = parts(
            "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: Chunked\nExpect: 100-Continue\n\
             TE: gzip, trailers\nConnection: X-Mine, keep-alive, TE",
        );
        let checked = check(&chunked, true, false).unwrap();
        assert!(checked.is_chunked && checked.takes_trailers && !checked.is_websocket);
        assert_eq!(checked.named, ["x-mine", "te"]);
        assert_eq!(
            fault("GET / HTTP/1.0\nHost: a\nExpect: miracles", false),
            None
        );
    }

    #[test]
    fn only_a_whole_wish_for_a_websocket_is_one() {
        let whole = "GET / HTTP/1.1\nHost: a\nUpgrade: WebSocket\nConnection: keep-alive, Upgrade\nSec-WebSocket-Key: k";
        for (text, expected) in [
            (whole.to_owned(), true),
            (whole.replace("WebSocket\n", "h2c\n"), false),
            (whole.replace("WebSocket\n", "h2c, websocket\n"), false),
            (whole.replace(", Upgrade", ""), false),
            (whole.replace("Sec-WebSocket-Key: k", "X: y"), false),
            (whole.replace("HTTP/1.1", "HTTP/1.0"), false),
            (whole.replace("GET", "POST"), false),
        ] {
            let parts = parts(&text);
            let checked = check(&parts, false, false).unwrap();
            assert_eq!(checked.is_websocket, expected, "{text}");
        }
    }

    #[test]
    fn a_credential_is_a_bearer_token_or_the_apps() {
        for (line, expected) in [
            ("", Shown::Nothing),
            ("\nAuthorization: bearer x", Shown::Bearer),
            ("\nAuthorization: Bearer", Shown::Bearer),
            ("\nAuthorization: Basic eDp5", Shown::Other),
            ("\nAuthorization: Bearerish x", Shown::Other),
        ] {
            let parts = parts(&format!("GET / HTTP/1.1\nHost: a{line}"));
            assert_eq!(
                check(&parts, false, false).unwrap().shown,
                expected,
                "{line}"
            );
        }
    }
}
