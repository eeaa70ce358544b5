//! The errors of discovery: no homeserver was found, or an address is none.

use std::borrow::Cow;

use ruma::{OwnedServerName, ServerName};
use thiserror::Error;

use crate::net::{BadUrl, Error as HttpError, Redirect, Remedy, Response};

/// The answers of web servers to plain HTTP on a port of TLS: Go, nginx, Apache.
const WANTS_TLS: [&[u8]; 3] = [
    b"Client sent an HTTP request to an HTTPS server",
    b"The plain HTTP request was sent to HTTPS port",
    b"speaking plain HTTP to an SSL-enabled server port",
];

/// No homeserver was found for `server`. `Display` is one sentence without a
/// full stop, with the cure.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{file} {fault}; ask who runs {server}, or set MATRIX_HOMESERVER to the homeserver's URL",
    file = well_known_url(.server)
)]
pub struct DiscoveryError {
    /// The server name whose homeserver was looked for.
    pub server: OwnedServerName,
    /// The reason.
    pub fault: DiscoveryFault,
}

/// A discovery fails for this reason. The specification's `FAIL_PROMPT` are all but the
/// last two, which are its `FAIL_ERROR`. `Display` follows upon the file's URL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DiscoveryFault {
    /// No answer.
    #[error("cannot be read: {0}")]
    Unanswered(#[from] HttpError),
    /// The server name, or what it redirects to, cannot be asked.
    #[error("cannot be asked for: {0}")]
    Url(#[from] BadUrl),
    /// More redirects than are followed.
    #[error("redirects too often")]
    Redirects,
    /// A redirect that says not where to.
    #[error("redirects to nowhere")]
    RedirectNowhere,
    /// A redirect away from `https`, to this scheme.
    #[error("redirects to {0} instead of https")]
    RedirectScheme(String),
    /// Neither the file nor 404.
    #[error("cannot be read: the answer is {0}")]
    Status(u16),
    /// Something else than JSON.
    #[error("is not JSON")]
    NotJson,
    /// JSON without the URL of a homeserver.
    #[error("names no homeserver (m.homeserver, base_url)")]
    NoBaseUrl,
    /// The text in place of the URL is not a homeserver's.
    #[error("names {text:?} as the homeserver, which {why}")]
    BaseUrl {
        /// The text, shortened and safe to show.
        text: String,
        /// The reason.
        why: BaseUrlFault,
    },
    /// The address that should be the homeserver's is not.
    #[error("{from}: {fault}")]
    NoHomeserver {
        /// The origin of the address.
        from: BaseUrlOrigin,
        /// Its answer.
        fault: VersionsFault,
    },
}

/// The origin of a homeserver's URL. `Display` says that it is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BaseUrlOrigin {
    /// The server's file for clients names it.
    #[error("does not lead to a homeserver")]
    WellKnown,
    /// There is no such file, so it is the server name itself.
    #[error("does not exist and https://{0} is no homeserver")]
    ServerName(OwnedServerName),
}

/// A text is not the base URL of a homeserver, for this reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BaseUrlFault {
    /// Not an absolute URL.
    #[error("is not a URL")]
    Syntax,
    /// Neither `https` nor `http`.
    #[error("begins with neither https:// nor http://")]
    Scheme,
    /// Plain `http` to another machine.
    #[error("is plain http: whoever wants that writes it into MATRIX_HOMESERVER")]
    Plaintext,
    /// A user name or a password in it.
    #[error("holds a user name or a password")]
    Credentials,
    /// A query or a fragment in it.
    #[error("has a query or a fragment")]
    Extra,
}

/// A URL is not that of a homeserver, for this reason.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VersionsFault {
    /// No answer.
    #[error(transparent)]
    Unanswered(#[from] HttpError),
    /// The URL cannot be asked.
    #[error(transparent)]
    Url(#[from] BadUrl),
    /// Not 200, or not the JSON that a homeserver answers.
    #[error("{url} {}", said(*.status))]
    Status {
        /// The URL that was asked, shortened and safe to show.
        url: String,
        /// The HTTP status.
        status: u16,
        /// A guess at what it is instead.
        hint: Option<Hint>,
    },
    /// The answer is somewhere else.
    #[error("{url} redirects to {to}, which is not followed")]
    Redirected {
        /// The URL that was asked, shortened and safe to show.
        url: String,
        /// The address of the answer.
        to: Redirect,
    },
}

/// A guess at what an address is that is no homeserver's. `Display` says what to write
/// instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Hint {
    /// A port of TLS, asked by plain HTTP.
    #[error("this port speaks TLS: write https:// before it")]
    WantsTls,
    /// The port that homeservers use among themselves.
    #[error(
        "8448 is the port for other homeservers: give the one for clients, most often 443 or, \
         within a cluster, 8008"
    )]
    OtherServers,
    /// A web site.
    #[error(
        "a web site answers there, perhaps a web client such as Element: give the homeserver's \
         own URL, or the name that its users' ids end in"
    )]
    Page,
}

impl Hint {
    /// A guess by the answer of an address that is no homeserver's.
    pub(crate) fn of(base: &str, response: &Response) -> Option<Self> {
        let body = response.body.trim_ascii_start();
        let says = |words: &[u8]| body.windows(words.len()).any(|part| part == words);
        if WANTS_TLS.iter().any(|words| says(words)) {
            return Some(Self::WantsTls);
        }
        if base.ends_with(":8448") {
            return Some(Self::OtherServers);
        }
        body.starts_with(b"<").then_some(Self::Page)
    }
}

impl DiscoveryError {
    /// True if it may be different later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match &self.fault {
            DiscoveryFault::Unanswered(error) => error.is_transient(),
            DiscoveryFault::Status(status) => may_change(*status),
            DiscoveryFault::NoHomeserver { fault, .. } => fault.is_transient(),
            _ => false,
        }
    }
}

impl VersionsFault {
    /// True if it may be different later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unanswered(error) => error.is_transient(),
            Self::Status { status, .. } => may_change(*status),
            _ => false,
        }
    }
}

/// The answer of an address that is no homeserver's.
fn said(status: u16) -> Cow<'static, str> {
    match status {
        200 => "does not answer with a list of versions".into(),
        status => format!("answers {status}").into(),
    }
}

fn may_change(status: u16) -> bool {
    status == 429 || status >= 500
}

/// The URL of the file in which `server` names its homeserver: of its host, without a
/// port.
///
/// Specification: <https://spec.matrix.org/v1.11/client-server-api/#well-known-uri>
pub(crate) fn well_known_url(server: &ServerName) -> String {
    format!("https://{}/.well-known/matrix/client", server.host())
}

impl VersionsFault {
    /// The cure: what to write into `variable`, which holds the address.
    pub fn cure(&self, variable: &str) -> String {
        match self {
            Self::Redirected { to, .. } => to.cure(variable),
            Self::Status {
                hint: Some(hint), ..
            } => format!("check {variable}: {hint}"),
            Self::Status { hint: None, .. } => format!(
                "check {variable}: give the homeserver's URL without a path behind it, or the \
                 name that its users' ids end in"
            ),
            Self::Url(_) | Self::Unanswered(_) => format!("check {variable}"),
        }
    }
}
