//! Everybody the bot talks to, each by a name, in a pod whose last search domain
//! answers SERVFAIL, and whose name server knows no AAAA record.

use std::fs;

use serde_json::json;

use super::nameserver::Mood::{Addresses, Code};
use super::nameserver::{self, A};
use super::pod::{self, Row};
use crate::support::bot::run_as;
use crate::support::fake::Authority;
use crate::support::fake_proxy::FakeProxy;
use crate::support::keycloak::{CLIENT, Keycloak, REALM, SECRET};
use crate::support::modules::of_keycloak;
use crate::support::world::{ALICE, BOT, ON, PASSWORD, ROOM, World};

const CONF: &str = "search clawdbot.svc.cluster.local svc.cluster.local cluster.local \
                    corp.example\nnameserver 127.0.0.53\noptions ndots:5\n";

const NAMES: [&str; 4] = [
    "matrix.example.org",
    "keycloak.example.org",
    "proxy.example.org",
    "kubernetes.default.svc",
];

pub fn all_are_found() {
    nameserver::start([127, 0, 0, 53].into(), true, |name, kind| match kind {
        _ if name.ends_with(".corp.example") => Code(2),
        A if NAMES.contains(&name) => Addresses(vec!["127.0.0.1"]),
        _ if NAMES.contains(&name) => Code(4),
        _ => Code(3),
    });
    let cases: &[(&str, fn())] = &[
        ("homeserver and API server", serving),
        #[cfg(feature = "keycloak")]
        ("Keycloak", keycloak),
        ("proxy", proxy),
    ];
    pod::side_by_side(cases, |(name, run)| {
        let started = std::time::Instant::now();
        let went = std::panic::catch_unwind(run);
        Some(Row {
            name: (*name).to_owned(),
            took: started.elapsed(),
            failed: went.err().map(|_| "failed: see above".to_owned()),
        })
    });
}

/// The bot's program, which sees the pod's files.
fn program(world: &World) -> std::process::Command {
    let (conf, hosts) = (
        world.dir.path().join("resolv.conf"),
        world.dir.path().join("hosts"),
    );
    fs::write(&conf, CONF).expect("a file can be written");
    fs::write(&hosts, "127.0.0.1 localhost\n").expect("a file can be written");
    pod::program(&conf, &hosts)
}

fn serving() {
    let mut world = World::new();
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    let url = world.hs.url().replace("127.0.0.1", NAMES[0]);
    world.set("MATRIX_HOMESERVER", &url);
    world.set("KUBERNETES_SERVICE_HOST", NAMES[3]);
    let program = program(&world);
    world.spawn_as(program);
    world.wait_listening();
    assert_eq!(world.ask("start"), ON);
}

fn keycloak() {
    let mut world = World::new();
    let keycloak = Keycloak::start();
    keycloak.add_user("bot", PASSWORD);
    let url = keycloak.url().replace("127.0.0.1", NAMES[1]);
    for (name, value) in [
        ("AUTH_METHOD", "jwt"),
        ("KEYCLOAK_URL", &url),
        ("KEYCLOAK_REALM", REALM),
        ("KEYCLOAK_CLIENT_ID", CLIENT),
        ("KEYCLOAK_CLIENT_SECRET", SECRET),
    ] {
        world.set(name, value);
    }
    let issuer = json!(format!("{url}/realms/{REALM}"));
    let verify = of_keycloak(&keycloak, "preferred_username", &[("iss", issuer)]);
    world.hs.with(|state| {
        state.sessions.no_passwords = true;
        let kind = "com.famedly.login.token.oauth".to_owned();
        state.sessions.by_token.insert(kind, verify);
    });
    let mut program = program(&world);
    program.arg("conntest");
    let done = run_as(program, &world.login_env());
    assert_eq!(done.code, Some(0), "{done:?}");
}

/// The homeserver's own name is the proxy's business.
fn proxy() {
    let mut world = World::new();
    let authority = Authority::new();
    let server = world
        .hs
        .with_tls(authority.issue_with("hs.elsewhere", |_| {}));
    let proxy = FakeProxy::new([("hs.elsewhere:443", server.port)]);
    let pem = world.dir.path().join("authority.pem");
    fs::write(&pem, authority.pem()).expect("a file can be written");
    world.set("MATRIX_HOMESERVER", "https://hs.elsewhere");
    world.set(
        "HTTPS_PROXY",
        &format!("http://{}:{}", NAMES[2], proxy.port),
    );
    world.set("EXTRA_CA_FILE", &pem.display().to_string());
    let mut program = program(&world);
    program.arg("conntest");
    let done = run_as(program, &world.login_env());
    assert_eq!(done.code, Some(0), "{done:?}");
}
