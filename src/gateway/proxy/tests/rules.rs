//! The exceptions and the fine print: preflights of browsers, the status of the page, what is
//! no use, when to come back, trailers.

use std::time::Duration;

use tokio::time::timeout;

use super::apps::{OPEN, STRANGER, World, answer, send, serve, target};
use super::peers::{read_to, write};
use crate::config::gateway::GatewayTarget;
use crate::control::access::Action;
use crate::gateway::wake::Phase;
use crate::net::fake::run;

const WAKING: &[Action] = &[Action::Connect, Action::Wake];

/// The question of a browser whether a page of another origin may send something.
const PREFLIGHT: &str = "OPTIONS /api HTTP/1.1\nOrigin: https://page.test\n\
    Access-Control-Request-Method: PUT";

/// The target, which is asked such questions or not.
fn target_with(preflight: bool) -> GatewayTarget {
    let mut target = target();
    target.backend.as_mut().unwrap().preflight = preflight;
    target
}

/// The seconds after which the client is to come back.
fn retry_after(told: &str) -> u64 {
    let mut lines = told.lines();
    let seconds = lines.find_map(|line| line.strip_prefix("retry-after: "));
    seconds.unwrap().parse().unwrap()
}

#[test]
fn a_preflight_is_passed_on_only_where_it_is_wanted_and_the_app_is_ready() {
    run(async {
        // Nobody may do anything without a token.
        let world = World::cold(target_with(true), &[]).await;
        let told = world.ask(PREFLIGHT).await;
        assert!(told.starts_with("HTTP/1.1 503"), "{told}");
        assert!(told.contains("retry-after: "), "{told}");
        assert_eq!(world.keeper.wake_wanted(), None);

        world.wake();
        let client = world.client().await;
        send(&client, PREFLIGHT).await;
        let app = world.accept().await;
        let head = serve(&app, "").await;
        assert!(head.starts_with("OPTIONS /api HTTP/1.1\r\n"), "{head}");
        for line in [
            "origin: https://page.test\r\n",
            "access-control-request-method: PUT\r\n",
        ] {
            assert!(head.contains(line), "{head}");
        }
        let told = answer(&client).await;
        assert!(told.starts_with("HTTP/1.1 200"), "{told}");
        assert_eq!(world.keeper.last_use(), None);

        let world = World::ready(target_with(false), &[]).await;
        let told = world.ask(PREFLIGHT).await;
        assert!(told.starts_with("HTTP/1.1 401"), "{told}");
    });
}

#[test]
fn a_preflight_lets_nothing_else_in() {
    run(async {
        let world = World::ready(target_with(true), &[]).await;
        for (lines, status) in [
            // No more is asked by it than by any other OPTIONS.
            (
                PREFLIGHT.replace("Request-Method", "Request-Headers"),
                "401",
            ),
            (PREFLIGHT.replace("Origin", "X-Origin"), "401"),
            (PREFLIGHT.replace("OPTIONS", "GET"), "401"),
            (PREFLIGHT.replace("OPTIONS", "POST"), "401"),
            // Browsers show nothing with it: whoever does is asked who they are.
            (
                format!("{PREFLIGHT}\nAuthorization: Bearer {STRANGER}"),
                "404",
            ),
            (format!("{PREFLIGHT}\nAuthorization: Bearer rubbish"), "401"),
            (format!("{PREFLIGHT}\nAuthorization: Basic eDp5"), "401"),
            (format!("{PREFLIGHT}\nHost: other.example.org"), "401"),
            (PREFLIGHT.replace("/api", "/.gateway/status"), "404"),
        ] {
            let told = world.ask(&lines).await;
            assert!(
                told.starts_with(&format!("HTTP/1.1 {status}")),
                "{lines}: {told}"
            );
        }
        let nobody = timeout(Duration::from_millis(50), world.accept()).await;
        assert!(nobody.is_err(), "the app was asked");
    });
}

