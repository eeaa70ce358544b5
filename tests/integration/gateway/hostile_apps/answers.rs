//! Answers that are none, or that could be read in two ways: the client gets a 502, or an
//! answer that is known to have been broken off, and nobody gets another's.

use std::thread;

use super::case::Ask::{self, Get, Head, Socket};
use super::case::Fate::{self, BrokenOff, Passed, Refused};
use super::case::{SWITCHED, ask, assert_seen, world};
use crate::gateway::support::client::Raw;
use crate::gateway::support::script::Script;

/// The words of the client once it has an answer, or the gateway's word that there is none.
const MARKER: &str = "said-afterwards";

/// A name, the request, the bytes of the answer, and what the client sees.
const CASES: [(&str, Ask, &str, Fate); 44] = [
    ("no HTTP", Get, "nonsense\r\n\r\n", Refused),
    (
        "a body alone, as HTTP/0.9 has it",
        Get,
        "<html>hello</html>",
        Refused,
    ),
    (
        "the beginning of HTTP/2",
        Get,
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        Refused,
    ),
    (
        "a request",
        Get,
        "GET / HTTP/1.1\r\nHost: web.test\r\n\r\n",
        Refused,
    ),
    (
        "another version",
        Get,
        "HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        Refused,
    ),
    (
        "a status of two digits",
        Get,
        "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        Refused,
    ),
    (
        "a status below all",
        Get,
        "HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
        Refused,
    ),
    (
        "a head that ends early",
        Get,
        "HTTP/1.1 200 OK\r\nX",
        Refused,
    ),
    ("nothing", Get, "", Refused),
    (
        "a zero byte in a value",
        Get,
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        Refused,
    ),
    (
        "a carriage return alone",
        Get,
        "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
        Refused,
    ),
    (
        "a line that goes on",
        Get,
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        Refused,
    ),
    (
        "a space before a colon",
        Get,
        "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        Refused,
    ),
    (
        "two lengths",
        Get,
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        Refused,
    ),
    (
        "a list of lengths",
        Get,
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab",
        Refused,
    ),
    (
        "a length that is none",
        Get,
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nab",
        Refused,
    ),
    (
        "a negative length",
        Get,
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab",
        Refused,
    ),
    (
        "a length with a sign",
        Get,
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
        Refused,
    ),
    (
        "a length beyond all numbers",
        Get,
        "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\nab",
        Refused,
    ),
    (
        "a length, and chunks",
        Get,
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        Passed(200, "ok"),
    ),
    (
        "chunks, and a length",
        Get,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 50\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        Passed(200, "ok"),
    ),
    (
        "a body that is too short",
        Get,
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nok",
        BrokenOff,
    ),
    (
        "the longest length",
        Get,
        "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nok",
        BrokenOff,
    ),
    (
        "chunks that end early",
        Get,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        BrokenOff,
    ),
    (
        "a chunk without a size",
        Get,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nxx\r\nok\r\n0\r\n\r\n",
        BrokenOff,
    ),
    (
        "a chunk beyond all numbers",
        Get,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nfffffffffffffffff\r\nok",
        BrokenOff,
    ),
    (
        "the longest chunk",
        Get,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nfffffffffffffffe\r\nok",
        BrokenOff,
    ),
    (
        "a chunk that is longer than its size",
        Get,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n",
        BrokenOff,
    ),
    (
        "fields between two servers",
        Get,
        "HTTP/1.1 200 OK\r\nConnection: X-Secret\r\nConnection: keep-alive, X-Inner\r\nX-Secret: a\r\n\
         X-Inner: b\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nProxy-Authenticate: Basic\r\nTE: trailers\r\n\
         Trailer: X-Secret\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Secret: a\r\n\r\n",
        Passed(200, "ok"),
    ),
    (
        "interim answers",
        Get,
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 P\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        Passed(200, "ok"),
    ),
    (
        "an interim answer alone",
        Get,
        "HTTP/1.1 103 Early Hints\r\n\r\n",
        Refused,
    ),
    ("a 101 that nobody asked for", Get, SWITCHED, Refused),
    ("a 101 to a HEAD", Head, SWITCHED, Refused),
    (
        "a 101 with the key of another",
        Socket,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: AAAALMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        Refused,
    ),
    (
        "a 101 to another protocol",
        Socket,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        Refused,
    ),
    (
        "a 101 to two protocols",
        Socket,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        Refused,
    ),
    (
        "a 101 without Connection",
        Socket,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        Refused,
    ),
    (
        "a 101 without anything",
        Socket,
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        Refused,
    ),
    (
        "an answer behind an answer",
        Get,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        Passed(200, "ok"),
    ),
    (
        "an answer behind chunks",
        Get,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        Passed(200, "ok"),
    ),
    (
        "a body of a HEAD",
        Head,
        "HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        Passed(200, ""),
    ),
    (
        "a body of a 204",
        Get,
        "HTTP/1.1 204 No Content\r\nContent-Length: 44\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        Passed(204, ""),
    ),
    (
        "a body of a 304",
        Get,
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 44\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        Passed(304, ""),
    ),
    (
        "an answer behind that to an upgrade",
        Socket,
        "HTTP/1.1 400 No\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        Passed(400, "ok"),
    ),
];

#[test]
fn what_is_no_answer_is_a_502_and_what_is_broken_off_shows() {
    let world = world();
    for (at, (_, _, answer, fate)) in CASES.iter().enumerate() {
        // What has an end of its own leaves the connection open.
        let bytes = answer.as_bytes().to_vec();
        let script = match fate {
            Passed(..) => Script::Bytes(bytes),
            _ => Script::Raw(bytes),
        };
        world.backend("web").on(&format!("/case-{at}."), script);
    }
    let port = world.ports().proxy;
    thread::scope(|scope| {
        for (at, (name, how, _, fate)) in CASES.iter().enumerate() {
            scope.spawn(move || {
                let mut raw = Raw::connect(port);
                ask(&mut raw, *how, &format!("/case-{at}."));
                assert_seen(&mut raw, name, *how, *fate);
                raw.send(MARKER);
            });
        }
    });
    // All are counted, and the log has one of them: the others would fill it.
    let refused = CASES.iter().filter(|(.., fate)| *fate == Refused).count();
    let counted = format!("openclaw_gateway_rejected_total{{reason=\"unreachable\"}} {refused}\n");
    assert!(world.metrics().contains(&counted), "{}", world.metrics());
    let log = world.replicas[0].run.log();
    let told = log
        .lines()
        .filter(|line| line.contains("web gave no answer"));
    assert_eq!(told.count(), 1, "{log}");
    // Whoever comes next gets an answer of their own, over whatever connections are left.
    thread::scope(|scope| {
        for _ in 0..CASES.len() {
            scope.spawn(|| {
                let mut raw = Raw::connect(port);
                for path in ["/next", "/after"] {
                    raw.get("web.test", path, "");
                    let reply = raw.reply();
                    assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
                }
            });
        }
    });
    for bytes in world.backend("web").bytes() {
        assert!(!String::from_utf8_lossy(&bytes).contains(MARKER));
    }
    assert_eq!(world.get("other.test", "/last", "").text(), "hello");
}
