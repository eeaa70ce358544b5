//! Why no homeserver was found.

use std::fmt;

use ruma::{OwnedServerName, ServerName};

use crate::net::{BadUrl, Error as HttpError, Fault as HttpFault, Redirect, Response};

/// What web servers say to plain HTTP on a port of TLS: Go, nginx, Apache.
const WANTS_TLS: [&[u8]; 3] = [
    b"Client sent an HTTP request to an HTTPS server",
    b"The plain HTTP request was sent to HTTPS port",
    b"speaking plain HTTP to an SSL-enabled server port",
];

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
        /// What it may be instead.
        hint: Option<Hint>,
    },
    /// Not the JSON that a homeserver answers.
    Malformed {
        /// What was asked, shortened and safe to show.
        url: String,
        /// What it may be instead.
        hint: Option<Hint>,
    },
    /// The answer is somewhere else.
    Redirected {
        /// What was asked, shortened and safe to show.
        url: String,
        /// Where it is.
        to: Redirect,
    },
}

/// What an address that is no homeserver's may be. `Display` is what to write
/// instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// A port of TLS, asked by plain HTTP.
    WantsTls,
    /// The port that homeservers use among themselves.
    OtherServers,
    /// A web site.
    Page,
}

impl Hint {
    /// What the answer of an address that is no homeserver's tells of it.
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
            Self::Url(_) | Self::Malformed { .. } | Self::Redirected { .. } => false,
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
pub(crate) fn well_known_url(server: &ServerName) -> String {
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

impl VersionsFault {
    /// What to write into `variable`, which holds the address.
    pub fn cure(&self, variable: &str) -> String {
        match self {
            Self::Redirected { to, .. } => to.cure(variable),
            Self::Status {
                hint: Some(hint), ..
            }
            | Self::Malformed {
                hint: Some(hint), ..
            } => {
                format!("check {variable}: {hint}")
            }
            Self::Status { .. } | Self::Malformed { .. } => format!(
                "check {variable}: give the homeserver's URL without a path behind it, or the \
                 name that its users' ids end in"
            ),
            Self::Url(_) | Self::Unanswered(_) => format!("check {variable}"),
        }
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

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WantsTls => "this port speaks TLS: write https:// before it",
            Self::OtherServers => {
                "8448 is the port for other homeservers: give the one for clients, most often 443 \
                 or, within a cluster, 8008"
            }
            Self::Page => {
                "a web site answers there, perhaps a web client such as Element: give the \
                 homeserver's own URL, or the name that its users' ids end in"
            }
        })
    }
}

impl fmt::Display for VersionsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unanswered(error) => error.fmt(f),
            Self::Url(fault) => fault.fmt(f),
            Self::Status { url, status, .. } => write!(f, "{url} answers {status}"),
            Self::Malformed { url, .. } => {
                write!(f, "{url} does not answer with a list of versions")
            }
            Self::Redirected { url, to } => {
                write!(f, "{url} redirects to {to}, which is not followed")
            }
        }
    }
}

impl std::error::Error for VersionsFault {}
