//! What clients say, in names, paths, fields and claims: it is nobody's identity, wakes
//! nothing by itself, and is neither a line of a log, nor a series, nor a part of a page.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::support::client::{Raw, Reply};
use super::support::issuer::Signer;
use super::support::world::{GatewayWorld, bearer};
use crate::support::monitor::poll;

/// Requests of each kind.
const REQUESTS: usize = 1_000;

/// The longest line of the audit log: no field has more than 300 bytes, however it is written.
const MAX_LINE: usize = 9_000;

/// The fields about who it is that the app was sent in its last request, as a server counts
/// them that takes `_` for `-`.
fn identity_fields(world: &GatewayWorld, target: &str) -> usize {
    let asked = world.backend(target).asked();
    let head = &asked.last().expect("it was asked").head;
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let names = lines.map(|(name, _)| name.to_ascii_lowercase().replace('_', "-"));
    names.filter(|name| name.starts_with("x-auth-")).count()
}

#[test]
fn the_app_sees_one_identity_and_it_is_the_gateways() {
    let mut world = GatewayWorld::new();
    let anonymous = json!(["connect", "wake"]);
    world.app_with("web", json!({"identityHeaders": true}));
    world.app_with(
        "open",
        json!({"identityHeaders": true, "anonymous": anonymous}),
    );
    world.start();
    let token = bearer(&world.worker());
    let said = [
        "",
        "X-Auth-User: root\r\nX-Auth-Roles: admin\r\n",
        "x-auth-user: root\r\nx-auth-user: admin\r\nX-AUTH-ROLES: all,admin\r\n",
        "X_Auth_User: root\r\nX_AUTH_ROLES: admin\r\n",
        "X-Auth_User: root\r\nx-auth-user:\r\n",
    ];
    for fields in said {
        let reply = world.get("web.test", "/", &format!("{fields}{token}"));
        assert_eq!(reply.status, 200, "{fields}: {}", reply.text());
        let asked = world.backend("web").asked();
        let last = asked.last().expect("it was asked");
        let user = "system:serviceaccount:apps:worker";
        assert_eq!(last.headers("x-auth-user"), [user], "{fields}");
        assert_eq!(last.headers("x-auth-roles"), ["all"], "{fields}");
        assert_eq!(identity_fields(&world, "web"), 2, "{fields}: {}", last.head);
        // Nobody is nobody.
        assert_eq!(world.get("open.test", "/", fields).status, 200);
        assert_eq!(identity_fields(&world, "open"), 0, "{fields}");
    }
    let before = world.backend("web").asked().len();
    for connection in ["X-Auth-User", "close, x-auth-user", "x-auth-roles"] {
        let fields = format!("Connection: {connection}\r\nX-Auth-User: root\r\n{token}");
        let reply = world.get("web.test", "/", &fields);
        assert_eq!(reply.status, 400, "{connection}: {}", reply.text());
    }
    assert_eq!(world.backend("web").asked().len(), before);
}

#[test]
fn a_preflight_wakes_nothing_whatever_its_origin() {
    let mut world = GatewayWorld::new();
    let anonymous = json!(["connect", "wake"]);
    world.app("web");
    world.app_with("cors", json!({"preflight": true}));
    world.app_with(
        "open",
        json!({"preflight": true, "anonymous": anonymous, "wakeBy": "any"}),
    );
    world.start();
    let token = bearer(&world.worker());
    let long = format!("https://{}.test", "a".repeat(2_000));
    let origins = [
        "https://evil.test",
        "http://web.test",
        "null",
        "*",
        "https://a.test https://b.test",
        "<script>alert(1)</script>",
        long.as_str(),
    ];
    for host in ["web.test", "cors.test", "open.test"] {
        for origin in origins {
            for shown in ["", token.as_str()] {
                let mut raw = world.connect();
                raw.send(format!(
                    "OPTIONS /x HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n\
                     Access-Control-Request-Method: POST\r\n\
                     Access-Control-Request-Headers: authorization\r\n\
                     Sec-Fetch-Mode: cors\r\nConnection: close\r\n{shown}\r\n"
                ));
                let reply = raw.reply();
                let is_refused = matches!(reply.status, 401 | 503);
                assert!(is_refused, "{host} {origin}: {}", reply.status);
                assert_eq!(reply.header("access-control-allow-origin"), "");
            }
        }
    }
    // What wakes is heard by the same keeper afterwards.
    for name in ["web", "open", "cors"] {
        assert_eq!(world.count(name), 0, "{name}");
    }
    assert_eq!(world.get("web.test", "/", &token).status, 200);
    assert_eq!(world.get("open.test", "/", "").status, 200);
    let woken = world.cluster.calls("PATCH /scale");
    assert_eq!(woken.len(), 2, "{woken:?}");
    assert_eq!(world.count("cors"), 0);
    let lines: Vec<String> = ["web", "open", "cors"]
        .iter()
        .flat_map(|name| world.backend(name).asked())
        .map(|asked| asked.line().to_owned())
        .collect();
    assert_eq!(lines, ["GET / HTTP/1.1"; 2]);
}

