//! What passes of sockets and of event streams, and whether it is use of the target.

use tokio::net::TcpStream;

use super::apps::{OPEN, World, target};
use super::peers::{read, read_to, write};
use super::upgrades::open;
use crate::net::fake::run;

/// Sends a frame a second later, and returns whether it was use of the target once it is there.
async fn is_use(world: &World, (from, to): (&TcpStream, &TcpStream), frame: &[u8]) -> bool {
    let before = world.keeper.last_use();
    World::seconds(1).await;
    write(from, frame).await;
    let mut passed = Vec::new();
    while passed.len() < frame.len() {
        let piece = read(to).await;
        assert!(!piece.is_empty(), "the end, not {frame:?}");
        passed.extend(piece);
    }
    assert_eq!(passed, frame);
    world.keeper.last_use() != before
}

#[test]
fn data_of_a_socket_is_use_and_nothing_else_of_it_is() {
    run(async {
        for world in [
            World::ready(target(), OPEN).await,
            World::encrypted(target(), OPEN).await,
        ] {
            let (client, app) = open(&world).await;
            // Whether it is of the client, the frame, and whether it is use.
            let frames: &[(bool, &[u8], bool)] = &[
                (true, b"\x81\x81\0\0\0\0a", true),
                (true, b"\x89\x80\0\0\0\0", false),
                (true, b"\x89\x81\0\0\0\0p", false),
                (true, b"\x8a\x81\0\0\0\0p", false),
                (true, b"\x82\x81\0\0\0\0b", true),
                (false, b"\x81\x01a", true),
                (false, b"\x89\x00", false),
                (false, b"\x89\x01p", false),
                (false, b"\x8a\x01p", false),
                (false, b"\x82\x01b", true),
                (false, b"\x88\x02\x03\xe8", false),
                (true, b"\x88\x82\0\0\0\0\x03\xe8", false),
            ];
            for &(is_client, frame, expected) in frames {
                let way = match is_client {
                    true => (&client, &app),
                    false => (&app, &client),
                };
                let is_use = is_use(&world, way, frame).await;
                assert_eq!(is_use, expected, "{is_client} {frame:?}");
            }
        }
    });
}

#[test]
fn an_open_socket_is_no_use_while_nothing_passes() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        let (client, app) = open(&world).await;
        let opened = world.keeper.last_use();
        assert!(opened.is_some());
        World::seconds(3600).await;
        assert_eq!(world.keeper.last_use(), opened);
        // It has been open all the time.
        assert!(is_use(&world, (&app, &client), b"\x81\x01a").await);
    });
}

#[test]
fn events_are_use_of_the_app_and_comments_between_them_are_not() {
    run(async {
        for (kind, is_stream) in [("text/event-stream", true), ("text/plain", false)] {
            let world = World::ready(target(), OPEN).await;
            let (client, app) = world.asked("GET / HTTP/1.1").await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n");
            write(&app, head.as_bytes()).await;
            read_to(&client, "\r\n\r\n").await;
            for (piece, expected) in [
                (": ping\n\n", !is_stream),
                ("data: 1\n\n", true),
                // A comment in two pieces.
                (": pi", !is_stream),
                ("ng\n\n", !is_stream),
                (":\n\n", !is_stream),
                ("data: 2\n\n", true),
            ] {
                let before = world.keeper.last_use();
                World::seconds(1).await;
                write(&app, piece.as_bytes()).await;
                read_to(&client, piece).await;
                let is_use = world.keeper.last_use() != before;
                assert_eq!(is_use, expected, "{kind} {piece:?}");
            }
        }
    });
}
