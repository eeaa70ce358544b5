//! The proxy's port: one connection of a client, from its first byte to its last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::forward;
use super::scratch;
use super::talk::talk;
use super::upgrade;
use super::visitor::Visitor;
use crate::gateway::context::Context;
use crate::gateway::listener::Slot;
use crate::net::Channel;
use crate::util::boxed;

/// The time in which a client that was answered early may notice it.
const LINGER: Duration = Duration::from_secs(1);

/// The bytes that it may go on sending meanwhile.
const MAX_SURPLUS: usize = 256 * 1024;

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
    } else if visitor.has_unread() {
        // Where an upgrade was asked for, hyper has not said that nothing more comes.
        let _ = visitor.socket.channel.shut_down();
        // Closing now would make the system throw away the answer, too.
        let _ = timeout(LINGER, discard(visitor.socket.channel.tcp())).await;
    }
}

/// Reads what nobody needs.
async fn discard(stream: &TcpStream) {
    let mut surplus = MAX_SURPLUS;
    while stream.readable().await.is_ok() {
        match scratch::with(|scratch| stream.try_read(scratch)) {
            Ok(read) if read > 0 && read < surplus => surplus -= read,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}
