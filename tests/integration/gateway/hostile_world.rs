//! A cluster in which answers are lies and others write what is the gateway's: it stays up,
//! lets nobody in for it, and serves what is on.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::client::get;
use super::support::cluster::GATEWAY;
use super::support::issuer::{account_claims, unsigned};
use super::support::reviews::Token;
use super::support::store::collection;
use super::support::world::{APPS, GatewayWorld, MEMORY_KB, TOKEN_AUDIENCE, lease};
use crate::support::faults::Fault;
use crate::support::filling::{NUMBER, Shape, each, fill};
use crate::support::monitor::{poll, poll_within};
use crate::support::wire::Response;
use crate::support::workloads::merge;

/// The time in which what was lost is found again, with all waits before the next try.
const FOUND_AGAIN: Duration = Duration::from_secs(30);

/// The manager by which the bot applies a number of replicas.
const BOT: &str = "openclaw-k8s-toggle-operator";

/// Adds an app that anybody may wake and reach. Requests are held for less time than their
/// clients wait for an answer.
fn open(world: &mut GatewayWorld, name: &str, more: &Value) {
    let mut entry = json!({"anonymous": ["connect", "wake"], "hold": "6s"});
    merge(&mut entry, more);
    world.app_with(name, entry);
}

/// The status of a request to a target.
fn status(world: &GatewayWorld, name: &str) -> u16 {
    world.get(&format!("{name}.test"), "/", "").status
}

fn assert_alive(world: &mut GatewayWorld, name: &str) {
    let run = &mut world.replicas[0].run;
    assert!(run.is_running(), "{name}: it has ended");
    assert!(!run.log().contains("panicked at"), "{name}: it panicked");
}

/// Names, each with an answer to the list and one to the watch of a collection.
fn answers() -> [(&'static str, Fault, Fault); 6] {
    let list = |metadata: Value, items: Value| {
        let list =
            json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items});
        Fault::json(200, &list)
    };
    let lines = |lines: &[Value]| {
        let lines = lines.iter().map(|line| format!("{line}\n"));
        let text = lines.collect::<String>();
        Fault::Answer(Response::text(200, "application/json", &text))
    };
    let raw = |fields: &str, body: &str| {
        let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}");
        Fault::Raw(text.into_bytes())
    };
    let first = || json!({"resourceVersion": "1"});
    let pod = json!({
        "kind": "Pod", "metadata": {"name": "openclaw-gateway-web", "resourceVersion": "5"},
        "spec": {"holderIdentity": ["x"], "containers": []}, "status": {"phase": "Running"},
    });
    let large = json!({
        "metadata": {
            "name": format!("openclaw-gateway-t{NUMBER}"), "resourceVersion": "7",
            "annotations": {"x": "y".repeat(4_000)},
            "labels": {"kubernetes.io/service-name": format!("s{NUMBER}")},
        },
        "endpoints": vec![json!({"addresses": ["127.0.0.9"]}); 10],
    });
    let endless = json!({"type": "ADDED", "object": {
        "metadata": {"name": fill(Shape::Flat, usize::MAX)},
    }});
    [
        ("no JSON", Fault::html(200), Fault::html(200)),
        (
            "broken off",
            raw("Content-Length: 1000", "{\"items\":["),
            raw("Transfer-Encoding: chunked", "20\r\n{\"type\":\"ADD"),
        ),
        (
            "of another kind",
            list(first(), json!([pod])),
            lines(&[
                json!({"type": "ADDED", "object": pod}),
                json!({"type": "EXPLODED", "object": pod}),
            ]),
        ),
        (
            "huge",
            list(first(), json!([each(2_000, &large)])),
            Fault::json(200, &endless),
        ),
        (
            "of other types",
            list(json!([]), json!({"a": 1})),
            lines(&[json!({"type": 7, "object": []})]),
        ),
        (
            "without an end",
            list(json!({"continue": "x".repeat(100_000)}), json!([])),
            Fault::Hang,
        ),
    ]
}

