//! Answering small requests, with a limit on everything a peer controls: how
//! many there are, how long each may take, how much it may send.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, ready};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
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
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, error::Elapsed, sleep, timeout, timeout_at};

/// Connections at the same time.
const MAX_CONNECTIONS: usize = 32;

/// Who asks properly has been answered by then, whatever waits behind it.
const GRACE: Duration = Duration::from_millis(100);

/// From the first byte of a connection to its last.
const DEADLINE: Duration = Duration::from_secs(5);

/// The largest head of a request in bytes, and the least that hyper can do with.
const MAX_HEAD: usize = 8 * 1024;

/// After this new connections are taken again, when the system refused one.
const ACCEPT_RETRY: Duration = Duration::from_secs(1);

/// An answer to a `GET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The HTTP status.
    pub status: StatusCode,
    /// What the body is.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

/// Listens on the first of these addresses that this machine has.
///
/// # Errors
/// None of them can be listened on.
pub async fn listen(candidates: &[SocketAddr]) -> io::Result<TcpListener> {
    let mut refused = io::Error::from(ErrorKind::InvalidInput);
    for address in candidates {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = error,
        }
        // There is such an address: the next one would only hide that.
        if matches!(
            refused.kind(),
            ErrorKind::AddrInUse | ErrorKind::PermissionDenied
        ) {
            break;
        }
    }
    Err(refused)
}

/// Answers `GET` and `HEAD` with the page of the path, for ever; None is a 404.
/// One request a connection.
pub async fn serve<F>(listener: TcpListener, page: F)
where
    F: Fn(&str) -> Option<Page> + Send + Sync + 'static,
{
    let page = Arc::new(page);
    let mut connections = Connections::default();
    loop {
        connections.make_room().await;
        match listener.accept().await {
            Ok((stream, _)) => connections.add(timeout(DEADLINE, talk(stream, Arc::clone(&page)))),
            Err(error) => {
                warn!("a connection cannot be taken: {error}");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Those that are open.
#[derive(Default)]
struct Connections {
    talks: JoinSet<()>,
    by_age: VecDeque<(AbortHandle, Instant)>,
}

impl Connections {
    fn add(&mut self, talk: impl Future<Output = Result<(), Elapsed>> + Send + 'static) {
        let talk = async {
            // One that took too long is closed, which is all there is to do.
            let _ = talk.await;
        };
        let handle = self.talks.spawn(talk);
        self.by_age.push_back((handle, Instant::now()));
    }

    /// Waits until one more may be open. The oldest has to go if it had its time:
    /// waiting longer would keep out whoever asks next, which may be the kubelet.
    async fn make_room(&mut self) {
        loop {
            while self.talks.try_join_next().is_some() {}
            self.by_age.retain(|(talk, _)| !talk.is_finished());
            let Some((oldest, since)) = self.by_age.front() else {
                return;
            };
            if self.by_age.len() < MAX_CONNECTIONS {
                return;
            }
            if timeout_at(*since + GRACE, self.talks.join_next())
                .await
                .is_err()
            {
                oldest.abort();
                self.by_age.pop_front();
            }
        }
    }
}

/// Answers one request.
async fn talk<F>(stream: TcpStream, page: Arc<F>)
where
    F: Fn(&str) -> Option<Page> + Send + Sync + 'static,
{
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
        .await;
    if let Err(error) = done {
        debug!("a request that is none: {error}");
    }
}

fn answer(
    method: &Method,
    path: &str,
    page: &impl Fn(&str) -> Option<Page>,
) -> http::Response<Full<Bytes>> {
    let is_known = matches!(*method, Method::GET | Method::HEAD);
    let Page {
        status,
        content_type,
        body,
    } = match is_known {
        true => page(path).unwrap_or_else(|| Page::text(StatusCode::NOT_FOUND, "not found\n")),
        false => Page::text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n"),
    };
    let mut response = http::Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if !is_known {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

impl Page {
    /// Plain text.
    pub fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: body.into(),
        }
    }
}
