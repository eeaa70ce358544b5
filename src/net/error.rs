//! Why a request got no answer.

use std::error::Error as StdError;
use std::time::Duration;
use std::{fmt, io, iter};

use super::authority::Authority;
use super::dns::Unresolved;
use super::tls_fault::TlsFault;
use super::tunnel::NoTunnel;

/// No whole answer came from `authority`. `Display` is one short sentence without a
/// full stop; it shows host and port and nothing else of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Who was asked.
    pub authority: Authority,
    /// What went wrong.
    pub fault: Fault,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The host's name has no address, or no name server answered.
    Resolve(Unresolved),
    /// Nobody listens there.
    Refused,
    /// The connection failed in another way.
    Connect(io::ErrorKind),
    /// No secure connection.
    Tls(TlsFault),
    /// The proxy on the way opened no connection to `authority`, which is not to
    /// blame for it.
    Proxy {
        /// Which proxy.
        proxy: Authority,
        /// What went wrong with it.
        why: ProxyFault,
    },
    /// The deadline passed.
    Deadline {
        /// What was being waited for.
        stage: Stage,
        /// The request's whole deadline.
        after: Duration,
    },
    /// The answer is larger than the limit, in bytes; no more of it was read.
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The connection broke.
    Closed(Stage),
    /// What came was not proper HTTP/1.1, or its head was too large.
    NotHttp,
}

/// How far a request got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Name resolution, TCP, TLS: nothing of the request has left.
    Connecting,
    /// There was a connection; the server may have acted on the request.
    Waiting,
    /// The head of the answer was there.
    Receiving,
}

/// Why a proxy opened no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyFault {
    /// The proxy's name has no address, or no name server answered.
    Resolve(Unresolved),
    /// Nobody listens there.
    Refused,
    /// The connection to the proxy failed in another way.
    Connect(io::ErrorKind),
    /// The proxy did not open a connection before the request's deadline.
    Deadline {
        /// The request's whole deadline.
        after: Duration,
    },
    /// The proxy closed the connection before it had answered.
    Closed,
    /// What the proxy answered is not HTTP/1, or its head was too large.
    NotHttp,
    /// 407, and no user name and password were given.
    CredentialsMissing,
    /// 407 to the user name and password that were given.
    CredentialsRefused,
    /// The proxy refused with another status.
    Status(u16),
}

impl Fault {
    /// Translates what hyper's client says about a request that had got to
    /// `stage`.
    pub(super) fn of(error: &hyper_util::client::legacy::Error, stage: Stage) -> Self {
        if let Some(tls) = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
            return Self::Tls(TlsFault::of(tls));
        }
        if let Some(none) = causes(error).find_map(|cause| cause.downcast_ref::<NoTunnel>()) {
            return Self::Proxy {
                proxy: none.proxy.clone(),
                why: none.why.clone(),
            };
        }
        if error.is_connect() {
            return Self::of_connecting(error);
        }
        let hyper = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>());
        hyper.map_or(Self::Closed(stage), |error| Self::of_talking(error, stage))
    }

    /// Translates an error before there was a connection.
    pub(super) fn of_connecting(error: &(dyn StdError + 'static)) -> Self {
        if let Some(why) = causes(error).find_map(|cause| cause.downcast_ref::<Unresolved>()) {
            return Self::Resolve(why.clone());
        }
        let kind = causes(error)
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .map(io::Error::kind)
            .last();
        match kind {
            Some(io::ErrorKind::ConnectionRefused) => Self::Refused,
            Some(kind) => Self::Connect(kind),
            None => Self::Closed(Stage::Connecting),
        }
    }

    /// Translates an error on an established connection.
    pub(super) fn of_talking(error: &hyper::Error, stage: Stage) -> Self {
        // A body in broken chunks is an `io::Error` of this kind inside.
        let malformed = causes(error)
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|cause| {
                matches!(
                    cause.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
                )
            });
        if error.is_parse() || malformed {
            return Self::NotHttp;
        }
        Self::Closed(stage)
    }
}

/// An error and what caused it, outermost first. The walk opens `io::Error`s
/// too, whose `source` leaves out the error inside.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    iter::successors(Some(error), |&error| {
        let inside = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|inside| inside as &(dyn StdError + 'static));
        inside.or_else(|| error.source())
    })
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = &self.authority;
        match &self.fault {
            Fault::Resolve(why) => {
                write!(f, "the name {} cannot be resolved: {why}", authority.host())
            }
            Fault::Refused => write!(f, "{authority} refused the connection"),
            Fault::Connect(kind) => write!(f, "no connection to {authority}: {kind}"),
            Fault::Tls(fault) => write!(f, "no secure connection to {authority}: {fault}"),
            Fault::Proxy { proxy, why } => why.show(f, proxy, authority),
            Fault::Deadline { stage, after } => {
                match stage {
                    Stage::Connecting => write!(f, "no connection to {authority}")?,
                    Stage::Waiting => write!(f, "{authority} did not answer")?,
                    Stage::Receiving => write!(f, "{authority} did not finish its answer")?,
                }
                write!(f, " within {}", Rounded(*after))
            }
            Fault::TooLarge { limit } => {
                write!(f, "the answer of {authority} is larger than {limit} bytes")
            }
            Fault::Closed(Stage::Connecting) => {
                write!(f, "{authority} closed the connection at once")
            }
            Fault::Closed(Stage::Waiting) => {
                write!(f, "{authority} closed the connection instead of an answer")
            }
            Fault::Closed(Stage::Receiving) => {
                write!(
                    f,
                    "{authority} closed the connection in the middle of its answer"
                )
            }
            Fault::NotHttp => write!(f, "the answer of {authority} is not proper HTTP"),
        }
    }
}

impl StdError for Error {}

impl ProxyFault {
    fn show(
        &self,
        f: &mut fmt::Formatter<'_>,
        proxy: &Authority,
        authority: &Authority,
    ) -> fmt::Result {
        match self {
            Self::Resolve(why) => write!(
                f,
                "the proxy's name {} cannot be resolved: {why}",
                proxy.host()
            ),
            Self::Refused => write!(f, "the proxy {proxy} refused the connection"),
            Self::Connect(kind) => write!(f, "no connection to the proxy {proxy}: {kind}"),
            Self::Deadline { after } => write!(
                f,
                "the proxy {proxy} opened no connection to {authority} within {}",
                Rounded(*after)
            ),
            Self::Closed => {
                write!(
                    f,
                    "the proxy {proxy} closed the connection instead of an answer"
                )
            }
            Self::NotHttp => write!(f, "the answer of the proxy {proxy} is not proper HTTP"),
            Self::CredentialsMissing => write!(
                f,
                "the proxy {proxy} asks for a user name and password (407): write them into its URL"
            ),
            Self::CredentialsRefused => write!(
                f,
                "the proxy {proxy} refuses the user name and password in its URL (407)"
            ),
            Self::Status(403) => {
                write!(
                    f,
                    "the proxy {proxy} does not allow connections to {authority} (403)"
                )
            }
            Self::Status(status @ 502..=504) => {
                write!(f, "the proxy {proxy} cannot reach {authority} ({status})")
            }
            Self::Status(status) => write!(
                f,
                "the proxy {proxy} answered {status} instead of a connection to {authority}"
            ),
        }
    }
}

/// A time in the unit that suits it.
struct Rounded(Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            millis @ ..1000 => write!(f, "{millis} ms"),
            millis => write!(f, "{} s", (millis + 500) / 1000),
        }
    }
}
