//! The proxy's port where it speaks TLS.

use std::sync::Arc;

use super::apps::{OPEN, World, answer, send, serve, target};
use super::peers::{pair, read_all, write};
use crate::gateway::listener::Slot;
use crate::gateway::proxy::serve_connection;
use crate::net::fake::run;

#[test]
fn requests_on_one_connection_and_their_app_is_told() {
    run(async {
        let world = World::encrypted(target(), OPEN).await;
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
fn who_does_not_encrypt_is_told_what_to_do() {
    run(async {
        let world = World::encrypted(target(), OPEN).await;
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
