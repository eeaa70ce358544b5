//! The proxy's port where it speaks TLS.

use std::sync::Arc;

use super::apps::{World, answer, send, serve, target};
use super::peers::{pair, read, read_all, write};
use super::upgrades::{OPEN, open};
use crate::gateway::listener::Slot;
use crate::gateway::proxy::serve_connection;
use crate::net::fake::run;
use crate::net::fake_tls::Served;

async fn world() -> World {
    World {
        served: Some(Served::new()),
        ..World::ready(target(), OPEN).await
    }
}

#[test]
fn requests_on_one_connection_and_their_app_is_told() {
    run(async {
        let world = world().await;
        let client = world.client().await;
        send(&client, "GET /first HTTP/1.1").await;
        let app = world.accept().await;
        for name in ["first", "second"] {
            let head = serve(&app, name).await;
            assert!(head.starts_with(&format!("GET /{name} ")), "{head}");
            assert!(head.contains("x-forwarded-proto: https\r\n"), "{head}");
            assert!(answer(&client).await.ends_with(name));
            if name == "first" {
                send(&client, "GET /second HTTP/1.1").await;
            }
        }
    });
}

#[test]
fn a_socket_carries_frames_both_ways() {
    run(async {
        let world = world().await;
        let (client, app) = open(&world).await;
        write(&client, b"\x81\x81\x00\x00\x00\x00a").await;
        assert_eq!(read(&app).await, b"\x81\x81\x00\x00\x00\x00a");
        write(&app, b"\x81\x01b").await;
        assert_eq!(read(&client).await, b"\x81\x01b");
        drop(app);
        assert!(read_all(&client).await.is_empty());
    });
}

#[test]
fn who_does_not_encrypt_is_told_what_to_do() {
    run(async {
        let world = world().await;
        let served = world.served.as_ref().unwrap();
        for request in ["GET / HTTP/1.1\r\nHost: app.example.org\r\n\r\n", "\0"] {
            let (client, server) = pair().await;
            let channel = served.server.channel(server).unwrap();
            let peer = client.local_addr().unwrap();
            write(&client, request.as_bytes()).await;
            let context = Arc::clone(&world.context);
            serve_connection(context, channel, peer, Slot::alone()).await;
            let told = String::from_utf8(read_all(&client).await).unwrap();
            let (head, body) = told.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 400 "), "{told}");
            assert!(
                head.ends_with(&format!("content-length: {}", body.len())),
                "{told}"
            );
            let problem: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(problem["status"], 400);
            assert_eq!(
                problem["detail"],
                "this port speaks TLS: ask it by https://"
            );
        }
    });
}