#[test]
fn names_and_texts_make_no_line_of_the_audit_log_and_no_long_one() {
    const FORGED: &str = "\r\n{\"timestamp\":\"forged\",\"event\":\"wake\"}\n";
    let mut world = GatewayWorld::new();
    world.set("TRUSTED_PROXIES", "127.0.0.1/32");
    world.app("web");
    world.start();
    let long = "\"\\\u{202e}\u{7f}é".repeat(300);
    let person = |name: &str, roles: &[&str]| {
        let mut claims = world.issuer.claims("anna", roles);
        claims["sub"] = json!(format!("{name}{FORGED}"));
        claims["preferred_username"] = json!(format!("{FORGED}{long}"));
        claims["jti"] = json!(format!("{FORGED}{name}"));
        bearer(&world.issuer.sign(Signer::Rsa, &claims))
    };
    // One word, and no more than that: another id is the gateway's own.
    let word = "\"}{\"event\":\"wake\"}";
    let fields = |token: &str, id: &str| {
        format!(
            "User-Agent: \"}}{{\"event\":\"wake\"}}\r\nX-Request-ID: {id}\r\n\
             X-Forwarded-For: 1.2.3.4\"}}{{, 192.0.2.7\r\nReferer: http://x/\"\r\n{token}"
        )
    };
    let path = "/%0d%0a%7B%22timestamp%22:%22forged%22%7D?%22%0a";
    let may = person("may", &["operator"]);
    let reply = world.get("web.test", path, &fields(&may, word));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let line = world.wait_audit("wake");
    assert_eq!(line["requestId"], word, "{line}");
    let two = format!("two words {}", "x".repeat(200));
    let reply = world.get(
        "-.evil_[forged]:1",
        path,
        &fields(&person("denied", &["operator"]), &two),
    );
    assert_eq!(reply.status, 404, "{}", reply.text());
    let line = world.wait_audit("denied");
    assert_eq!(line["requestId"].as_str().map(str::len), Some(16), "{line}");
    // Without a role that means anything.
    let reply = world.get("web.test", path, &fields(&person("may-not", &["\n"]), word));
    assert_eq!(reply.status, 403, "{}", reply.text());
    world.wait_audit("oidc-auth-failed");
    // More than any token is read of: nobody's.
    let mut claims = world.issuer.claims("anna", &["operator"]);
    claims["preferred_username"] = json!(FORGED.repeat(10_000 / FORGED.len()));
    let large = world.issuer.sign(Signer::Rsa, &claims);
    let reply = world.get("web.test", "/", &bearer(&large));
    assert!(matches!(reply.status, 400 | 401 | 431), "{}", reply.status);

    let log = world.replicas[0].run.log();
    let mut events = BTreeSet::new();
    for line in log.lines() {
        assert!(line.len() <= MAX_LINE, "{} bytes", line.len());
        // Of the audit log, or of one that somebody would like to be.
        if !line.starts_with('{') {
            continue;
        }
        let read: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert_ne!(read["timestamp"], "forged", "{line}");
        assert!(!line.contains('\u{202e}') && !line.contains('\u{7f}'));
        for (name, value) in read.as_object().expect("an object") {
            let text = value.as_str().unwrap_or_default();
            assert!(text.len() <= 300, "{name}: {} bytes", text.len());
            assert!(!text.chars().any(char::is_control), "{name}: {text:?}");
        }
        events.insert(read["event"].as_str().expect("an event").to_owned());
    }
    for event in ["oidc-auth-success", "wake", "denied", "oidc-auth-failed"] {
        assert!(events.contains(event), "{event}: {events:?}");
    }
}

/// The names of all series, with their labels.
fn series(world: &GatewayWorld) -> BTreeSet<String> {
    let metrics = world.metrics();
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    let names = lines.filter_map(|line| line.rsplit_once(' '));
    names.map(|(name, _)| name.to_owned()).collect()
}

