//! Open sockets: bytes both ways, and how they end.

use std::future::{pending, ready};
use std::time::Duration;

use hyper::body::Bytes;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::peers::{PATIENCE, pair, read, read_all, read_to, write};
use crate::gateway::listener::Slot;
use crate::gateway::proxy::tunnel::{self, Over};
use crate::gateway::proxy::usage::Usage;
use crate::net::Channel;
use crate::net::fake::run;
use crate::net::fake_tls::Served;

/// The outer ends of a tunnel that runs.
struct Ends {
    client: TcpStream,
    app: TcpStream,
    over: Option<oneshot::Sender<Over>>,
    tunnel: tokio::task::JoinHandle<Option<Over>>,
}

/// A side takes nothing: whoever else has room for the connection is not to wait for it.
#[test]
fn a_side_that_takes_nothing_is_waited_for_so_long() {
    run(async {
        let ends = open(false, (b"", b"")).await;
        tokio::time::pause();
        let begun = Instant::now();
        let wait = Duration::from_secs(5);
        while let Ok(writable) = timeout(wait, ends.app.writable()).await {
            writable.unwrap();
            let _ = ends.app.try_write(&[0; 16 * 1024]);
        }
        assert!(!ends.tunnel.is_finished());
        let over = timeout(Duration::from_secs(120), ends.tunnel).await;
        assert_eq!(over.unwrap().unwrap(), None);
        assert!(begun.elapsed() >= Duration::from_secs(60));
    });
}

/// The clients of tunnels: what they say is encrypted or not.
const CLIENTS: [bool; 2] = [false, true];

/// A client's end, and the gateway's end of it.
async fn client(is_encrypted: bool) -> (TcpStream, Channel) {
    if !is_encrypted {
        let (client, near) = pair().await;
        return (client, Channel::plain(near));
    }
    let (client, near) = Served::new().encrypted().await;
    near.handshake().await.unwrap();
    (client, near)
}

async fn open(is_encrypted: bool, (up, down): (&'static [u8], &'static [u8])) -> Ends {
    let (client, near) = client(is_encrypted).await;
    let (app, far) = pair().await;
    let (over, is_over) = oneshot::channel();
    let tunnel = tokio::spawn(async move {
        let counter = Usage::none().counter();
        let over = async {
            match is_over.await {
                Ok(over) => over,
                Err(_) => pending().await,
            }
        };
        let early = (Bytes::from_static(up), Bytes::from_static(down));
        let slot = Slot::alone();
        let far = Channel::plain(far);
        tunnel::run(&near, &far, early, &counter, &|| slot.pass(), over).await
    });
    Ends {
        client,
        app,
        over: Some(over),
        tunnel,
    }
}

#[test]
fn bytes_go_both_ways_and_early_ones_first() {
    for is_encrypted in CLIENTS {
        run(async {
            let ends = open(is_encrypted, (b"\x82\x01a", b"\x82\x01b")).await;
            write(&ends.client, b"\x82\x01c").await;
            assert_eq!(
                read_to(&ends.app, "c").await,
                "\u{fffd}\u{1}a\u{fffd}\u{1}c"
            );
            write(&ends.app, b"\x82\x01d").await;
            assert_eq!(
                read_to(&ends.client, "d").await,
                "\u{fffd}\u{1}b\u{fffd}\u{1}d"
            );
            drop(ends.client);
            assert!(read_all(&ends.app).await.is_empty());
            drop(ends.app);
            assert_eq!(timeout(PATIENCE, ends.tunnel).await.unwrap().unwrap(), None);
        });
    }
}

#[test]
fn much_goes_through_a_reader_that_is_slow() {
    for is_encrypted in CLIENTS {
        run(async {
            let ends = open(is_encrypted, (b"", b"")).await;
            let sent: Vec<u8> = (0..3_000_000_u32).map(|at| at.to_le_bytes()[0]).collect();
            let expected = sent.clone();
            let Ends { client, app, .. } = ends;
            let writer = tokio::spawn(async move {
                write(&app, &sent).await;
                drop(app);
            });
            let mut received = Vec::new();
            loop {
                tokio::task::yield_now().await;
                let bytes = read(&client).await;
                if bytes.is_empty() {
                    break;
                }
                received.extend(bytes);
            }
            writer.await.unwrap();
            assert!(
                received == expected,
                "{} of {}",
                received.len(),
                expected.len()
            );
        });
    }
}

#[test]
fn a_socket_that_is_over_is_told_why() {
    for is_encrypted in CLIENTS {
        run(async {
            let (expired, refused) = (
                "the credential has expired",
                "the credential is not taken any more",
            );
            for (over, code, reason) in [
                (Over::Away, 1001_u16, ""),
                (Over::Expired, 1008, expired),
                (Over::Refused, 1008, refused),
            ] {
                let mut ends = open(is_encrypted, (b"", b"")).await;
                write(&ends.app, b"\x82\x02ab").await;
                read_to(&ends.client, "ab").await;
                ends.over.take().unwrap().send(over).unwrap();
                let mut expected = vec![0x88, 2 + u8::try_from(reason.len()).unwrap()];
                expected.extend(code.to_be_bytes());
                expected.extend(reason.as_bytes());
                assert_eq!(read_all(&ends.client).await, expected);
                drop(ends.client);
                let ended = timeout(PATIENCE, ends.tunnel).await.unwrap().unwrap();
                assert_eq!(ended, Some(over));
                assert!(read_all(&ends.app).await.is_empty());
            }
        });
    }
}

#[test]
fn a_frame_that_has_begun_is_ended_first() {
    for is_encrypted in CLIENTS {
        run(async {
            let mut ends = open(is_encrypted, (b"", b"")).await;
            write(&ends.app, b"\x82\x04ab").await;
            read_to(&ends.client, "ab").await;
            ends.over.take().unwrap().send(Over::Away).unwrap();
            // The rest comes in time.
            tokio::task::yield_now().await;
            write(&ends.app, b"cd").await;
            let rest = read_all(&ends.client).await;
            assert_eq!(rest, b"cd\x88\x02\x03\xe9");
        });
    }
}

#[test]
fn a_frame_that_does_not_end_is_cut_and_nothing_put_into_it() {
    for is_encrypted in CLIENTS {
        run(async {
            let start = Instant::now();
            let mut ends = open(is_encrypted, (b"", b"")).await;
            write(&ends.app, b"\x82\x04ab").await;
            read_to(&ends.client, "ab").await;
            ends.over.take().unwrap().send(Over::Away).unwrap();
            assert!(read_all(&ends.client).await.is_empty());
            assert!(start.elapsed() >= Duration::from_secs(1));
            assert_eq!(ends.tunnel.await.unwrap(), Some(Over::Away));
        });
    }
}

#[test]
fn a_socket_can_be_over_before_it_began() {
    for is_encrypted in CLIENTS {
        run(async {
            let (client, near) = client(is_encrypted).await;
            let (_app, far) = pair().await;
            let far = Channel::plain(far);
            let counter = Usage::none().counter();
            let slot = Slot::alone();
            let room = || slot.pass();
            let tunnel = tunnel::run(
                &near,
                &far,
                (Bytes::new(), Bytes::new()),
                &counter,
                &room,
                ready(Over::Away),
            );
            let reader = async {
                let all = read_all(&client).await;
                drop(client);
                all
            };
            let reader = tokio::spawn(reader);
            assert_eq!(timeout(PATIENCE, tunnel).await.unwrap(), Some(Over::Away));
            assert_eq!(reader.await.unwrap(), b"\x88\x02\x03\xe9");
        });
    }
}
