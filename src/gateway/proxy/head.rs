//! The heads of requests to apps, made anew from those that came in, and the heads of
//! answers without what was for the gateway alone.
//!
//! Specifications: <https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1>,
//! <https://www.rfc-editor.org/rfc/rfc9110#section-5.7>.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, Request, StatusCode, Uri};

use super::request::Checked;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const AUTH_USER: HeaderName = HeaderName::from_static("x-auth-user");
const AUTH_ROLES: HeaderName = HeaderName::from_static("x-auth-roles");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The longest `X-Forwarded-For` that is continued, in bytes.
const MAX_FORWARDED_FOR: usize = 1_024;

/// The fields that are added to those of a client, at most.
const ADDED: usize = 10;

/// The caller as an app is told of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// The caller.
    pub(super) user: HeaderValue,
    /// Their roles, separated by commas.
    pub(super) roles: HeaderValue,
}

/// The parts of a request's head that are for the app.
pub(super) struct Onward<'a> {
    /// The address that the connection came from.
    pub(super) peer: &'a HeaderValue,
    /// True if it has TLS of the gateway's.
    pub(super) is_encrypted: bool,
    /// True if its word about whom it speaks for is believed.
    pub(super) is_trusted: bool,
    /// The Host that the app is shown; None for the client's.
    pub(super) host: Option<&'a str>,
    /// True if the `Authorization` was for the gateway.
    pub(super) is_ours: bool,
    /// The caller that the app is told about.
    pub(super) identity: Option<&'a Identity>,
}

/// The head of the request to the app.
pub(super) fn request(parts: &Parts, checked: &Checked<'_>, onward: &Onward<'_>) -> Request<()> {
    let received = &parts.headers;
    let mut headers = HeaderMap::with_capacity(received.len() + ADDED);
    for (name, value) in received {
        let is_dropped = is_for_us(name.as_str())
            || (onward.is_ours && *name == AUTHORIZATION)
            || checked.named.contains(name);
        if !is_dropped {
            headers.append(name.clone(), value.clone());
        }
    }
    let host = onward
        .host
        .and_then(|host| HeaderValue::from_str(host).ok());
    headers.insert(HOST, host.unwrap_or_else(|| checked.authority.clone()));
    if checked.is_chunked {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if checked.is_websocket {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    } else if checked.takes_trailers {
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    forwarded(&mut headers, received, checked, onward);
    if let Some(identity) = onward.identity {
        headers.insert(AUTH_USER, identity.user.clone());
        headers.insert(AUTH_ROLES, identity.roles.clone());
    }
    let mut request = Request::new(());
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = match (parts.uri.authority(), parts.uri.path_and_query()) {
        (Some(_), Some(path)) => Uri::from(path.clone()),
        _ => parts.uri.clone(),
    };
    *request.headers_mut() = headers;
    request
}

/// Returns true for a field of a request that is not passed on as it was received.
fn is_for_us(name: &str) -> bool {
    let bytes = name.as_bytes();
    let is_ours = match bytes.first() {
        Some(b'c') => name == "connection",
        Some(b'e') => name == "expect",
        Some(b'f') => name == "forwarded",
        Some(b'h') => matches!(name, "host" | "http2-settings"),
        Some(b'k') => name == "keep-alive",
        Some(b'p') => name.starts_with("proxy-"),
        Some(b't') => matches!(name, "te" | "trailer" | "transfer-encoding"),
        Some(b'u') => name == "upgrade",
        Some(b'x') => {
            matches!(name, "x-real-ip" | "x-auth-user" | "x-auth-roles")
                || name.starts_with("x-forwarded-")
                || name.starts_with("x-original-")
        }
        _ => false,
    };
    // Some servers take `_` for `-`, and so a field that is not ours for one that is.
    is_ours || bytes.contains(&b'_')
}

/// Sets what the app is told about the client's connection.
fn forwarded(
    headers: &mut HeaderMap,
    received: &HeaderMap,
    checked: &Checked<'_>,
    onward: &Onward<'_>,
) {
    let mut addresses = onward.peer.clone();
    let mut proto = HeaderValue::from_static(match onward.is_encrypted {
        true => "https",
        false => "http",
    });
    let mut host = checked.authority.clone();
    if onward.is_trusted {
        if let Some(continued) = continued(received, onward.peer) {
            addresses = continued;
        }
        proto = match received.get(FORWARDED_PROTO).map(HeaderValue::as_bytes) {
            Some(b"https" | b"wss") => HeaderValue::from_static("https"),
            Some(b"http" | b"ws") => HeaderValue::from_static("http"),
            _ => proto,
        };
        if let Some(told) = received.get(FORWARDED_HOST) {
            host = told.clone();
        }
    }
    headers.insert(FORWARDED_FOR, addresses);
    headers.insert(FORWARDED_PROTO, proto);
    headers.insert(FORWARDED_HOST, host);
}

/// The addresses that a trusted proxy names, and its own.
fn continued(received: &HeaderMap, peer: &HeaderValue) -> Option<HeaderValue> {
    let mut all = Vec::new();
    for told in received.get_all(FORWARDED_FOR) {
        all.extend_from_slice(told.as_bytes());
        all.extend_from_slice(b", ");
    }
    if all.is_empty() || all.len() > MAX_FORWARDED_FOR {
        return None;
    }
    all.extend_from_slice(peer.as_bytes());
    HeaderValue::from_bytes(&all).ok()
}

/// Removes from the head of an app's answer what was for the gateway alone. `has_length`
/// is whether its body ends where its `Content-Length` says.
pub(super) fn answer(
    headers: &mut HeaderMap,
    status: StatusCode,
    has_length: bool,
    trailers: bool,
) {
    let is_usual = |line: &HeaderValue| {
        line.as_bytes().eq_ignore_ascii_case(b"keep-alive")
            || line.as_bytes().eq_ignore_ascii_case(b"close")
    };
    if !headers.get_all(CONNECTION).iter().all(is_usual) {
        remove_named(headers);
    }
    headers.remove(CONNECTION);
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
    headers.remove("proxy-authenticate");
    headers.remove(TE);
    headers.remove(UPGRADE);
    let is_coded = headers.remove(TRANSFER_ENCODING).is_some();
    if is_coded || !has_length || status == StatusCode::NO_CONTENT {
        headers.remove(CONTENT_LENGTH);
    }
    if !trailers {
        headers.remove(TRAILER);
    }
    if is_event_stream(headers) {
        // nginx would keep events back until its buffer is full.
        headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    }
}

#[cold]
fn remove_named(headers: &mut HeaderMap) {
    let lines: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
    for line in &lines {
        for token in line.as_bytes().split(|byte| *byte == b',') {
            if let Ok(name) = HeaderName::from_bytes(token.trim_ascii())
                && name != CONTENT_LENGTH
                && name != TRANSFER_ENCODING
            {
                headers.remove(name);
            }
        }
    }
}

/// Returns true if the body is a stream of events.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    headers.get(CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes()
            .split_at_checked(EVENTS.len())
            .is_some_and(|(start, _)| start.eq_ignore_ascii_case(EVENTS))
    })
}

