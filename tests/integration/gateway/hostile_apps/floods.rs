//! Answers without an end: the gateway ends them, or its client does, and meanwhile it keeps
//! within its memory and others are served.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::case::Ask::{self, Get, Socket};
use super::case::Fate::{self, BrokenOff, Refused};
use super::case::{QUIET, SWITCHED, ask, assert_seen, world};
use crate::gateway::support::client::{Raw, get};
use crate::gateway::support::frames::frame;
use crate::gateway::support::script::Script;
use crate::gateway::support::world::MEMORY_KB;

/// The beginning of a body in chunks.
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n";

/// An answer without an end.
struct Flood {
    name: &'static str,
    ask: Ask,
    first: Vec<u8>,
    /// The bytes that come again and again behind it.
    piece: Vec<u8>,
    /// The client's view of it; None if it is passed on for as long as the client stays.
    fate: Option<Fate>,
}

fn floods() -> Vec<Flood> {
    let flood = |name, ask, first: &[&[u8]], piece: &[u8], fate| Flood {
        name,
        ask,
        first: first.concat(),
        piece: piece.to_vec(),
        fate,
    };
    let refused = |name, first: &str, piece: &str| {
        let (first, piece) = (first.as_bytes(), piece.as_bytes());
        flood(name, Get, &[first], piece, Some(Refused))
    };
    let broken_off = |name, first: &str, piece: &str| {
        let (first, piece) = (first.as_bytes(), piece.as_bytes());
        flood(name, Get, &[CHUNKED, first], piece, Some(BrokenOff))
    };
    let socket = |name, first: &[u8], piece: &[u8]| {
        flood(name, Socket, &[SWITCHED.as_bytes(), first], piece, None)
    };
    let hints = format!("HTTP/1.1 103 E\r\nLink: {}\r\n\r\n", "y".repeat(8_000));
    let longest = [&[0x82, 127][..], &(1_u64 << 62).to_be_bytes()].concat();
    vec![
        refused("fields", "HTTP/1.1 200 OK\r\n", "X: y\r\n"),
        refused("a value", "HTTP/1.1 200 OK\r\nX: ", "y"),
        refused("a reason", "HTTP/1.1 200 ", "y"),
        refused("empty lines", "", "\r\n"),
        refused("interim answers", "", "HTTP/1.1 102 P\r\n\r\n"),
        refused("large interim answers", "", &hints),
        broken_off("zeros of a size", "", "0"),
        broken_off("an extension of a chunk", "2;", "y"),
        broken_off("trailers", "0\r\n", "X: y\r\n"),
        broken_off("a trailer", "0\r\nX: ", "y"),
        socket("pings of a socket", b"", &frame(9, b"ping", None)),
        socket("empty frames of a socket", b"", &frame(2, b"", None)),
        socket("a frame of 2^62 bytes", &longest, &[0; 1_000]),
    ]
}

#[test]
fn answers_without_an_end_are_ended_within_the_memory_and_hold_up_nobody() {
    let world = world();
    let port = world.ports().proxy;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let beside = scope.spawn(|| {
            let mut count = 0;
            while !is_over.load(Ordering::SeqCst) {
                assert_eq!(get(port, "other.test", "/beside", "").text(), "hello");
                count += 1;
            }
            count
        });
        let all: Vec<_> = floods()
            .into_iter()
            .enumerate()
            .map(|(at, flood)| {
                let path = format!("/flood-{at}.");
                world
                    .backend("web")
                    .on(&path, Script::Flood(flood.first, flood.piece));
                scope.spawn(move || {
                    let mut raw = Raw::connect(port);
                    ask(&mut raw, flood.ask, &path);
                    match flood.fate {
                        Some(fate) => assert_seen(&mut raw, flood.name, flood.ask, fate),
                        // A client that takes some of it, none for a while, and leaves.
                        None => {
                            assert_eq!(raw.head().status, 101, "{}", flood.name);
                            raw.read_bytes(1_000_000);
                            thread::sleep(QUIET);
                        }
                    }
                })
            })
            .collect();
        let ended: Vec<_> = all
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        is_over.store(true, Ordering::SeqCst);
        assert!(beside.join().unwrap() > 10);
        assert!(ended.iter().all(Result::is_ok));
    });
    // Nothing of it is going on.
    world.backend("web").wait_open(0);
    let peak = world.peak_kb();
    assert!(peak < MEMORY_KB, "{peak} kB");
    assert_eq!(world.get("web.test", "/last", "").text(), "hello");
}
