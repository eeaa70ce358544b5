//! Requests that two servers could read in two ways, as bytes, in front of an app that takes
//! anything: what is refused reaches it in no form, and what is taken is one request there.

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::support::client::Raw;
use super::support::world::GatewayWorld;
use crate::support::monitor::poll;

/// The time in which everything that is going to come has come.
const QUIET: Duration = Duration::from_millis(400);

/// The time in which a connection ends that is closed: less than the 10 s after which one is
/// on which no request comes.
const CLOSING: Duration = Duration::from_secs(5);

/// The request that is hidden in the others.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: web.test\r\n\r\n";

/// The fate of a case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// It is refused, and the connection closed.
    Refused,
    /// It is one request at the app.
    Taken,
}

use Fate::{Refused, Taken};

/// The cases: a name, the request line and fields behind it (`Host` is added where none of
/// them has it), the bytes behind the head, and what becomes of it.
const CASES: [(&str, &str, &str, Fate); 44] = [
    ("a plain one", "GET /P HTTP/1.1", "", Taken),
    (
        "a length",
        "POST /P HTTP/1.1\r\nContent-Length: 5",
        "hello",
        Taken,
    ),
    (
        "chunks",
        "POST /P HTTP/1.1\r\nTransfer-Encoding: chunked",
        "5\r\nhello\r\n0\r\n\r\n",
        Taken,
    ),
    (
        "chunks in capitals",
        "POST /P HTTP/1.1\r\nTransfer-Encoding: CHUNKED",
        "5\r\nhello\r\n0\r\n\r\n",
        Taken,
    ),
    (
        "something behind chunks",
        "POST /P HTTP/1.1\r\nTransfer-Encoding: chunked",
        "0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: web.test\r\n\r\n",
        Taken,
    ),
    (
        "a request as the body of another",
        "POST /P HTTP/1.1\r\nContent-Length: 44",
        "GET /hidden HTTP/1.1\r\nHost: web.test\r\n\r\n    ",
        Taken,
    ),
    (
        "trailers that frame",
        "POST /P HTTP/1.1\r\nTransfer-Encoding: chunked",
        "0\r\nContent-Length: 50\r\nTransfer-Encoding: x\r\n\r\n",
        Taken,
    ),
    (
        "chunk extensions",
        "POST /P HTTP/1.1\r\nTransfer-Encoding: chunked",
        "5;a=b\r\nhello\r\n0\r\n\r\n",
        Taken,
    ),
    ("absolute form", "GET http://web.test/P HTTP/1.1", "", Taken),
    (
        "an upgrade without Connection",
        "GET /P HTTP/1.1\r\nUpgrade: websocket",
        "",
        Taken,
    ),
    (
        "an upgrade to h2c",
        "GET /P HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        "",
        Taken,
    ),
    (
        "names with an underscore",
        "GET /P HTTP/1.1\r\nContent_Length: 50\r\nTransfer_Encoding: chunked",
        "",
        Taken,
    ),
    (
        "a length, then chunks",
        "POST /P HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        "0\r\n\r\nG",
        Refused,
    ),
    (
        "chunks, then a length",
        "POST /P HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
        "0\r\n\r\nG",
        Refused,
    ),
    (
        "two equal lengths",
        "POST /P HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5",
        "hello",
        Refused,
    ),
    (
        "two lengths",
        "POST /P HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 44",
        "GET /hidden HTTP/1.1\r\nHost: web.test\r\n\r\n    ",
        Refused,
    ),
    (
        "a list of lengths",
        "POST /P HTTP/1.1\r\nContent-Length: 5, 5",
        "hello",
        Refused,
    ),
    (
        "a length with a sign",
        "POST /P HTTP/1.1\r\nContent-Length: +5",
        "hello",
        Refused,
    ),
    (
        "a negative length",
        "POST /P HTTP/1.1\r\nContent-Length: -1",
        "",
        Refused,
    ),
    (
        "a hexadecimal length",
        "POST /P HTTP/1.1\r\nContent-Length: 0x5",
        "hello",
        Refused,
    ),
    (
        "a length beyond all numbers",
        "POST /P HTTP/1.1\r\nContent-Length: 18446744073709551621",
        "hello",
        Refused,
    ),
    (
        "an empty length",
        "POST /P HTTP/1.1\r\nContent-Length: ",
        "",
        Refused,
    ),
    (
        "a space before a colon",
        "POST /P HTTP/1.1\r\nTransfer-Encoding : chunked",
        "0\r\n\r\n",
        Refused,
    ),
    (
        "a line that goes on",
        "POST /P HTTP/1.1\r\nTransfer-Encoding:\r\n chunked",
        "0\r\n\r\n",
        Refused,
    ),
    (
        "two codings in a line",
        "POST /P HTTP/1.1\r\nTransfer-Encoding: gzip, chunked",
        "0\r\n\r\n",
        Refused,
    ),
    (
        "chunked twice",
        "POST /P HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "0\r\n\r\n",
        Refused,
    ),
    (
        "identity, then chunked",
        "POST /P HTTP/1.1\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "0\r\n\r\n",
        Refused,
    ),
    (
        "chunked is not the last",
        "POST /P HTTP/1.1\r\nTransfer-Encoding: chunked, identity",
        "0\r\n\r\n",
        Refused,
    ),
    (
        "a coding that looks like it",
        "POST /P HTTP/1.1\r\nTransfer-Encoding: xchunked",
        "0\r\n\r\n",
        Refused,
    ),
    (
        "a coding in quotes",
        "POST /P HTTP/1.1\r\nTransfer-Encoding: \"chunked\"",
        "0\r\n\r\n",
        Refused,
    ),
    (
        "a coding with a vertical tab",
        "POST /P HTTP/1.1\r\nTransfer-Encoding: \u{b}chunked",
        "0\r\n\r\n",
        Refused,
    ),
    (
        "chunks of HTTP/1.0",
        "POST /P HTTP/1.0\r\nTransfer-Encoding: chunked",
        "0\r\n\r\n",
        Refused,
    ),
    (
        "a carriage return alone",
        "GET /P HTTP/1.1\r\nX: a\rTransfer-Encoding: chunked",
        "",
        Refused,
    ),
    (
        "two hosts",
        "GET /P HTTP/1.1\r\nHost: web.test\r\nHost: other.test",
        "",
        Refused,
    ),
    ("an empty host", "GET /P HTTP/1.1\r\nHost: ", "", Refused),
    (
        "a host with a user",
        "GET /P HTTP/1.1\r\nHost: a@web.test",
        "",
        Refused,
    ),
    (
        "absolute form of another",
        "GET http://other.test/P HTTP/1.1",
        "",
        Refused,
    ),
    (
        "absolute form with a user",
        "GET http://a@web.test/P HTTP/1.1",
        "",
        Refused,
    ),
    (
        "CONNECT",
        "CONNECT web.test:80 HTTP/1.1\r\nHost: web.test:80",
        "GET /hidden HTTP/1.1\r\nHost: web.test\r\n\r\n",
        Refused,
    ),
    ("TRACE", "TRACE /P HTTP/1.1", "", Refused),
    ("an asterisk", "OPTIONS * HTTP/1.1", "", Refused),
    (
        "an upgrade with a body",
        "GET /P HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 44",
        "GET /hidden HTTP/1.1\r\nHost: web.test\r\n\r\n    ",
        Refused,
    ),
    (
        "Connection names Cookie",
        "GET /P HTTP/1.1\r\nConnection: close, Cookie\r\nCookie: a=b",
        "",
        Refused,
    ),
    (
        "the beginning of HTTP/2",
        "PRI * HTTP/2.0",
        "SM\r\n\r\n",
        Refused,
    ),
];