/// A gateway whose first lists and watches are answered so.
fn survives(name: &str, list: &Fault, watch: &Fault) {
    const WATCHED: [&str; 2] = ["endpointslices", "leases"];
    let mut world = GatewayWorld::new();
    // As it is run.
    world.set("RUST_LOG", "info");
    open(&mut world, "web", &json!({}));
    open(&mut world, "other", &json!({}));
    let cluster = &world.cluster;
    cluster.patch_replicas("deployments", APPS, "web", "kubectl", 1);
    for what in WATCHED {
        cluster.fault(&format!("GET /{what}"), 1, list.clone());
        cluster.fault(&format!("WATCH /{what}"), 1, watch.clone());
    }
    world.spawn();
    world.wait_ready(0);
    let are_watched = |times: usize| {
        let calls = |what: &str| world.cluster.calls(&format!("WATCH /{what}")).len();
        WATCHED.iter().all(|what| calls(what) >= times)
    };
    poll(&format!("{name}: the watches"), || {
        are_watched(1).then_some(())
    });
    // What is on is served, at the latest once there is a list that does not say otherwise.
    poll_within(FOUND_AGAIN, &format!("{name}: what is on"), || {
        (status(&world, "web") == 200).then_some(())
    });
    world.cluster.clear_faults();
    poll_within(FOUND_AGAIN, &format!("{name}: other watches"), || {
        assert_eq!(status(&world, "web"), 200, "{name}");
        are_watched(2).then_some(())
    });
    // Pods are seen again.
    poll_within(FOUND_AGAIN, &format!("{name}: what was off"), || {
        (status(&world, "other") == 200).then_some(())
    });
    assert_eq!((world.count("web"), world.count("other")), (1, 1), "{name}");
    if std::env::var_os("BOT_BINARY").is_some() {
        let peak = world.peak_kb();
        assert!(peak < MEMORY_KB, "{name}: {peak} kB");
    }
    assert_alive(&mut world, name);
}

#[test]
fn whatever_answers_a_list_or_a_watch_what_is_on_is_served_within_the_memory() {
    thread::scope(|scope| {
        let all = answers().map(|(name, list, watch)| {
            let run = scope.spawn(move || survives(name, &list, &watch));
            (name, run)
        });
        for (name, run) in all {
            assert!(run.join().is_ok(), "{name}");
        }
    });
}

/// A token of a pod of `worker` that no other call gives.
fn fresh_token(world: &GatewayWorld, at: usize, audiences: &[&str]) -> String {
    let mut claims = account_claims(APPS, "worker", TOKEN_AUDIENCE);
    claims["jti"] = json!(format!("jti-{at}"));
    claims["aud"] = json!(audiences);
    let text = unsigned(&claims);
    let token = Token {
        audiences: audiences.iter().map(|one| (*one).to_owned()).collect(),
        ..Token::bound(APPS, "worker", TOKEN_AUDIENCE)
    };
    world.cluster.token(&text, token);
    text
}

