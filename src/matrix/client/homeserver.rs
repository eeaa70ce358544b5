//! One request to the homeserver and what its answer means.

use std::{mem, time::Duration};

use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use thiserror::Error;

use super::{api::Call, clock::ServerClock};
use crate::json::{self, Lenient, Sieve, Sifted, lenient};
use crate::net::{Client, Error as HttpError, Limits, Redirect, Request, Response};
use crate::util::{Clock, Secret, code, printable};

/// Everything but a sync is answered within this, or tried again.
const DEADLINE: Duration = Duration::from_secs(30);

/// The largest answer that is read to its end, in bytes; what is kept of it is
/// much less.
const MAX_SIFTED_BODY: usize = 256 * 1024 * 1024;

/// The largest answer about a session, in bytes: room for a token of 64 KiB.
pub const MAX_SMALL_BODY: usize = 128 * 1024;

/// The longest path and query that a request can have, in bytes, with an address
/// before it.
const MAX_TARGET: usize = 60 * 1024;

/// The longest text of the server's that is repeated in a log, in bytes.
const MAX_MESSAGE: usize = 200;

/// The client-server API at one address. Clones share its clock.
#[derive(Clone)]
pub struct Homeserver {
    client: Client,
    base: String,
    clock: ServerClock,
}

/// There is no usable answer, for this reason.
#[derive(Debug, Error)]
pub enum Fault {
    /// No answer at all.
    #[error("the homeserver cannot be reached: {0}")]
    Unreachable(#[from] HttpError),
    /// 429: not before this.
    #[error("the homeserver asks to slow down (429)")]
    Limited(Option<Duration>),
    /// 5xx, or an answer that is not Matrix (a proxy's page): worth trying again.
    #[error("the homeserver{}", broken(.status, .redirect, .words))]
    Broken {
        /// The HTTP status.
        status: u16,
        /// Not before this.
        retry_after: Option<Duration>,
        /// The address that it redirects to, which is not asked.
        redirect: Option<Redirect>,
        /// The text of a JSON object without a code, shortened.
        words: Option<String>,
    },
    /// 401 `M_UNKNOWN_TOKEN`: the access token is no longer valid.
    #[error(
        "the session {}",
        if *.soft_logout { "has expired (soft logout)" } else { "was ended on the server" }
    )]
    UnknownToken {
        /// The device is still there: log in again with its id.
        soft_logout: bool,
    },
    /// 401 `M_USER_LOCKED`: until the account is unlocked, nothing is answered.
    #[error(
        "the account is locked (M_USER_LOCKED): ask the homeserver's administrator to unlock it"
    )]
    Locked,
    /// 401 with flows: the request has to be authenticated again.
    #[error("the homeserver asks to authenticate again")]
    Interactive {
        /// The session to go on in.
        session: Option<String>,
        /// True if the account's password alone would do.
        by_password: bool,
    },
    /// A Matrix error that trying again does not change.
    #[error("the homeserver refuses: {status} {errcode} ({message})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// `M_…`.
        errcode: String,
        /// The server's words, shortened.
        message: String,
    },
    /// New tokens were asked for, and the answer is not of the specification: the refresh
    /// token may still be good.
    #[error("the answer is malformed")]
    Malformed,
    /// The request could not be built from this address or token.
    #[error("{0}")]
    Unusable(&'static str),
    /// The address is sound, and this part of the request does not fit.
    #[error("the request cannot be sent: {0}")]
    Unsendable(String),
}

fn broken(status: &u16, redirect: &Option<Redirect>, words: &Option<String>) -> String {
    match (redirect, words) {
        (Some(to), _) => format!(
            "'s address redirects to {to} ({status}), which is not followed: {}",
            to.cure("MATRIX_HOMESERVER")
        ),
        (None, Some(words)) => {
            format!(" answers with status {status} and no error code: {words}")
        }
        (None, None) => format!(" answers with status {status} and no Matrix content"),
    }
}

impl Fault {
    /// The time that the server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited(wait)
            | Self::Broken {
                retry_after: wait, ..
            } => *wait,
            _ => None,
        }
    }

    /// True if the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_)
                | Self::Limited(_)
                | Self::Broken { .. }
                | Self::Locked
                | Self::Malformed
        )
    }
}

impl Homeserver {
    /// `base` is scheme, host, port and path, without a slash at the end.
    pub fn new(client: Client, base: String) -> Self {
        Self {
            client,
            base,
            clock: ServerClock::default(),
        }
    }

    /// By how much the homeserver's clock is ahead of this machine's (negative where
    /// it is behind), in milliseconds; None where its answers do not tell.
    pub fn ahead_ms(&self) -> Option<i64> {
        self.clock.ahead_ms()
    }

    /// This machine's clock.
    pub fn local_clock(&self) -> Clock {
        self.client.clock()
    }