#[cfg(test)]
mod tests {
    use super::super::request::check;
    use super::*;

    static PEER: HeaderValue = HeaderValue::from_static("10.0.0.7");

    fn onward() -> Onward<'static> {
        Onward {
            peer: &PEER,
            is_encrypted: false,
            is_trusted: false,
            host: None,
            is_ours: false,
            identity: None,
        }
    }

    fn parts(uri: &str, lines: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder()
            .uri(uri)
            .header("host", "App.example.org:8080");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    /// The fields of the head that comes of these, in order.
    fn heads(lines: &[(&str, &str)], onward: &Onward<'_>) -> Vec<String> {
        let parts = parts("/", lines);
        let checked = check(&parts, false, false).unwrap();
        let made = request(&parts, &checked, onward);
        let fields = made.headers().iter();
        let mut fields: Vec<_> = fields
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        fields.sort();
        fields
    }

    const USUAL: [&str; 4] = [
        "host: App.example.org:8080",
        "x-forwarded-for: 10.0.0.7",
        "x-forwarded-host: App.example.org:8080",
        "x-forwarded-proto: http",
    ];

    #[test]
    fn what_a_client_says_about_itself_is_dropped() {
        let lines = [
            ("Forwarded", "for=1.2.3.4"),
            ("X-FORWARDED-For", "1.2.3.4"),
            ("X-Forwarded-For", "1.2.3.5"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "evil"),
            ("X-Forwarded-Prefix", "/evil"),
            ("X-Forwarded-Anything", "x"),
            ("X-Real-IP", "1.2.3.4"),
            ("X-Original-URL", "/admin"),
            ("X-Original-Whatever", "x"),
            ("X-Auth-User", "root"),
            ("X-Auth-Roles", "all"),
            ("X_Auth_User", "root"),
            ("x-auth_user", "root"),
            ("Connection", "close, X-Mine"),
            ("X-Mine", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Authorization", "Basic eDp5"),
            ("Proxy-Connection", "keep-alive"),
            ("TE", "gzip"),
            ("Trailer", "x"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"),
            ("Expect", "100-continue"),
        ];
        assert_eq!(heads(&lines, &onward()), USUAL);
    }

    #[test]
    fn the_rest_is_passed_on_with_repeats() {
        let lines = [
            ("Cookie", "a=b"),
            ("X-Twice", "1"),
            ("X-Twice", "2"),
            ("Authorization", "Basic eDp5"),
            ("Content-Length", "0"),
        ];
        let made = heads(&lines, &onward());
        for line in [
            "cookie: a=b",
            "x-twice: 1",
            "x-twice: 2",
            "authorization: Basic eDp5",
            "content-length: 0",
        ] {
            assert!(made.contains(&line.to_owned()), "{line} in {made:?}");
        }
    }

    #[test]
    fn the_gateways_credential_goes_no_further_and_the_identity_is_ours() {
        let identity = Identity {
            user: HeaderValue::from_static("ns/name"),
            roles: HeaderValue::from_static("node"),
        };
        let onward = Onward {
            is_ours: true,
            identity: Some(&identity),
            host: Some("inner"),
            ..onward()
        };
        let lines = [("Authorization", "Bearer secret"), ("X-Auth-User", "root")];
        assert_eq!(
            heads(&lines, &onward),
            [
                "host: inner",
                "x-auth-roles: node",
                "x-auth-user: ns/name",
                "x-forwarded-for: 10.0.0.7",
                "x-forwarded-host: App.example.org:8080",
                "x-forwarded-proto: http",
            ]
        );
    }

    #[test]
    fn a_trusted_proxys_word_is_continued() {
        let onward = Onward {
            is_encrypted: false,
            is_trusted: true,
            ..onward()
        };
        let lines = [
            ("X-Forwarded-For", "1.2.3.4"),
            ("X-Forwarded-For", "5.6.7.8"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "app.example.org"),
            ("Forwarded", "for=9.9.9.9"),
            ("X-Forwarded-Port", "1"),
        ];
        assert_eq!(
            heads(&lines, &onward),
            [
                "host: App.example.org:8080",
                "x-forwarded-for: 1.2.3.4, 5.6.7.8, 10.0.0.7",
                "x-forwarded-host: app.example.org",
                "x-forwarded-proto: https",
            ]
        );
        let long = "1.2.3.4, ".repeat(200);
        let lines = [
            ("X-Forwarded-For", long.as_str()),
            ("X-Forwarded-Proto", "gopher"),
        ];
        assert_eq!(heads(&lines, &onward), USUAL);
    }

    #[test]
    fn paths_go_on_as_they_came() {
        for (uri, expected) in [
            (
                "/a//b/../c%2e%2F?x=%00&y=/../",
                "/a//b/../c%2e%2F?x=%00&y=/../",
            ),
            ("http://app.example.org:8080/x?y", "/x?y"),
            ("http://app.example.org:8080", "/"),
            ("//double", "//double"),
        ] {
            let parts = parts(uri, &[]);
            let checked = check(&parts, false, false).unwrap();
            let made = request(&parts, &checked, &onward());
            assert_eq!(made.uri().to_string(), expected);
        }
    }

    #[test]
    fn a_websocket_and_trailers_are_asked_for_anew() {
        let lines = [
            ("Connection", "keep-alive, Upgrade"),
            ("Upgrade", "WebSocket"),
            ("Sec-WebSocket-Key", "k"),
        ];
        let made = heads(&lines, &onward());
        for line in [
            "connection: upgrade",
            "upgrade: websocket",
            "sec-websocket-key: k",
        ] {
            assert!(made.contains(&line.to_owned()), "{line} in {made:?}");
        }
        let made = heads(&[("TE", "trailers")], &onward());
        assert!(made.contains(&"te: trailers".to_owned()));
        assert!(made.contains(&"connection: te".to_owned()));
    }

    #[test]
    fn answers_lose_what_was_for_the_gateway() {
        let fields = |lines: &[(&str, &str)], status: u16, has_length| {
            let mut response = http::Response::builder();
            for (name, value) in lines {
                response = response.header(*name, *value);
            }
            let mut headers = response.body(()).unwrap().into_parts().0.headers;
            let status = StatusCode::from_u16(status).unwrap();
            answer(&mut headers, status, has_length, false);
            let mut left: Vec<_> = headers.keys().map(|name| name.to_string()).collect();
            left.sort();
            left.join(" ")
        };
        let hop = [
            ("Connection", "X-Mine, keep-alive"),
            ("X-Mine", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Upgrade", "h2c"),
            ("Trailer", "x"),
            ("Set-Cookie", "a=b"),
            ("X-Forwarded-For", "x"),
            ("Content-Length", "5"),
        ];
        assert_eq!(
            fields(&hop, 200, true),
            "content-length set-cookie x-forwarded-for"
        );
        assert_eq!(fields(&hop, 204, true), "set-cookie x-forwarded-for");
        assert_eq!(fields(&hop, 200, false), "set-cookie x-forwarded-for");
        let both = [("Content-Length", "5"), ("Transfer-Encoding", "chunked")];
        assert_eq!(fields(&both, 200, true), "");
        let events = [("Content-Type", "Text/Event-Stream; charset=utf-8")];
        assert_eq!(
            fields(&events, 200, false),
            "content-type x-accel-buffering"
        );
    }
}
