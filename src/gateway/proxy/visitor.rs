//! A connection of a client, as all its requests share it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderValue;

use super::socket::ClientSocket;
use super::upgrade::Switching;
use crate::gateway::context::Context;
use crate::gateway::listener::Slot;
use crate::net::Channel;

/// A connection of a client.
pub(super) struct Visitor {
    pub(super) context: Arc<Context>,
    pub(super) socket: Arc<ClientSocket>,
    /// Its place among the connections of the port.
    pub(super) slot: Arc<Slot>,
    /// The address that it comes from.
    pub(super) peer: SocketAddr,
    /// The same as text.
    pub(super) address: HeaderValue,
    /// True if its word about whom it speaks for is believed.
    pub(super) is_trusted: bool,
    switching: Mutex<Option<Switching>>,
}

impl Visitor {
    pub(super) fn new(
        context: Arc<Context>,
        channel: Channel,
        peer: SocketAddr,
        slot: Arc<Slot>,
    ) -> Self {
        let ip = peer.ip().to_canonical();
        let address = HeaderValue::from_str(&ip.to_string());
        Self {
            is_trusted: context.trusts(ip),
            context,
            socket: Arc::new(ClientSocket::new(channel, Arc::clone(&slot))),
            slot,
            peer: SocketAddr::new(ip, peer.port()),
            address: address.unwrap_or_else(|_| HeaderValue::from_static("unknown")),
            switching: Mutex::new(None),
        }
    }

    /// The connection becomes a socket once its answer is written.
    pub(super) fn switch(&self, switching: Switching) {
        *self.slot() = Some(switching);
    }

    pub(super) fn take_switching(&self) -> Option<Switching> {
        self.slot().take()
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Switching>> {
        self.switching
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
