//! The context that every request of the gateway is served with.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::auth::Authenticator;
use super::wake::TargetHandle;
use crate::config::gateway::{GatewayFile, Subnet};
use crate::control::TargetName;
use crate::net::{Channel, TlsServer};
use crate::telemetry::{GatewayAudit, GatewayMetrics};
use crate::util::{Clock, ServerClock, SortedMap};

/// The context of every request: made once, and its table replaced when the file is
/// read again.
pub struct Context {
    /// Checks credentials.
    pub authenticator: Authenticator,
    /// The proxies whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<Subnet>,
    /// The TLS of both ports, if they have it.
    pub tls: Option<TlsServer>,
    /// The audit log.
    pub audit: GatewayAudit,
    /// The metrics.
    pub metrics: Arc<GatewayMetrics>,
    /// The wall clock.
    pub clock: Clock,
    /// The clock that the replicas have in common.
    pub shared_clock: ServerClock,
    /// The time that open sockets have once the gateway is about to end.
    pub drain: Duration,
    /// The room that is left for event streams of waiting pages.
    pub streams: Arc<Semaphore>,
    /// True once the gateway is about to end.
    draining: tokio::sync::watch::Sender<bool>,
    table: Mutex<Arc<Table>>,
}

/// The targets as the file has them now.
pub struct Table {
    /// The file.
    pub file: GatewayFile,
    /// The targets by their names.
    pub targets: SortedMap<TargetName, TargetHandle>,
    /// The targets by the host names of their backends.
    pub hosts: SortedMap<String, TargetHandle>,
}

/// The parts of a [`Context`] that stay for as long as the gateway runs.
pub struct Parts {
    /// Checks credentials.
    pub authenticator: Authenticator,
    /// The proxies whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<Subnet>,
    /// The TLS of both ports, if they have it.
    pub tls: Option<TlsServer>,
    /// The audit log.
    pub audit: GatewayAudit,
    /// The metrics.
    pub metrics: Arc<GatewayMetrics>,
    /// The wall clock.
    pub clock: Clock,
    /// The clock that the replicas have in common.
    pub shared_clock: ServerClock,
    /// The time that open sockets have once the gateway is about to end.
    pub drain: Duration,
    /// The most event streams of waiting pages.
    pub max_streams: usize,
}

impl Table {
    fn new(file: GatewayFile, targets: SortedMap<TargetName, TargetHandle>) -> Self {
        let mut hosts = SortedMap::new();
        for handle in targets.values() {
            let target = handle.target();
            let names = target.backend.iter().flat_map(|backend| &backend.hosts);
            for host in names {
                hosts.insert(host.clone(), handle.clone());
            }
        }
        Self {
            hosts,
            targets,
            file,
        }
    }
}

impl Context {
    /// The context of a gateway that begins with this file.
    pub fn new(
        parts: Parts,
        file: GatewayFile,
        targets: SortedMap<TargetName, TargetHandle>,
    ) -> Self {
        let Parts {
            authenticator,
            trusted_proxies,
            tls,
            audit,
            metrics,
            clock,
            shared_clock,
            drain,
            max_streams,
        } = parts;
        Self {
            authenticator,
            trusted_proxies,
            tls,
            audit,
            metrics,
            clock,
            shared_clock,
            drain,
            streams: Arc::new(Semaphore::new(max_streams)),
            draining: tokio::sync::watch::Sender::new(false),
            table: Mutex::new(Arc::new(Table::new(file, targets))),
        }
    }

    /// Goes by another file from the next request on.
    pub fn replace(&self, file: GatewayFile, targets: SortedMap<TargetName, TargetHandle>) {
        let table = Arc::new(Table::new(file, targets));
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = table;
    }

    /// The connection that a client has made.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(super) fn channel(&self, tcp: TcpStream) -> io::Result<Channel> {
        match &self.tls {
            Some(tls) => tls.channel(tcp),
            None => Ok(Channel::plain(tcp)),
        }
    }

    /// Begins to end.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// The table that is in force now.
    pub fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns true if this peer's word about who it speaks for is believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies
            .iter()
            .any(|network| network.contains(peer))
    }

    /// Returns true once the gateway is about to end.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Resolves when the gateway is about to end.
    pub async fn draining(&self) {
        let mut draining = self.draining.subscribe();
        // The sender lives as long as this does.
        let _ = draining.wait_for(|draining| *draining).await;
    }
}
