//! The environment of the gateway.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{KubernetesAccess, ListenAddress};
use crate::control::Namespace;
use crate::net::Authority;
use crate::telemetry::LogFilter;

/// Everything that the gateway was told by its environment, checked.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// The file with roles and targets (`GATEWAY_CONFIG`).
    pub file: PathBuf,
    /// Where requests for the apps come in (`PROXY_ADDR`); None for no proxy.
    pub proxy: Option<ListenAddress>,
    /// Where the API is served (`API_ADDR`); None for no API.
    pub api: Option<ListenAddress>,
    /// Where health and metrics are served (`HEALTH_ADDR`).
    pub health: Option<ListenAddress>,
    /// The proxies whose `X-Forwarded-*` is believed (`TRUSTED_PROXIES`).
    pub trusted_proxies: Vec<Network>,
    /// The audience that tokens of service accounts have to carry (`TOKEN_AUDIENCE`).
    pub audience: String,
    /// The identity provider, if there is one (`OIDC_*`).
    pub oidc: Option<Oidc>,
    /// The gateway's own namespace, where the Leases are (`POD_NAMESPACE`).
    pub namespace: Namespace,
    /// What the name of a target's Lease begins with (`LEASE_PREFIX`).
    pub lease_prefix: String,
    /// The name of this replica (`POD_NAME`, else the host's name).
    pub replica: String,
    /// Connections at the same time (`MAX_CONNECTIONS`, 1,000).
    pub max_connections: usize,
    /// Requests that are held at the same time (`MAX_HELD`, 300).
    pub max_held: usize,
    /// The time that open sockets have after SIGTERM (`DRAIN_TIMEOUT`, 30 s).
    pub drain: Duration,
    /// The API server.
    pub kubernetes: KubernetesAccess,
    /// The log filter.
    pub log_filter: LogFilter,
}

/// A network, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Its first address.
    pub address: IpAddr,
    /// The number of leading bits that its addresses share.
    pub prefix: u8,
}

/// An identity provider and what its tokens have to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// `iss`, to the byte (`OIDC_ISSUER_URL`).
    pub issuer: String,
    /// The audience that has to be in `aud` (`OIDC_AUDIENCE`).
    pub audience: String,
    /// The clients that may be in `azp` (`OIDC_ALLOWED_CLIENTS`).
    pub clients: Vec<String>,
    /// The path of the claim with the roles (`OIDC_ROLES_CLAIM`), such as
    /// `realm_access.roles`, at its dots.
    pub roles_claim: Vec<String>,
    /// The algorithms that are taken (`OIDC_ALGORITHMS`), such as `RS256`.
    pub algorithms: Vec<String>,
    /// The longest lifetime of a token (`OIDC_MAX_LIFETIME`, 1 h).
    pub max_lifetime: Duration,
}

impl Network {
    /// Returns true if the address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let _ = address;
        todo!()
    }
}

/// Keeps the imports that the reading will use.
#[doc(hidden)]
pub type Unused = (SocketAddr, Authority);
