//! The server that a URL leads to.

use std::fmt;

use http::Uri;
use rustls::pki_types::ServerName;
use thiserror::Error;
use url::{Host, Url};

/// Host and port of a server: what an error message may show of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    host: String,
    port: u16,
}

impl Authority {
    /// Reads the server of a URL: `http` or `https`, a host that is an IP address or a
    /// DNS name, and no user name or password.
    ///
    /// # Errors
    /// The rule that the URL breaks.
    pub fn of(uri: &Uri) -> Result<Self, BadUrl> {
        let default_port = match uri.scheme_str() {
            Some("https") => 443,
            Some("http") => 80,
            _ => return Err(BadUrl::Scheme),
        };
        let authority = uri.authority().ok_or(BadUrl::Host)?;
        if authority.as_str().contains('@') {
            return Err(BadUrl::Credentials);
        }
        let host = authority.host();
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        if !is_host(bare) {
            return Err(BadUrl::Host);
        }
        let port = match authority.port_u16() {
            Some(port) => port,
            // A port that is no number must not silently become the default.
            None if authority.as_str() != host => return Err(BadUrl::Port),
            None => default_port,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }

    /// The host as in the URL: an IPv6 address has its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, that of the scheme if the URL has none.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Returns whether `text` is an IP address (IPv6 without brackets) or a DNS name.
pub fn is_host(text: &str) -> bool {
    ServerName::try_from(text).is_ok()
}

/// Returns whether nobody on the way to this URL can read what is sent: `https`, or a
/// host that is this machine.
pub fn is_private(url: &Url) -> bool {
    url.scheme() == "https"
        || match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
}

/// The reason why no request can be made to a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadUrl {
    /// It is not a URL at all.
    #[error("not a URL")]
    Syntax,
    /// The scheme is neither `http` nor `https`.
    #[error("the URL must start with https:// or http://")]
    Scheme,
    /// There is no host, or one that is neither an IP address nor a DNS name.
    #[error("the URL has no valid host")]
    Host,
    /// The port is not a number from 0 to 65535.
    #[error("the port in the URL is not a number up to 65535")]
    Port,
    /// There is a user name or password in front of the host.
    #[error("the URL must not contain a user name or password")]
    Credentials,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<String, BadUrl> {
        let uri = url.parse().map_err(|_| BadUrl::Syntax)?;
        Authority::of(&uri).map(|authority| authority.to_string())
    }

    #[test]
    fn a_peer_is_host_and_port() {
        assert_eq!(
            of("https://matrix.org/x?token=y").unwrap(),
            "matrix.org:443"
        );
        assert_eq!(of("http://127.0.0.1/").unwrap(), "127.0.0.1:80");
        assert_eq!(of("https://[::1]:6443").unwrap(), "[::1]:6443");
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        assert_eq!(of("ftp://x/"), Err(BadUrl::Scheme));
        assert_eq!(of("/path"), Err(BadUrl::Scheme));
        assert_eq!(of("https://:443/"), Err(BadUrl::Host));
        assert_eq!(of("https://-x-.y/"), Err(BadUrl::Host));
        let long = format!("https://{}/", "a.".repeat(200));
        assert_eq!(of(&long), Err(BadUrl::Host));
        assert_eq!(of("https://x:99999/"), Err(BadUrl::Port));
        assert_eq!(of("https://x:/"), Err(BadUrl::Port));
        assert_eq!(of("https://me:secret@x/"), Err(BadUrl::Credentials));
        assert_eq!(of("https://x y/"), Err(BadUrl::Syntax));
    }
}
