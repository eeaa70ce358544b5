//! The reasons why a request got no answer.

use std::error::Error as StdError;
use std::time::Duration;
use std::{io, iter};

use super::authority::Authority;
use super::dns::Unresolved;
use super::remedy::{Remedy, Responsible};
use super::tls_fault::TlsFault;

/// No whole answer came from `authority`. `Display` is one short sentence without a
/// full stop; it shows host and port and nothing else of the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .fault.sentence(.authority, false))]
pub struct Error {
    /// The server that was asked.
    pub authority: Authority,
    /// The reason.
    pub fault: Fault,
}

/// The reason why no whole answer came.
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
        /// The proxy.
        proxy: Authority,
        /// The reason why it opened none.
        why: ProxyFault,
    },
    /// The deadline passed.
    Deadline {
        /// The stage that the request had reached.
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
    /// The answer was not proper HTTP/1.1, or its head was too large.
    NotHttp,
}

/// The stage that a request reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Name resolution, TCP, TLS: nothing of the request has left.
    Connecting,
    /// There was a connection; the server may have acted on the request.
    Waiting,
    /// The head of the answer was there.
    Receiving,
}

/// The reason why a proxy opened no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyFault {
    /// The proxy itself cannot be reached, or gave no proper answer.
    Itself(Box<Fault>),
    /// The proxy did not open a connection before the request's deadline.
    Deadline {
        /// The request's whole deadline.
        after: Duration,
    },
    /// 407, and no user name and password were given.
    CredentialsMissing,
    /// 407 to the user name and password that were given.
    CredentialsRefused,
    /// The proxy refused with another status.
    Status(u16),
}

impl Fault {
    /// Translates an error of hyper's client about a request that had got to `stage`.
    pub(super) fn of(error: &hyper_util::client::legacy::Error, stage: Stage) -> Self {
        if let Some(tls) = cause::<rustls::Error>(error) {
            return Self::Tls(TlsFault::of(tls));
        }
        if let Some(none) = cause::<NoTunnel>(error) {
            return Self::Proxy {
                proxy: none.proxy.clone(),
                why: none.why.clone(),
            };
        }
        if error.is_connect() {
            return Self::of_connecting(error);
        }
        cause::<hyper::Error>(error)
            .map_or(Self::Closed(stage), |error| Self::of_talking(error, stage))
    }

    /// Translates an error before there was a connection.
    pub(super) fn of_connecting(error: &(dyn StdError + 'static)) -> Self {
        if let Some(why) = cause::<Unresolved>(error) {
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

/// The first of an error and its causes that is of this type.
fn cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

impl Fault {
    fn sentence(&self, authority: &Authority, is_proxy: bool) -> String {
        let (name, peer) = match is_proxy {
            true => ("the proxy's name", format!("the proxy {authority}")),
            false => ("the name", authority.to_string()),
        };
        match self {
            Self::Resolve(why) => {
                format!("{name} {} cannot be resolved: {why}", authority.host())
            }
            Self::Refused => format!("{peer} refused the connection"),
            Self::Connect(kind) => format!("no connection to {peer}: {kind}"),
            Self::Tls(fault) => format!("no secure connection to {peer}: {fault}"),
            Self::Proxy { proxy, why } => why.sentence(proxy, authority),
            Self::Deadline { stage, after } => {
                let after = rounded(*after);
                match stage {
                    Stage::Connecting => format!("no connection to {peer} within {after}"),
                    Stage::Waiting => format!("{peer} did not answer within {after}"),
                    Stage::Receiving => format!("{peer} did not finish its answer within {after}"),
                }
            }
            Self::TooLarge { limit } => {
                format!("the answer of {peer} is larger than {limit} bytes")
            }
            Self::Closed(stage) => {
                let when = match stage {
                    Stage::Connecting => "at once",
                    Stage::Waiting => "instead of an answer",
                    Stage::Receiving => "in the middle of its answer",
                };
                format!("{peer} closed the connection {when}")
            }
            Self::NotHttp => format!("the answer of {peer} is not proper HTTP"),
        }
    }
}

impl From<Fault> for ProxyFault {
    fn from(fault: Fault) -> Self {
        Self::Itself(Box::new(fault))
    }
}

impl ProxyFault {
    fn sentence(&self, proxy: &Authority, authority: &Authority) -> String {
        match self {
            Self::Itself(fault) => fault.sentence(proxy, true),
            Self::Deadline { after } => format!(
                "the proxy {proxy} opened no connection to {authority} within {}",
                rounded(*after)
            ),
            Self::CredentialsMissing => format!(
                "the proxy {proxy} asks for a user name and password (407): write them into its URL"
            ),
            Self::CredentialsRefused => {
                format!("the proxy {proxy} refuses the user name and password in its URL (407)")
            }
            Self::Status(403) => {
                format!("the proxy {proxy} does not allow connections to {authority} (403)")
            }
            Self::Status(status @ 502..=504) => {
                format!("the proxy {proxy} cannot reach {authority} ({status})")
            }
            Self::Status(status) => format!(
                "the proxy {proxy} answered {status} instead of a connection to {authority}"
            ),
        }
    }
}

/// A time in the unit that suits it.
fn rounded(time: Duration) -> String {
    match time.as_millis() {
        millis @ ..1000 => format!("{millis} ms"),
        millis => format!("{} s", (millis + 500) / 1000),
    }
}

/// The proxy on the way opened no connection.
#[derive(Debug, thiserror::Error)]
#[error("no connection through the proxy {proxy}")]
pub(super) struct NoTunnel {
    pub(super) proxy: Authority,
    pub(super) why: ProxyFault,
}

impl Remedy for Error {
    type Party = Responsible;

    /// The server, unless the request did not get as far as to it.
    fn responsible(&self) -> Responsible {
        match &self.fault {
            Fault::Resolve(_)
            | Fault::Tls(_)
            | Fault::Connect(_)
            | Fault::Proxy { .. }
            | Fault::Deadline {
                stage: Stage::Connecting,
                ..
            } => Responsible::Network,
            _ => Responsible::Server,
        }
    }

    /// A server that sends too much, or no HTTP, is the wrong one or will do it again.
    fn is_transient(&self) -> bool {
        !matches!(self.fault, Fault::TooLarge { .. } | Fault::NotHttp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_is_responsible_until_the_server_is_reached() {
        let after = Duration::from_secs(5);
        let deadline = |stage| Fault::Deadline { stage, after };
        let authority = || Authority::of(&"https://hs.example".parse().unwrap()).unwrap();
        let proxy = Fault::Proxy {
            proxy: authority(),
            why: Fault::Refused.into(),
        };
        for (fault, responsible, is_transient) in [
            (Fault::Refused, Responsible::Server, true),
            (
                Fault::Connect(io::ErrorKind::HostUnreachable),
                Responsible::Network,
                true,
            ),
            (Fault::Tls(TlsFault::NotTls), Responsible::Network, true),
            (proxy, Responsible::Network, true),
            (deadline(Stage::Connecting), Responsible::Network, true),
            (deadline(Stage::Waiting), Responsible::Server, true),
            (Fault::Closed(Stage::Waiting), Responsible::Server, true),
            (Fault::TooLarge { limit: 9 }, Responsible::Server, false),
            (Fault::NotHttp, Responsible::Server, false),
        ] {
            let authority = authority();
            let error = Error { authority, fault };
            assert_eq!(error.responsible(), responsible, "{error}");
            assert_eq!(error.is_transient(), is_transient, "{error}");
            assert_eq!(error.retry_after(), None);
        }
    }
}
