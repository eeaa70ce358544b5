//! The fakes against themselves: two people talk through the fake homeserver
//! over HTTP, so a scenario that fails does not fail because of a fake.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use crate::support::apiserver::ApiServer;
use crate::support::faults::Fault;
use crate::support::homeserver::Homeserver;
use crate::support::person::{Person, text_message};
use crate::support::signing::is_signed;
use crate::support::temp::TempDir;
use crate::support::wire::{call, encode};

const ROOM: &str = "!talk:test";

struct Client {
    port: u16,
    token: String,
}

impl Client {
    fn log_in(hs: &Homeserver, user: &str, device: &str) -> Self {
        hs.add_user(user, "secret");
        let body = json!({
            "type": "m.login.password", "password": "secret", "device_id": device,
            "identifier": {"type": "m.id.user", "user": user},
        });
        let path = "/_matrix/client/v3/login";
        let (status, answer) = call(hs.port(), "POST", path, None, Some(&body)).unwrap();
        assert_eq!(status, 200, "{answer}");
        let token = answer["access_token"].as_str().unwrap().to_owned();
        Self {
            port: hs.port(),
            token,
        }
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let target = format!("/_matrix/client/v3/{path}");
        call(self.port, method, &target, Some(&self.token), body).unwrap()
    }

    fn sync(&self, since: Option<&str>, timeout: u64) -> Value {
        let since = since.map(|s| format!("&since={s}")).unwrap_or_default();
        let (status, body) = self.ask("GET", &format!("sync?timeout={timeout}{since}"), None);
        assert_eq!(status, 200, "{body}");
        body
    }
}

fn person_over_http(hs: &Homeserver, user: &str, device: &str) -> (Person, Client) {
    let client = Client::log_in(hs, user, device);
    let mut person = Person::unpublished(hs, user, device);
    let one_time = person.fresh_one_time_keys(3);
    let body = json!({"device_keys": person.device_keys(), "one_time_keys": one_time});
    let (status, answer) = client.ask("POST", "keys/upload", Some(&body));
    assert_eq!(
        (status, &answer["one_time_key_counts"]["signed_curve25519"]),
        (200, &json!(3))
    );
    (person, client)
}

#[test]
fn two_people_talk_encrypted_over_http() {
    let hs = Homeserver::start();
    let (mut ann, ann_http) = person_over_http(&hs, "@ann:test", "ANN");
    let (mut ben, ben_http) = person_over_http(&hs, "@ben:test", "BEN");
    hs.add_room(ROOM, &["@ann:test", "@ben:test"], true);

    let first = ben_http.sync(None, 0);
    assert_eq!(
        first["device_one_time_keys_count"],
        json!({"signed_curve25519": 3})
    );
    assert!(first["device_lists"].is_null(), "{first}");

    let content = ann.room_key(ROOM);
    let payload = ann.payload(("@ben:test", "BEN"), "m.room_key", &content);
    let olm = ann.olm(("@ben:test", "BEN"), &payload);
    let to_device = json!({"messages": {"@ben:test": {"BEN": olm}}});
    for _ in 0..2 {
        let (status, _) = ann_http.ask("PUT", "sendToDevice/m.room.encrypted/t1", Some(&to_device));
        assert_eq!(status, 200);
    }
    let encrypted = ann.encrypt(ROOM, &text_message("hello"));
    let path = format!("rooms/{}/send/m.room.encrypted/t2", encode(ROOM));
    let (_, once) = ann_http.ask("PUT", &path, Some(&encrypted));
    let (_, again) = ann_http.ask("PUT", &path, Some(&encrypted));
    assert_eq!(once, again, "a transaction id counts once");

    let next = ben_http.sync(first["next_batch"].as_str(), 1000);
    assert_eq!(next["to_device"]["events"].as_array().unwrap().len(), 1);
    let timeline = &next["rooms"]["join"][ROOM]["timeline"]["events"];
    assert_eq!(timeline.as_array().unwrap().len(), 1);
    assert!(timeline[0]["unsigned"]["age"].is_u64());
    assert_eq!(
        next["device_one_time_keys_count"],
        json!({"signed_curve25519": 2})
    );

    // Not acknowledged yet, so the same again; then gone.
    let same = ben_http.sync(first["next_batch"].as_str(), 0);
    assert_eq!(same["to_device"], next["to_device"]);
    let seen = ben.read(ROOM, "@ann:test");
    assert_eq!(seen[0].body.as_deref(), Some("hello"));

    ben.say(ROOM, "hello yourself");
    let seen = ann.read(ROOM, "@ben:test");
    assert_eq!(seen[0].body.as_deref(), Some("hello yourself"));
    let quiet = ben_http.sync(same["next_batch"].as_str(), 0);
    assert_eq!(quiet["to_device"]["events"], json!([]));
}

