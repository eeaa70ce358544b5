//! Accepts the connections of a port, each in a task of its own, within the quota.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::warn;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout_at};

use super::connections::{Connections, Id, Places, Port, Usage};
use super::context::Context;
use crate::net::Channel;
use crate::telemetry::Rejection;
use crate::util::{Boxed, First, race};

/// The time until a connection is accepted again when the system refused one.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The time that a listener goes on accepting once the gateway is about to end: until then
/// others may still send here what they do not know is unready.
pub(super) const LAME_DUCK: Duration = Duration::from_secs(5);

/// The task that serves one connection.
pub(super) type Serving = Boxed<()>;

/// Serves a connection from a peer.
pub(super) type Serve = fn(Arc<Context>, Channel, SocketAddr, Arc<Slot>) -> Serving;

/// The place of a connection among those of all listeners.
pub struct Slot {
    id: Id,
    usage: Arc<Usage>,
    open: Open,
}

/// The room for what a connection passes on, until this is dropped.
pub struct Passing(Arc<Slot>);

impl Slot {
    /// The use of the connection, which is told by whoever serves it.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Takes the room for something that is passed on; None if there is none.
    pub fn pass(self: &Arc<Self>) -> Option<Passing> {
        let has_room = self.open.lock().pass(self.id);
        has_room.then(|| Passing(Arc::clone(self)))
    }

    /// Waits for the room for something that is passed on. None if there is none until then.
    pub async fn pass_until(self: &Arc<Self>, deadline: Instant) -> Option<Passing> {
        loop {
            // All are told, since what is enough for one may be too little for another.
            let mut freed = pin!(self.open.0.freed.notified());
            freed.as_mut().enable();
            if let Some(passing) = self.pass() {
                return Some(passing);
            }
            if timeout_at(deadline, freed).await.is_err() {
                return None;
            }
        }
    }

    /// The answer to the last request has ended: others may have the room.
    pub fn become_idle(&self) {
        self.usage.idle();
        self.open.0.freed.notify_waiters();
    }

    /// Turns the connection into a socket, which takes less room from now on.
    pub fn become_socket(&self) {
        self.usage.socket();
        self.open.0.freed.notify_waiters();
    }

    /// The place of a connection that no listener has accepted.
    #[cfg(test)]
    pub(super) fn alone() -> Arc<Self> {
        let open = Open::new(100, Places::PLAIN);
        let peer = std::net::Ipv4Addr::LOCALHOST.into();
        let (id, usage) = open.lock().admit(Port::Proxy, peer, true).unwrap();
        Arc::new(Self { id, usage, open })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.open.lock().ended(self.id);
        self.open.0.freed.notify_waiters();
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.0.usage.passed();
        self.0.open.0.freed.notify_waiters();
    }
}

/// The connections of all listeners.
#[derive(Clone)]
pub(super) struct Open(Arc<Shared>);

struct Shared {
    connections: Mutex<Connections<AbortHandle>>,
    /// Wakes those who wait for room, since there is more of it.
    freed: Notify,
}

impl Open {
    /// None yet, of `max` places.
    pub(super) fn new(max: usize, places: Places) -> Self {
        Self(Arc::new(Shared {
            connections: Mutex::new(Connections::new(max, places)),
            freed: Notify::new(),
        }))
    }

    /// The number of connections that are open.
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Connections<AbortHandle>> {
        let connections = self.0.connections.lock();
        connections.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts connections until some time after the gateway began to end.
pub(super) async fn accept(
    context: Arc<Context>,
    listener: TcpListener,
    open: Open,
    (port, serve): (Port, Serve),
) {
    let mut is_refused = false;
    let ending = async {
        context.draining().await;
        sleep(LAME_DUCK).await;
    };
    let mut ending = pin!(ending);
    loop {
        let accepted = match race(ending.as_mut(), listener.accept()).await {
            First::Left(()) => return,
            First::Right(accepted) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                is_refused = false;
                take(&context, &open, stream, peer, (port, serve));
            }
            Err(error) => {
                if !is_refused {
                    warn!("a connection cannot be taken: {error}");
                }
                is_refused = true;
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

fn take(
    context: &Arc<Context>,
    open: &Open,
    stream: TcpStream,
    peer: SocketAddr,
    (port, serve): (Port, Serve),
) {
    let channel = match context.channel(stream) {
        Ok(channel) => channel,
        Err(error) => return warn!("a connection cannot be taken: {error}"),
    };
    let ip = peer.ip().to_canonical();
    let admitted = open.lock().admit(port, ip, context.trusts(ip));
    let Some((id, usage)) = admitted else {
        context.metrics.rejected(Rejection::Connections);
        return;
    };
    let slot = Arc::new(Slot {
        id,
        usage,
        open: open.clone(),
    });
    let serving = serve(
        Arc::clone(context),
        channel,
        SocketAddr::new(ip, peer.port()),
        slot,
    );
    let task = tokio::spawn(serving).abort_handle();
    open.lock().served_by(id, task);
}