#[test]
fn an_answer_about_a_token_that_is_not_right_lets_nobody_in_and_the_next_one_does() {
    const ELSEWHERE: &str = "https://kubernetes.default.svc";
    let world = GatewayWorld::with_web();
    let token = Token::bound(APPS, "worker", TOKEN_AUDIENCE);
    let good = token.status(&[TOKEN_AUDIENCE.to_owned()]);
    let with = |changes: Value| {
        let mut status = good.clone();
        merge(&mut status, &changes);
        let review = json!({
            "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {},
            "status": status,
        });
        Fault::json(201, &review)
    };
    let user = |name: Value| with(json!({"user": {"username": name}}));
    let extra = |name: &str, value: Value| {
        let mut extra = json!({});
        extra[format!("authentication.kubernetes.io/{name}")] = value;
        with(json!({"user": {"extra": extra}}))
    };
    let masters = json!({"kind": "Status", "status": good});
    let cases = [
        ("no JSON", Fault::html(200)),
        ("nothing", Fault::Cut),
        ("deep", Fault::json(201, &fill(Shape::Deep, 1_000_000))),
        ("another kind", Fault::json(201, &masters)),
        ("huge", with(json!({"error": fill(Shape::Flat, 8_000_000)}))),
        ("not said", with(json!({"authenticated": null}))),
        ("a text", with(json!({"authenticated": "true"}))),
        ("an error beside it", with(json!({"error": "no"}))),
        ("no audience", with(json!({"audiences": null}))),
        ("another audience", with(json!({"audiences": [ELSEWHERE]}))),
        (
            "many audiences",
            with(json!({"audiences": [each(100_000, &json!(ELSEWHERE))]})),
        ),
        ("nobody", user(json!("system:anonymous"))),
        ("no name", user(json!(7))),
        (
            "half a name",
            user(json!("system:serviceaccount:apps:worker:x")),
        ),
        (
            "another account",
            user(json!("system:serviceaccount:kube-system:x")),
        ),
        ("no pod", with(json!({"user": {"extra": null}}))),
        ("half a pod", extra("pod-uid", Value::Null)),
        ("two pods", extra("pod-name", json!(["a", "b"]))),
    ];
    let ask = |token: &str| world.api("GET", "/v1/targets", Some(token), None).status;
    for (at, (name, fault)) in cases.into_iter().enumerate() {
        let token = fresh_token(&world, at, &[TOKEN_AUDIENCE]);
        // However often it is asked.
        world.cluster.fault("POST /tokenreviews", 10, fault);
        let status = ask(&token);
        assert!(matches!(status, 401 | 403 | 503), "{name}: {status}");
        world.cluster.clear_faults();
        assert_eq!(ask(&token), 200, "{name}");
    }
    let two = fresh_token(&world, 100, &[TOKEN_AUDIENCE, ELSEWHERE]);
    assert_eq!(ask(&two), 401);
    assert_eq!(world.count("web"), 0);
}

/// An annotation of the gateway's.
fn ours(name: &str) -> String {
    format!("openclaw-k8s-toggle-operator/{name}")
}

/// Writes the Lease of a target as somebody else.
fn write_lease(world: &GatewayWorld, name: &str, annotations: &Value, spec: &Value) {
    let object = json!({
        "kind": "Lease", "apiVersion": "coordination.k8s.io/v1",
        "metadata": {"name": lease(name), "namespace": GATEWAY, "annotations": annotations},
        "spec": spec,
    });
    world.cluster.put("leases", GATEWAY, object);
}

fn delete_lease(world: &GatewayWorld, name: &str) {
    let of = collection("leases", GATEWAY);
    world
        .cluster
        .with(|state| state.objects.store.delete(&of, &lease(name)));
}

#[test]
fn a_lease_that_somebody_else_wrote_or_deleted_stops_nothing_and_holds_up_nobody() {
    let mut world = GatewayWorld::new();
    world.pace(5);
    let sleeps = json!({"idle": "10s", "minUp": "0s"});
    for name in ["words", "types", "numbers", "huge", "none"] {
        open(&mut world, name, &json!({}));
    }
    for name in ["kept", "deleted", "unused"] {
        open(&mut world, name, &sleeps);
    }
    let words = json!({
        ours("phase"): "gone fishing", ours("started-at"): "yesterday", ours("idle"): "a while",
        ours("started-by"): "<script>\n{}", "other/phase": "stopped",
    });
    let noon = json!({"holderIdentity": "somebody", "renewTime": "noon"});
    write_lease(&world, "words", &words, &noon);
    let other = json!({"holderIdentity": ["x"], "renewTime": 7});
    write_lease(&world, "types", &json!(["x", 7]), &other);
    let numbers = json!({ours("phase"): 5, ours("keep-until"): {"a": 1}, ours("held"): true});
    write_lease(&world, "numbers", &numbers, &json!("none"));
    let mut huge = json!({});
    for number in 0..40 {
        huge[ours(&format!("a{number}"))] = json!("x".repeat(4_000));
        huge[format!("other/{number}")] = json!("x".repeat(1_000));
    }
    write_lease(&world, "huge", &huge, &json!({}));
    delete_lease(&world, "none");
    world.start();
    for name in ["words", "types", "numbers", "huge", "none"] {
        assert_eq!(status(&world, name), 200, "{name}");
        assert_eq!(world.count(name), 1, "{name}");
    }
    // Where there is a map to write into, it is put right.
    let phase = world.cluster.annotation(&lease("words"), "phase");
    assert_eq!(phase, "run");

    for name in ["kept", "deleted"] {
        assert_eq!(status(&world, name), 200, "{name}");
    }
    let mut kept = world.cluster.lease_now(&lease("kept"));
    kept["metadata"]["annotations"][ours("keep-until")] = json!("the day after tomorrow");
    world.cluster.put("leases", GATEWAY, kept);
    delete_lease(&world, "deleted");
    // One that is as it should be is stopped, later than the others would be.
    assert_eq!(status(&world, "unused"), 200);
    poll_within(Duration::from_secs(60), "the stop of what is idle", || {
        (world.count("unused") == 0).then_some(())
    });
    thread::sleep(Duration::from_secs(1));
    for name in ["kept", "deleted"] {
        assert_eq!(world.count(name), 1, "{name}");
        assert_eq!(status(&world, name), 200, "{name}");
    }
    assert_eq!(status(&world, "unused"), 200);
    let stopped = world.audit().into_iter();
    let stopped = stopped.filter(|line| line["event"] == "idle-stop");
    let stopped: Vec<Value> = stopped.map(|line| line["target"].clone()).collect();
    assert_eq!(stopped, ["unused"]);
    assert_alive(&mut world, "Leases");
}

