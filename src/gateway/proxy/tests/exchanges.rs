//! Requests to apps that answer, do not, or close.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Method, Request};
use hyper::body::{Body, Incoming};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, Instant, pause, sleep};

use super::apps::nobody;
use super::peers::{flood, has_ended, listener, read_all, read_to, write};
use crate::gateway::listener::Slot;
use crate::gateway::proxy::answer::Answer;
use crate::gateway::proxy::exchange::{Failure, exchange, in_time};
use crate::gateway::proxy::pool::{self, Leased, Upstream};
use crate::gateway::proxy::upload::{Progress, Stage, Upload};
use crate::gateway::proxy::usage::Usage;
use crate::gateway::wake::fake::{self, FakeKeeper};
use crate::gateway::wake::{Endpoint, Phase};
use crate::net::fake::{closed_port, run};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn request() -> Request<Upload> {
    Request::builder()
        .method(Method::GET)
        .uri("/x?y")
        .header("host", "app")
        .body(Upload::None)
        .unwrap()
}

/// A target that is ready at this address.
fn upstream(address: SocketAddr) -> (Upstream, FakeKeeper) {
    let (handle, keeper) = fake::cold(fake::target("app"));
    keeper.ready(address);
    let to = Upstream {
        endpoint: Endpoint { address },
        mark: handle.mark(),
    };
    (to, keeper)
}

fn app(listener: &TcpListener) -> (Upstream, FakeKeeper) {
    upstream(listener.local_addr().unwrap())
}

/// Reads a body to its end, and so gives its connection back.
async fn finish(body: Incoming, leased: Leased) -> usize {
    let passing = Arc::new(Slot::alone().pass().unwrap());
    let with = (Usage::none(), passing);
    let mut body = Answer::passed(body, leased, with, nobody().await, false, false);
    let mut bytes = 0;
    while let Some(frame) =
        std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await
    {
        bytes += frame.unwrap().into_data().unwrap().len();
    }
    bytes
}

#[test]
fn a_connection_is_used_again_and_its_end_is_noticed() {
    run(async {
        let listener = listener().await;
        let (to, _keeper) = app(&listener);
        let app = tokio::spawn(async move {
            let (first, _) = listener.accept().await.unwrap();
            for _ in 0..3 {
                let head = read_to(&first, "\r\n\r\n").await;
                assert!(
                    head.starts_with("GET /x?y HTTP/1.1\r\nhost: app\r\n\r\n"),
                    "{head}"
                );
                write(&first, OK.as_bytes()).await;
            }
            drop(first);
            let (second, _) = listener.accept().await.unwrap();
            read_to(&second, "\r\n\r\n").await;
            write(&second, OK.as_bytes()).await;
        });
        for round in 0..4 {
            if round == 3 {
                // The app's goodbye has arrived.
                while pool::take(to.endpoint).is_some_and(|leased| {
                    let is_open = !leased.sender.is_closed();
                    pool::give_back(leased);
                    is_open
                }) {
                    tokio::task::yield_now().await;
                }
            }
            let Ok((response, leased)) = exchange(&to, request(), None, false).await else {
                panic!("no answer in round {round}");
            };
            assert_eq!(finish(response.into_body(), leased).await, 2);
        }
        app.await.unwrap();
    });
}

#[test]
fn a_used_connection_that_closes_instead_is_told_from_a_new_one() {
    run(async {
        let listener = listener().await;
        let (to, _keeper) = app(&listener);
        tokio::spawn(async move {
            let (first, _) = listener.accept().await.unwrap();
            read_to(&first, "\r\n\r\n").await;
            write(&first, OK.as_bytes()).await;
            // Reads the second request and says nothing.
            read_to(&first, "\r\n\r\n").await;
            drop(first);
            let (second, _) = listener.accept().await.unwrap();
            read_to(&second, "\r\n\r\n").await;
        });
        let Ok((response, leased)) = exchange(&to, request(), None, false).await else {
            panic!("no answer");
        };
        finish(response.into_body(), leased).await;
        let stale = exchange(&to, request(), None, false).await;
        assert!(matches!(stale, Err(Failure::Stale(_))));
        let broken = exchange(&to, request(), None, true).await;
        assert!(matches!(broken, Err(Failure::Broken(_))));
    });
}