#[test]
fn a_long_poll_wakes_up_for_an_event_and_for_a_nudge() {
    let hs = Homeserver::start();
    let (_, ann) = person_over_http(&hs, "@ann:test", "ANN");
    hs.add_room(ROOM, &["@ann:test"], false);
    let mut since = ann.sync(None, 0)["next_batch"].as_str().unwrap().to_owned();
    for wake in [
        (|hs: &Homeserver| drop(hs.message(ROOM, "@ben:test", text_message("x"))))
            as fn(&Homeserver),
        Homeserver::nudge,
    ] {
        let started = Instant::now();
        let polling = std::thread::scope(|scope| {
            let poll = scope.spawn(|| ann.sync(Some(&since), 20_000));
            hs.wait("the poll", |state| {
                state
                    .log
                    .last()
                    .is_some_and(|l| l.path.ends_with("/sync") && l.status.is_none())
                    .then_some(())
            });
            std::thread::sleep(Duration::from_millis(50));
            wake(&hs);
            poll.join().unwrap()
        });
        assert!(started.elapsed() < Duration::from_secs(10));
        since = polling["next_batch"].as_str().unwrap().to_owned();
    }
}

#[test]
fn gaps_faults_rewrites_and_revoked_tokens_work() {
    let hs = Homeserver::start();
    let (_, ann) = person_over_http(&hs, "@ann:test", "ANN");
    hs.add_room(ROOM, &["@ann:test"], false);
    let first = ann.sync(None, 0);
    let hidden = json!({"type": "m.room.message", "sender": "@ben:test", "content": {}});
    hs.skipped_event(ROOM, hidden);
    hs.message(ROOM, "@ben:test", text_message("seen"));
    let next = ann.sync(first["next_batch"].as_str(), 0);
    let timeline = &next["rooms"]["join"][ROOM]["timeline"];
    assert_eq!(timeline["limited"], true);
    assert_eq!(timeline["events"].as_array().unwrap().len(), 1);

    hs.fault("POST /keys/query", 1, Fault::limited(2));
    let query = json!({"device_keys": {"@ann:test": []}});
    assert_eq!(ann.ask("POST", "keys/query", Some(&query)).0, 429);
    hs.rewrite("/keys/query", |body| {
        body["device_keys"]["@ann:test"]["ANN"]["keys"] = json!({})
    });
    let (status, body) = ann.ask("POST", "keys/query", Some(&query));
    assert_eq!(
        (status, &body["device_keys"]["@ann:test"]["ANN"]["keys"]),
        (200, &json!({}))
    );
    hs.fault("whoami", 1, Fault::Cut);
    let target = "/_matrix/client/v3/account/whoami";
    assert!(call(hs.port(), "GET", target, Some(&ann.token), None).is_err());

    hs.revoke("@ann:test", Some(true));
    let (status, body) = ann.ask("GET", "account/whoami", None);
    assert_eq!((status, &body["soft_logout"]), (401, &json!(true)));
}

