//! Connections to apps, kept for the next request for a short time.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep, timeout};

use super::app_stream::{Allowance, AppStream};
use super::upload::Upload;
use crate::gateway::wake::{Endpoint, StopMark};
use crate::util::{SortedMap, boxed};

/// Connections that are kept of one endpoint.
const MAX_IDLE: usize = 32;

/// Connections that are kept of all endpoints.
const MAX_IDLE_OF_ALL: usize = 64;

/// The time that a connection is kept. Node closes after 5 s what is idle: a request that
/// meets the closing gets no answer.
const MAX_AGE: Duration = Duration::from_secs(4);

/// The pause between two looks at what is too old.
const SWEEP: Duration = Duration::from_secs(1);

/// The time in which an app has to take a connection.
const CONNECT: Duration = Duration::from_millis(500);

/// The time that a connection has, when its answer was read, to be ready for the next.
const SETTLE: Duration = Duration::from_secs(1);

/// The largest head of an answer, and the most of a body that is read at once, in bytes.
const MAX_BUFFER: usize = 16 * 1024;

/// The receive buffer of a connection to a pod (`SO_RCVBUF`), in bytes, of which Linux makes
/// twice as much. Pods are near, and by default it would be megabytes, which count as the
/// gateway's memory.
const RECV_BUFFER: u32 = 32 * 1024;

/// Its send buffer (`SO_SNDBUF`), in bytes.
const SEND_BUFFER: u32 = 16 * 1024;

/// Where a request is sent to.
#[derive(Clone)]
pub(super) struct Upstream {
    pub(super) endpoint: Endpoint,
    /// The moment at which it could be reached: what was opened for it is not used any more
    /// once its target was stopped.
    pub(super) mark: StopMark,
}

/// A connection that is in use, and where it goes to.
pub(super) struct Leased {
    pub(super) sender: SendRequest<Upload>,
    /// The bytes that the app may send before there is something of use.
    pub(super) allowance: Arc<Allowance>,
    connection: AbortHandle,
    to: Upstream,
}

impl Leased {
    fn is_usable(&self) -> bool {
        !self.sender.is_closed() && !self.to.mark.has_stopped()
    }
}

#[derive(Default)]
struct Pool {
    /// Those that are idle, of each endpoint, the oldest first.
    idle: SortedMap<Endpoint, Vec<(Leased, Instant)>>,
    sweeper: Option<JoinHandle<()>>,
}

thread_local! {
    // All requests are served by one thread.
    static POOL: RefCell<Pool> = RefCell::new(Pool::default());
}

/// A connection to this endpoint that is idle, if there is one.
pub(super) fn take(endpoint: Endpoint) -> Option<Leased> {
    POOL.with_borrow_mut(|pool| {
        let idle = pool.idle.get_mut(&endpoint)?;
        while let Some((leased, since)) = idle.pop() {
            if leased.sender.is_ready() && leased.is_usable() && since.elapsed() < MAX_AGE {
                return Some(leased);
            }
        }
        None
    })
}

/// Gives a connection back whose answer was read to its end.
pub(super) fn give_back(mut leased: Leased) {
    if leased.sender.is_ready() {
        keep(leased);
    } else if !leased.sender.is_closed() {
        tokio::spawn(boxed(async move {
            match timeout(SETTLE, leased.sender.ready()).await {
                Ok(Ok(())) => keep(leased),
                // It was answered before its body had ended, which nobody needs now.
                _ => leased.connection.abort(),
            }
        }));
    }
}

fn keep(leased: Leased) {
    POOL.with_borrow_mut(|pool| {
        let of_all: usize = pool.idle.values().map(Vec::len).sum();
        let idle = pool.idle.or_default(leased.to.endpoint);
        if idle.len() < MAX_IDLE && of_all < MAX_IDLE_OF_ALL && leased.is_usable() {
            idle.push((leased, Instant::now()));
        }
        if pool.sweeper.as_ref().is_none_or(JoinHandle::is_finished) {
            pool.sweeper = Some(tokio::spawn(boxed(sweep())));
        }
    });
}

/// Closes all idle connections to an endpoint that does not answer.
pub(super) fn forget(endpoint: Endpoint) {
    POOL.with_borrow_mut(|pool| pool.idle.remove(&endpoint));
}

/// Closes what is too old, or goes to a target that was stopped, until nothing is left.
async fn sweep() {
    loop {
        sleep(SWEEP).await;
        let is_empty = POOL.with_borrow_mut(|pool| {
            pool.idle.retain(|_, idle| {
                idle.retain(|(leased, since)| leased.is_usable() && since.elapsed() < MAX_AGE);
                !idle.is_empty()
            });
            pool.idle.is_empty()
        });
        if is_empty {
            return;
        }
    }
}

/// A socket for a connection to this address, in which the system keeps little.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_recv_buffer_size(RECV_BUFFER)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    Ok(socket)
}

/// A new connection to this place.
///
/// # Errors
/// It was not taken in time.
pub(super) async fn connect(to: &Upstream) -> io::Result<Leased> {
    let address = to.endpoint.address;
    let connecting = socket(address)?.connect(address);
    let stream = timeout(CONNECT, connecting)
        .await
        .map_err(|_| ErrorKind::TimedOut)??;
    stream.set_nodelay(true)?;
    let (stream, allowance) = AppStream::new(stream);
    let (sender, connection) = Builder::new()
        .max_buf_size(MAX_BUFFER)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    Ok(Leased {
        sender,
        allowance,
        connection: tokio::spawn(boxed(connection.with_upgrades())).abort_handle(),
        to: to.clone(),
    })
}
