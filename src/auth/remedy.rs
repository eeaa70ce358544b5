//! The remedy for an error: who has to act, and whether the same request may succeed
//! later.

use std::fmt;
use std::time::Duration;

use crate::net::{self, Stage};

/// The party that has to change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Responsible {
    /// The author of this program's environment.
    Configuration,
    /// Keycloak, or its administrator.
    Keycloak,
    /// The homeserver with its modules, or its administrator.
    Homeserver,
    /// The network between them: name servers, proxies, TLS, clocks.
    Network,
}

impl fmt::Display for Responsible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configuration => "this program's configuration",
            Self::Keycloak => "Keycloak",
            Self::Homeserver => "the homeserver",
            Self::Network => "the network, or a clock",
        })
    }
}

impl Responsible {
    /// The party responsible for a request to `server` that got no answer: the server
    /// itself, or the network if the request did not reach it.
    pub fn for_silence(error: &net::Error, server: Self) -> Self {
        match &error.fault {
            net::Fault::Resolve(_)
            | net::Fault::Tls(_)
            | net::Fault::Connect(_)
            | net::Fault::Proxy { .. }
            | net::Fault::Deadline {
                stage: Stage::Connecting,
                ..
            } => Self::Network,
            _ => server,
        }
    }
}

/// The properties of an error that decide what is done about it.
pub trait Remedy {
    /// The party that has to act, as far as can be told from here.
    fn responsible(&self) -> Responsible;

    /// True if the same request may succeed later without any change.
    fn is_transient(&self) -> bool;

    /// The shortest wait before the next attempt that the server asks for.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// The cure for a request that failed in TLS.
pub(super) fn tls_cure(error: &net::Error) -> Option<String> {
    match &error.fault {
        net::Fault::Tls(fault) => fault.cure("EXTRA_CA_FILE"),
        _ => None,
    }
}
