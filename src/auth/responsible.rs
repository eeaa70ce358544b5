//! The parties that may have to act for a login to succeed.

use std::fmt;

use crate::net::{self, Remedy};

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
        match error.responsible() {
            net::Responsible::Network => Self::Network,
            net::Responsible::Server | net::Responsible::Configuration => server,
        }
    }
}

/// The cure for a request that failed in TLS.
#[cfg(any(feature = "keycloak", feature = "sso"))]
pub(super) fn tls_cure(error: &net::Error) -> Option<String> {
    match &error.fault {
        net::Fault::Tls(fault) => fault.cure("EXTRA_CA_FILE"),
        _ => None,
    }
}
