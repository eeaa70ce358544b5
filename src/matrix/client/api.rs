//! Requests as method, path and bytes: ruma knows the endpoints, and everything
//! generic over them ends here.

use std::{borrow::Cow, fmt, mem};

use http::Method;
use ruma::api::{
    MatrixVersion, OutgoingBody, OutgoingRequest, SupportedVersions, path_builder::PathBuilder,
};
use serde::Serialize;
use zeroize::Zeroize;

use crate::util::wiped_json;

/// One request to the homeserver, without its address and token. The body is
/// wiped when it is dropped, since it may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// GET, POST or PUT.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// A JSON body; empty for none.
    pub body: Vec<u8>,
}

/// ruma refuses to build the request: a bug, not an input.
#[derive(Debug, thiserror::Error)]
#[error("a request cannot be built: {0}")]
pub struct BuildError(String);

impl BuildError {
    /// The system gives no random bytes.
    pub(crate) fn randomness(error: &str) -> Self {
        Self(format!("no randomness: {error}"))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.body.zeroize();
    }
}

/// The body may hold a password.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

impl Call {
    /// A `GET` of this path and query.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: Vec::new(),
        }
    }

    /// A `POST` of this body.
    pub(crate) fn post(path: impl Into<String>, body: Vec<u8>) -> Self {
        Self {
            method: Method::POST,
            path: path.into(),
            body,
        }
    }

    /// A `POST` of a body that holds a secret. `body` is made of strings and maps
    /// of them, whose JSON cannot fail; it would be empty.
    pub(crate) fn secret(path: &str, body: &impl Serialize) -> Self {
        let mut bytes = wiped_json(body).unwrap_or_default();
        Self::post(path, mem::take(&mut *bytes))
    }

    /// The call for a ruma request.
    ///
    /// # Errors
    /// ruma refuses the request: an id that fits into no path, for example.
    pub fn new<R>(request: R) -> Result<Self, BuildError>
    where
        R: OutgoingRequest,
        for<'a> R::PathBuilder: PathBuilder<Input<'a> = Cow<'a, SupportedVersions>>,
        <R::Body as OutgoingBody>::Error: fmt::Display,
    {
        // Every endpoint used here is in v1.1 and unchanged since: no request
        // for `/versions` is worth the time at each start.
        let versions = SupportedVersions {
            versions: [MatrixVersion::V1_1].into(),
            features: Default::default(),
        };
        let request = request
            .try_into_http_request_inner("", Cow::Owned(versions))
            .map_err(|error| BuildError(error.to_string()))?;
        let (parts, body) = request.into_parts();
        let body = body
            .try_into_buf()
            .map_err(|error| BuildError(error.to_string()))?;
        Ok(Self {
            method: parts.method,
            path: parts.uri.to_string(),
            body,
        })
    }
}
