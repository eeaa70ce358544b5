//! WebSockets: whether an app has really switched, and what becomes of a socket while it is
//! open.
//!
//! Specification: <https://www.rfc-editor.org/rfc/rfc6455#section-4>.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderMap, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::answer::Answer;
use super::app_stream::AppStream;
use super::socket::ClientIo;
use super::standing::Standing;
use super::tunnel::{self, Over};
use super::usage::Usage;
use super::who::{self, AuditFields};
use crate::gateway::listener::Slot;
use crate::net::Channel;
use crate::telemetry::{GatewayEvent, Rejection};
use crate::util::{First, race};

/// The text that is hashed with a key (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The time in which both sides have to have switched once the answer is known.
const SWITCH: Duration = Duration::from_secs(10);

/// The pause after which the system looks whether a silent peer is still there.
const KEEPALIVE: Duration = Duration::from_secs(120);

/// The send buffer (`SO_SNDBUF`) of either side, in bytes, of which Linux makes twice as much.
const SEND_BUFFER: usize = 4 * 1024;

/// Two connections that are about to become one socket.
pub(super) struct Switching {
    pub(super) client: OnUpgrade,
    pub(super) app: OnUpgrade,
    pub(super) usage: Usage,
    pub(super) standing: Standing,
}

/// Returns true if the answer to a request for a WebSocket says that this is one now.
pub(super) fn is_switched(asked: &HeaderMap, answered: &HeaderMap) -> bool {
    let is_websocket = answered
        .get(UPGRADE)
        .is_some_and(|token| token.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let is_upgrade = answered.get_all(CONNECTION).iter().any(|line| {
        let mut tokens = line.as_bytes().split(|byte| *byte == b',');
        tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    });
    let (Some(key), Some(accept)) = (
        asked.get(SEC_WEBSOCKET_KEY),
        answered.get(SEC_WEBSOCKET_ACCEPT),
    ) else {
        return false;
    };
    is_websocket && is_upgrade && accept.as_bytes() == accepted(key).as_bytes()
}

fn accepted(key: &HeaderValue) -> String {
    let mut hash = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(GUID);
    STANDARD.encode(hash.finish())
}

/// Makes the answer one that switches.
pub(super) fn switch(response: &mut Response<Answer>) {
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Serves the socket to its end.
pub(super) async fn run(switching: Switching, slot: &Arc<Slot>) {
    let Switching {
        client,
        app,
        usage,
        standing,
    } = switching;
    let Standing {
        context,
        session,
        origin,
        ..
    } = &standing;
    let switched = timeout(SWITCH, async { (client.await, app.await) }).await;
    let Ok((Ok(client), Ok(app))) = switched else {
        return;
    };
    let (Ok(client), Ok(app)) = (
        client.downcast::<ClientIo>(),
        app.downcast::<TokioIo<AppStream>>(),
    ) else {
        return;
    };
    let (socket, app_stream) = (client.io.socket, app.io.into_inner().into_tcp());
    keep_alive(socket.channel.tcp());
    limit_buffer(socket.channel.tcp());
    limit_buffer(&app_stream);
    let room = || {
        let room = slot.pass();
        if room.is_none() {
            context.metrics.rejected(Rejection::Connections);
        }
        room
    };
    let start = Instant::now();
    let name = standing.target.target().name.as_str().to_owned();
    let mut told = AuditFields {
        target: &name,
        verb: "connect",
        ..AuditFields::default()
    };
    who::record(context, GatewayEvent::SessionStart, session, origin, &told);
    let early = (client.read_buf, app.read_buf);
    let ended = tunnel::run(
        &socket.channel,
        &Channel::plain(app_stream),
        early,
        &usage.counter(),
        &room,
        over(&standing),
    )
    .await;
    told.reason = ended.map_or("", Over::reason);
    let lasted = start.elapsed().as_millis();
    told.duration_ms = Some(u64::try_from(lasted).unwrap_or(u64::MAX));
    who::record(context, GatewayEvent::SessionEnd, session, origin, &told);
}

/// Has the system find out when the peer of a silent socket is gone.
fn keep_alive(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    // Without it the socket only lives longer than its peer.
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

/// Has the system keep less of what is on its way to a peer: sockets are many.
fn limit_buffer(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_send_buffer_size(SEND_BUFFER);
}

/// Resolves when an open socket has to end.
async fn over(standing: &Standing) -> Over {
    let (context, handle) = (&standing.context, &standing.target);
    let away = async {
        let last = async {
            context.draining().await;
            sleep(context.drain).await;
        };
        race(handle.closing(), last).await;
    };
    match race(pin!(away), pin!(standing.ended(Instant::now()))).await {
        First::Left(()) => Over::Away,
        First::Right(over) => over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let lines = lines.iter();
        lines
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn only_a_whole_and_right_answer_switches() {
        // The example of section 1.3.
        let asked = headers(&[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")]);
        let upgrade = ("upgrade", "WebSocket");
        let connection = ("connection", "keep-alive, Upgrade");
        let accept = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for (answered, expected) in [
            (vec![upgrade, connection, accept], true),
            (vec![connection, accept], false),
            (vec![upgrade, accept], false),
            (vec![upgrade, connection], false),
            (vec![("upgrade", "h2c"), connection, accept], false),
            (vec![upgrade, ("connection", "close"), accept], false),
            (
                vec![
                    upgrade,
                    connection,
                    ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOp="),
                ],
                false,
            ),
        ] {
            assert_eq!(
                is_switched(&asked, &headers(&answered)),
                expected,
                "{answered:?}"
            );
        }
        assert!(!is_switched(
            &HeaderMap::new(),
            &headers(&[upgrade, connection, accept])
        ));
    }
}