fn bytes(at: usize, head: &str, body: &str) -> String {
    let head = head.replace("/P ", &format!("/case-{at}. "));
    let has_host = head.to_ascii_lowercase().contains("\r\nhost:") || head.starts_with("PRI");
    let host = if has_host { "" } else { "\r\nHost: web.test" };
    // The Host comes right behind the request line, so that what is odd stays last.
    let (line, fields) = head.split_once("\r\n").unwrap_or((&head, ""));
    let fields = match fields {
        "" => String::new(),
        fields => format!("\r\n{fields}"),
    };
    format!("{line}{host}{fields}\r\n\r\n{body}")
}

#[test]
fn what_can_be_read_in_two_ways_is_not_passed_on() {
    let mut world = GatewayWorld::new();
    world.app_with("web", json!({"anonymous": ["connect", "wake"]}));
    world.start();
    assert_eq!(world.get("web.test", "/first", "").status, 200);
    let port = world.ports().proxy;
    thread::scope(|scope| {
        for (at, (name, head, body, fate)) in CASES.iter().enumerate() {
            scope.spawn(move || {
                let mut raw = Raw::connect(port);
                raw.send(bytes(at, head, body));
                let told = match fate {
                    Refused => raw.read_for(CLOSING),
                    Taken => [raw.read_until(b"\r\n\r\n"), raw.read_for(QUIET)].concat(),
                };
                let told = String::from_utf8_lossy(&told).into_owned();
                let statuses: Vec<&str> = told.split("HTTP/1.1 ").skip(1).collect();
                // hyper has no word for who speaks HTTP/2, and closes.
                let is_refused = statuses.iter().all(|told| told.starts_with('4'));
                match fate {
                    Refused => assert!(is_refused, "{name}: {told}"),
                    Taken => assert!(!is_refused && !statuses.is_empty(), "{name}: {told}"),
                }
                if *fate == Refused {
                    assert!(raw.is_closed_within(QUIET), "{name} is still open");
                }
            });
        }
    });
    let asked = world.backend("web").asked();
    for (at, (name, _, _, fate)) in CASES.iter().enumerate() {
        let path = format!("/case-{at}.");
        let count = asked
            .iter()
            .filter(|one| one.line().contains(&path))
            .count();
        assert_eq!(count, usize::from(*fate == Taken), "{name}");
    }
    let mut lines = asked.iter().map(|one| one.line());
    assert!(!lines.any(|line| line.contains("/hidden")), "{asked:?}");
    for one in &asked {
        for name in ["upgrade", "http2-settings", "content_length", "trailer"] {
            assert_eq!(one.header(name), "", "{}", one.head);
        }
        let framing = one.headers("content-length").len() + one.headers("transfer-encoding").len();
        assert!(framing <= 1, "{}", one.head);
    }
}

#[test]
fn requests_behind_each_other_are_answered_one_by_one() {
    let mut world = GatewayWorld::new();
    world.app_with("web", json!({"anonymous": ["connect", "wake"]}));
    world.start();
    let mut raw = world.connect();
    raw.send(format!("{HIDDEN}{HIDDEN}{HIDDEN}"));
    for _ in 0..3 {
        let reply = raw.reply();
        assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
    }
    assert_eq!(world.backend("web").asked().len(), 3);
}

#[test]
fn heads_that_are_none_or_too_large_are_counted() {
    let world = GatewayWorld::with_web();
    let fields = "X: y\r\n".repeat(101);
    let many = format!("GET / HTTP/1.1\r\nHost: web.test\r\n{fields}\r\n");
    for (head, status) in [
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nX y\r\n\r\n", 400),
        (&many, 431),
    ] {
        let mut raw = world.connect();
        raw.send(head);
        assert_eq!(raw.reply().status, status, "{head}");
    }
    let counted = "openclaw_gateway_rejected_total{reason=\"head\"} 3\n";
    poll("all to be counted", || {
        world.metrics().contains(counted).then_some(())
    });
}