    /// Scheme, host, port and path, without a slash at the end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends a call about the session, whose answer is small, and returns the
    /// body of a 2xx answer, of at most 128 KiB.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn ask(&self, call: Call, token: Option<&Secret>) -> Result<Vec<u8>, Fault> {
        let limits = Limits {
            deadline: DEADLINE,
            body: MAX_SMALL_BODY,
        };
        let path = call.path.clone();
        let request = self.request(limits, call, token)?;
        let response = self.client.send(request).await?;
        let redirect = Redirect::of(&response, &self.base, &path);
        read(response, redirect)
    }

    /// Sends a call and returns what is kept of a 2xx answer. `extra` is added to
    /// the deadline: how long the server may hold the answer back on purpose.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn send(
        &self,
        call: Call,
        token: Option<&Secret>,
        extra: Duration,
        sieve: Sieve,
    ) -> Result<Sifted, Fault> {
        let limits = Limits {
            deadline: DEADLINE + extra,
            body: MAX_SIFTED_BODY,
        };
        let path = call.path.clone();
        let request = self.request(limits, call, token)?;
        let clock = self.client.clock();
        let sent = clock.now_ms();
        let mut response = self.client.send_sifted(request, sieve).await?;
        if (200..300).contains(&response.status) {
            self.clock.note(response.date(), sent, clock.now_ms());
        }
        let redirect = Redirect::of(&response, &self.base, &path);
        Ok(Sifted {
            skipped: mem::take(&mut response.skipped),
            is_cut: response.is_cut,
            body: read(response, redirect)?,
        })
    }

    /// The reason that no request can be made of a path: it, or the address.
    fn unsendable(&self, target: &str, limits: Limits) -> Fault {
        match Request::new(http::Method::GET, &self.base, Vec::new(), limits) {
            Ok(_) => Fault::Unsendable(longest(target)),
            Err(_) => Fault::Unusable("MATRIX_HOMESERVER is no usable address"),
        }
    }

    fn request(
        &self,
        limits: Limits,
        mut call: Call,
        token: Option<&Secret>,
    ) -> Result<Request, Fault> {
        let url = format!("{}{}", self.base, call.path);
        let has_body = !call.body.is_empty();
        let mut request =
            Request::new(call.method.clone(), &url, mem::take(&mut call.body), limits)
                .map_err(|_| self.unsendable(&call.path, limits))?;
        if has_body {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(token) = token {
            request = request
                .bearer(token)
                .map_err(|_| Fault::Unusable("the access token does not fit into a header"))?;
        }
        Ok(request)
    }
}

/// The longest part of a path and query, by name.
fn longest(target: &str) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let segments = path.split('/').map(|part| ("a part of its path", part));
    let values = query.split('&').filter_map(|pair| pair.split_once('='));
    let (name, part) = segments
        .chain(values)
        .max_by_key(|(_, part)| part.len())
        .unwrap_or_default();
    let name = printable(name, MAX_MESSAGE);
    let bytes = part.len();
    match target.len() > MAX_TARGET {
        true => format!("{name} is too long ({bytes} bytes)"),
        false => format!("its path or query is none ({name} is the longest part: {bytes} bytes)"),
    }
}

/// The body of a 2xx answer, or the standard error response; `redirect` is where the answer
/// leads instead.
///
/// Specification:
/// <https://spec.matrix.org/v1.11/client-server-api/#standard-error-response>
fn read(response: Response, redirect: Option<Redirect>) -> Result<Vec<u8>, Fault> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default, deserialize_with = "lenient")]
        errcode: Option<String>,
        #[serde(default, deserialize_with = "lenient")]
        error: String,
        #[serde(default, deserialize_with = "lenient")]
        soft_logout: bool,
        #[serde(default, deserialize_with = "lenient")]
        retry_after_ms: Option<u64>,
        #[serde(default, deserialize_with = "lenient")]
        flows: Option<Vec<Flow>>,
        #[serde(default, deserialize_with = "lenient")]
        session: Option<String>,
    }
    #[derive(Deserialize, Default)]
    struct Flow {
        #[serde(default, deserialize_with = "lenient")]
        stages: Vec<String>,
    }
    impl Lenient for Flow {
        fn of(value: serde_json::Value) -> Option<Self> {
            json::of_value(&value)
        }
    }
    if (200..300).contains(&response.status) {
        return Ok(response.body);
    }
    let status = response.status;
    let body: Option<Body> = json::read(&response.body);
    let retry_after = response.retry_after().or_else(|| {
        let asked = body.as_ref()?.retry_after_ms.map(Duration::from_millis)?;
        Some(asked.min(crate::net::MAX_RETRY_AFTER))
    });
    if status == 429 {
        return Err(Fault::Limited(retry_after));
    }
    let broken = |words| Fault::Broken {
        status,
        retry_after,
        redirect,
        words,
    };
    let Some(body) = body else {
        return Err(broken(None));
    };
    Err(match (status, body.errcode.as_deref(), body.flows) {
        (_, Some("M_USER_LOCKED"), _) => Fault::Locked,
        (401, Some("M_UNKNOWN_TOKEN"), _) => Fault::UnknownToken {
            soft_logout: body.soft_logout,
        },
        (401, _, Some(flows)) => Fault::Interactive {
            session: body.session,
            by_password: flows.iter().any(|flow| flow.stages == ["m.login.password"]),
        },
        (400..500, Some(errcode), _) => Fault::Refused {
            status,
            errcode: code(errcode).to_owned(),
            message: printable(&body.error, MAX_MESSAGE),
        },
        _ => {
            let whole = String::from_utf8_lossy(&response.body);
            let words = match body.error.as_str() {
                "" => &whole,
                error => error,
            };
            broken(Some(printable(words, MAX_MESSAGE)))
        }
    })
}

#[cfg(test)]
mod tests;
