//! A request and its limits.

use std::fmt;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{Method, Uri};
use hyper::body::Bytes;
use thiserror::Error;
use zeroize::Zeroizing;

use super::authority::{Authority, BadUrl};
use crate::util::Secret;

/// The limits of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The time from the first step, connecting included, to the last byte of the
    /// answer.
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
    ///
    /// # Errors
    /// `url` is not one that a request can be made to.
    pub fn new(method: Method, url: &str, body: Vec<u8>, limits: Limits) -> Result<Self, BadUrl> {
        let uri: Uri = url.parse().map_err(|_| BadUrl::Syntax)?;
        let authority = Authority::of(&uri)?;
        let mut message = http::Request::new(Bytes::from_owner(Zeroizing::new(body)));
        *message.method_mut() = method;
        *message.uri_mut() = uri;
        Ok(Self {
            message,
            authority,
            limits,
        })
    }

    /// Sets a header, instead of one of the same name.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.message.headers_mut().insert(name, value);
        self
    }

    /// Sets `Authorization: Bearer …`
    /// (<https://www.rfc-editor.org/rfc/rfc6750#section-2.1>).
    ///
    /// # Errors
    /// The token has characters that a header cannot hold.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the token has characters that an HTTP header cannot hold")]
pub struct BadToken;
