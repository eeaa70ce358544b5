//! Addresses of servers, and those that are written by habit where the homeserver's is
//! meant: all of it can be told without asking anybody.

use std::fmt;

use http::Uri;
use ruma::{OwnedServerName, ServerName, UserId};
#[cfg(feature = "gateway")]
use url::Url;

use super::fault::{Flaw, quoted};
#[cfg(feature = "gateway")]
use crate::net::is_private;
use crate::net::{Authority, BadUrl};

/// The first segments of the paths that a homeserver answers itself.
const API: [&str; 4] = ["_matrix", "_synapse", "_dendrite", ".well-known"];

/// Web clients that many people use, and the site of links to rooms and users:
/// no homeserver is there.
const CLIENTS: [&str; 7] = [
    "app.element.io",
    "develop.element.io",
    "staging.element.io",
    "hydrogen.element.io",
    "app.cinny.in",
    "app.schildi.chat",
    "matrix.to",
];

const HOMESERVER_CURE: &str = "write the homeserver's own URL, such as \
    https://matrix.example.com, or the name that its users' ids end in, such as example.com";

const URL_CURE: &str = "write an absolute URL such as https://matrix.example.com, with a port or a \
    path if need be and nothing else";

/// The base URL of a server: `http` or `https`, a host, perhaps a port and a
/// path, no slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// The URL; an endpoint's path (`/_matrix/…`) can be appended as it is.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if a secret may be sent there: the connection is encrypted, or it goes
    /// to a Service of the cluster (`*.svc`, `*.svc.cluster.local`) or to this machine.
    #[cfg(feature = "gateway")]
    pub fn is_near(&self) -> bool {
        Url::parse(&self.0).is_ok_and(|url| {
            let host = url.domain().unwrap_or_default();
            let labels = host.strip_suffix(".cluster.local").unwrap_or(host);
            is_private(&url) || labels.ends_with(".svc")
        })
    }

    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        // First, since it decides whether the value may be shown.
        if text.contains('@') {
            return Err(Flaw::new("holds a user name or password", URL_CURE));
        }
        let flaw = |what: &str| Flaw::new(format!("{what}: {}", quoted(text)), URL_CURE);
        // The parser drops fragments without a word.
        if text.contains('#') {
            return Err(flaw("has a fragment"));
        }
        let uri: Uri = text.parse().map_err(|_| flaw("is not a URL"))?;
        let authority = match Authority::of(&uri) {
            Err(BadUrl::Scheme) => return Err(flaw("does not begin with http:// or https://")),
            _ if uri.query().is_some() => return Err(flaw("has a query")),
            Ok(authority) if authority.port() > 0 => authority,
            Ok(_) | Err(BadUrl::Port) => return Err(flaw("has no valid port")),
            Err(BadUrl::Syntax | BadUrl::Host | BadUrl::Credentials) => {
                return Err(flaw("has no valid host"));
            }
        };
        let scheme = uri.scheme_str().unwrap_or_default();
        let host = authority.host().to_ascii_lowercase();
        let port = uri
            .port_u16()
            .map_or(String::new(), |port| format!(":{port}"));
        let path = uri.path().trim_end_matches('/');
        Ok(Self(format!("{scheme}://{host}{port}{path}")))
    }
}

/// The URL in a text, if it is one.
#[cfg(feature = "gateway")]
pub(crate) fn base_url(text: &str) -> Option<BaseUrl> {
    BaseUrl::parse(text).ok()
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The address of the homeserver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Homeserver {
    /// A URL.
    Url(BaseUrl),
    /// The server name, in lower case, whose `.well-known` has the URL
    /// (<https://spec.matrix.org/v1.11/client-server-api/#well-known-uri>).
    Name(OwnedServerName),
}

impl Homeserver {
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        not_by_habit(text)?;
        if text.contains("//") || text.contains('@') {
            return BaseUrl::parse(text).map(Self::Url);
        }
        ServerName::parse(text.to_ascii_lowercase())
            .map(Self::Name)
            .map_err(|_| {
                Flaw::new(
                    format!("is neither a URL nor a server name: {}", quoted(text)),
                    "write an absolute URL such as https://matrix.example.com, or the name that \
                     its users' ids end in, such as example.com",
                )
            })
    }
}

impl fmt::Display for Homeserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// Refuses what is often written instead of the homeserver's URL.
fn not_by_habit(text: &str) -> Result<(), Flaw> {
    if UserId::parse(text).is_ok() {
        return Err(Flaw::new(
            "is the id of a user",
            "write what follows its first colon, such as example.com, or the homeserver's URL",
        ));
    }
    // A fragment is for a program in a browser, and may hold a user's id.
    let (page, fragment) = text.split_once('#').unwrap_or((text, ""));
    let uri: Option<Uri> = page.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let is_client = CLIENTS
        .iter()
        .any(|client| host.eq_ignore_ascii_case(client));
    if (is_client || fragment.starts_with('/')) && !page.contains('@') {
        let what = format!(
            "is the address of a web client or of a link: {}",
            quoted(page)
        );
        return Err(Flaw::new(what, HOMESERVER_CURE));
    }
    match uri.and_then(|uri| segment(&uri, &API)) {
        Some(found) if !text.contains('@') => Err(Flaw::new(
            format!(
                "goes on to a part of the homeserver ({found}): {}",
                quoted(text)
            ),
            "leave out /_matrix, /_synapse or /.well-known, and all that follows",
        )),
        _ => Ok(()),
    }
}

