//! Requests through the whole proxy to a target that is ready.

use tokio::net::TcpStream;
use tokio::time::{Duration, pause, sleep};

use super::apps::{SHORT, STRANGER, TOKEN, World, answer, send, serve, target};
use super::peers::{fill, has_ended, read, read_all, read_to, write};
use crate::control::access::Action;
use crate::net::fake::run;

const OPEN: &[Action] = &[Action::Connect];

#[test]
fn a_request_comes_through_and_its_connections_are_used_again() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        let client = world.client().await;
        send(
            &client,
            "GET /a//b/../?x=%2e HTTP/1.1\nX-Forwarded-For: 1.2.3.4",
        )
        .await;
        let app = world.accept().await;
        let head = serve(&app, "hello").await;
        assert!(
            head.starts_with("GET /a//b/../?x=%2e HTTP/1.1\r\n"),
            "{head}"
        );
        assert!(head.contains("x-forwarded-for: 127.0.0.1\r\n"), "{head}");
        assert!(answer(&client).await.ends_with("\r\n\r\nhello"));
        for _ in 0..3 {
            send(&client, "GET / HTTP/1.1").await;
            serve(&app, "again").await;
            assert!(answer(&client).await.ends_with("again"));
        }
        assert!(world.keeper.last_use().is_some());
    });
}

#[test]
fn the_gateways_token_does_not_reach_the_app_and_the_apps_does() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        for (line, is_passed) in [
            (format!("Authorization: Bearer {TOKEN}"), false),
            ("Authorization: Bearer of-the-app".to_owned(), true),
            ("Authorization: Basic eDp5".to_owned(), true),
        ] {
            let client = world.client().await;
            send(
                &client,
                &format!("GET / HTTP/1.1\n{line}\nConnection: close"),
            )
            .await;
            let app = world.accept().await;
            let head = serve(&app, "").await;
            assert_eq!(head.contains("authorization"), is_passed, "{line}: {head}");
            // A new connection for the next round.
            drop(app);
            read_all(&client).await;
        }
    });
}

#[test]
fn who_may_not_come_learns_nothing() {
    run(async {
        let world = World::ready(target(), &[]).await;
        let bare = |answer: String| -> String {
            let lines = answer.lines().filter(|line| !line.starts_with("date:"));
            lines.collect::<Vec<_>>().join("\n")
        };
        for (token, status) in [("", "401"), (STRANGER, "404"), ("rubbish", "401")] {
            let line = match token {
                "" => String::new(),
                token => format!("\nAuthorization: Bearer {token}"),
            };
            for path in ["/", "/.gateway/status", "/.gateway/x"] {
                let known = format!("GET {path} HTTP/1.1{line}");
                let unknown = format!("{known}\nHost: other.example.org");
                let (known, unknown) = (world.ask(&known).await, world.ask(&unknown).await);
                assert!(
                    known.starts_with(&format!("HTTP/1.1 {status}")),
                    "{token} {path}: {known}"
                );
                assert_eq!(bare(known), bare(unknown), "{token} {path}");
            }
        }
        let told = world.ask("GET / HTTP/1.1").await;
        assert!(told.contains("www-authenticate: Bearer\r\n"), "{told}");
    });
}

#[test]
fn whoever_is_refused_in_the_middle_of_an_upload_is_told_so() {
    run(async {
        let world = World::ready(target(), &[]).await;
        let client = world.client().await;
        // More than the system keeps, and all of it is sent before anything is read.
        let body = "x".repeat(200_000);
        let length = body.len();
        send(
            &client,
            &format!("POST / HTTP/1.1\nContent-Length: {length}"),
        )
        .await;
        write(&client, body.as_bytes()).await;
        let told = read_to(&client, "\r\n\r\n").await;
        assert!(told.starts_with("HTTP/1.1 401"), "{told}");
    });
}

#[test]
fn own_paths_are_never_the_apps() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        for path in ["/.gateway/", "/.gateway/anything", "/.gateway/status"] {
            let told = world.ask(&format!("GET {path} HTTP/1.1")).await;
            assert!(told.starts_with("HTTP/1.1 404"), "{path}: {told}");
        }
        let status = format!("GET /.gateway/status HTTP/1.1\nAuthorization: Bearer {TOKEN}");
        let client = world.client().await;
        send(&client, &status).await;
        let told = read_to(&client, "event: ready").await;
        assert!(
            told.contains("content-type: text/event-stream\r\n"),
            "{told}"
        );
    });
}

#[test]
fn lengths_of_answers_without_bodies_are_kept() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        for (method, status, length) in [
            ("HEAD", "200 OK", "content-length: 7\r\n"),
            ("GET", "304 Not Modified", "content-length: 7\r\n"),
            ("GET", "204 No Content", ""),
        ] {
            let (client, app) = world
                .asked(&format!("{method} / HTTP/1.1\nConnection: close"))
                .await;
            let told =
                format!("HTTP/1.1 {status}\r\nContent-Length: 7\r\nConnection: close\r\n\r\n");
            write(&app, told.as_bytes()).await;
            let all = String::from_utf8(read_all(&client).await).unwrap();
            assert!(all.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{all}");
            assert!(all.contains(length), "{all}");
            assert!(all.ends_with("\r\n\r\n"), "{all}");
            assert_eq!(all.contains("content-length"), !length.is_empty(), "{all}");
        }
    });
}