/// Somebody else sets the number of replicas of a target between its wake and its first pod.
struct Change {
    target: &'static str,
    manager: &'static str,
    count: i64,
    /// The statuses that the one who woke it may get.
    statuses: &'static [u16],
    /// True if the number stays.
    stays: bool,
}

const CHANGES: [Change; 4] = [
    Change {
        target: "more",
        manager: "kubectl",
        count: 5,
        statuses: &[200],
        stays: true,
    },
    Change {
        target: "scaled",
        manager: "kube-controller-manager",
        count: 3,
        statuses: &[200],
        stays: true,
    },
    // Who comes next may wake it.
    Change {
        target: "none",
        manager: "kubectl",
        count: 0,
        statuses: &[200, 503],
        stays: false,
    },
    Change {
        target: "forbidden",
        manager: BOT,
        count: 0,
        statuses: &[503],
        stays: true,
    },
];

#[test]
fn who_changes_the_number_between_wake_and_ready_is_heard_and_each_request_is_answered() {
    let mut world = GatewayWorld::new();
    for change in &CHANGES {
        open(&mut world, change.target, &json!({}));
        let port = world.backend(change.target).port;
        let way = ("deployments", APPS, change.target);
        let delay = Duration::from_secs(4);
        world
            .cluster
            .pods_follow(way, change.target, delay, &["127.0.0.1"], port);
    }
    world.start();
    let proxy = world.ports().proxy;
    thread::scope(|scope| {
        // Their client waits for longer than they are held, and not for ever.
        let requests: Vec<_> = CHANGES
            .iter()
            .map(|change| {
                let host = format!("{}.test", change.target);
                scope.spawn(move || get(proxy, &host, "/", "").status)
            })
            .collect();
        for change in &CHANGES {
            let (name, manager) = (change.target, change.manager);
            world.wait_count(name, 1);
            let (cluster, kind) = (&world.cluster, "deployments");
            match manager == BOT {
                true => cluster.apply_replicas(kind, APPS, name, manager, change.count),
                false => cluster.patch_replicas(kind, APPS, name, manager, change.count),
            }
        }
        for (change, request) in CHANGES.iter().zip(requests) {
            let (name, status) = (change.target, request.join().unwrap());
            assert!(change.statuses.contains(&status), "{name}: {status}");
        }
    });
    for change in CHANGES.iter().filter(|change| change.stays) {
        let name = change.target;
        if change.count > 0 {
            assert_eq!(status(&world, name), 200, "{name}");
        }
        assert_eq!(world.count(name), change.count, "{name}");
    }
    assert_alive(&mut world, "changes");
}
