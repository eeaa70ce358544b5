//! The proxy's port: one connection of a client, from its first byte to its last.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{Shutdown, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use log::debug;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::forward;
use super::scratch;
use super::socket::ClientIo;
use super::upgrade;
use super::visitor::Visitor;
use crate::gateway::context::Context;
use crate::gateway::listener::Slot;
use crate::gateway::tracked::Busy;

/// The time in which the head of a request has to arrive, and the next request after an
/// answer.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest head of a request, and the most of a body that is read at once, in bytes.
const MAX_BUFFER: usize = 16 * 1024;

/// The time in which a client that was answered early may notice it.
const LINGER: Duration = Duration::from_secs(1);

/// The bytes that it may go on sending meanwhile.
const MAX_SURPLUS: usize = 256 * 1024;

/// Serves one connection of the proxy's port to its end.
pub async fn serve_connection(
    context: Arc<Context>,
    stream: TcpStream,
    peer: SocketAddr,
    slot: Arc<Slot>,
) {
    // Without it an answer in two pieces waits for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let visitor = Arc::new(Visitor::new(context, stream, peer, slot));
    // Boxed: what hyper needs is given back before a socket goes on for hours.
    Box::pin(talk(&visitor)).await;
    if let Some(switching) = visitor.take_switching() {
        visitor.slot.become_socket();
        upgrade::run(switching, &visitor.context).await;
    } else if visitor.has_unread() {
        // Where an upgrade was asked for, hyper has not said that nothing more comes.
        let _ = SockRef::from(&visitor.socket.stream).shutdown(Shutdown::Write);
        // Closing now would make the system throw away the answer, too.
        let _ = timeout(LINGER, discard(&visitor.socket.stream)).await;
    }
}

/// Serves requests until one of them is the last.
async fn talk(visitor: &Arc<Visitor>) {
    let of_requests = Arc::clone(visitor);
    let service = service_fn(move |request: Request<Incoming>| {
        let visitor = Arc::clone(&of_requests);
        async move {
            let busy = Busy::new(&visitor.slot);
            if visitor.context.is_draining() {
                // The connection is told first that this is the last request.
                yield_now().await;
            }
            let answer = forward::answer(&visitor, request).await;
            Ok::<_, Infallible>(answer.map(|body| busy.answer(body)))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_BUFFER)
        .half_close(false)
        .serve_connection(ClientIo::new(Arc::clone(&visitor.socket)), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut draining = pin!(visitor.context.draining());
    let mut is_draining = visitor.context.is_draining();
    // One that comes while the gateway ends is of somebody whom nobody has told yet: hyper
    // would close it before its first request.
    let is_late = is_draining;
    let mut is_last = false;
    let done = poll_fn(|task| {
        is_draining = is_draining || draining.as_mut().poll(task).is_ready();
        loop {
            let is_asked = !is_late || !visitor.slot.usage().is_fresh();
            if is_draining && is_asked && !is_last {
                is_last = true;
                connection.as_mut().graceful_shutdown();
            }
            let done = connection.as_mut().poll(task);
            if done.is_ready() || is_last || !is_late || visitor.slot.usage().is_fresh() {
                return done;
            }
        }
    });
    if let Err(error) = done.await {
        debug!("a connection ended: {error}");
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
