//! Connections, straight to a server or through a proxy.
//!
//! Specification: `CONNECT`, <https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6>.

use std::cell::Cell;
use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;
use zeroize::Zeroizing;

use super::authority::Authority;
use super::dns::Resolver;
use super::error::{Fault, NoTunnel, ProxyFault, Stage};
use super::proxy::Proxy;
use super::stream;
use crate::util::Secret;

/// The largest head of a proxy's answer, in bytes.
const MAX_HEAD: usize = 8 * 1024;

/// The beginning of every answer of a proxy.
const START: &[u8] = b"HTTP/1.";

type BoxError = Box<dyn StdError + Send + Sync>;

tokio::task_local! {
    /// The proxy that the request being sent is waiting for.
    static AWAITED: Cell<Option<Authority>>;
}

/// Runs `sending`; returns its output and the proxy that it was still waiting for.
///
/// A pool asks its connector for a connection to a host, not for one for a
/// request: this is how a request that ran out of time learns who was slow.
pub(super) async fn watched<T>(sending: impl Future<Output = T>) -> (T, Option<Authority>) {
    let watched = async { (sending.await, AWAITED.with(Cell::take)) };
    AWAITED.scope(Cell::new(None), watched).await
}

fn now_awaiting(proxy: Option<&Authority>) {
    // Fails where the pool goes on connecting after the request got another
    // connection: nobody waits then.
    let _ = AWAITED.try_with(|awaited| awaited.set(proxy.cloned()));
}

/// Opens connections for the pool.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) tcp: HttpConnector<Resolver>,
    pub(super) proxy: Option<Arc<Proxy>>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(BoxError::from)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let proxy = self.proxy.clone().filter(|proxy| proxy.serves(&uri));
        let Some(proxy) = proxy else {
            let connecting = self.tcp.call(uri);
            return Box::pin(async { Ok(connecting.await?) });
        };
        let connecting = self.tcp.call(proxy.uri.clone());
        Box::pin(async move {
            let target = Authority::of(&uri)?;
            now_awaiting(Some(proxy.authority()));
            let opened = async {
                let stream = connecting
                    .await
                    .map_err(|error| Fault::of_connecting(&error))?;
                ask(stream.inner(), &target, proxy.basic.as_ref()).await?;
                Ok(stream)
            };
            let opened = opened.await;
            now_awaiting(None);
            opened.map_err(|why| {
                let proxy = proxy.authority().clone();
                NoTunnel { proxy, why }.into()
            })
        })
    }
}

/// Asks the proxy at the other end of `stream` for a connection to `target`.
/// After an `Ok`, what is written and read there is between us and `target`.
async fn ask(
    stream: &TcpStream,
    target: &Authority,
    basic: Option<&Secret>,
) -> Result<(), ProxyFault> {
    let target = target.to_string();
    let credentials = basic.map_or(["", "", ""], |basic| {
        ["Proxy-Authorization: Basic ", basic.expose(), "\r\n"]
    });
    let request = [
        ["CONNECT ", &target, " HTTP/1.1\r\n"],
        ["Host: ", &target, "\r\n"],
        credentials,
        ["", "", "\r\n"],
    ];
    let request = Zeroizing::new(request.concat().concat());
    stream::write(stream, request.as_bytes())
        .await
        .map_err(closed)?;
    match (read_status(stream).await?, basic) {
        (200..=299, _) => Ok(()),
        (407, None) => Err(ProxyFault::CredentialsMissing),
        (407, Some(_)) => Err(ProxyFault::CredentialsRefused),
        (status, _) => Err(ProxyFault::Status(status)),
    }
}

/// Reads the head of an answer and nothing behind it: byte for byte, which
/// for some hundred bytes a connection costs less than a buffer to hand on.
async fn read_status(stream: &TcpStream) -> Result<u16, Fault> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream::read(stream, &mut byte).await.map_err(closed)?;
        head.extend(byte);
        let is_http = head.iter().zip(START).all(|(ours, theirs)| ours == theirs);
        if !is_http || head.len() > MAX_HEAD {
            return Err(Fault::NotHttp);
        }
    }
    status(&head).ok_or(Fault::NotHttp)
}

/// The connection broke before there was an answer.
fn closed(_: io::Error) -> Fault {
    Fault::Closed(Stage::Waiting)
}

/// The status in `HTTP/1.1 200 …`.
fn status(head: &[u8]) -> Option<u16> {
    let [_minor, b' ', rest @ ..] = head.strip_prefix(START)? else {
        return None;
    };
    let [digits @ .., b' ' | b'\r'] = rest.get(..4)? else {
        return None;
    };
    let status = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (100..600).contains(&status).then_some(status)
}
