//! Every way to log in, and whose fault it is when there is none.

mod refusals;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::bot::{Bot, Victim};
use crate::support::fake::Authority;
use crate::support::fake_proxy::FakeProxy;
use crate::support::faults::Fault;
use crate::support::keycloak::{CLIENT, Keycloak, REALM, SECRET, base32};
use crate::support::modules::{of_keycloak, of_secret};
use crate::support::monitor::DEADLINE;
use crate::support::sso::LoginPage;
use crate::support::tokens::{Verify, forbidden};
use crate::support::wire::query;
use crate::support::world::{ALICE, BOT, OFF, ON, PASSWORD, ROOM, World};

const OAUTH: &str = "com.famedly.login.token.oauth";
const FAMEDLY: &str = "com.famedly.login.token";
const NATIVE: &str = "org.matrix.login.jwt";

const LOGIN: &str = "POST /login";
const TOKEN: &str = "POST /token";
const CERTS: &str = "GET /certs";

const CONFIGURATION: &str = "this program's configuration";
const KEYCLOAK: &str = "Keycloak";
const HOMESERVER: &str = "the homeserver";
const NETWORK: &str = "the network, or a clock";

/// Alice and the bot in an encrypted room; the bot is not started.
fn alone() -> World {
    let world = World::new();
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world
}

/// The homeserver takes no passwords, and logins of this type are judged so.
fn judge(world: &World, kind: &str, verify: Verify) {
    world.hs.with(|state| {
        state.sessions.no_passwords = true;
        state.sessions.by_token.insert(kind.to_owned(), verify);
    });
}

/// The bot is to get its tokens from a Keycloak, of which the homeserver knows
/// nothing yet.
fn with_keycloak() -> (World, Keycloak) {
    let mut world = alone();
    let keycloak = Keycloak::start();
    keycloak.add_user("bot", PASSWORD);
    world.set("AUTH_METHOD", "jwt");
    world.set("KEYCLOAK_URL", &keycloak.url());
    world.set("KEYCLOAK_REALM", REALM);
    world.set("KEYCLOAK_CLIENT_ID", CLIENT);
    world.set("KEYCLOAK_CLIENT_SECRET", SECRET);
    (world, keycloak)
}

/// As [`with_keycloak`], and the homeserver's module takes what is right.
fn by_oauth() -> (World, Keycloak) {
    let (mut world, keycloak) = with_keycloak();
    world.pace(5);
    judge(
        &world,
        OAUTH,
        of_keycloak(&keycloak, "preferred_username", &[]),
    );
    (world, keycloak)
}

/// The bot is there and does its work.
fn assert_works(world: &mut World) {
    world.wait_listening();
    assert_eq!(world.ask("start"), ON);
}

/// The program ends by itself and says why.
fn assert_ends(world: &mut World, party: &str, said: &str) {
    let status = world.spawn().wait_exit(DEADLINE);
    let log = world.bot().log();
    assert_eq!(status.code(), Some(1), "{log}");
    let last = log.lines().last().unwrap();
    let party = format!("(to be fixed in: {party})");
    assert!(last.contains("login failed: "), "{last}");
    assert!(last.ends_with(&party), "{party} in {last}");
    assert!(last.contains(said), "{said} in {last}");
}

/// The program says what is wrong and goes on trying.
fn wait_blamed(world: &mut World, party: &str, said: &str) {
    let line = world.bot().wait_log("; trying again in ");
    let party = format!("(to be fixed in: {party}); trying again in ");
    assert!(line.contains("login: "), "{line}");
    assert!(line.contains(&party), "{party} in {line}");
    assert!(line.contains(said), "{said} in {line}");
}

/// Runs the cases side by side: they mostly wait.
fn each<T: Sync>(cases: &[T], run: impl Fn(&T) + Sync) {
    std::thread::scope(|scope| {
        for case in cases {
            let run = &run;
            scope.spawn(move || run(case));
        }
    });
}

#[test]
fn each_login_type_takes_a_token_of_keycloak() {
    each(
        &[
            (
                OAUTH,
                "preferred_username",
                json!({"type": "m.id.user", "user": "bot"}),
            ),
            (FAMEDLY, "sub", json!({"type": "m.id.user", "user": "bot"})),
            (NATIVE, "preferred_username", Value::Null),
        ],
        |(kind, claim, identifier)| {
            let (mut world, keycloak) = with_keycloak();
            keycloak.with(|state| state.claims.insert("sub".into(), json!("bot")));
            judge(&world, kind, of_keycloak(&keycloak, claim, &[]));
            if *kind != OAUTH {
                world.set("JWT_LOGIN_TYPE", kind);
            }
            world.spawn();
            assert_works(&mut world);
            let logins = world.hs.requests(LOGIN);
            assert_eq!(logins.len(), 1);
            assert_eq!(logins[0].body["type"], *kind);
            assert_eq!(logins[0].body["identifier"], *identifier);
            // The keys were fetched by the homeserver alone.
            assert_eq!((keycloak.count(TOKEN), keycloak.count(CERTS)), (1, 1));
        },
    );
}

