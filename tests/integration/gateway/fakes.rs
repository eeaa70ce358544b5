//! The stand-ins around the gateway are what they stand in for.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::backend::{Backend, free_port};
use super::support::client::{Raw, get};
use super::support::cluster::{Cluster, GATEWAY};
use super::support::fields::Replicas;
use super::support::issuer::{Issuer, Signer, account_claims, unsigned};
use super::support::reviews::Token;
use super::support::script::Script;
use super::support::serving::Objects;
use super::support::state::Mood;
use super::support::store::{Store, collection};
use crate::support::temp::TempDir;
use crate::support::wire::{Request, call};

fn asked(method: &str, target: &str, kind: &str, body: &Value) -> Request {
    Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: vec![("content-type".to_owned(), kind.to_owned())],
        body: body.to_string().into_bytes(),
    }
}

const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";

#[test]
fn the_owners_of_a_count_are_those_that_a_real_api_server_notes() {
    let owners = |replicas: &Replicas| {
        let owners = replicas.owners.iter();
        let owners = owners.map(|owner| format!("{} {}", owner.manager, owner.applied));
        owners.collect::<Vec<_>>().join(", ")
    };
    let mut replicas = Replicas::default();
    // Nobody is noted for 0 → N, nor at 0.
    replicas.update("kubectl", 2);
    assert_eq!(owners(&replicas), "");
    let refused = replicas.apply("gateway", 0, false);
    assert_eq!(refused, Err(vec!["before-first-apply".to_owned()]));
    replicas.update("kubectl", 3);
    assert_eq!(owners(&replicas), "kubectl false");
    assert_eq!(
        replicas.apply("gateway", 0, false),
        Err(vec!["kubectl".to_owned()])
    );
    replicas.update("kubectl", 0);
    assert_eq!(owners(&replicas), "");
    // The next visitor wakes it, and the gateway may stop what it has started alone.
    assert_eq!(replicas.apply("gateway", 1, false), Ok(()));
    assert_eq!(owners(&replicas), "gateway true");
    assert_eq!(replicas.apply("gateway", 0, false), Ok(()));
    // `stop … hold`: an apply of 0 by another.
    assert_eq!(replicas.apply("bot", 0, false), Ok(()));
    assert_eq!(owners(&replicas), "gateway true, bot true");
    let refused = replicas.apply("gateway", 1, false);
    assert_eq!(refused, Err(vec!["bot".to_owned()]));
    assert_eq!(replicas.apply("gateway", 1, true), Ok(()));
    assert_eq!(owners(&replicas), "gateway true");
    // A start that finds it on becomes a co-owner.
    assert_eq!(replicas.apply("bot", 1, true), Ok(()));
    assert_eq!(
        replicas.apply("gateway", 0, false),
        Err(vec!["bot".to_owned()])
    );
    // The same count again is nothing, and another count is noted.
    replicas.update("hpa", 1);
    assert_eq!(owners(&replicas), "gateway true, bot true");
    replicas.update("hpa", 2);
    assert_eq!(owners(&replicas), "hpa false");
}

#[test]
fn a_scale_is_applied_patched_and_shown() {
    let dir = TempDir::new();
    let cluster = Cluster::start(dir.path());
    cluster.workload("statefulsets", "apps", "db", 0);
    let target = "/apis/apps/v1/namespaces/apps/statefulsets/db/scale";
    let body = |replicas: i64, version: Option<&str>| {
        json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {"name": "db", "namespace": "apps", "resourceVersion": version},
            "spec": {"replicas": replicas},
        })
    };
    let send = |query: &str, kind: &str, body: &Value| {
        let request = asked("PATCH", &format!("{target}?{query}"), kind, body);
        let (response, _) = cluster.with(|state| state.objects.handle(&request));
        let answer: Value = serde_json::from_slice(&response.body).unwrap();
        (response.status, answer)
    };
    let (status, scale) = send("fieldManager=gateway", APPLY, &body(2, None));
    assert_eq!((status, &scale["spec"]["replicas"]), (200, &json!(2)));
    let version = scale["metadata"]["resourceVersion"].as_str().unwrap();
    let (status, _) = send(
        "fieldManager=kubectl",
        MERGE,
        &json!({"spec": {"replicas": 3}}),
    );
    assert_eq!(status, 200);
    let (status, conflict) = send("fieldManager=gateway", APPLY, &body(0, None));
    assert_eq!((status, &conflict["reason"]), (409, &json!("Conflict")));
    assert_eq!(
        conflict["details"]["causes"][0]["message"],
        "conflict with \"kubectl\" with subresource \"scale\" using autoscaling/v1"
    );
    let (status, stale) = send("fieldManager=gateway", APPLY, &body(0, Some(version)));
    assert_eq!((status, &stale["details"]["causes"]), (409, &Value::Null));
    let steps = json!([
        {"op": "test", "path": "/spec/replicas", "value": 1},
        {"op": "add", "path": "/spec/replicas", "value": 5},
    ]);
    let (status, _) = send("fieldManager=bot", "application/json-patch+json", &steps);
    assert_eq!(status, 422);
    let (status, scale) = send("fieldManager=gateway&force=true", APPLY, &body(0, None));
    assert_eq!((status, &scale["spec"]), (200, &json!({})));
    let object = cluster.with(|state| {
        let of = collection("statefulsets", "apps");
        state.objects.store.get(&of, "db").cloned().unwrap()
    });
    assert_eq!(object["spec"]["replicas"], 0);
    assert_eq!(object["metadata"]["managedFields"][0]["manager"], "gateway");
}