#[test]
fn the_page_comes_with_the_status_that_is_wanted_and_nothing_else_does() {
    run(async {
        let mut target = target();
        let backend = target.backend.as_mut().unwrap();
        backend.page_status = 200;
        backend.hold = Duration::from_millis(30);
        let world = World::cold(target, WAKING).await;
        let browser = "GET / HTTP/1.1\nSec-Fetch-Mode: navigate\nAccept: text/html";
        let page = world.ask(browser).await;
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        assert!(page.contains("This is starting up"), "{page}");
        assert!(page.contains("cache-control: no-store\r\n"), "{page}");
        assert_eq!(retry_after(&page), 5);
        for lines in [
            "GET / HTTP/1.1".to_owned(),
            "GET / HTTP/1.1\nAccept: application/json".to_owned(),
            browser.replace("navigate", "cors"),
            // A form that was filled in, and who only looks.
            browser.replace("GET", "POST"),
            browser.replace("GET", "HEAD"),
        ] {
            let client = world.client().await;
            send(&client, &lines).await;
            let told = read_to(&client, "\r\n\r\n").await;
            assert!(told.starts_with("HTTP/1.1 503"), "{lines}: {told}");
        }
        // It is the page that says how it is, not its status.
        world.keeper.phase(Phase::Failed, None);
        let page = world.ask(browser).await;
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        assert!(page.contains("This is not running"), "{page}");
        assert!(page.contains("cache-control: no-store\r\n"), "{page}");
        assert!((20..=30).contains(&retry_after(&page)), "{page}");
    });
}

#[test]
fn an_error_is_no_use_of_the_app_however_much_it_has_to_say() {
    run(async {
        for status in ["404 Not Found", "503 Service Unavailable"] {
            for (rest, end) in [
                ("Content-Length: 5\r\n\r\nsorry", "sorry"),
                (
                    "Transfer-Encoding: chunked\r\n\r\n5\r\nsorry\r\n0\r\n\r\n",
                    "\r\n0\r\n\r\n",
                ),
                (
                    "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
                     d\r\ndata: sorry\n\n\r\n0\r\n\r\n",
                    "\r\n0\r\n\r\n",
                ),
            ] {
                let world = World::ready(target(), OPEN).await;
                let (client, app) = world.asked("GET / HTTP/1.1").await;
                let whole = format!("HTTP/1.1 {status}\r\n{rest}");
                write(&app, whole.as_bytes()).await;
                let told = read_to(&client, end).await;
                assert!(told.starts_with(&format!("HTTP/1.1 {status}")), "{told}");
                assert!(told.contains("sorry"), "{told}");
                assert_eq!(world.keeper.last_use(), None, "{whole}");
            }
        }
    });
}

#[test]
fn each_piece_of_an_answer_is_a_use_of_the_app() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        let (client, app) = world.asked("GET / HTTP/1.1").await;
        assert_eq!(world.keeper.last_use(), None);
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        write(&app, head).await;
        read_to(&client, "\r\n\r\n").await;
        let begun = world.keeper.last_use().unwrap();
        write(&app, b"5\r\nhello\r\n0\r\n\r\n").await;
        read_to(&client, "hello\r\n0\r\n\r\n").await;
        assert!(world.keeper.last_use().unwrap() > begun);
    });
}

#[test]
fn who_was_held_in_vain_comes_back_after_five_seconds_or_a_few_more() {
    run(async {
        let mut target = target();
        target.backend.as_mut().unwrap().hold = Duration::from_millis(30);
        let world = World::cold(target, WAKING).await;
        for accept in ["*/*", "application/json", "text/html, application/json"] {
            let told = world
                .ask(&format!("PUT /x HTTP/1.1\nAccept: {accept}"))
                .await;
            assert!(told.starts_with("HTTP/1.1 503"), "{told}");
            assert!((5..=10).contains(&retry_after(&told)), "{told}");
        }
    });
}

#[test]
fn trailers_of_the_app_reach_who_takes_them_and_nobody_else() {
    run(async {
        // Of these one may be told: two are no fields for trailers, and one was not announced.
        let whole = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\
            Trailer: X-Sum, Content-Length, Set-Cookie\r\n\r\n\
            2\r\nok\r\n0\r\n\
            X-Sum: 42\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\nX-Secret: c\r\n\r\n";
        for (lines, is_told) in [("", false), ("\nTE: gzip", false), ("\nTE: trailers", true)] {
            let world = World::ready(target(), OPEN).await;
            let client = world.client().await;
            send(&client, &format!("GET / HTTP/1.1{lines}")).await;
            let app = world.accept().await;
            let head = read_to(&app, "\r\n\r\n").await;
            assert_eq!(head.contains("te: trailers\r\n"), is_told, "{head}");
            write(&app, whole.as_bytes()).await;
            let end = match is_told {
                true => "ok\r\n0\r\nx-sum: 42\r\n\r\n",
                false => "ok\r\n0\r\n\r\n",
            };
            let told = read_to(&client, end).await;
            assert_eq!(told.contains("trailer: "), is_told, "{told}");
            assert!(told.ends_with(end), "{told}");
            // The next answer begins behind them, on both connections.
            send(&client, "GET / HTTP/1.1").await;
            serve(&app, "again").await;
            assert!(answer(&client).await.ends_with("again"));
        }
    });
}
