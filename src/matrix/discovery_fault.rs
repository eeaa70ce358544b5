//! Why no homeserver was found.

use std::fmt;

use ruma::{OwnedServerName, ServerName};

use crate::http::{BadUrl, Error as HttpError, Fault as HttpFault};

/// No homeserver was found for `server`. `Display` is one sentence without a
/// full stop, with the cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryError {
    /// Whose homeserver was looked for.
    pub server: OwnedServerName,
    /// What went wrong.
    pub fault: DiscoveryFault,
}

/// What went wrong. The specification's `FAIL_PROMPT` are all but the last
/// two, which are its `FAIL_ERROR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscoveryFault {
    /// No answer.
    Unanswered(HttpError),
    /// The server name, or what it redirects to, cannot be asked.
    Url(BadUrl),
    /// More redirects than are followed.
    Redirects,
    /// A redirect that says not where to.
    RedirectNowhere,
    /// A redirect away from `https`, to this scheme.
    RedirectScheme(String),
    /// Neither the file nor 404.
    Status(u16),
    /// Something else than JSON.
    NotJson,
    /// JSON without the URL of a homeserver.
    NoBaseUrl,
    /// What stands for the URL is none of a homeserver.
    BaseUrl {
        /// The text, shortened and safe to show.
        text: String,
        /// What is wrong with it.
        why: BaseUrlFault,
    },
    /// What should be the homeserver is none.
    NoHomeserver {
        /// Why it was thought to be one.
        source: Source,
        /// What it answered.
        fault: VersionsFault,
    },
}

/// How a homeserver's URL became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The server's file for clients names it.
    WellKnown,
    /// There is no such file, so it is the server name itself.
    ServerName,
}

/// Why a text is not the base URL of a homeserver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseUrlFault {
    /// Not an absolute URL.
    Syntax,
    /// Neither `https` nor `http`.
    Scheme,
    /// Plain `http` to another machine.
    Plaintext,
    /// A user name or a password in it.
    Credentials,
    /// A query or a fragment in it.
    Extra,
}

/// Why a URL is not that of a homeserver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionsFault {
    /// No answer.
    Unanswered(HttpError),
    /// The URL cannot be asked.
    Url(BadUrl),
    /// Not 200.
    Status {
        /// What was asked, shortened and safe to show.
        url: String,
        /// What it answered.
        status: u16,
    },
    /// Not the JSON that a homeserver answers.
    Malformed {
        /// What was asked, shortened and safe to show.
        url: String,
    },
}

impl DiscoveryError {
    /// Whether it may be different later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match &self.fault {
            DiscoveryFault::Unanswered(error) => may_answer(error),
            DiscoveryFault::Status(status) => may_change(*status),
            DiscoveryFault::NoHomeserver { fault, .. } => fault.is_transient(),
            DiscoveryFault::Url(_)
            | DiscoveryFault::Redirects
            | DiscoveryFault::RedirectNowhere
            | DiscoveryFault::RedirectScheme(_)
            | DiscoveryFault::NotJson
            | DiscoveryFault::NoBaseUrl
            | DiscoveryFault::BaseUrl { .. } => false,
        }
    }
}

impl VersionsFault {
    /// Whether it may be different later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unanswered(error) => may_answer(error),
            Self::Status { status, .. } => may_change(*status),
            Self::Url(_) | Self::Malformed { .. } => false,
        }
    }
}

fn may_answer(error: &HttpError) -> bool {
    !matches!(error.fault, HttpFault::TooLarge { .. } | HttpFault::NotHttp)
}

fn may_change(status: u16) -> bool {
    status == 429 || status >= 500
}

/// Where `server` says who its homeserver is: by its host, without a port.
pub(super) fn well_known_url(server: &ServerName) -> String {
    format!("https://{}/.well-known/matrix/client", server.host())
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = &self.server;
        let file = well_known_url(server);
        match &self.fault {
            DiscoveryFault::Unanswered(error) => write!(f, "{file} cannot be read: {error}"),
            DiscoveryFault::Url(fault) => write!(f, "{file} cannot be asked for: {fault}"),
            DiscoveryFault::Redirects => write!(f, "{file} redirects too often"),
            DiscoveryFault::RedirectNowhere => write!(f, "{file} redirects to nowhere"),
            DiscoveryFault::RedirectScheme(scheme) => {
                write!(f, "{file} redirects to {scheme} instead of https")
            }
            DiscoveryFault::Status(status) => {
                write!(f, "{file} cannot be read: the answer is {status}")
            }
            DiscoveryFault::NotJson => write!(f, "{file} is not JSON"),
            DiscoveryFault::NoBaseUrl => {
                write!(f, "{file} names no homeserver (m.homeserver, base_url)")
            }
            DiscoveryFault::BaseUrl { text, why } => {
                write!(f, "{file} names {text:?} as the homeserver, which {why}")
            }
            DiscoveryFault::NoHomeserver { source, fault } => match source {
                Source::WellKnown => write!(f, "{file} does not lead to a homeserver: {fault}"),
                Source::ServerName => write!(
                    f,
                    "{file} does not exist and https://{server} is no homeserver: {fault}"
                ),
            },
        }?;
        write!(
            f,
            "; ask who runs {server}, or set MATRIX_HOMESERVER to the homeserver's URL"
        )
    }
}

impl std::error::Error for DiscoveryError {}

impl fmt::Display for BaseUrlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "is not a URL",
            Self::Scheme => "begins with neither https:// nor http://",
            Self::Plaintext => "is plain http: whoever wants that writes it into MATRIX_HOMESERVER",
            Self::Credentials => "holds a user name or a password",
            Self::Extra => "has a query or a fragment",
        })
    }
}

impl fmt::Display for VersionsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unanswered(error) => error.fmt(f),
            Self::Url(fault) => fault.fmt(f),
            Self::Status { url, status } => write!(f, "{url} answers {status}"),
            Self::Malformed { url } => {
                write!(f, "{url} does not answer with a list of versions")
            }
        }
    }
}

impl std::error::Error for VersionsFault {}
