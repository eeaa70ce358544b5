//! A request to an app that is hostile, and what its client sees of the answer.

use std::time::Duration;

use serde_json::json;

use crate::gateway::support::client::Raw;
use crate::gateway::support::world::GatewayWorld;
use crate::support::monitor::DEADLINE;
use Ask::{Get, Head, Socket};
use Fate::{BrokenOff, Passed};

/// The time in which everything that is going to come has come.
pub const QUIET: Duration = Duration::from_millis(400);

/// Fields of an answer that are for the next server alone, among them those that a case names.
const HOP_BY_HOP: [&str; 8] = [
    "upgrade",
    "keep-alive",
    "proxy-authenticate",
    "te",
    "trailer",
    "x-secret",
    "x-inner",
    "link",
];

/// The answer to the handshake of `Raw::ask_websocket`.
pub const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// The request that is answered so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    Get,
    Head,
    Socket,
}

/// The client's view of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// 502: it was none.
    Refused,
    /// This status, and this body to its end.
    Passed(u16, &'static str),
    /// 200, and the connection ends before the body does.
    BrokenOff,
}

/// A gateway with the app, and another app that is as it should be.
pub fn world() -> GatewayWorld {
    let mut world = GatewayWorld::new();
    world.app_with("web", json!({"anonymous": ["connect", "wake"]}));
    world.app_with("other", json!({"anonymous": ["connect", "wake"]}));
    world.start();
    for host in ["web.test", "other.test"] {
        assert_eq!(world.get(host, "/first", "").status, 200);
    }
    world
}

/// Sends the request.
pub fn ask(raw: &mut Raw, ask: Ask, path: &str) {
    match ask {
        Get => raw.get("web.test", path, ""),
        Head => raw.send(format!("HEAD {path} HTTP/1.1\r\nHost: web.test\r\n\r\n")),
        Socket => raw.ask_websocket("web.test", path, ""),
    }
}

/// Reads the answer and compares it with what the client should see, within the deadline.
pub fn assert_seen(raw: &mut Raw, name: &str, ask: Ask, fate: Fate) {
    if fate == BrokenOff {
        let told = raw.read_for(DEADLINE);
        let told = String::from_utf8_lossy(&told);
        assert!(told.starts_with("HTTP/1.1 200 "), "{name}: {told}");
        assert!(!told.ends_with("0\r\n\r\n"), "{name}: {told}");
        assert!(raw.is_closed_within(DEADLINE), "{name}: it goes on");
        return;
    }
    let reply = match ask {
        Head => raw.reply_to_head(),
        Get | Socket => raw.reply(),
    };
    match fate {
        Passed(status, text) => {
            assert_eq!(
                (reply.status, reply.text().as_str()),
                (status, text),
                "{name}"
            );
            for field in HOP_BY_HOP {
                assert_eq!(reply.header(field), "", "{name}: {reply:?}");
            }
            let is_chunked = !reply.header("transfer-encoding").is_empty();
            assert!(
                !is_chunked || reply.header("content-length").is_empty(),
                "{name}: {reply:?}"
            );
        }
        _ => assert_eq!(reply.status, 502, "{name}: {reply:?}"),
    }
    let more = raw.read_for(QUIET);
    assert!(
        more.is_empty(),
        "{name}: {}",
        String::from_utf8_lossy(&more)
    );
}
