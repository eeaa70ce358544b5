//! Connections with TLS of ours: what comes through, what waits, and how they end.

use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::net::Channel;
use crate::net::fake::run;
use crate::net::fake_tls::{Served, begin, by_hand};

const PATIENCE: Duration = Duration::from_secs(10);

/// The next bytes; empty at the end.
async fn read(channel: &Channel) -> Vec<u8> {
    let mut bytes = vec![0; 1000];
    loop {
        let ready = poll_fn(|context| channel.poll_read_ready(context));
        timeout(PATIENCE, ready).await.unwrap().unwrap();
        match channel.try_read(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => {
                bytes.truncate(read.unwrap());
                return bytes;
            }
        }
    }
}

async fn read_exactly(channel: &Channel, length: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < length {
        let bytes = read(channel).await;
        assert!(!bytes.is_empty(), "{} of {length}", all.len());
        all.extend(bytes);
    }
    all
}

async fn write(channel: &Channel, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        poll_fn(|context| channel.poll_write_ready(context))
            .await
            .unwrap();
        match channel.try_write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            written => bytes = &bytes[written.unwrap()..],
        }
    }
    poll_fn(|context| channel.poll_flush(context))
        .await
        .unwrap();
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

#[test]
fn both_versions_carry_bytes_both_ways() {
    run(async {
        for version in [&TLS12, &TLS13] {
            let served = Served::new();
            let (near, channel) = served.connect().await;
            let mut config = served.client(&[version]);
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            let client = tokio::spawn(begin(near, config));
            channel.handshake().await.unwrap();
            let mut client = client.await.unwrap().unwrap();
            let session = client.get_ref().1;
            assert_eq!(session.protocol_version(), Some(version.version));
            assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));

            // More than is kept of either side.
            let much = pattern(300_000);
            let expected = much.clone();
            let client = tokio::spawn(async move {
                client.write_all(&much).await.unwrap();
                client.flush().await.unwrap();
                let mut back = vec![0; much.len()];
                client.read_exact(&mut back).await.unwrap();
                (client, back)
            });
            let received = read_exactly(&channel, expected.len()).await;
            write(&channel, &received).await;
            let (mut client, back) = client.await.unwrap();
            assert!(back == expected);

            // Each side says that it has ended.
            channel.shut_down().unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
            client.shutdown().await.unwrap();
            assert!(read(&channel).await.is_empty());
        }
    });
}

#[test]
fn what_comes_with_the_last_of_the_handshake_is_read_at_once() {
    run(async {
        let served = Served::new();
        let (near, channel) = served.connect().await;
        let mut near = near.into_std().unwrap();
        near.set_nonblocking(false).unwrap();
        let mut tls = by_hand(served.client(&[&TLS13]));
        tls.write_tls(&mut near).unwrap();
        let server = tokio::spawn(async move {
            channel.handshake().await.unwrap();
            // Nothing more will come to make the connection ready.
            (read(&channel).await, channel)
        });
        let client = tokio::task::spawn_blocking(move || {
            while tls.is_handshaking() {
                tls.read_tls(&mut near).unwrap();
                tls.process_new_packets().unwrap();
            }
            tls.writer().write_all(b"early").unwrap();
            let mut all = Vec::new();
            while tls.wants_write() {
                tls.write_tls(&mut all).unwrap();
            }
            near.write_all(&all).unwrap();
            near
        });
        let near = client.await.unwrap();
        let (early, channel) = server.await.unwrap();
        assert_eq!(early, b"early");
        // It leaves without a word of TLS.
        drop(near);
        assert!(read(&channel).await.is_empty());
    });
}

#[test]
fn for_a_client_that_takes_nothing_one_record_waits() {
    run(async {
        let served = Served::new();
        let (near, channel) = served.connect().await;
        SockRef::from(channel.tcp())
            .set_send_buffer_size(4096)
            .unwrap();
        let client = tokio::spawn(begin(near, served.client(&[&TLS13])));
        channel.handshake().await.unwrap();
        let mut client = client.await.unwrap().unwrap();
        let much = pattern(4_000_000);
        let mut written = 0;
        let error = loop {
            match channel.try_write(&much[written..]) {
                Ok(count) => {
                    assert!(count <= 16 * 1024, "{count}");
                    written += count;
                }
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(channel.has_unsent());
        assert_eq!(
            channel.try_flush().unwrap_err().kind(),
            ErrorKind::WouldBlock
        );

        let reader = tokio::spawn(async move {
            let mut received = vec![0; written];
            client.read_exact(&mut received).await.unwrap();
            received
        });
        poll_fn(|context| channel.poll_flush(context))
            .await
            .unwrap();
        assert!(!channel.has_unsent());
        let received = reader.await.unwrap();
        assert!(received == much[..written]);
    });
}

#[test]
fn who_speaks_something_else_is_told_and_left() {
    run(async {
        let served = Served::new();
        for (bytes, alert) in [
            // A record of a handshake with nonsense in it, and an alert.
            (&b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\xff"[..], true),
            (b"\x15\x03\x01\x00\x02\x02\x00", false),
            (b"\x16\x03\x01\xff\xff", true),
        ] {
            let (mut near, channel) = served.connect().await;
            near.write_all(bytes).await.unwrap();
            let error = timeout(PATIENCE, channel.handshake())
                .await
                .unwrap()
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{bytes:?}");
            drop(channel);
            let mut told = Vec::new();
            let _ = near.read_to_end(&mut told).await;
            assert_eq!(told.first() == Some(&0x15), alert, "{told:?}");
        }
        // It leaves before the end.
        let (near, channel) = served.connect().await;
        drop(near);
        let error = channel.handshake().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        // Another protocol inside.
        let (near, channel) = served.connect().await;
        let mut config = served.client(&[&TLS13]);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let client = tokio::spawn(begin(near, config));
        channel.handshake().await.unwrap_err();
        let error = client.await.unwrap().unwrap_err();
        assert!(
            error.to_string().contains("NoApplicationProtocol"),
            "{error}"
        );
    });
}

#[test]
fn another_certificate_is_for_those_who_come_later() {
    run(async {
        let served = Served::new();
        let mut shown = Vec::new();
        let mut open = Vec::new();
        for _ in 0..2 {
            let (near, channel) = served.connect().await;
            let client = tokio::spawn(begin(near, served.client(&[&TLS13])));
            channel.handshake().await.unwrap();
            let client = client.await.unwrap().unwrap();
            let chain = client.get_ref().1.peer_certificates().unwrap();
            shown.push(chain.first().unwrap().to_vec());
            open.push((client, channel));
            served.rotate();
        }
        assert_ne!(shown.first(), shown.last());
        for (client, channel) in &mut open {
            client.write_all(b"still").await.unwrap();
            assert_eq!(read_exactly(channel, 5).await, b"still");
        }
    });
}

#[test]
fn in_the_clear_it_is_the_connection_itself() {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = tokio::net::TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = (near.await.unwrap(), listener.accept().await.unwrap().0);
        let channel = Channel::plain(far);
        assert!(!channel.is_encrypted() && !channel.has_unsent());
        channel.handshake().await.unwrap();
        let mut near = near.into_std().unwrap();
        near.set_nonblocking(false).unwrap();
        near.write_all(b"up").unwrap();
        assert_eq!(read_exactly(&channel, 2).await, b"up");
        write(&channel, b"down").await;
        channel.shut_down().unwrap();
        let mut down = String::new();
        near.read_to_string(&mut down).unwrap();
        assert_eq!(down, "down");
    });
}