#[test]
fn a_public_client_needs_no_secret() {
    let (mut world, keycloak) = by_oauth();
    keycloak.client(|client| client.secret = None);
    world.env.remove("KEYCLOAK_CLIENT_SECRET");
    world.spawn();
    assert_works(&mut world);
}

#[test]
fn what_a_login_needs_may_be_in_files() {
    let (mut world, keycloak) = by_oauth();
    let key = b"twenty bytes, thanks".to_vec();
    for (name, secret) in [
        ("MATRIX_PASSWORD", PASSWORD),
        ("KEYCLOAK_CLIENT_SECRET", SECRET),
        ("KEYCLOAK_TOTP_SECRET", &base32(&key)),
    ] {
        let path = world.dir.path().join(name);
        std::fs::write(&path, format!("{secret}\n")).unwrap();
        world.env.remove(name);
        world.set(&format!("{name}_FILE"), path.to_str().unwrap());
    }
    keycloak.user("bot", |user| user.totp = Some(key));
    world.spawn();
    assert_works(&mut world);
}

/// With a wrong secret the module says what it always says; with the right one
/// the same bot is let in.
#[test]
fn a_token_made_here_needs_no_keycloak() {
    let secret = "0f1e2d3c4b5a6978".repeat(4);
    let mut world = alone();
    world.env.remove("MATRIX_PASSWORD");
    world.set("AUTH_METHOD", "jwt");
    world.set("JWT_LOGIN_TYPE", FAMEDLY);
    world.set("JWT_SECRET", &secret);
    judge(&world, FAMEDLY, of_secret("another secret"));
    world.spawn();
    wait_blamed(
        &mut world,
        CONFIGURATION,
        "JWT_SECRET is the secret of the homeserver's module",
    );
    judge(&world, FAMEDLY, of_secret(&secret));
    assert_works(&mut world);
}

/// A URI as Keycloak has it in its QR code, with codes that are good for two
/// seconds.
fn totp_uri(key: &[u8]) -> String {
    let secret = base32(key).replace(' ', "");
    format!("otpauth://totp/matrix:bot?secret={secret}&digits=6&algorithm=SHA1&period=2")
}

/// Another process may have used it: Keycloak says no more than that the
/// credentials are wrong.
#[test]
fn a_one_time_password_that_is_used_is_followed_by_the_next_one() {
    let key = b"twenty bytes, thanks".to_vec();
    let (mut world, keycloak) = by_oauth();
    world.set("KEYCLOAK_TOTP_SECRET", &totp_uri(&key));
    keycloak.with(|state| state.period = 2);
    keycloak.user("bot", |user| user.totp = Some(key));
    let used = json!({
        "error": "invalid_grant", "error_description": "Invalid user credentials",
    });
    keycloak.fault(TOKEN, 1, Fault::json(401, &used));
    world.spawn();
    assert_works(&mut world);
    assert!(world.bot().log().contains("trying the next one"));
    let given: Vec<Option<String>> = keycloak.with(|state| {
        let log = state.log.iter().filter(|request| request.method == "POST");
        let forms = log.map(|request| format!("?{}", String::from_utf8_lossy(&request.body)));
        forms.map(|form| query(&form, "totp")).collect()
    });
    assert!(given.iter().all(Option::is_some), "{given:?}");
    assert_eq!(given.len(), 2);
    assert_ne!(given[0], given[1], "each is used once");
}

#[test]
fn a_wrong_one_time_password_is_tried_twice() {
    let (mut world, keycloak) = by_oauth();
    world.set("KEYCLOAK_TOTP_SECRET", &totp_uri(b"twenty bytes, others"));
    keycloak.with(|state| state.period = 2);
    keycloak.user("bot", |user| {
        user.totp = Some(b"twenty bytes, thanks".to_vec())
    });
    assert_ends(
        &mut world,
        CONFIGURATION,
        "and KEYCLOAK_TOTP_SECRET and this machine's clock",
    );
    assert_eq!(keycloak.count(TOKEN), 2);
}

