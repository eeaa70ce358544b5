//! A connection that came in at the API's port, and the requests on it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use super::answer::Answer;
use super::body::media_type;
use super::caller::Caller;
use super::problem::{Kind, Problem};
use super::route::{Route, route};
use crate::gateway::context::Context;
use crate::gateway::listener::Slot;
use crate::gateway::origin::{Origin, RequestId};
use crate::gateway::proxy::{ClientSocket, talk};
use crate::net::Channel;
use crate::util::boxed;

/// The time in which the body of a request has to come.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The largest body of a request, in bytes.
const MAX_BODY: usize = 4 * 1024;

/// Serves one connection of the API's port to its end.
pub async fn serve_connection(
    context: Arc<Context>,
    channel: Channel,
    peer: SocketAddr,
    slot: Arc<Slot>,
) {
    // Without it, answers wait for the client's acknowledgements.
    let _ = channel.tcp().set_nodelay(true);
    let ip = peer.ip().to_canonical();
    let socket = Arc::new(ClientSocket::new(channel, Arc::clone(&slot)));
    let (of_requests, own) = (Arc::clone(&context), Arc::clone(&socket));
    let answers = Box::new(move |request| {
        let (context, socket) = (Arc::clone(&of_requests), Arc::clone(&own));
        boxed(async move { respond(&context, request, ip, &socket).await })
    });
    talk(&context, &slot, &socket, answers).await;
    socket.linger().await;
}

async fn respond(
    context: &Context,
    request: Request<Incoming>,
    peer: IpAddr,
    socket: &ClientSocket,
) -> Answer {
    let (head, body) = request.into_parts();
    let has_body = !body.is_end_stream();
    let done = match socket.has_conflict() {
        true => Err(Problem::malformed("the body has two lengths")),
        false => serve(context, &head, body, peer).await,
    };
    match done {
        Ok(answer) => answer,
        Err(problem) => {
            // hyper reads little of a body that nobody asked for, and closes.
            if has_body {
                socket.leave_unread();
            }
            context.metrics.rejected(problem.kind.rejection());
            let mut answer = problem.response();
            if problem.kind == Kind::Malformed {
                // Where the next request begins, client and server may see differently.
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            answer
        }
    }
}

async fn serve(
    context: &Context,
    head: &Parts,
    body: Incoming,
    peer: IpAddr,
) -> Result<Answer, Problem> {
    framing(&head.headers)?;
    let origin = Origin {
        ip: peer,
        id: RequestId::of(&head.headers, context.trusts(peer)),
    };
    let session = context
        .authenticator
        .authenticate(&head.headers, &origin, false);
    let session = session.await.map_err(Problem::of_credential)?.session;
    let caller = Caller {
        context,
        session,
        origin,
    };
    let route = route(&head.method, head.uri.path(), head.uri.query());
    let route = route.map_err(|problem| match caller.is_nobody() {
        true => Problem::nobody(),
        false => problem,
    })?;
    if head.method == Method::GET && !body.is_end_stream() {
        return Err(Problem::malformed("a GET has no body"));
    }
    match route {
        Route::List => caller.list(),
        Route::Description => caller.describe(),
        Route::Target(name, operation) => {
            // What a caller may not do is refused before their body is read.
            let handle = caller.target(&name, operation)?;
            let body = read(body).await?;
            if !body.is_empty() {
                media_type(head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes))?;
            }
            caller.serve(&name, operation, &handle, &body).await
        }
    }
}

/// Refuses transfer codings that hyper decodes and others may not, or not in this order
/// (<https://www.rfc-editor.org/rfc/rfc9112#section-6.1>).
fn framing(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_plain = match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    };
    match is_plain {
        true => Ok(()),
        false => Err(Problem::malformed("the only transfer coding is chunked")),
    }
}

/// Reads a body of at most [`MAX_BODY`] bytes within [`BODY_TIME`]. One that is announced as
/// longer is refused before it is asked for (`Expect: 100-continue`).
async fn read(mut body: Incoming) -> Result<Vec<u8>, Problem> {
    let too_large = || Problem::new(Kind::TooLarge, "a body has at most 4096 bytes");
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_large());
    }
    let reading = async {
        let mut whole = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::malformed("the body broke off"))?;
            if let Ok(data) = frame.into_data() {
                if data.len() > MAX_BODY - whole.len() {
                    return Err(too_large());
                }
                whole.extend_from_slice(&data);
            }
        }
        Ok(whole)
    };
    let read = timeout(BODY_TIME, reading).await;
    read.unwrap_or_else(|_| Err(Problem::new(Kind::Slow, "send the body within 10 s")))
}