#[test]
fn a_lease_is_changed_by_who_knows_its_version() {
    let mut objects = Objects::default();
    let lease = json!({"kind": "Lease", "metadata": {"name": "l"}, "spec": {}});
    let of = collection("leases", GATEWAY);
    let made = objects.store.put(&of, lease);
    let version = &made["metadata"]["resourceVersion"];
    let mut send = |body: &Value| {
        let request = asked("PATCH", &format!("{of}/l?fieldManager=x"), MERGE, body);
        objects.handle(&request).0.status
    };
    let metadata = json!({"resourceVersion": version, "annotations": {"a": "b"}});
    let time = json!({"renewTime": "2026-11-21T12:00:00.123456Z"});
    assert_eq!(send(&json!({"metadata": metadata, "spec": time})), 200);
    assert_eq!(send(&json!({"metadata": metadata})), 409);
    assert_eq!(
        send(&json!({"metadata": {"annotations": {"a": null}}})),
        200
    );
    let milliseconds = json!({"renewTime": "2026-11-21T12:00:00.123Z"});
    assert_eq!(send(&json!({"spec": milliseconds})), 400);
    let now = objects.store.get(&of, "l").unwrap();
    assert_eq!(now["metadata"]["annotations"], json!({}));
    assert_eq!(now["spec"], time);
}

#[test]
fn a_review_knows_audiences() {
    let mut objects = Objects::default();
    objects
        .tokens
        .insert("good".to_owned(), Token::bound("apps", "worker", "gateway"));
    let mut review = |token: &str, audiences: Value| {
        let spec = json!({"token": token, "audiences": audiences});
        let path = "/apis/authentication.k8s.io/v1/tokenreviews";
        let request = asked("POST", path, "application/json", &json!({"spec": spec}));
        let (response, _) = objects.handle(&request);
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        (response.status, body["status"].clone())
    };
    let (status, good) = review("good", json!(["other", "gateway"]));
    assert_eq!((status, &good["authenticated"]), (201, &json!(true)));
    assert_eq!(good["audiences"], json!(["gateway"]));
    assert_eq!(
        good["user"]["username"],
        "system:serviceaccount:apps:worker"
    );
    for (token, audiences) in [
        ("good", json!(["other"])),
        ("good", json!([])),
        ("bad", json!(["gateway"])),
    ] {
        let (status, refused) = review(token, audiences);
        assert_eq!((status, &refused["authenticated"]), (201, &Value::Null));
    }
    assert_eq!(review("", json!(["gateway"])).0, 400);
    assert_eq!(objects.tokens["good"].reviews, 3);
}

#[test]
fn who_watches_from_too_far_back_is_told() {
    let mut store = Store::default();
    let object = |name: &str| json!({"metadata": {"name": name}});
    store.put("/a", object("x"));
    let first = store.version();
    store.put("/b", object("y"));
    store.put("/a", object("x"));
    assert_eq!(store.after("/a", first).unwrap().len(), 0);
    store.delete("/a", "x");
    assert_eq!(store.after("/a", first).unwrap()[0].kind, "DELETED");
    store.compact();
    assert!(store.after("/a", first).is_none());
    assert!(store.after("/a", store.version()).is_some());
}

#[test]
fn pods_follow_the_count() {
    let dir = TempDir::new();
    let cluster = Cluster::start(dir.path());
    cluster.workload("deployments", "apps", "web", 0);
    let delay = Duration::from_secs(1);
    let of = ("deployments", "apps", "web");
    cluster.pods_follow(of, "web", delay, &["127.0.0.1"], 80);
    let ready = |cluster: &Cluster| {
        cluster.with(|state| {
            let slices = state
                .objects
                .store
                .list(&collection("endpointslices", "apps"));
            slices
                .first()
                .map_or(0, |slice| slice["endpoints"].as_array().unwrap().len())
        })
    };
    let began = Instant::now();
    cluster.patch_replicas("deployments", "apps", "web", "kubectl", 2);
    assert_eq!(ready(&cluster), 0);
    while ready(&cluster) == 0 {
        assert!(began.elapsed() < Duration::from_secs(5));
        sleep(Duration::from_millis(5));
    }
    assert!(began.elapsed() >= delay);
    cluster.patch_replicas("deployments", "apps", "web", "kubectl", 0);
    assert_eq!(ready(&cluster), 0);
    cluster.set(Mood::Down);
    assert!(call(cluster.port(), "GET", "/", None, None).is_err());
}

