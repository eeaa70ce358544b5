//! Accepts the connections of a port, each in a task of its own, within the quotas.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use log::warn;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::connections::{Connections, Id, Usage};
use super::context::Context;
use crate::util::{Boxed, First, race};

/// The time until a connection is accepted again when the system refused one.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The time that a listener goes on accepting once the gateway is about to end: until then
/// others may still send here what they do not know is unready.
pub(super) const LAME_DUCK: Duration = Duration::from_secs(5);

/// The task that serves one connection.
pub(super) type Serving = Boxed<()>;

/// Serves a connection from a peer.
pub(super) type Serve = fn(Arc<Context>, TcpStream, SocketAddr, Arc<Slot>) -> Serving;

/// The place of a connection among those of its listener.
pub struct Slot {
    id: Id,
    usage: Arc<Usage>,
    open: Shared,
}

type Shared = Arc<Mutex<Connections<tokio::task::AbortHandle>>>;

impl Slot {
    /// The use of the connection, which is told by whoever serves it.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Returns true if there is room for one more socket.
    pub fn has_room_for_socket(&self) -> bool {
        lock(&self.open).has_room_for_socket()
    }

    /// Turns the connection into a socket, which counts apart from now on.
    pub fn become_socket(&self) {
        self.usage.socket();
    }

    /// The place of a connection that no listener has accepted.
    #[cfg(test)]
    pub(super) fn alone() -> Arc<Self> {
        let mut connections = Connections::new(10, 10);
        let peer = std::net::Ipv4Addr::LOCALHOST.into();
        let (id, usage) = connections.admit(peer, true).unwrap();
        let open = Arc::new(Mutex::new(connections));
        Arc::new(Self { id, usage, open })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.open).ended(self.id);
    }
}

/// The connections of a listener, to wait for their end.
#[derive(Clone)]
pub(super) struct Open(Shared);

impl Open {
    /// At most `max` connections with HTTP and as many that were upgraded.
    pub(super) fn new(max: usize) -> Self {
        Self(Arc::new(Mutex::new(Connections::new(max, max))))
    }

    /// The number of connections that are open.
    pub(super) fn count(&self) -> usize {
        lock(&self.0).len()
    }
}

fn lock(open: &Shared) -> std::sync::MutexGuard<'_, Connections<tokio::task::AbortHandle>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Accepts connections until some time after the gateway began to end.
pub(super) async fn accept(context: Arc<Context>, listener: TcpListener, open: Open, serve: Serve) {
    let mut is_refused = false;
    let ending = async {
        context.draining().await;
        sleep(LAME_DUCK).await;
    };
    let mut ending = std::pin::pin!(ending);
    loop {
        let accepted = match race(ending.as_mut(), listener.accept()).await {
            First::Left(()) => return,
            First::Right(accepted) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                is_refused = false;
                take(&context, &open, stream, peer, serve);
            }
            Err(error) => {
                if !is_refused {
                    warn!("a connection cannot be taken: {error}");
                }
                is_refused = true;
                // Bounded, so that an end is not missed.
                let _ = timeout(ACCEPT_RETRY, context.draining()).await;
            }
        }
    }
}

fn take(context: &Arc<Context>, open: &Open, stream: TcpStream, peer: SocketAddr, serve: Serve) {
    let ip = peer.ip().to_canonical();
    let admitted = lock(&open.0).admit(ip, context.trusts(ip));
    let Some((id, usage)) = admitted else {
        context.metrics.rejected("connections");
        return;
    };
    let slot = Arc::new(Slot {
        id,
        usage,
        open: Arc::clone(&open.0),
    });
    let serving = serve(
        Arc::clone(context),
        stream,
        SocketAddr::new(ip, peer.port()),
        slot,
    );
    let task = tokio::spawn(serving).abort_handle();
    lock(&open.0).served_by(id, task);
}
