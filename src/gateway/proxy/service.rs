//! The proxy's port: one connection of a client, from its first byte to its last.

use std::net::SocketAddr;
use std::sync::Arc;

use super::forward;
use super::talk::talk;
use super::upgrade;
use super::visitor::Visitor;
use crate::gateway::context::Context;
use crate::gateway::listener::Slot;
use crate::net::Channel;
use crate::util::boxed;

/// Serves one connection of the proxy's port to its end.
pub async fn serve_connection(
    context: Arc<Context>,
    channel: Channel,
    peer: SocketAddr,
    slot: Arc<Slot>,
) {
    // Without it an answer in two pieces waits for the client's acknowledgement.
    let _ = channel.tcp().set_nodelay(true);
    let visitor = Arc::new(Visitor::new(context, channel, peer, slot));
    let of_requests = Arc::clone(&visitor);
    let respond = Box::new(move |request| {
        let visitor = Arc::clone(&of_requests);
        boxed(async move { forward::answer(&visitor, request).await })
    });
    let (context, slot, socket) = (&visitor.context, &visitor.slot, &visitor.socket);
    talk(context, slot, socket, respond).await;
    if let Some(switching) = visitor.take_switching() {
        visitor.slot.become_socket();
        upgrade::run(switching, &visitor.slot).await;
    } else {
        visitor.socket.linger().await;
    }
}