#[test]
fn a_session_by_token_that_ends_is_followed_by_another_login() {
    each(&[Some(true), Some(false)], |soft| {
        let (mut world, keycloak) = by_oauth();
        world.start();
        let device = world.bot_device();
        world.hs.revoke(BOT, *soft);
        world.hs.wait_requests(LOGIN, 2);
        if *soft == Some(false) {
            world.wait_new_device();
        }
        assert_eq!(world.ask("stop"), OFF);
        assert_eq!(world.bot_device() == device, *soft == Some(true));
        assert_eq!(keycloak.count(TOKEN), 2, "a token is for one login");
    });
}

/// The homeserver has the device, the store does not: the next login is for
/// the same one.
#[test]
fn a_crash_between_a_login_by_token_and_the_store_leaves_one_device() {
    let (mut world, _keycloak) = by_oauth();
    let victim = Victim::default();
    world.hs.fault(LOGIN, 1, Fault::KillAfter(victim.clone()));
    let mut first = Bot::spawn_as(Bot::program(), &world.env, &victim);
    first.wait_exit(DEADLINE);
    world.spawn();
    assert_works(&mut world);
    let logins = world.hs.requests(LOGIN);
    assert_eq!(logins.len(), 2);
    assert_eq!(logins[0].body["device_id"], logins[1].body["device_id"]);
    let devices = world.hs.with(|state| {
        let of_bot = state.devices.keys().filter(|(user, _)| user == BOT);
        of_bot.count()
    });
    assert_eq!(devices, 1);
}

#[test]
fn a_login_page_lets_the_bot_in() {
    let mut world = alone();
    world.set("AUTH_METHOD", "sso");
    world.set("RUST_LOG", "trace");
    let _page = LoginPage::start(&world.hs, "bot", PASSWORD);
    world.spawn();
    assert_works(&mut world);
    assert_eq!(world.hs.requests(LOGIN)[0].body["type"], "m.login.token");
}

#[test]
fn a_login_page_that_refuses_the_password_ends_the_program() {
    let mut world = alone();
    world.set("AUTH_METHOD", "sso");
    let _page = LoginPage::start(&world.hs, "bot", "the password of before");
    let said = "with \"Invalid username or password.\": check MATRIX_USER and MATRIX_PASSWORD";
    assert_ends(&mut world, CONFIGURATION, said);
    world.set("SSO_IDP_ID", "github");
    assert_ends(&mut world, CONFIGURATION, "lists only \"oidc-keycloak\"");
}

/// A name leads over the proxy, which wants a password, to a server that a
/// private authority vouches for; there a file says where the homeserver is.
#[test]
fn a_server_name_is_found_through_a_proxy_and_a_private_authority() {
    let mut world = alone();
    let authority = Authority::new();
    let server = world.hs.with_tls(authority.issue_with("test", |_| {}));
    let proxy = FakeProxy::new([("test:443", server.port)]);
    let pem = world.dir.path().join("authority.pem");
    std::fs::write(&pem, authority.pem()).unwrap();
    world.set("MATRIX_HOMESERVER", "test");
    let url = format!("http://bot:of%20the%20proxy@127.0.0.1:{}", proxy.port);
    world.set("HTTPS_PROXY", &url);
    world.spawn();
    wait_blamed(&mut world, NETWORK, "in EXTRA_CA_FILE");
    world.stop();

    world.set("EXTRA_CA_FILE", pem.to_str().unwrap());
    world.set("RUST_LOG", "trace");
    world.spawn();
    assert_works(&mut world);
    assert!(
        world
            .bot()
            .log()
            .contains("the homeserver of test is at https://test")
    );
    let head = proxy.requests().pop().unwrap();
    assert!(head.contains("Basic Ym90Om9mIHRoZSBwcm94eQ=="), "{head}");

    world.stop();
    let file = json!({"m.homeserver": {"base_url": world.hs.url()}});
    world
        .hs
        .fault("/.well-known/matrix/client", 1, Fault::json(200, &file));
    world.start();
    assert_eq!(world.ask("stop"), OFF);
    let found = format!("the homeserver of test is at {}", world.hs.url());
    assert!(world.bot().log().contains(&found));
}

/// All that the libraries say, at the level where they say most.
#[test]
fn no_library_shows_a_secret_at_any_level() {
    let (mut world, keycloak) = by_oauth();
    world.set("RUST_LOG", "trace");
    world
        .hs
        .with(|state| state.sessions.life = Some(Duration::from_millis(500)));
    world.spawn();
    assert_works(&mut world);
    world.hs.wait_requests("POST /refresh", 1);
    assert_eq!(keycloak.count(TOKEN), 1);
    world.stop();
}