#[test]
fn an_invited_user_sees_the_invitation_and_joins() {
    let hs = Homeserver::start();
    let (_, ben) = person_over_http(&hs, "@ben:test", "BEN");
    hs.add_room(ROOM, &["@ann:test"], true);
    let first = ben.sync(None, 0);
    hs.invite(ROOM, "@ann:test", "@ben:test");
    let next = ben.sync(first["next_batch"].as_str(), 0);
    let stripped = &next["rooms"]["invite"][ROOM]["invite_state"]["events"];
    assert!(
        stripped
            .as_array()
            .unwrap()
            .iter()
            .any(|e| e["sender"] == "@ann:test" && e["state_key"] == "@ben:test")
    );
    let (status, _) = ben.ask(
        "POST",
        &format!("rooms/{}/join", encode(ROOM)),
        Some(&json!({})),
    );
    assert_eq!(status, 200);
    let joined = ben.sync(next["next_batch"].as_str(), 0);
    assert!(joined["rooms"]["join"][ROOM].is_object());
    assert_eq!(joined["device_lists"]["changed"], json!(["@ann:test"]));
}

/// Asks the API server once; returns the status and the body.
fn ask_api(api: &ApiServer, request: &str, headers: &str, body: &str) -> (String, Value) {
    let ca = CertificateDer::from_pem_file(api.account_dir().join("ca.crt")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(ca).unwrap();
    let config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(
        connection,
        TcpStream::connect(("127.0.0.1", api.port())).unwrap(),
    );
    let token = std::fs::read_to_string(api.account_dir().join("token")).unwrap();
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: x\r\n\
         Authorization: Bearer {}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        token.trim(),
        body.len()
    )
    .unwrap();
    let mut answer = vec![0; 20_000];
    let read = stream.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    (
        status.to_owned(),
        serde_json::from_str(body).unwrap_or_default(),
    )
}

const MERGE: &str = "Content-Type: application/merge-patch+json\r\n";
const STEPS: &str = "Content-Type: application/json-patch+json\r\n";
const APPLY: &str = "Content-Type: application/apply-patch+yaml\r\n";

