//! The requests of one connection, of the proxy's port or of the API's, from the first to the
//! last. Both ports share it, since hyper's server is compiled for each kind of answer.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use log::debug;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::answer::Answer;
use super::scratch;
use super::socket::{ClientIo, ClientSocket};
use crate::gateway::context::Context;
use crate::gateway::listener::Slot;
use crate::gateway::tracked::Busy;
use crate::net::Channel;
use crate::telemetry::Rejection;
use crate::util::{Boxed, First, race};

/// The time in which the head of a request has to arrive, and the next request after an
/// answer.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest head of a request, and the most of a body that is read at once, in bytes.
const MAX_BUFFER: usize = 16 * 1024;

/// The first byte of TLS (<https://www.rfc-editor.org/rfc/rfc8446#section-5.1>).
const HANDSHAKE: u8 = 22;

/// The answer to whoever speaks HTTP where TLS is spoken
/// (<https://www.rfc-editor.org/rfc/rfc9457>).
const IN_THE_CLEAR: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\
    content-type: application/problem+json\r\ncontent-length: 89\r\n\r\n\
    {\"title\":\"Bad Request\",\"status\":400,\"detail\":\"this port speaks TLS: ask it by https://\"}\n";

/// The answer to a request.
pub type Respond = dyn Fn(Request<Incoming>) -> Boxed<Response<Answer>> + Send + Sync;

/// Serves requests until one of them is the last. Once the gateway is about to end, the
/// answer under way is the last one.
pub async fn talk(
    context: &Arc<Context>,
    slot: &Arc<Slot>,
    socket: &Arc<ClientSocket>,
    respond: Box<Respond>,
) {
    if begins(context, &socket.channel).await {
        // Boxed: who has said nothing yet takes none of the room that hyper needs.
        Box::pin(serve(context, slot, socket, respond)).await;
    }
}

/// Waits for the first byte, and for the handshake that it may be the first of. False if
/// there is none, or none that matters.
async fn begins(context: &Context, channel: &Channel) -> bool {
    // One that comes while the gateway ends is of somebody whom nobody has told yet.
    let is_late = context.is_draining();
    let over = async {
        match is_late {
            true => pending().await,
            false => context.draining().await,
        }
    };
    let first = timeout(HEAD_TIMEOUT, race(open(context, channel), over));
    matches!(first.await, Ok(First::Left(true)))
}

async fn open(context: &Context, channel: &Channel) -> bool {
    let mut byte = [0];
    // Looked at and left there: that something could be read may be said of nothing, too.
    if !matches!(channel.tcp().peek(&mut byte).await, Ok(1)) {
        return false;
    }
    if channel.is_encrypted() && byte != [HANDSHAKE] {
        context.metrics.rejected(Rejection::Tls);
        let _ = channel.tcp().try_write(IN_THE_CLEAR);
        // What came in is read, so that the answer is not thrown away for its sake.
        let _ = scratch::with(|scratch| channel.tcp().try_read(scratch));
        return false;
    }
    match channel.handshake().await {
        Ok(()) => true,
        Err(error) => {
            debug!("a handshake failed: {error}");
            context.metrics.rejected(Rejection::Tls);
            false
        }
    }
}

async fn serve(
    context: &Arc<Context>,
    slot: &Arc<Slot>,
    socket: &Arc<ClientSocket>,
    respond: Box<Respond>,
) {
    let (of_requests, place) = (Arc::clone(context), Arc::clone(slot));
    let respond: Arc<Respond> = respond.into();
    let service = service_fn(move |request: Request<Incoming>| {
        let busy = Busy::new(&place);
        let (context, respond) = (Arc::clone(&of_requests), Arc::clone(&respond));
        async move {
            if context.is_draining() {
                // The connection is told first that this is the last request.
                yield_now().await;
            }
            let answer = respond(request).await;
            Ok::<_, Infallible>(answer.map(|body| busy.answer(body)))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_BUFFER)
        .half_close(false)
        .serve_connection(ClientIo::new(Arc::clone(socket)), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut draining = pin!(context.draining());
    let mut is_draining = context.is_draining();
    // One that comes while the gateway ends is of somebody whom nobody has told yet: hyper
    // would close it before its first request.
    let is_late = is_draining;
    let mut is_last = false;
    let done = poll_fn(|task| {
        is_draining = is_draining || draining.as_mut().poll(task).is_ready();
        loop {
            let is_asked = !is_late || !slot.usage().is_fresh();
            if is_draining && is_asked && !is_last {
                is_last = true;
                connection.as_mut().graceful_shutdown();
            }
            let done = connection.as_mut().poll(task);
            if done.is_ready() || is_last || !is_late || slot.usage().is_fresh() {
                return done;
            }
        }
    });
    if let Err(error) = done.await {
        debug!("a connection ended: {error}");
        if error.is_parse() {
            context.metrics.rejected(Rejection::Head);
        }
    }
}
