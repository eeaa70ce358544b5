//! WebSockets through the whole proxy.

use tokio::net::TcpStream;

use super::apps::{OPEN, SHORT, TOKEN, World, answer, send, serve, target};
use super::peers::{read, read_all, read_to, write};
use crate::gateway::wake::Phase;
use crate::net::fake::run;

/// The example of RFC 6455, section 1.3.
const ASK: &str = "GET /socket HTTP/1.1\nUpgrade: websocket\nConnection: Upgrade\n\
    Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A socket that is open: the client's end and the app's.
pub(super) async fn open(world: &World) -> (TcpStream, TcpStream) {
    open_with(world, TOKEN).await
}

/// One that was opened with this token.
async fn open_with(world: &World, token: &str) -> (TcpStream, TcpStream) {
    let client = world.client().await;
    send(&client, &format!("{ASK}\nAuthorization: Bearer {token}")).await;
    let app = world.accept().await;
    let head = read_to(&app, "\r\n\r\n").await;
    assert!(head.contains("upgrade: websocket\r\n"), "{head}");
    assert!(!head.contains("authorization"), "{head}");
    write(&app, SWITCHED.as_bytes()).await;
    let head = read_to(&client, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(
        head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
        "{head}"
    );
    assert!(head.contains("upgrade: websocket\r\n"), "{head}");
    (client, app)
}

#[test]
fn a_socket_carries_frames_both_ways() {
    run(async {
        for world in [
            World::ready(target(), OPEN).await,
            World::encrypted(target(), OPEN).await,
        ] {
            let (client, app) = open(&world).await;
            write(&client, b"\x81\x81\x00\x00\x00\x00a").await;
            assert_eq!(read(&app).await, b"\x81\x81\x00\x00\x00\x00a");
            write(&app, b"\x81\x01b").await;
            assert_eq!(read(&client).await, b"\x81\x01b");
            drop(app);
            assert!(read_all(&client).await.is_empty());
        }
    });
}

#[test]
fn frames_that_come_with_the_answer_are_not_lost() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        let (client, app) = world.asked(ASK).await;
        let both = [SWITCHED.as_bytes(), b"\x81\x05early"].concat();
        write(&app, &both).await;
        read_to(&client, "early").await;
    });
}

#[test]
fn a_target_that_is_stopped_ends_its_sockets() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        let (client, _app) = open(&world).await;
        world.keeper.phase(Phase::Stopping, None);
        assert_eq!(read_all(&client).await, b"\x88\x02\x03\xe9");
    });
}

#[test]
fn a_gateway_that_ends_ends_its_sockets() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        let (client, _app) = open(&world).await;
        world.context.drain();
        assert_eq!(read_all(&client).await, b"\x88\x02\x03\xe9");
    });
}

#[test]
fn a_socket_ends_with_its_credential_and_says_how_that_ended() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        let (expired, _app) = open_with(&world, SHORT).await;
        let (revoked, app) = open(&world).await;
        World::seconds(29).await;
        for (client, said) in [(&expired, b"\x81\x01a"), (&revoked, b"\x81\x01b")] {
            write(client, said).await;
        }
        assert_eq!(read(&app).await, b"\x81\x01b");
        World::seconds(2).await;
        let told = read_all(&expired).await;
        assert_eq!(told, b"\x88\x1c\x03\xf0the credential has expired");
        world.revoke();
        World::seconds(30).await;
        let told = read_all(&revoked).await;
        assert_eq!(
            told,
            b"\x88\x26\x03\xf0the credential is not taken any more"
        );
    });
}

#[test]
fn what_was_not_asked_for_or_is_not_right_is_no_socket() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        let wrong = SWITCHED.replace("s3pP", "AAAA");
        let other = SWITCHED.replace("Upgrade: websocket", "Upgrade: h2c");
        for (asked, answered) in [
            ("GET / HTTP/1.1", SWITCHED),
            (
                "GET / HTTP/1.1\nUpgrade: h2c\nConnection: Upgrade, HTTP2-Settings\nHTTP2-Settings: x",
                SWITCHED,
            ),
            (ASK, &wrong),
            (ASK, &other),
            (ASK, "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        ] {
            let (client, app) = world.asked(asked).await;
            write(&app, answered.as_bytes()).await;
            let told = answer(&client).await;
            assert!(
                told.starts_with("HTTP/1.1 502"),
                "{asked} {answered}: {told}"
            );
            // What the client says next does not reach this app.
            write(&client, b"raw bytes").await;
            assert!(read_all(&app).await.is_empty());
        }
    });
}

#[test]
fn an_app_that_declines_has_answered() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        let client = world.client().await;
        send(&client, ASK).await;
        let app = world.accept().await;
        serve(&app, "no socket here").await;
        assert!(answer(&client).await.ends_with("no socket here"));
        send(&client, "GET / HTTP/1.1").await;
        let head = serve(&app, "http").await;
        assert!(!head.contains("upgrade"), "{head}");
        assert!(answer(&client).await.ends_with("http"));
    });
}

#[test]
fn bytes_behind_an_upgrade_wait_for_its_answer() {
    run(async {
        let world = World::ready(target(), OPEN).await;
        let client = world.client().await;
        let ask = ASK.replace('\n', "\r\n");
        let early = format!("{ask}\r\nHost: app.example.org\r\n\r\n\u{1}\u{0}early");
        write(&client, early.as_bytes()).await;
        let app = world.accept().await;
        let head = read_to(&app, "\r\n\r\n").await;
        assert!(head.ends_with("\r\n\r\n"), "{head:?}");
        write(&app, SWITCHED.as_bytes()).await;
        read_to(&app, "early").await;
    });
}
