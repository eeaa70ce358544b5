//! Sending a request and reading its answer within limits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, HeaderValue, USER_AGENT};
use http::response::Parts;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{HttpConnector, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use tokio::time::timeout;

use super::authority::Authority;
use super::dns::Resolver;
use super::error::{Error, Fault, ProxyFault, Stage};
use super::identity::Identity;
use super::proxy::Proxy;
use super::request::Request;
use super::response::Response;
use super::roots::Roots;
use super::trust::Trust;
use super::tunnel::{self, Connector};
use crate::json::{Sieve, Sifted};
use crate::util::Clock;

/// For one address of a host; the request's deadline covers the rest.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Shorter than the keep-alive of common servers and load balancers (60 s and
/// more), so that we are the side that closes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// One connection for a long poll and one for everything else.
const MAX_IDLE_PER_HOST: usize = 2;

/// A connection that died without a word is noticed after about a minute.
const KEEPALIVE_TIME: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// Sessions to resume; two servers are all we talk to.
const TLS_SESSIONS: usize = 4;

/// The largest head of an answer in bytes, and the largest read buffer.
const MAX_HEAD: usize = 64 * 1024;

/// Bytes that are read of an answer that is a refusal; error bodies are shorter.
const MAX_REFUSAL: usize = 64 * 1024;

/// Bytes that are kept of an answer that should be JSON and is not.
const MAX_SHOWN: usize = 256;

/// After so many bytes of one answer others have a turn.
const PAUSE_EVERY: usize = 128 * 1024;

const AGENT: HeaderValue = HeaderValue::from_static(concat!(
    env!("CARGO_PKG_NAME"),
    "/",
    env!("CARGO_PKG_VERSION")
));

/// An HTTP/1.1 client with a pool of connections. Clones share the pool.
/// Redirects are not followed and cookies not kept.
#[derive(Clone, Debug)]
pub struct Client {
    inner: hyper_util::client::legacy::Client<HttpsConnector<Connector>, Full<Bytes>>,
    clock: Clock,
}

impl Client {
    /// A client that believes `roots` for `https`; `http` works as well.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn new(roots: Roots, clock: Clock) -> Result<Self, TlsUnavailable> {
        Self::with_proxy(roots, None, clock)
    }

    /// As [`Client::new`], with `https` going through `proxy`, except to the
    /// hosts that it leaves out. `http` never goes through it.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn with_proxy(
        roots: Roots,
        proxy: Option<Arc<Proxy>>,
        clock: Clock,
    ) -> Result<Self, TlsUnavailable> {
        Self::build(roots, proxy, None, None, clock)
    }

    /// As [`Client::new`], for one server: it is shown `identity` if it asks for a
    /// certificate, and its own has to be for `name` instead of the URL's host.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn with_identity(
        roots: Roots,
        identity: Option<&Identity>,
        name: Option<ServerName<'static>>,
        clock: Clock,
    ) -> Result<Self, TlsUnavailable> {
        Self::build(roots, None, identity, name, clock)
    }

    fn build(
        roots: Roots,
        proxy: Option<Arc<Proxy>>,
        identity: Option<&Identity>,
        name: Option<ServerName<'static>>,
        clock: Clock,
    ) -> Result<Self, TlsUnavailable> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| TlsUnavailable)?;
        let (roots, pins) = roots.store();
        let provider = Arc::clone(builder.crypto_provider());
        let trust = Trust::new(roots, pins, provider).map_err(|_| TlsUnavailable)?;
        // "Dangerous" for whoever leaves something out: `Trust` adds to webpki.
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(trust));
        let mut tls = match identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(identity.resolver())),
            None => builder.with_no_client_auth(),
        };
        tls.resumption = Resumption::in_memory_sessions(TLS_SESSIONS);

        let mut tcp = HttpConnector::new_with_resolver(Resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(KEEPALIVE_TIME));
        tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
        tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));

        let mut https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http();
        if let Some(name) = name {
            https = https.with_server_name_resolver(FixedServerNameResolver::new(name));
        }
        let connector = https
            .enable_http1()
            .wrap_connector(Connector { tcp, proxy });
        // A pooled connection may turn out to be closed when a request is
        // handed to it. As long as no byte of the request was written, the
        // pool takes the next connection; that is the one retry made here,
        // and the only one that is safe for every request.
        let inner = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .http1_max_buf_size(MAX_HEAD)
            .retry_canceled_requests(true)
            .build(connector);
        Ok(Self { inner, clock })
    }

    /// The clock that tells when answers arrive.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Sends a request and reads the whole answer. An answer of any status is
    /// an `Ok`.
    ///
    /// # Errors
    /// No answer came within the request's limits.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        self.exchange(request, None).await
    }

    /// As [`Client::send`], but of a JSON answer with a 2xx status only what
    /// passes the sieve is kept: its body can be larger than memory. Where it is
    /// no JSON, and of any other status, the body is the beginning of what was
    /// sent.
    ///
    /// # Errors
    /// No answer came within the request's limits.
    pub async fn send_sifted(&self, request: Request, sieve: Sieve) -> Result<Response, Error> {
        self.exchange(request, Some(sieve)).await
    }

    /// Sends a request, and leaves the body of a 2xx answer to be read as it comes, however
    /// long that takes and however much it is. The request's deadline is for the head, and
    /// for the whole of any other answer.
    ///
    /// # Errors
    /// No answer began within the deadline, or a refusal did not end within it.
    pub async fn stream(&self, request: Request) -> Result<Opened, Error> {
        let started = Instant::now();
        let (authority, deadline) = (request.authority.clone(), request.limits.deadline);
        let (head, body) = self.head(request).await?;
        if head.status.is_success() {
            return Ok(Opened::Stream(Stream { body, authority }));
        }
        let left = deadline.saturating_sub(started.elapsed());
        let body = timeout(left, read_start(body, MAX_REFUSAL))
            .await
            .unwrap_or_else(|_| Err(late(Stage::Receiving, deadline)))
            .map_err(|fault| Error { authority, fault })?;
        Ok(Opened::Refused(self.response(head, whole(body))))
    }

    async fn exchange(&self, request: Request, sieve: Option<Sieve>) -> Result<Response, Error> {
        let started = Instant::now();
        let (authority, limits) = (request.authority.clone(), request.limits);
        let failed = |fault| Error {
            authority: authority.clone(),
            fault,
        };
        let (head, body) = self.head(request).await?;
        let left = limits.deadline.saturating_sub(started.elapsed());
        let reading = async {
            match sieve {
                None => read(body, limits.body).await.map(whole),
                Some(sieve) if head.status.is_success() => sift(body, limits.body, sieve).await,
                Some(_) => read_start(body, MAX_REFUSAL).await.map(whole),
            }
        };
        let sifted = timeout(left, reading)
            .await
            .map_err(|_| failed(late(Stage::Receiving, limits.deadline)))?
            .map_err(failed)?;
        Ok(self.response(head, sifted))
    }

    fn response(&self, head: Parts, sifted: Sifted) -> Response {
        Response {
            status: head.status.as_u16(),
            headers: head.headers,
            body: sifted.body,
            skipped: sifted.skipped,
            is_cut: sifted.is_cut,
            arrived: self.clock.now(),
        }
    }

    /// Sends a request, and reads the head of its answer.
    async fn head(&self, request: Request) -> Result<(Parts, Incoming), Error> {
        let Request {
            message,
            authority,
            limits,
        } = request;
        let failed = |fault| Error {
            authority: authority.clone(),
            fault,
        };
        let mut message = message.map(Full::new);
        message.headers_mut().entry(USER_AGENT).or_insert(AGENT);
        if let Some(value) = message.headers_mut().get_mut(AUTHORIZATION) {
            value.set_sensitive(true);
        }
        let connection = capture_connection(&mut message);
        let stage = || match *connection.connection_metadata() {
            Some(_) => Stage::Waiting,
            None => Stage::Connecting,
        };

        let sending = timeout(limits.deadline, self.inner.request(message));
        let (answer, awaited) = tunnel::watched(sending).await;
        let answer = answer
            .map_err(|_| match awaited {
                Some(proxy) => Fault::Proxy {
                    proxy,
                    why: ProxyFault::Deadline {
                        after: limits.deadline,
                    },
                },
                None => late(stage(), limits.deadline),
            })
            .map_err(&failed)?
            .map_err(|error| failed(Fault::of(&error, stage())))?;
        Ok(answer.into_parts())
    }
}

