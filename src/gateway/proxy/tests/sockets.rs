//! What hyper shows of requests that come in by the proxy's socket.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::rt::Write;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::peers::{PATIENCE, pair, read_all, read_to, write};
use crate::gateway::listener::Slot;
use crate::gateway::proxy::answer::Answer;
use crate::gateway::proxy::replies;
use crate::gateway::proxy::request::check;
use crate::gateway::proxy::socket::{ClientIo, ClientSocket};
use crate::net::Channel;
use crate::net::fake::run;
use crate::net::fake_tls::{Served, begin};

/// Serves with nothing but the look at each request.
async fn serve(stream: TcpStream) {
    let socket = Arc::new(ClientSocket::new(Channel::plain(stream), Slot::alone()));
    let seen = Arc::clone(&socket);
    let service = service_fn(move |request: Request<Incoming>| {
        let (parts, body) = request.into_parts();
        let answer = match check(&parts, !body.is_end_stream(), seen.has_conflict()) {
            Ok(checked) => {
                let answer = Response::new(Answer::Whole("taken".into()));
                match checked.is_chunked {
                    true => replies::closing(answer),
                    false => answer,
                }
            }
            Err(fault) => replies::fault(fault),
        };
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(16 * 1024)
        .serve_connection(ClientIo::new(socket), service)
        .with_upgrades();
    let _ = connection.await;
}

/// The statuses that a client gets for these bytes, and nothing more.
async fn statuses(bytes: &str) -> Vec<u16> {
    let (client, server) = pair().await;
    let serving = tokio::spawn(serve(server));
    write(&client, bytes.as_bytes()).await;
    let all = timeout(PATIENCE, read_all(&client)).await.unwrap();
    let _ = serving.await;
    let all = String::from_utf8(all).unwrap();
    let heads = all.split("HTTP/1.1 ").skip(1);
    heads.map(|head| head[..3].parse().unwrap()).collect()
}

#[test]
fn what_hyper_hides_is_seen() {
    run(async {
        for (bytes, expected) in [
            // One of the two is dropped before hyper shows the head.
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
                vec![400],
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nX",
                vec![400],
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
                vec![400],
            ),
            // The body of the first is not the head of a second.
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
                vec![200],
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
                vec![400],
            ),
            (
                "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
                vec![400],
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 1\r\n\r\nx",
                vec![400],
            ),
            ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", vec![400]),
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", vec![400]),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", vec![]),
            // hyper itself.
            (
                "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                vec![400],
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
                vec![400],
            ),
            ("GET / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n", vec![400]),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", vec![400]),
        ] {
            assert_eq!(statuses(bytes).await, expected, "{bytes:?}");
        }
    });
}

#[test]
fn one_connection_serves_many() {
    run(async {
        let (client, server) = pair().await;
        tokio::spawn(serve(server));
        for _ in 0..3 {
            write(&client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            let answer = read_to(&client, "taken").await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(!answer.contains("connection:"), "{answer}");
        }
        write(
            &client,
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        )
        .await;
        read_to(&client, "taken").await;
        // Asked for and not switched: it goes on as HTTP.
        let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n";
        write(&client, upgrade.as_bytes()).await;
        read_to(&client, "taken").await;
        write(&client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        read_to(&client, "taken").await;
    });
}

#[test]
fn who_leaves_is_noticed_also_with_something_unread() {
    run(async {
        let (client, server) = pair().await;
        let socket = ClientSocket::new(Channel::plain(server), Slot::alone());
        write(&client, b"unread").await;
        socket.channel.tcp().readable().await.unwrap();
        let early = timeout(Duration::from_millis(50), socket.left()).await;
        assert!(early.is_err(), "it is still there");
        drop(client);
        timeout(PATIENCE, socket.left()).await.unwrap();
    });
}

/// The error in the end of a client that takes nothing: of what is written to it, or, if
/// `is_flushed`, of what was taken and is not sent yet.
async fn given_up(channel: Channel, is_flushed: bool) -> std::io::Error {
    let mut io = ClientIo::new(Arc::new(ClientSocket::new(channel, Slot::alone())));
    let bytes = [0; 64 * 1024];
    poll_fn(|context| {
        loop {
            let is_full = is_flushed && io.socket.channel.has_unsent();
            let io = Pin::new(&mut io);
            let written = match is_full {
                true => Write::poll_flush(io, context).map_ok(|()| 0),
                false => Write::poll_write(io, context, &bytes),
            };
            match written {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, server) = pair().await;
        let start = Instant::now();
        let error = given_up(Channel::plain(server), false).await;
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= Duration::from_secs(60));
        drop(client);
        for is_flushed in [false, true] {
            let served = Served::new();
            let (near, channel) = served.connect().await;
            let client = tokio::spawn(begin(near, served.client(rustls::ALL_VERSIONS)));
            channel.handshake().await.unwrap();
            let client = client.await.unwrap().unwrap();
            let start = Instant::now();
            let error = given_up(channel, is_flushed).await;
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(start.elapsed() >= Duration::from_secs(60));
            drop(client);
        }
    });
}