/// The first segment of the path that is one of these.
pub(super) fn segment(uri: &Uri, known: &[&'static str]) -> Option<&'static str> {
    let of = |part: &str| known.iter().copied().find(|known| *known == part);
    uri.path().split('/').find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_normalised() {
        for (given, kept) in [
            (
                "http://synapse.matrix.svc.cluster.local:8008",
                "http://synapse.matrix.svc.cluster.local:8008",
            ),
            ("https://Matrix.Example.com/", "https://matrix.example.com"),
            ("HTTPS://example.com", "https://example.com"),
            ("https://example.com/hs//", "https://example.com/hs"),
            ("http://127.0.0.1:8008", "http://127.0.0.1:8008"),
            ("http://[::1]:8008/", "http://[::1]:8008"),
        ] {
            assert_eq!(BaseUrl::parse(given).unwrap().as_str(), kept);
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for (given, problem) in [
            ("matrix.example.com", "does not begin with http://"),
            ("/matrix", "does not begin with http://"),
            ("ftp://example.com", "does not begin with http://"),
            ("https://", "is not a URL"),
            ("https://:8008", "has no valid host"),
            ("https://exa mple.com", "is not a URL"),
            ("https://münchen.example", "is not a URL"),
            ("https://exa$mple.com", "has no valid host"),
            ("https://[::g]", "has no valid host"),
            ("https://example.com:", "has no valid port"),
            ("https://example.com:0", "has no valid port"),
            ("https://example.com:65536", "has no valid port"),
            ("https://example.com/?a=b", "has a query"),
            ("https://example.com/#x", "has a fragment"),
        ] {
            let fault = BaseUrl::parse(given).unwrap_err().of("V").to_string();
            assert!(fault.starts_with(&format!("V {problem}")), "{fault}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_shown() {
        let flaw = BaseUrl::parse("https://bot:hunter2@example.com").unwrap_err();
        assert!(!format!("{flaw:?}").contains("hunter2"));
    }

    #[test]
    fn a_url_is_taken_as_it_is_and_a_name_is_to_be_looked_up() {
        for (given, kept) in [
            ("Example.com", "example.com"),
            ("example.com:8448", "example.com:8448"),
            ("10.0.0.1", "10.0.0.1"),
            ("[::1]:8448", "[::1]:8448"),
        ] {
            assert_eq!(
                Homeserver::parse(given),
                Ok(Homeserver::Name(ServerName::parse(kept).unwrap()))
            );
        }
        let url = Homeserver::parse("https://example.com/").unwrap();
        assert!(matches!(url, Homeserver::Url(_)));
        assert_eq!(url.to_string(), "https://example.com");
    }

    #[test]
    fn what_is_neither_is_refused() {
        for given in ["/matrix", "example.com/matrix", "exa mple.com", "a:b:c"] {
            let fault = Homeserver::parse(given).unwrap_err().of("V").to_string();
            let start = format!("V is neither a URL nor a server name: \"{given}\": ");
            assert!(fault.starts_with(&start), "{fault}");
        }
        assert!(Homeserver::parse("ftp://example.com").is_err());
        let flaw = Homeserver::parse("bot:hunter2@example.com").unwrap_err();
        assert!(!format!("{flaw:?}").contains("hunter2"));
    }

    fn told(read: Result<(), Flaw>) -> String {
        read.map_or_else(|flaw| flaw.of("V").to_string(), |()| String::new())
    }

    #[test]
    fn a_homeserver_is_none_of_these() {
        for (given, start) in [
            (
                "https://hs.example/_matrix",
                "goes on to a part of the homeserver (_matrix): \"https",
            ),
            (
                "https://hs.example/_matrix/",
                "goes on to a part of the homeserver (_matrix)",
            ),
            ("https://hs.example/_matrix/client/v3", "goes on to a part"),
            (
                "http://hs.example:8008/m/_matrix/client",
                "goes on to a part",
            ),
            (
                "https://hs.example/_synapse/admin",
                "goes on to a part of the homeserver (_synapse)",
            ),
            (
                "https://e.example/.well-known/matrix/client",
                "goes on to a part",
            ),
            (
                "https://app.element.io",
                "is the address of a web client or of a link: \"https",
            ),
            (
                "https://APP.element.io/#/room/!a:b",
                "is the address of a web client",
            ),
            (
                "https://matrix.to/#/@alice:example.com",
                "is the address of a web client",
            ),
            (
                "https://chat.example/#/home",
                "is the address of a web client",
            ),
            (
                "@bot:example.com",
                "is the id of a user: write what follows",
            ),
        ] {
            let told = told(not_by_habit(given));
            assert!(told.starts_with(&format!("V {start}")), "{given}: {told}");
        }
        for given in [
            "https://hs.example",
            "https://hs.example/matrix",
            "https://element.example",
            "http://[::1]:8008",
            "example.com",
            "https://_matrix.example",
            "https://bot:hunter2@hs.example/_matrix",
            "https://bot:hunter2@hs.example/#/x",
            "bot:hunter2@example.com",
        ] {
            assert_eq!(told(not_by_habit(given)), "", "{given}");
        }
    }
}
