//! The whole way: a request finds its target asleep, wakes it, and is answered by the app.

use std::thread;

use serde_json::json;

use super::support::client::get;
use super::support::world::{GatewayWorld, bearer, lease};

#[test]
fn a_request_wakes_its_target_and_is_answered() {
    let world = GatewayWorld::with_web();
    let token = world.worker();
    let reply = world.get("web.test", "/x?y=1", &bearer(&token));
    assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
    assert_eq!(world.count("web"), 1);
    let asked = world.backend("web").asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line(), "GET /x?y=1 HTTP/1.1");
    assert_eq!(asked[0].header("host"), "web.test");
    assert_eq!(asked[0].header("authorization"), "");
    assert_eq!(world.cluster.annotation(&lease("web"), "phase"), "run");
    assert_eq!(world.wait_audit("wake")["target"], "web");
    let applied = world.cluster.calls("PATCH /deployments/web/scale");
    assert_eq!(applied.len(), 1);
    assert_eq!(world.cluster.reviews(&token), 1);
    // It is awake now, and nobody is asked again.
    assert_eq!(world.get("web.test", "/", &bearer(&token)).status, 200);
    assert_eq!(world.cluster.calls("PATCH /deployments/web/scale").len(), 1);
}

#[test]
fn each_name_of_a_target_leads_to_it() {
    let mut world = GatewayWorld::new();
    world.app("web");
    let entry = world.file["targets"]["web"].as_object_mut().unwrap();
    entry.remove("host");
    entry.insert("hosts".to_owned(), json!(["web", "web.test"]));
    world.start();
    let token = bearer(&world.worker());
    for host in ["web", "web.test"] {
        assert_eq!(world.get(host, "/", &token).status, 200, "{host}");
    }
    assert_eq!(world.get("other.test", "/", &token).status, 404);
    assert_eq!(world.cluster.calls("PATCH /deployments/web/scale").len(), 1);
}

#[test]
fn who_is_nobody_wakes_nothing() {
    let world = GatewayWorld::with_web();
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for headers in ["", "Authorization: Bearer rubbish\r\n", handshake] {
        let reply = world.get("web.test", "/", headers);
        assert_eq!(reply.status, 401, "{}", reply.text());
    }
    let stranger = world.account("elsewhere", "worker");
    let reply = world.get("web.test", "/", &bearer(&stranger));
    assert!(matches!(reply.status, 403 | 404), "{}", reply.text());
    assert_eq!(world.count("web"), 0);
    assert_eq!(world.backend("web").connections(), 0);
}

#[test]
fn replicas_wake_a_target_once() {
    let mut world = GatewayWorld::with_web();
    world.start();
    let token = bearer(&world.worker());
    let ports: Vec<u16> = world.replicas.iter().map(|one| one.ports.proxy).collect();
    thread::scope(|scope| {
        for port in ports.iter().cycle().take(20) {
            scope.spawn(|| {
                let reply = get(*port, "web.test", "/", &token);
                assert_eq!(reply.status, 200, "{}", reply.text());
            });
        }
    });
    assert_eq!(world.backend("web").asked().len(), 20);
    assert_eq!(world.count("web"), 1);
    let applied = world.cluster.calls("PATCH /deployments/web/scale");
    assert!(applied.len() <= 2, "{applied:?}");
}