#[test]
fn events_come_as_they_are_sent() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        let (client, app) = world.asked("GET / HTTP/1.1").await;
        write(
            &app,
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
        )
        .await;
        let head = read_to(&client, "\r\n\r\n").await;
        assert!(head.contains("x-accel-buffering: no\r\n"), "{head}");
        for at in 0..3 {
            let event = format!("data: {at}\n\n");
            write(&app, event.as_bytes()).await;
            read_to(&client, &event).await;
        }
        drop(app);
        // The last chunk, and the connection goes on.
        read_to(&client, "0\r\n\r\n").await;
    });
}

#[test]
fn an_answer_that_lasts_ends_when_its_credential_is_not_taken_any_more() {
    run(async {
        for kind in ["text/event-stream", "application/octet-stream"] {
            let world = World::ready(target(), OPEN).await;
            // With one that expires, with one that is revoked, and with none.
            let mut open = Vec::new();
            for token in [SHORT, TOKEN, ""] {
                let client = world.client().await;
                let line = match token {
                    "" => "",
                    _ => &format!("\nAuthorization: Bearer {token}"),
                };
                send(&client, &format!("GET / HTTP/1.1{line}")).await;
                let app = world.accept().await;
                read_to(&app, "\r\n\r\n").await;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n");
                write(&app, head.as_bytes()).await;
                read_to(&client, "\r\n\r\n").await;
                open.push((client, app));
            }
            world.revoke();
            let mut are_open = vec![true; open.len()];
            for second in 1..=65_usize {
                World::seconds(1).await;
                for (at, (client, app)) in open.iter().enumerate() {
                    if !are_open[at] {
                        continue;
                    }
                    let said = format!("data: {second}\n\n");
                    write(app, said.as_bytes()).await;
                    let told = read(client).await;
                    are_open[at] = !told.is_empty();
                }
                let is_stream = kind.starts_with("text");
                let expected = match second {
                    ..30 => [true, true, true],
                    30..60 => [!is_stream, true, true],
                    60.. => [false, false, true],
                };
                if second % 15 == 5 {
                    assert_eq!(are_open, expected, "{kind} {second}");
                }
            }
            // Its app is told, too.
            read_all(&open[0].1).await;
        }
    });
}

#[test]
fn an_upload_flows_and_an_early_answer_ends_it() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        let client = world.client().await;
        send(&client, "POST / HTTP/1.1\nContent-Length: 10").await;
        let app = world.accept().await;
        let head = read_to(&app, "\r\n\r\n").await;
        assert!(head.contains("content-length: 10\r\n"), "{head}");
        write(&client, b"01234").await;
        read_to(&app, "01234").await;
        write(&client, b"56789").await;
        read_to(&app, "56789").await;
        write(&app, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        assert!(!answer(&client).await.contains("connection: close"));

        send(&client, "POST / HTTP/1.1\nTransfer-Encoding: chunked").await;
        let head = read_to(&app, "\r\n\r\n").await;
        assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
        write(&client, b"3\r\nabc\r\n").await;
        read_to(&app, "abc").await;
        write(
            &app,
            b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno",
        )
        .await;
        let told = answer(&client).await;
        assert!(told.starts_with("HTTP/1.1 413"), "{told}");
        assert!(told.contains("connection: close\r\n"), "{told}");
        assert!(read(&client).await.is_empty());
    });
}

#[test]
fn an_app_that_takes_nothing_does_not_hold_an_upload_for_ever() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        let client = world.client().await;
        send(&client, "POST / HTTP/1.1\nContent-Length: 100000000").await;
        let app = world.accept().await;
        fill(&client).await;
        World::seconds(61).await;
        let told = answer(&client).await;
        assert!(told.starts_with("HTTP/1.1 504"), "{told}");
        assert!(told.contains("connection: close\r\n"), "{told}");
        // Its connection has gone, too.
        read_all(&app).await;
    });
}

#[test]
fn a_get_is_repeated_once_and_a_post_is_not() {
    run(async {
        for (method, is_repeated) in [("GET", true), ("POST", false)] {
            let world = World::ready(target(), OPEN).await;
            let client = world.client().await;
            send(&client, "GET / HTTP/1.1").await;
            let app = world.accept().await;
            serve(&app, "first").await;
            answer(&client).await;
            send(&client, &format!("{method} / HTTP/1.1")).await;
            // It has the request, and closes instead of an answer.
            read_to(&app, "\r\n\r\n").await;
            drop(app);
            if is_repeated {
                let app = world.accept().await;
                serve(&app, "second").await;
                assert!(answer(&client).await.ends_with("second"));
            } else {
                assert!(answer(&client).await.starts_with("HTTP/1.1 502"));
            }
        }
    });
}

/// Gets a request that begins and ends like this, and closes instead of an answer.
async fn close_instead(app: TcpStream, start: &str, end: &str) {
    let request = read_to(&app, end).await;
    assert!(request.starts_with(start), "{request}");
}