#[test]
fn the_api_server_scales_over_tls() {
    let dir = TempDir::new();
    let api = ApiServer::start(dir.path());
    let scale = "PATCH /apis/apps/v1/namespaces/clawdbot/deployments/clawdbot/scale";
    let (status, _) = ask_api(&api, scale, MERGE, r#"{"spec":{"replicas":1}}"#);
    assert_eq!(status, "200");
    assert_eq!(api.scaled_to(), [1]);
}

#[test]
fn the_api_server_scales_a_workload_of_any_kind_if_it_is_as_expected() {
    let dir = TempDir::new();
    let api = ApiServer::start(dir.path());
    api.add("argoproj.io/v1alpha1/rollouts", "prod", "web");
    let path = "/apis/argoproj.io/v1alpha1/namespaces/prod/rollouts/web/scale";
    let steps = |expected: Value, wanted: i64| {
        json!([
            {"op": "test", "path": "/spec/replicas", "value": expected},
            {"op": "add", "path": "/spec/replicas", "value": wanted},
        ])
        .to_string()
    };
    let patch = format!("PATCH {path}");
    for (expected, wanted, status, replicas) in [
        (json!(3), 1, "422", 0),
        (json!(null), 2, "200", 2),
        (json!(null), 1, "422", 2),
        (json!(2), 0, "200", 0),
    ] {
        let answer = ask_api(&api, &patch, STEPS, &steps(expected, wanted));
        assert_eq!(answer.0, status);
        assert_eq!(api.workload("web", |web| web.replicas), replicas);
    }
    let applied = format!("{patch}?fieldManager=bot&force=true");
    let body = r#"{"spec":{"replicas":1}}"#;
    assert_eq!(ask_api(&api, &applied, APPLY, body).0, "500");
    let (_, scale) = ask_api(&api, &format!("GET {path}"), "", "");
    assert_eq!(scale["spec"], json!({}));
    assert_eq!(scale["status"]["selector"], "app=web");
}

#[test]
fn the_api_server_shows_tables_pods_events_and_rights() {
    let dir = TempDir::new();
    let api = ApiServer::start(dir.path());
    api.add("apps/v1/statefulsets", "prod", "db");
    api.add("apps/v1/statefulsets", "test", "db2");
    api.with(|state| {
        let pod = |name: &str, app: &str| {
            json!({"metadata": {"name": name, "namespace": "prod", "labels": {"app": app}}})
        };
        state.objects.pods = vec![pod("db-0", "db"), pod("x", "y")];
        state.objects.events = vec![
            json!({"involvedObject": {"uid": "1"}, "type": "Warning", "reason": "FailedMount"}),
            json!({"involvedObject": {"uid": "1"}, "type": "Normal"}),
        ];
    });
    let get = |path: &str, headers: &str| ask_api(&api, &format!("GET {path}"), headers, "").1;
    let table = get(
        "/apis/apps/v1/namespaces/prod/statefulsets?includeObject=None",
        "Accept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n",
    );
    assert_eq!(
        table["rows"],
        json!([{"cells": ["db", "0/0", "5d"], "object": null}])
    );
    let list = get("/apis/apps/v1/namespaces/test/statefulsets", "");
    assert_eq!(list["items"][0]["metadata"]["name"], "db2");
    let pods = get("/api/v1/namespaces/prod/pods?labelSelector=app%3Ddb", "");
    assert_eq!(pods["items"].as_array().map(Vec::len), Some(1));
    let pod = get("/api/v1/namespaces/prod/pods/db-0", "");
    assert_eq!(pod["metadata"]["name"], "db-0");
    let selector = "involvedObject.uid%3D1%2Ctype%3DWarning";
    let events = get(
        &format!("/api/v1/namespaces/prod/events?fieldSelector={selector}"),
        "",
    );
    assert_eq!(events["items"].as_array().map(Vec::len), Some(1));

    api.forbid("list", "pods");
    let refused = get("/api/v1/namespaces/prod/pods?labelSelector=app%3Ddb", "");
    assert_eq!(refused["code"], 403);
    let reviews = "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let (_, review) = ask_api(&api, reviews, "", "{}");
    let rules = &review["status"]["resourceRules"];
    // `watch` is not there before it is granted.
    assert_eq!(rules[0]["verbs"], json!(["get", "patch"]));
    assert_eq!(get("/apis/x/v1/rollouts", ""), Value::Null);
}

#[test]
fn people_read_each_other_over_many_sessions_and_devices() {
    let hs = Homeserver::start();
    let mut ann = Person::new(&hs, "@ann:test", "ANN");
    let mut ben = Person::new(&hs, "@ben:test", "BEN");
    let mut tablet = Person::new(&hs, "@ben:test", "TABLET");
    hs.add_room(ROOM, &["@ann:test", "@ben:test"], true);
    for round in 0..3 {
        ann.say(ROOM, &format!("question {round}"));
        ann.rotate(ROOM);
        for reader in [&mut ben, &mut tablet] {
            let seen = reader.read(ROOM, "@ann:test");
            assert_eq!(seen.last().unwrap().body, Some(format!("question {round}")));
        }
        ben.say(ROOM, &format!("answer {round}"));
        ben.rotate(ROOM);
        let seen = ann.read(ROOM, "@ben:test");
        assert_eq!(seen.last().unwrap().body, Some(format!("answer {round}")));
    }
    assert_eq!(ann.olm_types[..], [1, 1, 1]);
    assert_eq!(ben.olm_types[..], [0, 1, 1]);
}

#[test]
fn cross_signing_keys_of_a_person_hold_together() {
    let hs = Homeserver::start();
    let mut ann = Person::new(&hs, "@ann:test", "ANN");
    ann.cross_sign();
    let (master, self_signing) = ann.cross_signing.as_ref().unwrap();
    let (master, own) = (
        master.public_key().to_base64(),
        self_signing.public_key().to_base64(),
    );
    hs.with(|state| {
        let shown = &state.cross_signing["@ann:test"];
        assert!(is_signed(
            &shown["self_signing"],
            "@ann:test",
            &master,
            &master
        ));
        let device = &state.devices[&("@ann:test".into(), "ANN".into())];
        assert!(is_signed(
            device.keys.as_ref().unwrap(),
            "@ann:test",
            &own,
            &own
        ));
    });
}
