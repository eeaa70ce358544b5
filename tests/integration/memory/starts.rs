//! Answers of any kind that come while the bot logs in and gets ready: by the
//! homeserver, by Keycloak, by a login page. The next answer is in order.

use std::time::Duration;

use serde_json::{Value, json};

use super::cases::{PADDING, end};
use super::stage::{Stage, Store, measured, run, show};
use crate::support::faults::Fault;
use crate::support::filling::{Shape, each, fill, members};
use crate::support::keycloak::{CLIENT, Keycloak, REALM, SECRET};
use crate::support::modules::of_keycloak;
use crate::support::monitor::poll_within;
use crate::support::secrets::Storage;
use crate::support::signing::unpadded;
use crate::support::sso::LoginPage;
use crate::support::wire::Response;
use crate::support::world::{BOT, PASSWORD};

const SELF_SIGNING: &str = "m.cross_signing.self_signing";

/// A start with a failed login, and the pause after it.
const LISTENS_WITHIN: Duration = Duration::from_secs(20);

/// The things that have to live as long as the bot.
type Kept = Vec<Box<dyn std::any::Any>>;

struct Start {
    name: String,
    /// The request that the homeserver has to get: else nothing was shown.
    asked: String,
    prepare: Box<dyn Fn(&mut Stage) -> Kept>,
}

fn start(name: &str, asked: &str, prepare: impl Fn(&mut Stage) -> Kept + 'static) -> Start {
    Start {
        name: name.to_owned(),
        asked: asked.to_owned(),
        prepare: Box::new(prepare),
    }
}

/// The first answer to this has that much more in it.
fn larger(pattern: &'static str, said: &str, more: Value) -> Start {
    start(&format!("{said} more: {pattern}"), pattern, move |stage| {
        let more = more.clone();
        stage.once(pattern, move |body| body["org.example"] = more.clone());
        Vec::new()
    })
}

fn all(endpoint: &'static str, starts: &[Start]) {
    let only = std::env::var("CASE").unwrap_or_default();
    let mut rows = Vec::new();
    for start in starts.iter().filter(|start| start.name.contains(&only)) {
        let mut stage = Stage::unstarted();
        let kept = (start.prepare)(&mut stage);
        stage.spawn();
        let row = run(endpoint, &start.name, Store::Empty, &mut stage, &|stage| {
            poll_within(LISTENS_WITHIN, "the bot to listen", || {
                assert!(stage.world.bot().is_running(), "it does not start");
                let log = stage.world.bot().log();
                log.contains("listening as").then_some(())
            });
            stage.world.hs.wait_requests(&start.asked, 1);
        });
        show(&row);
        rows.push(row);
        drop(kept);
    }
    end(&rows);
}

#[test]
fn the_homeserver_may_say_anything_at_a_start() {
    if !measured() {
        return;
    }
    let mut starts = Vec::new();
    for (shape, size, said) in PADDING {
        for pattern in [
            "GET /login",
            "POST /login",
            "POST /keys/upload",
            "POST /keys/query",
            "/keys/device_signing/upload",
            "/keys/signatures/upload",
            "GET /sync",
        ] {
            starts.push(larger(pattern, said, fill(shape, size)));
        }
        for kind in [
            "m.secret_storage.default_key",
            "m.secret_storage.key.",
            SELF_SIGNING,
        ] {
            let pattern = format!("GET /account_data/{kind}");
            let wanted = pattern.clone();
            starts.push(start(
                &format!("{said} more: {kind}"),
                &pattern,
                move |stage| {
                    let storage = Storage::new();
                    let mut old = stage.world.person(BOT, "OLDPHONE");
                    old.cross_sign();
                    let hs = stage.world.hs.clone();
                    hs.with(|state| state.devices.remove(&(BOT.into(), "OLDPHONE".into())));
                    storage.publish(&hs, BOT);
                    let (_, self_signing) = old.cross_signing.as_ref().expect("it has one");
                    let secret = unpadded(self_signing.to_bytes().as_slice());
                    storage.store(&hs, BOT, SELF_SIGNING, &secret);
                    let key = storage.recovery_key();
                    stage.world.set("MATRIX_RECOVERY_KEY", &key);
                    stage.once(&wanted, move |body| body["org.example"] = fill(shape, size));
                    Vec::new()
                },
            ));
        }
        starts.push(start(
            &format!("{said} more: POST /refresh"),
            "POST /refresh",
            move |stage| {
                let life = Duration::from_millis(1500);
                stage
                    .world
                    .hs
                    .with(|state| state.sessions.life = Some(life));
                stage.once("POST /refresh", move |body| {
                    body["org.example"] = fill(shape, size)
                });
                Vec::new()
            },
        ));
        starts.push(start(
            &format!("{said} more: GET /whoami"),
            "GET /whoami",
            move |stage| {
                let made = json!({
                    "type": "m.login.password", "identifier": {"type": "m.id.user", "user": "bot"},
                    "password": PASSWORD, "device_id": "MADE",
                });
                let (port, path) = (stage.world.hs.port(), "/_matrix/client/v3/login");
                let (_, answer) = crate::support::wire::call(port, "POST", path, None, Some(&made))
                    .expect("the homeserver is there");
                stage.world.set("AUTH_METHOD", "token");
                let token = answer["access_token"].as_str().expect("a token");
                stage.world.set("MATRIX_ACCESS_TOKEN", token);
                stage.world.set("MATRIX_DEVICE_ID", "MADE");
                stage.once("GET /whoami", move |body| {
                    body["org.example"] = fill(shape, size)
                });
                Vec::new()
            },
        ));
    }
    starts.push(start(
        "an endless answer to POST /login",
        "POST /login",
        |stage| {
            let body = json!({"x": fill(Shape::Flat, usize::MAX)});
            let answer = Response::json(200, &body);
            stage
                .world
                .hs
                .fault("POST /login", 1, Fault::Answer(answer));
            Vec::new()
        },
    ));
    starts.push(start(
        "a first sync with 20,000 rooms",
        "GET /sync",
        |stage| {
            stage.once("GET /sync", |body| {
                members(&mut body["rooms"]["join"], 20_000, "!r<i>:test", json!({}));
            });
            Vec::new()
        },
    ));
    all("a start", &starts);
}