/// The answer to [`Client::stream`].
#[derive(Debug)]
pub enum Opened {
    /// A 2xx answer.
    Stream(Stream),
    /// Any other; of its body at most the first 64 KiB.
    Refused(Response),
}

/// An answer whose body is read as it comes. Dropped before its end, it closes its
/// connection.
#[derive(Debug)]
pub struct Stream {
    body: Incoming,
    authority: Authority,
}

impl Stream {
    /// The next bytes of the body; None at its end. May be dropped while it waits: no byte
    /// is lost by that.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        next(&mut self.body).await.map_err(|fault| Error {
            authority: self.authority.clone(),
            fault,
        })
    }
}

fn late(stage: Stage, after: Duration) -> Fault {
    Fault::Deadline { stage, after }
}

fn whole(body: Vec<u8>) -> Sifted {
    Sifted {
        body,
        ..Sifted::default()
    }
}

/// Reads a body of at most `limit` bytes. A longer one is refused before it is
/// read if its length is announced, and else as soon as it is too long.
async fn read(mut body: Incoming, limit: usize) -> Result<Vec<u8>, Fault> {
    let mut whole = Vec::with_capacity(announced(&body, limit)?);
    while let Some(data) = next(&mut body).await? {
        if data.len() > limit - whole.len() {
            return Err(Fault::TooLarge { limit });
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole)
}

/// The next bytes of a body; None at its end.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, Fault> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Fault::of_talking(&error, Stage::Receiving))?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// The length that is announced, in bytes; 0 if none is.
fn announced(body: &Incoming, limit: usize) -> Result<usize, Fault> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    match announced > limit {
        true => Err(Fault::TooLarge { limit }),
        false => Ok(announced),
    }
}

