//! What is asked, and what it may cost.

use std::fmt;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{Method, Uri};
use hyper::body::Bytes;
use zeroize::Zeroizing;

use super::authority::{Authority, BadUrl};
use crate::util::Secret;

/// What one request may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the first step to the last byte of the answer, connecting
    /// included.
    pub deadline: Duration,
    /// The largest answer taken, in bytes of its body.
    pub body: usize,
}

/// One request with its limits. A clone shares the body, so a retry is cheap;
/// the body is wiped from memory when the last of them is dropped, since it may
/// hold a password.
#[derive(Clone)]
pub struct Request {
    pub(super) message: http::Request<Bytes>,
    pub(super) authority: Authority,
    pub(super) limits: Limits,
}

impl Request {
    /// A request without headers of its own; an empty `body` is none.
    pub fn new(method: Method, url: &str, body: Vec<u8>, limits: Limits) -> Result<Self, BadUrl> {
        let uri: Uri = url.parse().map_err(|_| BadUrl::Syntax)?;
        let mut message = http::Request::new(body);
        *message.method_mut() = method;
        *message.uri_mut() = uri;
        Self::from_http(message, limits)
    }

    /// A request that another library put together, with its headers.
    pub fn from_http(message: http::Request<Vec<u8>>, limits: Limits) -> Result<Self, BadUrl> {
        let authority = Authority::of(message.uri())?;
        Ok(Self {
            message: message.map(|body| Bytes::from_owner(Zeroizing::new(body))),
            authority,
            limits,
        })
    }

    /// Sets a header, instead of one of the same name.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.message.headers_mut().insert(name, value);
        self
    }

    /// Sets `Authorization: Bearer …`. Fails for a token that a header cannot
    /// hold.
    pub fn bearer(self, token: &Secret) -> Result<Self, BadToken> {
        let text = Secret::new(format!("Bearer {}", token.expose()));
        let mut value = HeaderValue::from_str(text.expose()).map_err(|_| BadToken)?;
        value.set_sensitive(true);
        Ok(self.header(AUTHORIZATION, value))
    }
}

/// Shows neither headers nor query nor body: each may hold a secret.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", self.message.method())
            .field("peer", &self.authority)
            .field("path", &self.message.uri().path())
            .field("body_bytes", &self.message.body().len())
            .field("limits", &self.limits)
            .finish()
    }
}

/// A token with characters that no HTTP header can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadToken;

impl fmt::Display for BadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the token has characters that an HTTP header cannot hold")
    }
}

impl std::error::Error for BadToken {}
