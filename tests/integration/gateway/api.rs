//! The API of the running gateway: what programs ask it for, and who learns what.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::client::{Raw, Reply};
use super::support::state::Mood;
use super::support::world::{APPS, GatewayWorld, bearer};
use crate::docs::root;
use crate::support::monitor::poll;

/// The manager by which the bot applies a number of replicas.
const BOT: &str = "openclaw-k8s-toggle-operator";

/// The part of an answer beside the time.
fn shown(reply: &Reply) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let headers = reply.headers.iter().filter(|(name, _)| name != "date");
    (reply.status, headers.cloned().collect(), reply.body.clone())
}

/// A world with the targets `web` and `secret`, and the accounts `viewer`, who sees `web`,
/// and `runner`, who starts it.
fn with_roles() -> GatewayWorld {
    let mut world = GatewayWorld::new();
    world.app("web");
    world.app("secret");
    world.file["roles"]["viewer"] = json!({"targets": ["web"], "verbs": ["status"]});
    world.file["roles"]["runner"] =
        json!({"targets": ["web"], "verbs": ["start", "wait"], "maxReplicas": 2, "maxFor": "2h"});
    for role in ["viewer", "runner"] {
        let identity = json!({"namespace": APPS, "serviceAccount": role, "allowedRoles": [role]});
        let identities = world.file["k8sTrust"]["allowedIdentities"].as_array_mut();
        identities.expect("there are some").push(identity);
    }
    world.start();
    world
}

#[test]
fn a_target_is_started_scaled_and_stopped() {
    let world = GatewayWorld::with_web();
    let token = world.worker();
    let post = |what: &str, body: &Value| {
        let path = format!("/v1/targets/web/{what}");
        let reply = world.api("POST", &path, Some(&token), Some(body));
        assert_eq!(reply.status, 200, "{what} {body}: {}", reply.text());
        reply.json()
    };
    let get = |what: &str| world.api("GET", &format!("/v1/targets/web{what}"), Some(&token), None);
    assert_eq!(get("").json()["phase"], "off");

    assert_eq!(post("start", &json!({}))["replicas"], 1);
    world.wait_count("web", 1);
    let ready = get("/wait");
    assert_eq!(
        (ready.status, &ready.json()["phase"]),
        (200, &"ready".into())
    );
    let status = get("").json();
    assert_eq!(status["startedBy"], format!("sa:{APPS}/worker"));
    assert_eq!(status["ready"], 1);

    assert_eq!(post("scale", &json!({"replicas": 3}))["replicas"], 3);
    world.wait_count("web", 3);
    // Which lowers nothing.
    assert_eq!(post("start", &json!({"replicas": 2}))["replicas"], 3);
    assert_eq!(world.count("web"), 3);
    // Twice is as good as once.
    for _ in 0..2 {
        assert_eq!(post("stop", &json!({}))["replicas"], 0);
    }
    world.wait_count("web", 0);
    poll("web to be off", || {
        (get("").json()["phase"] == "off").then_some(())
    });

    // The output of the process comes after its answers.
    let audit = poll("five changes in the audit log", || {
        let lines = world.audit().into_iter();
        let changed: Vec<Value> = lines.filter(|line| line["event"] == "changed").collect();
        (changed.len() >= 5).then_some(changed)
    });
    let verbs: Vec<&Value> = audit.iter().map(|line| &line["verb"]).collect();
    assert_eq!(verbs, ["start", "scale", "start", "stop", "stop"]);
    let mut ids = BTreeSet::new();
    for line in audit {
        assert_eq!(line["serviceAccount"], "worker", "{line}");
        assert_eq!(
            (&line["target"], &line["role"]),
            (&"web".into(), &"all".into())
        );
        assert_eq!(line["remoteIp"], "127.0.0.1");
        let id = line["requestId"].as_str().unwrap();
        assert!(id.len() == 16 && ids.insert(id.to_owned()), "{id}");
    }
}

#[test]
fn a_person_with_an_access_token_may_do_so_too() {
    let world = GatewayWorld::with_web();
    let reply = world.api("POST", "/v1/targets/web/start", Some(&world.anna()), None);
    assert_eq!(reply.status, 200, "{}", reply.text());
    world.wait_count("web", 1);
    let line = world.wait_audit("changed");
    assert_eq!(
        (&line["sub"], &line["verb"]),
        (&"id-of-anna".into(), &"start".into()),
        "{line}"
    );
}