/// Reads the first `limit` bytes of a body.
async fn read_start(mut body: Incoming, limit: usize) -> Result<Vec<u8>, Fault> {
    let mut start = Vec::new();
    while start.len() < limit
        && let Some(data) = next(&mut body).await?
    {
        start.extend(data.iter().take(limit - start.len()));
    }
    Ok(start)
}

/// Passes a body of at most `limit` bytes through a sieve.
async fn sift(mut body: Incoming, limit: usize, mut sieve: Sieve) -> Result<Sifted, Fault> {
    announced(&body, limit)?;
    let mut start = Vec::new();
    let mut length = 0_usize;
    let mut since_pause = 0;
    while let Some(data) = next(&mut body).await? {
        length = length.saturating_add(data.len());
        if length > limit {
            return Err(Fault::TooLarge { limit });
        }
        start.extend(data.iter().take(MAX_SHOWN - start.len()));
        if sieve.push(&data).is_err() {
            return Ok(whole(start));
        }
        // A body that comes faster than it is read must not keep the rest of the
        // program waiting.
        since_pause += data.len();
        if since_pause >= PAUSE_EVERY {
            since_pause = 0;
            tokio::task::yield_now().await;
        }
    }
    Ok(sieve.finish().unwrap_or_else(|_| whole(start)))
}

/// The TLS library cannot be set up: a fault of the build, not of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("TLS cannot be set up in this build")]
pub struct TlsUnavailable;
