//! Targets that wake and sleep: what is held, what is written, and what is left on.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::support::backend::{Backend, free_port};
use super::support::client::get;
use super::support::state::Mood;
use super::support::world::{APPS, GatewayWorld, bearer, lease};
use crate::support::monitor::{poll, poll_within};

/// The idle time of these tests: 10 s, five times shorter.
const IDLE: Duration = Duration::from_secs(2);

/// A world with an app that is stopped after [`IDLE`], and one gateway.
fn sleepy() -> GatewayWorld {
    let mut world = GatewayWorld::new();
    world.pace(5);
    let anonymous = json!(["connect", "wake"]);
    world.app_with(
        "web",
        json!({"idle": "10s", "minUp": "0s", "anonymous": anonymous}),
    );
    world.start();
    world
}

#[test]
fn a_pod_whose_port_opens_late_answers_the_request_that_woke_it() {
    let mut world = GatewayWorld::new();
    world.app("web");
    let port = free_port();
    let way = ("deployments", "apps", "web");
    world
        .cluster
        .pods_follow(way, "web", Duration::ZERO, &["127.0.0.1"], port);
    world.start();
    let token = bearer(&world.worker());
    let proxy = world.ports().proxy;
    let begun = Instant::now();
    let request = thread::spawn(move || get(proxy, "web.test", "/", &token));
    world.wait_count("web", 1);
    thread::sleep(Duration::from_secs(3));
    let late = Backend::start_on(port);
    let reply = request.join().unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
    assert!(begun.elapsed() >= Duration::from_secs(3));
    assert_eq!(late.asked().len(), 1);
}

#[test]
fn three_hundred_requests_are_held_by_one_wake() {
    let mut world = GatewayWorld::new();
    // All of them come from one address, as behind an Ingress.
    world.set("TRUSTED_PROXIES", "127.0.0.1/32");
    world.app_with("web", json!({"maxHeld": 300}));
    let port = world.backend("web").port;
    let way = ("deployments", "apps", "web");
    world
        .cluster
        .pods_follow(way, "web", Duration::from_secs(3), &["127.0.0.1"], port);
    world.start();
    let token = bearer(&world.worker());
    let proxy = world.ports().proxy;
    thread::scope(|scope| {
        for _ in 0..300 {
            scope.spawn(|| assert_eq!(get(proxy, "web.test", "/", &token).status, 200));
        }
    });
    assert_eq!(world.backend("web").asked().len(), 300);
    let applied = world.cluster.calls("PATCH /deployments/web/scale");
    assert_eq!(applied.len(), 1);
}

#[test]
fn who_woke_it_is_said_as_everywhere_in_the_audit_log() {
    for (token, fields, by) in [
        (
            GatewayWorld::anna as fn(&GatewayWorld) -> String,
            [("sub", "id-of-anna"), ("displayName", "anna")],
            "person:anna",
        ),
        (
            GatewayWorld::worker,
            [("namespace", "apps"), ("serviceAccount", "worker")],
            "sa:apps/worker",
        ),
    ] {
        let world = GatewayWorld::with_web();
        let reply = world.get("web.test", "/", &bearer(&token(&world)));
        assert_eq!(reply.status, 200, "{}", reply.text());
        let line = world.wait_audit("wake");
        for (name, text) in fields {
            assert_eq!(line[name], text, "{line}");
        }
        assert_eq!(line["sub"].is_null(), by.starts_with("sa:"), "{line}");
        assert_eq!(world.cluster.annotation(&lease("web"), "started-by"), by);
    }
}