#[cfg(all(feature = "keycloak", feature = "sso"))]
#[test]
fn keycloak_and_a_login_page_may_say_anything() {
    if !measured() {
        return;
    }
    let mut starts = Vec::new();
    for (shape, size, said) in PADDING {
        starts.push(start(
            &format!("Keycloak: a token in {said}"),
            "POST /login",
            move |stage| {
                let answer = json!({"access_token": "x", "org.example": fill(shape, size)});
                let keycloak = keycloak(stage);
                keycloak.fault("POST /token", 1, Fault::json(200, &answer));
                vec![Box::new(keycloak)]
            },
        ));
        starts.push(start(
            &format!("Keycloak: a refusal in {said}"),
            "POST /login",
            move |stage| {
                let answer = json!({"error": "x", "error_description": fill(shape, size)});
                let keycloak = keycloak(stage);
                keycloak.fault("POST /token", 1, Fault::json(503, &answer));
                vec![Box::new(keycloak)]
            },
        ));
    }
    starts.push(start("Keycloak: 100,000 keys after a refused token", "POST /login", |stage| {
        let key = json!({"kid": "k<i>", "kty": "RSA", "alg": "RS256", "use": "sig", "n": "AQAB", "e": "AQAB"});
        let set = json!({"keys": [each(100_000, &key)]});
        let keycloak = keycloak(stage);
        // The homeserver asks for them itself, and refuses; then the bot does.
        keycloak.fault("GET /certs", 2, Fault::json(200, &set));
        vec![Box::new(keycloak)]
    }));
    for (shape, size, said) in PADDING {
        starts.push(start(
            &format!("a login page of {said}"),
            "POST /login",
            move |stage| {
                stage.world.set("AUTH_METHOD", "sso");
                let page = Response::json(200, &fill(shape, size)).header("X-Page", "login");
                stage
                    .world
                    .hs
                    .fault("/sso/redirect/oidc-keycloak", 1, Fault::Answer(page));
                vec![Box::new(LoginPage::start(&stage.world.hs, "bot", PASSWORD))]
            },
        ));
    }
    all("Keycloak and a login page", &starts);
}

/// The bot gets its tokens from a Keycloak, and the homeserver takes them.
fn keycloak(stage: &mut Stage) -> Keycloak {
    let keycloak = Keycloak::start();
    keycloak.add_user("bot", PASSWORD);
    for (name, value) in [
        ("AUTH_METHOD", "jwt"),
        ("KEYCLOAK_URL", &keycloak.url()),
        ("KEYCLOAK_REALM", REALM),
        ("KEYCLOAK_CLIENT_ID", CLIENT),
        ("KEYCLOAK_CLIENT_SECRET", SECRET),
    ] {
        stage.world.set(name, value);
    }
    let verify = of_keycloak(&keycloak, "preferred_username", &[]);
    stage.world.hs.with(|state| {
        state.sessions.no_passwords = true;
        let kind = "com.famedly.login.token.oauth".to_owned();
        state.sessions.by_token.insert(kind, verify);
    });
    keycloak
}