#[test]
fn a_request_comes_back_from_an_app_that_takes_no_connection() {
    run(async {
        let address = ([127, 0, 0, 1], closed_port()).into();
        let (to, _keeper) = upstream(address);
        let failure = exchange(&to, request(), None, false).await;
        let Err(Failure::Unsent(unsent)) = failure else {
            panic!("it was sent");
        };
        assert_eq!(unsent.uri(), "/x?y");
    });
}

#[test]
fn a_body_that_is_not_read_to_its_end_costs_its_connection() {
    run(async {
        let listener = listener().await;
        let (to, _keeper) = app(&listener);
        tokio::spawn(async move {
            let (first, _) = listener.accept().await.unwrap();
            read_to(&first, "\r\n\r\n").await;
            write(&first, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok").await;
            read_all(&first).await;
        });
        let Ok((response, leased)) = exchange(&to, request(), None, false).await else {
            panic!("no answer");
        };
        let passing = Arc::new(Slot::alone().pass().unwrap());
        let with = (Usage::none(), passing);
        let body = Answer::passed(
            response.into_body(),
            leased,
            with,
            nobody().await,
            false,
            false,
        );
        drop(body);
        assert!(pool::take(to.endpoint).is_none());
    });
}

/// Opens a connection to this place, which the app's end is of.
async fn opened(to: &Upstream, listener: &TcpListener) -> (Leased, TcpStream) {
    let mut leased = pool::connect(to).await.unwrap();
    let (app, _) = listener.accept().await.unwrap();
    leased.sender.ready().await.unwrap();
    (leased, app)
}

#[test]
fn what_goes_to_a_target_that_was_stopped_is_closed_and_not_used_again() {
    run(async {
        let listener = listener().await;
        let (to, keeper) = app(&listener);
        let (idle, app_of_idle) = opened(&to, &listener).await;
        let (busy, app_of_busy) = opened(&to, &listener).await;
        pool::give_back(idle);
        // It is there, until the stop.
        pool::give_back(pool::take(to.endpoint).unwrap());
        keeper.phase(Phase::Stopping, None);
        let stopped = Instant::now();
        pool::give_back(busy);
        assert!(read_all(&app_of_busy).await.is_empty());
        // Nobody asks for it any more: it is closed without that.
        assert!(read_all(&app_of_idle).await.is_empty());
        assert!(stopped.elapsed() < Duration::from_secs(3));
        assert!(pool::take(to.endpoint).is_none());

        // The next life of the target has connections of its own.
        keeper.phase(Phase::Off, None);
        let again = Upstream {
            mark: keeper.handle().mark(),
            ..to
        };
        let (leased, _app) = opened(&again, &listener).await;
        pool::give_back(leased);
        assert!(pool::take(again.endpoint).is_some());
    });
}

#[test]
fn a_connection_is_not_used_again_after_four_seconds() {
    run(async {
        let listener = listener().await;
        let (to, _keeper) = app(&listener);
        let (leased, _app) = opened(&to, &listener).await;
        pause();
        pool::give_back(leased);
        sleep(Duration::from_millis(3900)).await;
        let leased = pool::take(to.endpoint).unwrap();
        pool::give_back(leased);
        // Nobody has looked at it since it is too old: the looks come at whole seconds, the last
        // one at 7 s, and this is at 7.95 s.
        sleep(Duration::from_millis(4050)).await;
        assert!(pool::take(to.endpoint).is_none());
    });
}

#[test]
fn a_connection_that_nobody_asks_for_is_closed_after_four_seconds() {
    run(async {
        let listener = listener().await;
        let (to, _keeper) = app(&listener);
        let (leased, app) = opened(&to, &listener).await;
        pause();
        pool::give_back(leased);
        sleep(Duration::from_millis(3900)).await;
        let early = app.try_read(&mut [0]);
        assert_eq!(early.unwrap_err().kind(), ErrorKind::WouldBlock);
        sleep(Duration::from_millis(1200)).await;
        assert!(has_ended(&app).await);
    });
}

#[test]
fn only_so_many_connections_are_kept_of_one_endpoint_and_of_all() {
    run(async {
        let mut listeners = Vec::new();
        for _ in 0..3 {
            listeners.push(listener().await);
        }
        let (mut all, mut ends, mut keepers) = (Vec::new(), Vec::new(), Vec::new());
        for listener in &listeners {
            let (to, keeper) = app(listener);
            let mut connections = Vec::new();
            for _ in 0..40 {
                let (leased, end) = opened(&to, listener).await;
                connections.push(leased);
                ends.push(end);
            }
            connections.into_iter().for_each(pool::give_back);
            all.push(to.endpoint);
            keepers.push(keeper);
        }
        for (endpoint, wanted) in all.into_iter().zip([32, 32, 0]) {
            let kept = std::iter::from_fn(|| pool::take(endpoint));
            assert_eq!(kept.count(), wanted);
        }
    });
}

#[test]
fn rubbish_is_no_answer() {
    run(async {
        for answer in [
            "nonsense\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nX",
            "",
        ] {
            let listener = listener().await;
            let (to, _keeper) = app(&listener);
            tokio::spawn(async move {
                let (first, _) = listener.accept().await.unwrap();
                read_to(&first, "\r\n\r\n").await;
                write(&first, answer.as_bytes()).await;
            });
            let failure = exchange(&to, request(), None, false).await;
            assert!(matches!(failure, Err(Failure::Broken(_))), "{answer:?}");
        }
        // A head without end, and answers before the answer.
        for (first, piece) in [
            ("HTTP/1.1 200 OK\r\n", "X: y\r\n"),
            ("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
        ] {
            let listener = listener().await;
            let (to, _keeper) = app(&listener);
            tokio::spawn(async move {
                let (app, _) = listener.accept().await.unwrap();
                write(&app, first.as_bytes()).await;
                flood(&app, piece.as_bytes()).await;
            });
            let failure = exchange(&to, request(), None, false).await;
            assert!(matches!(failure, Err(Failure::Broken(_))), "{piece}");
        }
    });
}

/// A second, and the one whom the body waits for from then on.
type Step = (u64, fn(Instant) -> Stage);

#[test]
fn an_app_that_takes_nothing_more_has_a_minute_and_a_client_its_own_time() {
    run(async {
        pause();
        let seconds = Duration::from_secs;
        // What happens at which second, and the one at which the app is late.
        let none: &[Step] = &[];
        for (steps, late) in [
            (none, 60),
            (&[(1, Stage::App), (50, Stage::App)], 110),
            (&[(1, |_| Stage::Client), (200, Stage::App)], 260),
            (&[(10, Stage::Done)], 310),
            (
                &[
                    (59, Stage::App),
                    (118, |_| Stage::Client),
                    (120, Stage::Done),
                ],
                420,
            ),
        ] {
            let (progress, begun) = (Progress::new(), Instant::now());
            let body = progress.clone();
            tokio::spawn(async move {
                for (at, stage) in steps {
                    tokio::time::sleep_until(begun + seconds(*at)).await;
                    body.set(stage(Instant::now()));
                }
            });
            let never = std::future::pending::<()>();
            assert!(in_time(never, Some(&progress)).await.is_none());
            let after = begun.elapsed();
            assert!(
                after >= seconds(late) && after < seconds(late + 1),
                "{after:?}, not {late}"
            );
        }
        let begun = Instant::now();
        let never = std::future::pending::<()>();
        assert!(in_time(never, None).await.is_none());
        assert!(begun.elapsed() >= seconds(300));
        let answered = in_time(sleep(seconds(290)), None).await;
        assert!(answered.is_some());
    });
}