#[test]
fn what_is_idle_is_stopped_but_not_while_the_api_server_is_away() {
    let world = sleepy();
    assert_eq!(world.get("web.test", "/", "").status, 200);
    world.cluster.set(Mood::Down);
    for _ in 0..4 {
        thread::sleep(IDLE);
        let begun = Instant::now();
        assert_eq!(world.get("web.test", "/", "").status, 200);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
    thread::sleep(IDLE * 2);
    assert_eq!(world.count("web"), 1);
    world.cluster.set(Mood::Well);
    world.wait_count("web", 0);
    assert_eq!(world.wait_audit("idle-stop")["target"], "web");
    assert_eq!(world.get("web.test", "/", "").status, 200);
}

#[test]
fn a_tab_that_was_forgotten_keeps_it_on_for_a_while_and_not_for_ever() {
    let mut world = GatewayWorld::new();
    world.pace(10);
    let anonymous = json!(["connect", "wake"]);
    let entry = json!({"idle": "20s", "presence": "1m", "minUp": "0s", "anonymous": anonymous});
    world.app_with("web", entry);
    world.start();
    let page = "Sec-Fetch-Mode: navigate\r\nAccept: text/html\r\n";
    let script = "Sec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n";
    poll("the page", || {
        (world.get("web.test", "/", page).status == 200).then_some(())
    });
    let loaded = Instant::now();
    // It looks for news all the time.
    let news = || world.get("web.test", "/news", script).status;
    let asleep = poll_within(Duration::from_secs(30), "it to sleep", || {
        (news() != 200).then(|| loaded.elapsed())
    });
    // For `presence`, and the idle time behind it.
    assert!(asleep > Duration::from_secs(6), "{asleep:?}");
    world.wait_count("web", 0);
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        assert_eq!(news(), 503);
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(world.count("web"), 0);
}

#[test]
fn what_a_person_has_started_is_left_on() {
    let world = sleepy();
    world
        .cluster
        .patch_replicas("deployments", "apps", "web", "kubectl", 1);
    assert_eq!(world.get("web.test", "/", "").status, 200);
    let kept = world.wait_audit("kept");
    let reason = kept["reason"].as_str().unwrap();
    assert!(reason.starts_with("left on: "), "{reason}");
    assert_eq!(world.count("web"), 1);
    assert_eq!(world.get("web.test", "/", "").status, 200);
}

#[test]
fn by_way_of_its_service_a_target_is_woken_without_a_look_at_its_pods() {
    let mut world = GatewayWorld::new();
    // The address in the slices leads to an app that nobody asks.
    world.app_with("web", json!({"route": "service"}));
    let port = free_port();
    world.cluster.service(APPS, "web", "127.0.0.1", port);
    for verb in ["list", "watch"] {
        world.cluster.deny(verb, "endpointslices", APPS);
    }
    world.start();
    let token = bearer(&world.worker());
    let proxy = world.ports().proxy;
    thread::scope(|scope| {
        let request = scope.spawn(|| get(proxy, "web.test", "/x", &token));
        world.wait_count("web", 1);
        // Nothing answers behind a cluster IP before there is a pod.
        let behind = Backend::start_on(port);
        let reply = request.join().unwrap();
        assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
        assert_eq!(behind.asked()[0].line(), "GET /x HTTP/1.1");
        assert_eq!(world.get("web.test", "/", &token).status, 200);
        assert_eq!(behind.asked().len(), 2);
    });
    assert_eq!(world.backend("web").connections(), 0);
    assert_eq!(world.cluster.calls("/endpointslices").len(), 0);
    let applied = world.cluster.calls("PATCH /deployments/web/scale");
    assert_eq!(applied.len(), 1);
}

/// The times that a process has begun to wait for something.
fn waits(id: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).unwrap();
    tasks
        .map(|task| {
            let status = fs::read_to_string(task.unwrap().path().join("status"));
            let status = status.unwrap_or_default();
            let mut lines = status.lines();
            let told = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            // A thread may have ended.
            told.map_or(0, |told| told.trim().parse::<u64>().unwrap())
        })
        .sum()
}

#[test]
fn a_gateway_with_nothing_to_do_does_nothing() {
    let mut world = GatewayWorld::new();
    for (name, route, by_number) in [
        ("a", "pod", false),
        ("b", "pod", true),
        ("c", "service", false),
        ("d", "service", true),
        ("stuck", "pod", true),
    ] {
        world.app_with(name, json!({"route": route}));
        // Nothing listens there.
        let port = free_port();
        world.cluster.service(APPS, name, "127.0.0.1", port);
        if by_number {
            world.file["targets"][name]["port"] = json!(port);
        }
    }
    // On, and never ready.
    world.cluster.workload("deployments", APPS, "stuck", 1);
    world
        .cluster
        .endpoints(APPS, "stuck", 1, &[("127.0.0.1", false)]);
    world.start();
    let id = world.replicas[0].run.id();
    thread::sleep(Duration::from_secs(1));
    let before = waits(id);
    thread::sleep(Duration::from_secs(3));
    let more = waits(id).saturating_sub(before);
    assert!(more < 200, "it has looked around {more} times in 3 s");
}

#[test]
fn an_api_server_that_turns_everything_away_for_a_while_delays_a_wake_and_no_more() {
    let mut world = GatewayWorld::new();
    world.pace(5);
    // Whose token it is could not be asked, either.
    world.app_with("web", json!({"anonymous": ["connect", "wake"]}));
    world.start();
    world.cluster.set(Mood::Overloaded);
    world.cluster.forget_calls();
    // What is watched has to be listed again, too.
    world.cluster.cut();
    let proxy = world.ports().proxy;
    let request = thread::spawn(move || get(proxy, "web.test", "/", ""));
    let asked = "GET /deployments/web/scale";
    poll(asked, || {
        (!world.cluster.calls(asked).is_empty()).then_some(())
    });
    thread::sleep(Duration::from_secs(3));
    assert!(!request.is_finished(), "{:?}", request.join());
    assert_eq!(world.count("web"), 0);
    world.cluster.set(Mood::Well);
    let reply = request.join().unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
    assert_eq!(world.backend("web").asked().len(), 1);
    let applied = world.cluster.calls("PATCH /deployments/web/scale");
    assert_eq!(applied.len(), 1);
    world.wait_audit("wake");
    let audit = world.audit();
    let wakes = audit.iter().filter(|line| line["event"] == "wake");
    assert_eq!(wakes.count(), 1, "{audit:?}");
}