/// Asks again and again over as few connections as it takes.
fn ask_all(port: u16, count: usize, ask: impl Fn(&mut Raw, usize)) -> BTreeSet<u16> {
    let mut raw = Raw::connect(port);
    let mut statuses = BTreeSet::new();
    for number in 0..count {
        ask(&mut raw, number);
        let reply = raw.reply();
        statuses.insert(reply.status);
        if reply.header("connection") == "close" {
            raw = Raw::connect(port);
        }
    }
    statuses
}

#[test]
fn two_thousand_names_that_do_not_exist_make_no_series() {
    let world = GatewayWorld::with_web();
    let token = bearer(&world.worker());
    let (proxy, api) = (world.ports().proxy, world.ports().api);
    let hosts = |count| {
        ask_all(proxy, count, |raw, number| {
            raw.get(&format!("name-{number}.test"), "/", &token);
        })
    };
    let targets = |count| {
        ask_all(api, count, |raw, number| {
            let path = format!("/v1/targets/name-{number}");
            raw.get("gateway.test", &path, &token);
        })
    };
    // All others are one.
    assert_eq!((hosts(1), targets(1)), ([404].into(), [404].into()));
    let before = series(&world);
    assert!(before.len() > 20, "{before:?}");
    assert_eq!(
        (hosts(REQUESTS), targets(REQUESTS)),
        ([404].into(), [404].into())
    );
    assert_eq!(series(&world), before);
    assert!(!world.metrics().contains("name-"));
    let counted = |metrics: &str| {
        let mut lines = metrics.lines();
        let denied = "openclaw_gateway_rejected_total{reason=\"denied\"} ";
        let line = lines.find_map(|line| line.strip_prefix(denied));
        line.and_then(|count| count.parse::<usize>().ok())
    };
    poll("all to be counted", || {
        counted(&world.metrics()).filter(|count| *count >= REQUESTS)
    });
}

/// A page says nothing of what was asked for, and lets nothing but its own parts run.
fn assert_is_page(reply: &Reply, name: &str) {
    let text = reply.text();
    assert_eq!(reply.status, 503, "{name}: {text}");
    assert_eq!(
        reply.header("content-type"),
        "text/html; charset=utf-8",
        "{name}"
    );
    let policy = reply.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'sha256-",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{name}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{name}: {policy}");
    assert_eq!(text.matches("<script").count(), 1, "{name}: {text}");
    assert!(!text.contains("marker"), "{name}: {text}");
}

#[test]
fn nothing_that_was_asked_for_is_in_the_waiting_page() {
    const SCRIPT: &str = "<script>alert('marker')</script>";
    let mut world = GatewayWorld::new();
    let anonymous = json!(["connect", "wake"]);
    world.app_with("web", json!({"anonymous": anonymous}));
    // There are never any pods.
    world.cluster.with(|state| state.follows.clear());
    world.start();
    let token = bearer(&world.worker());
    let navigates = "Sec-Fetch-Mode: navigate\r\nAccept: text/html\r\n";
    let coded = "/%3Cscript%3Ealert('marker')%3C/script%3E?q=%22%3Emarker&r='marker'";
    let said = format!(
        "Referer: https://evil.test/{SCRIPT}\r\nUser-Agent: {SCRIPT}\r\nCookie: a={SCRIPT}\r\n\
         X-Forwarded-Host: {SCRIPT}\r\nX-Request-ID: {SCRIPT}\r\nAccept-Language: {SCRIPT}\r\n\
         Origin: https://marker.test\r\n"
    );
    for (name, host, fields) in [
        ("a path", "web.test", String::new()),
        ("another port", "WEB.test:8081", String::new()),
        ("fields", "web.test", said.clone()),
        ("fields of somebody", "web.test", format!("{said}{token}")),
    ] {
        let reply = world.get(host, coded, &format!("{navigates}{fields}"));
        assert_is_page(&reply, name);
    }
    // What cannot be a name or a path is refused, or is in no page either.
    for (host, path) in [
        (SCRIPT, "/"),
        ("web.test\"><img src=marker>", "/"),
        ("web.test", "/\"><script>marker</script>"),
        ("web.test", "/x?<script>marker</script>"),
    ] {
        let reply = world.get(host, path, navigates);
        match reply.status {
            503 => assert_is_page(&reply, path),
            status => {
                assert_eq!(status, 400, "{host} {path}");
                assert!(!reply.text().contains("marker"), "{}", reply.text());
            }
        }
    }
    assert_eq!(world.backend("web").connections(), 0);
}