#[test]
fn a_start_for_a_while_is_shown_with_its_end() {
    let world = GatewayWorld::with_web();
    let token = world.worker();
    let start = json!({"for": "2h"});
    let reply = world.api("POST", "/v1/targets/web/start", Some(&token), Some(&start));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let until = poll("the end of it", || {
        let status = world
            .api("GET", "/v1/targets/web", Some(&token), None)
            .json();
        status["keepUntil"].as_str().map(str::to_owned)
    });
    assert!(until.ends_with('Z'), "{until}");
    let kept = world
        .cluster
        .annotation("openclaw-gateway-web", "keep-until");
    assert!(!kept.is_empty());
}

#[test]
fn a_scan_for_targets_finds_none() {
    let world = with_roles();
    let viewer = world.account(APPS, "viewer");
    let ask = |method: &str, path: &str, token: Option<&str>| {
        shown(&world.api(method, path, token, None))
    };
    let unknown = ask("GET", "/v1/targets/nothing", Some(&viewer));
    assert_eq!(unknown.0, 404);
    for path in [
        "/v1/targets/secret",
        "/v1/targets/secret/wait?timeout=0",
        "/v1/targets/nothing/wait?timeout=0",
        "/v1/targets/%73ecret",
        "/v1/targets/./secret",
        "/v1/targets//secret",
        "/v1/targets/SECRET",
        "/.gateway/v1/targets/secret",
    ] {
        assert_eq!(ask("GET", path, Some(&viewer)), unknown, "{path}");
    }
    for verb in ["start", "stop", "scale"] {
        for target in ["secret", "nothing"] {
            let path = format!("/v1/targets/{target}/{verb}");
            assert_eq!(ask("POST", &path, Some(&viewer)), unknown, "{path}");
        }
    }
    let list = world.api("GET", "/v1/targets", Some(&viewer), None).json();
    assert_eq!(list["targets"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(list["targets"][0]["name"], "web");
    assert_eq!(world.count("secret"), 0);

    // Before anything is shown all is the same.
    let nobody = ask("GET", "/v1/targets/nothing", None);
    assert_eq!(nobody.0, 401);
    assert!(
        nobody
            .1
            .contains(&("www-authenticate".to_owned(), "Bearer".to_owned()))
    );
    for path in [
        "/v1/targets",
        "/v1/targets/secret",
        "/v1/openapi.json",
        "/",
        "/x",
    ] {
        assert_eq!(ask("GET", path, None), nobody, "{path}");
    }
    assert_eq!(ask("POST", "/v1/targets/web/start", None), nobody);
    let line = poll("the denial", || {
        world
            .audit()
            .into_iter()
            .find(|line| line["event"] == "denied")
    });
    assert_eq!(line["serviceAccount"], "viewer", "{line}");
}

#[test]
fn a_role_has_its_limits() {
    let world = with_roles();
    let runner = world.account(APPS, "runner");
    let start = |body: Value| {
        let reply = world.api("POST", "/v1/targets/web/start", Some(&runner), Some(&body));
        (
            reply.status,
            reply.json()["detail"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    };
    let over = "at most 2 replicas may be asked for";
    assert_eq!(start(json!({"replicas": 3})), (403, over.to_owned()));
    let over = "at most 2 h may be asked for";
    assert_eq!(start(json!({"for": "3h"})), (403, over.to_owned()));
    assert_eq!(world.count("web"), 0);
    assert_eq!(start(json!({"replicas": 2, "for": "2h"})).0, 200);
    world.wait_count("web", 2);
    for (method, path) in [("GET", ""), ("POST", "/stop"), ("POST", "/scale")] {
        let path = format!("/v1/targets/web{path}");
        let reply = world.api(method, &path, Some(&runner), None);
        assert_eq!(reply.status, 403, "{path}");
        assert_eq!(reply.header("www-authenticate"), "");
    }
    assert_eq!(world.count("web"), 2);
}

#[test]
fn what_a_person_switched_off_stays_off() {
    let world = GatewayWorld::with_web();
    world
        .cluster
        .apply_replicas("deployments", APPS, "web", BOT, 0);
    let reply = world.api("POST", "/v1/targets/web/start", Some(&world.worker()), None);
    assert_eq!(reply.status, 409, "{}", reply.text());
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!(reply.json()["type"], "urn:openclaw-gateway:refused");
    let line = world.wait_audit("changed");
    assert_eq!(line["decision"], "failed", "{line}");
    let reply = world.get("web.test", "/", &bearer(&world.worker()));
    assert_eq!(reply.status, 503, "{}", reply.text());
    let line = world.wait_audit("wake");
    assert_eq!(line["decision"], "failed", "{line}");
    assert_eq!(world.count("web"), 0);
}

#[test]
fn while_the_cluster_cannot_be_asked_nobody_is_let_in_on_a_guess() {
    let world = GatewayWorld::with_web();
    let known = world.worker();
    assert_eq!(
        world.api("GET", "/v1/targets", Some(&known), None).status,
        200
    );
    let fresh = world.account(APPS, "fresh");
    world.cluster.set(Mood::Down);
    let reply = world.api("GET", "/v1/targets", Some(&fresh), None);
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert_ne!(reply.header("retry-after"), "");
    let reply = world.api("POST", "/v1/targets/web/start", Some(&known), None);
    assert_eq!(reply.status, 503, "{}", reply.text());
    world.cluster.set(Mood::Well);
    let reply = poll("the token to be taken", || {
        let reply = world.api("GET", "/v1/targets", Some(&fresh), None);
        (reply.status != 503).then_some(reply)
    });
    assert_ne!(reply.status, 200, "it has no role");
}

#[test]
fn one_connection_serves_many_and_describes_itself() {
    let world = GatewayWorld::with_web();
    let token = bearer(&world.worker());
    let mut raw = Raw::connect(world.ports().api);
    raw.get("gateway", "/v1/openapi.json", &token);
    let described = raw.reply();
    let file = fs::read_to_string(root().join("docs/openapi.json"));
    assert_eq!(described.text(), file.expect("it is there"));
    assert_eq!(described.header("content-type"), "application/json");
    for path in [
        "/v1/targets",
        "/v1/targets/web",
        "/v1/nothing",
        "/v1/targets",
    ] {
        raw.get("gateway", path, &token);
        let reply = raw.reply();
        assert_eq!(reply.status, if path == "/v1/nothing" { 404 } else { 200 });
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    // An upgrade is none.
    let headers = format!("{token}Connection: Upgrade\r\nUpgrade: websocket\r\n");
    raw.get("gateway", "/v1/targets", &headers);
    assert_eq!(raw.reply().status, 200);
    let cookie = "Cookie: session=of-somebody\r\n";
    raw.get("gateway", "/v1/targets", cookie);
    assert_eq!(raw.reply().status, 401);
}

#[test]
fn a_wait_goes_on_at_another_replica_when_this_one_ends() {
    let mut world = GatewayWorld::with_web();
    let token = bearer(&world.worker());
    let mut waiting = Raw::connect(world.ports().api);
    waiting.get("gateway", "/v1/targets/web", &token);
    assert_eq!(waiting.reply().status, 200);
    waiting.get("gateway", "/v1/targets/web/wait", &token);
    // Nothing tells that it was read, and a connection on which nothing was is closed.
    thread::sleep(Duration::from_secs(2));
    world.replicas[0].run.terminate();
    let reply = waiting.reply();
    assert_eq!((reply.status, reply.header("connection")), (202, "close"));
    // Who has not heard of it yet is answered, too, whichever port they come to.
    let status = world.api("GET", "/v1/targets/web", Some(&world.worker()), None);
    assert_eq!((status.status, status.header("connection")), (200, "close"));
    let mut fresh = world.connect();
    fresh.get("unknown.test", "/", &token);
    let reply = fresh.reply();
    assert_eq!((reply.status, reply.header("connection")), (404, "close"));
    let ended = world.replicas[0].run.wait_exit(Duration::from_secs(20));
    assert!(ended.success(), "{ended}");
}
