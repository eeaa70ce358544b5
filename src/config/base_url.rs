//! Where a server is: the homeserver, Keycloak.

use std::fmt;
use std::net::Ipv6Addr;

use http::Uri;

use super::fault::{Flaw, quoted};

const CURE: &str = "write an absolute URL such as https://matrix.example.com, with a port or a \
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

    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        // First, since it decides whether the value may be shown.
        if text.contains('@') {
            return Err(Flaw::new("holds a user name or password", CURE));
        }
        let flaw = |what: &str| Flaw::new(format!("{what}: {}", quoted(text)), CURE);
        // The parser drops fragments without a word.
        if text.contains('#') {
            return Err(flaw("has a fragment"));
        }
        let uri: Uri = text.parse().map_err(|_| flaw("is not a URL"))?;
        let scheme = match uri.scheme_str() {
            Some(scheme @ ("http" | "https")) => scheme,
            _ => return Err(flaw("does not begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| flaw("has no host"))?;
        if uri.query().is_some() {
            return Err(flaw("has a query"));
        }
        let host = authority.host();
        if !is_host(host) {
            return Err(flaw("has no valid host"));
        }
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => String::new(),
            _ => match authority.port_u16() {
                Some(port @ 1..) => format!(":{port}"),
                _ => return Err(flaw("has no valid port")),
            },
        };
        let path = uri.path().trim_end_matches('/');
        let host = host.to_ascii_lowercase();
        Ok(Self(format!("{scheme}://{host}{port}{path}")))
    }
}

/// The URL syntax allows far more than a resolver or a certificate does.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
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
}