#[test]
fn nothing_is_repeated_twice_and_nothing_with_a_body_at_all() {
    run(async {
        for (lines, body, is_repeated) in [
            ("GET /it HTTP/1.1", "", true),
            ("HEAD /it HTTP/1.1", "", true),
            ("GET /it HTTP/1.1\nContent-Length: 1", "x", false),
            ("POST /it HTTP/1.1\nContent-Length: 1", "x", false),
            ("POST /it HTTP/1.1", "", false),
        ] {
            let world = World::ready(target(), OPEN).await;
            let client = world.client().await;
            send(&client, "GET /first HTTP/1.1").await;
            let kept = world.accept().await;
            serve(&kept, "first").await;
            answer(&client).await;
            send(&client, lines).await;
            write(&client, body.as_bytes()).await;
            let (start, _) = lines.split_once("HTTP").unwrap();
            let end = format!("\r\n\r\n{body}");
            close_instead(kept, start, &end).await;
            if is_repeated {
                close_instead(world.accept().await, start, &end).await;
            }
            let told = read_to(&client, "\r\n\r\n").await;
            assert!(told.starts_with("HTTP/1.1 502"), "{lines}: {told}");
            // No other connection was made before that of the next request.
            let next = world.client().await;
            send(&next, "GET /next HTTP/1.1").await;
            let app = world.accept().await;
            let head = serve(&app, "next").await;
            assert!(head.starts_with("GET /next "), "{lines}: {head}");
            assert!(answer(&next).await.ends_with("next"), "{lines}");
        }
    });
}

#[test]
fn an_upload_that_breaks_off_breaks_off_for_the_app_too() {
    run(async {
        // Between two chunks, and in the middle of one.
        for begun in ["3\r\nabc\r\n", "9\r\nabc"] {
            let world = World::ready(target(), OPEN).await;
            let client = world.client().await;
            send(&client, "POST / HTTP/1.1\nTransfer-Encoding: chunked").await;
            let app = world.accept().await;
            let head = read_to(&app, "\r\n\r\n").await;
            assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
            write(&client, begun.as_bytes()).await;
            let mut received = read_to(&app, "abc").await;
            drop(client);
            received.push_str(&String::from_utf8_lossy(&read_all(&app).await));
            assert!(!received.contains("0\r\n\r\n"), "{received:?}");
        }
    });
}

#[test]
fn an_answer_that_does_not_go_on_is_given_up_unless_it_is_of_events() {
    run(async {
        for (kind, is_given_up) in [("text/plain", true), ("text/event-stream", false)] {
            let world = World::ready(target(), OPEN).await;
            let (client, app) = world.asked("GET / HTTP/1.1").await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n");
            write(&app, head.as_bytes()).await;
            read_to(&client, "\r\n\r\n").await;
            // The time begins again with each piece.
            for piece in ["data: 1\n\n", "data: 2\n\n"] {
                World::seconds(50).await;
                write(&app, piece.as_bytes()).await;
                read_to(&client, &format!("{piece}\r\n")).await;
            }
            World::seconds(61).await;
            if is_given_up {
                // No last chunk pretends that this was all.
                assert!(read_all(&client).await.is_empty());
                assert!(read_all(&app).await.is_empty());
            } else {
                write(&app, b"data: 3\n\n").await;
                read_to(&client, "data: 3\n\n").await;
            }
        }
    });
}

#[test]
fn a_client_that_asks_for_nothing_more_is_not_kept_for_ever() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        let client = world.client().await;
        // A pause that is short enough is none.
        for _ in 0..2 {
            World::seconds(5).await;
            send(&client, "GET / HTTP/1.1").await;
            let app = world.accept().await;
            serve(&app, "ok").await;
            answer(&client).await;
        }
        pause();
        sleep(Duration::from_secs(11)).await;
        assert!(has_ended(&client).await);
    });
}

#[test]
fn a_body_that_breaks_off_breaks_off() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        let (client, app) = world.asked("GET / HTTP/1.1").await;
        write(
            &app,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        )
        .await;
        read_to(&client, "ok").await;
        drop(app);
        // No last chunk pretends that this was all.
        assert!(read_all(&client).await.is_empty());
    });
}

#[test]
fn two_words_about_a_body_do_not_get_through_from_the_app() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        let (client, app) = world.asked("GET / HTTP/1.1").await;
        let both = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n";
        write(&app, both.as_bytes()).await;
        write(&app, b"2\r\nok\r\n0\r\n\r\n").await;
        let told = read_to(&client, "0\r\n\r\n").await;
        assert!(!told.contains("content-length"), "{told}");
    });
}

#[test]
fn a_gateway_that_ends_says_so_with_its_answers() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        let idle = world.client().await;
        let (client, app) = world.asked("GET / HTTP/1.1").await;
        world.context.drain();
        assert!(read(&idle).await.is_empty());
        write(&app, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        let told = answer(&client).await;
        assert!(told.contains("connection: close\r\n"), "{told}");
        assert!(read(&client).await.is_empty());
    });
}
