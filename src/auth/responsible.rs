//! The parties that may have to act for a login to succeed.

use thiserror::Error;

use crate::net::{self, Remedy};

/// The party that has to change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Responsible {
    /// The author of this program's environment.
    #[error("this program's configuration")]
    Configuration,
    /// Keycloak, or its administrator.
    #[error("Keycloak")]
    Keycloak,
    /// The homeserver with its modules, or its administrator.
    #[error("the homeserver")]
    Homeserver,
    /// The network between them: name servers, proxies, TLS, clocks.
    #[error("the network, or a clock")]
    Network,
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

/// The cure for a request that failed: in TLS, or else `otherwise`.
#[cfg(any(feature = "keycloak", feature = "sso"))]
pub(super) fn tls_cure(error: &net::Error, otherwise: &str) -> String {
    let cure = match &error.fault {
        net::Fault::Tls(fault) => fault.cure("EXTRA_CA_FILE"),
        _ => None,
    };
    cure.unwrap_or_else(|| otherwise.to_owned())
}
