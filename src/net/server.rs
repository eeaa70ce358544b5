//! A small HTTP/1.1 server, with a limit on everything a peer controls: the number of
//! connections ([`super::connections`]), the time of each, the bytes that it may send,
//! and the time that unread answers are kept.

use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::io::{self, ErrorKind};
use std::net::{Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use log::{debug, warn};
use socket2::{Domain, Socket, Type};
use tokio::io::AsyncWrite;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::connections::{Connections, Peer, file_limit};
use crate::util::boxed;

/// From the first byte of a connection to its last: also a head that trickles
/// in, and an answer that nobody takes, end here.
const DEADLINE: Duration = Duration::from_secs(5);

/// The largest head of a request in bytes, and the least that hyper can do with.
const MAX_HEAD: usize = 8 * 1024;

/// Connections that wait until they are accepted. They are accepted at once, so
/// this is for a burst; the system may allow fewer.
const BACKLOG: i32 = 1024;

/// Bytes that a peer may send after its request before its connection is closed.
const MAX_SURPLUS: usize = 64 * 1024;

/// After this new connections are taken again, when the system refused one.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Files that a process may usually open, where the system does not say it.
const USUAL_FILES: usize = 1024;

/// An answer to a `GET`.
pub type Page = http::Response<String>;

/// A page of this status and media type.
pub fn page(status: StatusCode, content_type: &'static str, body: String) -> Page {
    let mut page = Page::new(body);
    *page.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    page.headers_mut().insert(CONTENT_TYPE, content_type);
    page
}

/// A page of plain text.
pub fn text_page(status: StatusCode, text: impl Into<String>) -> Page {
    page(status, "text/plain; charset=utf-8", text.into())
}

/// Listens on the first of these addresses that this machine has. Within the
/// context of a runtime.
///
/// # Errors
/// None of them can be listened on.
pub fn listen(candidates: &[SocketAddr]) -> io::Result<TcpListener> {
    let mut refused = io::Error::from(ErrorKind::InvalidInput);
    for address in candidates {
        match bind(*address) {
            Err(error) if !is_there(&error) => refused = error,
            // Where there is such an address, the next one would only hide that.
            bound => return bound,
        }
    }
    Err(refused)
}

/// Returns whether the machine has the address that cannot be listened on.
fn is_there(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AddrInUse | ErrorKind::PermissionDenied
    )
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // A port of connections that have just ended can be taken again.
    socket.set_reuse_address(true)?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // All addresses are those of IPv4 too, also where the system's default
        // (net.ipv6.bindv6only) says otherwise.
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Answers `GET` and `HEAD` with the page of the path, for ever; None is a 404.
/// One request a connection. Nobody waits for anybody: each connection is
/// accepted at once, and if there are too many, another one is closed for it.
pub async fn serve<F>(listener: TcpListener, page: F)
where
    F: Fn(&str) -> Option<Page> + Send + Sync + 'static,
{
    let page = Arc::new(page);
    let mut open = Connections::new(file_limit().unwrap_or(USUAL_FILES));
    let mut is_refused = false;
    loop {
        let accepted = match open.due() {
            Some(due) => timeout_at(due, listener.accept()).await,
            None => Ok(listener.accept().await),
        };
        let now = Instant::now();
        match accepted {
            Err(_) => open.trim(now),
            Ok(Ok((stream, peer))) => {
                is_refused = false;
                let peer = Peer::of(peer, stream.local_addr().ok());
                open.make_room(peer, now);
                let talk = timeout(DEADLINE, talk(stream, Arc::clone(&page)));
                open.add(peer, tokio::spawn(boxed(talk)).abort_handle(), now);
            }
            Ok(Err(error)) => {
                // Said once, and not again before one was taken.
                if !is_refused {
                    warn!("a connection cannot be taken: {error}");
                }
                is_refused = true;
                open.give_up_one(false);
                sleep(ACCEPT_RETRY).await;
            }
        }
        // Whoever was accepted is answered, and whoever had to go is gone, before
        // the next one comes.
        yield_now().await;
    }
}

/// Answers one request.
async fn talk<F>(stream: TcpStream, page: Arc<F>)
where
    F: Fn(&str) -> Option<Page> + Send + Sync + 'static,
{
    // Closing discards what the peer did not take: the kernel would keep it for
    // minutes. Whoever takes it and closes first loses nothing.
    if stream.set_zero_linger().is_err() || stream.readable().await.is_err() {
        return;
    }
    let service = service_fn(|request: http::Request<Incoming>| {
        let answer = answer(request.method(), request.uri().path(), &*page);
        ready(Ok::<_, Infallible>(answer))
    });
    let done = http1::Builder::new()
        .keep_alive(false)
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service)
        .without_shutdown()
        .await;
    match done {
        Ok(parts) => take_leave(parts.io.into_inner()).await,
        Err(error) => debug!("a request that is none: {error}"),
    }
}

/// Says that nothing more comes, and waits until the peer says so too.
async fn take_leave(mut stream: TcpStream) {
    let mut surplus = MAX_SURPLUS;
    let mut rest = [0; 1024];
    let shut_down = poll_fn(|context| Pin::new(&mut stream).poll_shutdown(context));
    if shut_down.await.is_err() {
        return;
    }
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut rest) {
            Ok(read) if read > 0 && read < surplus => surplus -= read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}

fn answer(
    method: &Method,
    path: &str,
    page: &impl Fn(&str) -> Option<Page>,
) -> http::Response<Full<Bytes>> {
    if matches!(*method, Method::GET | Method::HEAD) {
        let page = page(path).unwrap_or_else(|| text_page(StatusCode::NOT_FOUND, "not found\n"));
        return page.map(Full::from);
    }
    let mut page = text_page(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n");
    let allow = HeaderValue::from_static("GET, HEAD");
    page.headers_mut().insert(ALLOW, allow);
    page.map(Full::from)
}
