//! The proxy on the way to `https` servers, and the servers that it is not on the way to.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use percent_encoding::percent_decode_str;
use thiserror::Error;
use zeroize::Zeroizing;

use super::authority::{Authority, BadUrl};
use super::no_proxy::NoProxy;
use crate::util::Secret;

/// An HTTP proxy that tunnels (`CONNECT`) to `https` servers, spoken to in
/// clear. `Debug` and `Display` show no credentials.
pub struct Proxy {
    pub(super) uri: Uri,
    authority: Authority,
    /// User name and password as HTTP's `Basic` scheme writes them.
    pub(super) basic: Option<Secret>,
    no_proxy: NoProxy,
}

impl Proxy {
    /// Reads `http://[user[:password]@]host[:port]`, where `http://` may be
    /// left out and the port is 80 by default. User name and password are
    /// percent-decoded.
    ///
    /// `no_proxy` lists who is connected to directly: domains, addresses and
    /// networks, separated by commas, each but a network with a port if need be,
    /// or `*` for everybody.
    ///
    /// # Errors
    /// `url` is not of that form.
    pub fn parse(url: &str, no_proxy: &str) -> Result<Self, ProxyError> {
        let rest = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(ProxyError::Scheme),
            None => url,
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        // Also guards what is shown: behind a `/` in a password, the rest of
        // it would pass for the host.
        if authority.contains(['/', '?', '#']) {
            return Err(ProxyError::Path);
        }
        let (credentials, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let uri: Uri = format!("http://{host}/")
            .parse()
            .map_err(|_| BadUrl::Syntax)?;
        let authority = Authority::of(&uri)?;

        Ok(Self {
            uri,
            authority,
            basic: basic(credentials),
            no_proxy: NoProxy::parse(no_proxy),
        })
    }

    /// Returns whether a request for `uri` goes through the proxy: never for `http`.
    pub fn serves(&self, uri: &Uri) -> bool {
        uri.scheme_str() == Some("https") && !self.no_proxy.names(uri)
    }

    /// The entries of `no_proxy` that can match no server, as they were written.
    pub fn idle_exceptions(&self) -> &[String] {
        &self.no_proxy.idle
    }

    /// Host and port of the proxy.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }
}

/// `user:password` in base64 (<https://www.rfc-editor.org/rfc/rfc7617>).
fn basic(credentials: &str) -> Option<Secret> {
    if credentials.is_empty() {
        return None;
    }
    let mut plain = Zeroizing::new(Vec::with_capacity(credentials.len() + 1));
    plain.extend(percent_decode_str(credentials));
    if !credentials.contains(':') {
        plain.push(b':');
    }
    Some(Secret::new(STANDARD.encode(&plain)))
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mask = match self.basic {
            Some(_) => "[masked]@",
            None => "",
        };
        write!(f, "http://{mask}{}", self.authority)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// The reason why a text is no usable proxy. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProxyError {
    /// The scheme is `https://`, SOCKS or another one than `http://`.
    #[error(
        "the proxy's URL must start with http://: proxies that are spoken to by https or SOCKS \
         are not supported"
    )]
    Scheme,
    /// There is a path, a query or a fragment.
    #[error(
        "the proxy's URL must end after its port: write /, ? and # in a password as %2F, %3F and \
         %23"
    )]
    Path,
    /// It is no URL, or has no valid host or port.
    #[error(transparent)]
    Url(#[from] BadUrl),
}