#[test]
fn an_app_takes_anything_and_misbehaves() {
    let app = Backend::start();
    let reply = get(app.port, "web.test", "/x", "");
    assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
    app.on("/chunks", Script::text(201, &"y".repeat(2500)).in_chunks());
    assert_eq!(get(app.port, "h", "/chunks", "").body.len(), 2500);
    app.on("/cut", Script::CloseAfterHead);
    let mut raw = Raw::connect(app.port);
    raw.get("h", "/cut", "");
    assert_eq!(raw.head().status, 200);
    assert!(raw.is_closed_within(Duration::from_secs(5)));
    app.on("/reset", Script::Reset);
    let mut raw = Raw::connect(app.port);
    raw.get("h", "/reset", "");
    assert!(raw.is_closed_within(Duration::from_secs(5)));
    app.on("/never", Script::Never);
    let mut raw = Raw::connect(app.port);
    raw.get("h", "/never", "");
    assert!(raw.read_for(Duration::from_millis(50)).is_empty());
    assert!(!raw.is_closed_within(Duration::from_millis(50)));
    // Two requests where somebody strict sees one, or none.
    let mut raw = Raw::connect(app.port);
    raw.send(
        "POST /a HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
         1\r\nz\r\n0\r\n\r\nGET /b HTTP/1.1\n\n",
    );
    assert_eq!((raw.reply().status, raw.reply().status), (200, 200));
    let lines: Vec<String> = app
        .asked()
        .iter()
        .map(|asked| asked.line().to_owned())
        .collect();
    assert_eq!(
        lines[lines.len() - 2..],
        ["POST /a HTTP/1.1", "GET /b HTTP/1.1"]
    );
    app.wait_bytes(b"1\r\nz\r\n");
}

#[test]
fn an_app_speaks_websocket_and_events() {
    let app = Backend::start();
    app.on("/ws", Script::WebSocket { is_right: true });
    app.on("/wrong", Script::WebSocket { is_right: false });
    let every = Duration::from_millis(10);
    app.on("/events", Script::Events { every, count: 3 });
    let mut socket = Raw::websocket(app.port, "h", "/ws", "");
    for size in [5, 200, 70_000] {
        let payload = vec![b'x'; size];
        socket.send_frame(2, &payload);
        assert_eq!(socket.frame().unwrap().payload, payload);
    }
    socket.send_frame(9, b"p");
    assert_eq!(socket.frame().unwrap().opcode, 10);
    socket.send_frame(8, &[]);
    assert_eq!(socket.frame().unwrap().opcode, 8);
    assert_eq!(socket.frame(), None);
    assert_eq!(app.frames().len(), 5);
    let mut raw = Raw::connect(app.port);
    let wrong = raw.try_websocket("h", "/wrong", "");
    assert_eq!(wrong.status, 101);
    assert_ne!(
        wrong.header("sec-websocket-accept"),
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    let mut raw = Raw::connect(app.port);
    raw.get("h", "/events", "");
    assert_eq!(raw.head().header("content-type"), "text/event-stream");
    raw.read_until(b"data: 2\n\n");
}

#[test]
fn a_port_is_free_until_somebody_listens() {
    let port = free_port();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    let app = Backend::start_on(port);
    assert_eq!(get(app.port, "h", "/", "").status, 200);
}

#[test]
fn an_issuer_publishes_the_keys_that_it_signs_with() {
    let issuer = Issuer::start();
    let path = issuer.url();
    let (_, path) = path.split_once("/realms").unwrap();
    let port: u16 = issuer
        .url()
        .split([':', '/'])
        .nth(4)
        .unwrap()
        .parse()
        .unwrap();
    let at = format!("/realms{path}/.well-known/openid-configuration");
    let (status, described) = call(port, "GET", &at, None, None).unwrap();
    assert_eq!(status, 200);
    assert!(described["jwks_uri"].as_str().unwrap().ends_with("/certs"));
    let at = format!("/realms{path}/protocol/openid-connect/certs");
    let kids = |keys: &Value| -> Vec<String> {
        let keys = keys["keys"].as_array().unwrap().iter();
        keys.map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect()
    };
    let (_, keys) = call(port, "GET", &at, None, None).unwrap();
    assert_eq!(kids(&keys), ["enc", "rsa-0", "ec-0"]);
    issuer.rotate();
    let (_, keys) = call(port, "GET", &at, None, None).unwrap();
    assert_eq!(kids(&keys), ["enc", "rsa-1", "ec-0"]);
    assert_eq!(issuer.count("/certs"), 2);
    let claims = issuer.claims("anna", &["operator"]);
    for signer in [Signer::Rsa, Signer::OtherRsa, Signer::Ec] {
        assert_eq!(issuer.sign(signer, &claims).split('.').count(), 3);
    }
    let one = unsigned(&account_claims("apps", "worker", "gateway"));
    let other = unsigned(&account_claims("apps", "other", "gateway"));
    assert_ne!(one, other);
}
