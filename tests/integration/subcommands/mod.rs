//! The subcommands that log in, and what is said without logging in.

mod families;
mod logout;
mod redaction;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::support::bot::{Bot, Done, run, run_as, run_showing_secrets};
use crate::support::faults::Fault;
use crate::support::keycloak::{CLIENT, Keycloak, REALM, SECRET};
use crate::support::modules::{of_keycloak, of_secret};
use crate::support::sso::LoginPage;
use crate::support::wire::Response;
use crate::support::world::{ALICE, BOT, OFF, ON, PASSWORD, ROOM, World};

type Env = BTreeMap<String, String>;

/// The devices of the bot's account.
fn devices(world: &World) -> Vec<String> {
    world.hs.with(|state| {
        let of_bot = state.devices.keys().filter(|(user, _)| user == BOT);
        of_bot.map(|(_, device)| device.clone()).collect()
    })
}

/// Ended with this code, and said these things.
fn assert_done(done: &Done, code: i32, out: &[&str], err: &[&str]) {
    assert_eq!(done.code, Some(code), "{done:?}");
    for (parts, text) in [(out, &done.out), (err, &done.err)] {
        for part in parts {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
    assert_eq!(done.err.is_empty(), err.is_empty(), "{done:?}");
}

fn set(env: &Env, changes: &[(&str, &str)]) -> Env {
    let mut env = env.clone();
    for (name, value) in changes {
        env.insert((*name).to_owned(), (*value).to_owned());
    }
    env
}

#[test]
fn conntest_tells_what_it_saw_and_leaves_no_device() {
    let world = World::new();
    let done = run(&["conntest"], &world.login_env());
    let homeserver = format!("homeserver  {}\n", world.hs.url());
    let seen = [
        homeserver.as_str(),
        "versions    v1.1, v1.11, v1.12\n",
        "clock       the homeserver does not tell its time\n",
        "logins      m.login.password\n",
        "logged in   @bot:test, device ",
        "logged out  device ",
    ];
    assert_done(&done, 0, &seen, &[]);
    assert_eq!(done.out.lines().count(), seen.len(), "{}", done.out);
    assert_eq!(devices(&world), Vec::<String>::new());
    assert_eq!(world.hs.requests("POST /logout").len(), 1);
}

#[test]
fn conntest_is_also_a_program_of_its_own() {
    let world = World::new();
    let link = world
        .dir
        .path()
        .join("openclaw-k8s-toggle-operator-conntest");
    std::os::unix::fs::symlink(Bot::program().get_program(), &link).unwrap();
    let done = run_as(Command::new(link), &world.login_env());
    assert_done(&done, 0, &["logged in   @bot:test"], &[]);
    assert_eq!(devices(&world), Vec::<String>::new());
}

#[test]
fn conntest_says_who_is_at_fault() {
    let world = World::new();
    let env = set(
        &world.login_env(),
        &[("MATRIX_PASSWORD", "not the right one")],
    );
    let said = [
        "check MATRIX_USER and",
        "(to be fixed in: this program's configuration)",
    ];
    assert_done(
        &run(&["conntest"], &env),
        1,
        &["logins      m.login.password"],
        &said,
    );

    let env = set(
        &world.login_env(),
        &[("MATRIX_HOMESERVER", "http://127.0.0.1:9")],
    );
    let said = [
        "no homeserver is found: ",
        "check MATRIX_HOMESERVER",
        "(to be fixed in: the homeserver)",
    ];
    assert_done(&run(&["conntest"], &env), 1, &[], &said);

    let html = Fault::Answer(Response::text(200, "text/html", "<h1>Welcome</h1>"));
    world.hs.fault("/versions", 1, html);
    let said = ["does not answer with a list of versions"];
    assert_done(&run(&["conntest"], &world.login_env()), 1, &[], &said);

    world
        .hs
        .fault("POST /logout", 1, Fault::matrix(500, "M_UNKNOWN"));
    let said = [
        "could not be logged out again (",
        ": remove it from @bot:test",
    ];
    assert_done(
        &run(&["conntest"], &world.login_env()),
        1,
        &["logged in "],
        &said,
    );

    let mut env = world.login_env();
    env.remove("MATRIX_USER");
    assert_done(
        &run(&["conntest"], &env),
        1,
        &[],
        &["configuration error: MATRIX_USER"],
    );
}

#[test]
fn conntest_compares_the_clocks() {
    let world = World::new();
    let body = json!({"versions": ["v1.11"]});
    for (date, said) in [
        (http_date(), "as the homeserver's\n"),
        (
            "Thu, 01 Jan 2026 00:00:00 GMT".to_owned(),
            " s ahead of the homeserver's: set the clock",
        ),
        (
            "Fri, 01 Jan 2100 00:00:00 GMT".to_owned(),
            " s behind the homeserver's: set the clock",
        ),
    ] {
        let answer = Response::json(200, &body).header("Date", &date);
        world.hs.fault("/versions", 1, Fault::Answer(answer));
        let done = run(&["conntest"], &world.login_env());
        assert_done(&done, 0, &[said], &[]);
    }
}

/// The time of now as HTTP writes it, by the system's own `date`.
fn http_date() -> String {
    let output = Command::new("date")
        .env("LC_ALL", "C")
        .args(["-u", "+%a, %d %b %Y %H:%M:%S GMT"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn conntest_leaves_the_session_of_a_ready_made_token_alone() {
    let world = World::new();
    world.hs.with(|state| {
        let who = (BOT.to_owned(), "GIVEN".to_owned());
        state.tokens.insert("made-for-the-bot".into(), who.clone());
        state.devices.entry(who).or_default();
    });
    let mut env = world.login_env();
    env.remove("MATRIX_PASSWORD");
    let env = set(
        &env,
        &[
            ("AUTH_METHOD", "token"),
            ("MATRIX_ACCESS_TOKEN", "made-for-the-bot"),
            ("MATRIX_DEVICE_ID", "GIVEN"),
        ],
    );
    let seen = [
        "logged in   @bot:test, device GIVEN\n",
        "session     left as it is",
    ];
    assert_done(&run(&["conntest"], &env), 0, &seen, &[]);
    assert_eq!(devices(&world), ["GIVEN"]);
    assert_eq!(world.hs.requests("POST /log").len(), 0);
}

/// A homeserver that takes Keycloak's tokens, and the environment of a login
/// with them.
fn with_keycloak() -> (World, Keycloak, Env) {
    let world = World::new();
    let keycloak = Keycloak::start();
    keycloak.add_user("bot", PASSWORD);
    let verify = of_keycloak(&keycloak, "preferred_username", &[]);
    world.hs.with(|state| {
        let types = &mut state.sessions.by_token;
        types.insert("com.famedly.login.token.oauth".into(), verify);
    });
    let env = set(
        &world.login_env(),
        &[
            ("KEYCLOAK_URL", &keycloak.url()),
            ("KEYCLOAK_REALM", REALM),
            ("KEYCLOAK_CLIENT_ID", CLIENT),
            ("KEYCLOAK_CLIENT_SECRET", SECRET),
        ],
    );
    (world, keycloak, env)
}

#[cfg(all(feature = "keycloak", feature = "sso"))]
#[test]
fn conntest_logs_in_by_whatever_method_is_set() {
    let (world, keycloak, env) = with_keycloak();
    let env = set(&env, &[("AUTH_METHOD", "jwt")]);
    let seen = ["logged in   @bot:test, device ", "logged out  device "];
    assert_done(&run(&["conntest"], &env), 0, &seen, &[]);
    assert_eq!(keycloak.count("POST /token"), 1);

    let page = LoginPage::start(&world.hs, "bot", PASSWORD);
    let env = set(&world.login_env(), &[("AUTH_METHOD", "sso")]);
    let seen = [&["providers   oidc-keycloak\n"][..], &seen].concat();
    let warned = "KEYCLOAK_URL is not set: the password is told to whatever login page";
    assert_done(&run(&["conntest"], &env), 0, &seen, &[warned]);
    assert_eq!(devices(&world), Vec::<String>::new());

    // Where it is set, the homeserver cannot have the password told to another.
    let elsewhere = set(&env, &[("KEYCLOAK_URL", "https://keycloak.example")]);
    let refused = "and not at https://keycloak.example, which is KEYCLOAK_URL";
    assert_done(&run(&["conntest"], &elsewhere), 1, &[], &[refused]);

    // Nor to another realm of the same Keycloak.
    let own = set(&env, &[("KEYCLOAK_URL", &page.url())]);
    let warned = "KEYCLOAK_REALM is not set: the password is told to the login page of any realm";
    assert_done(&run(&["conntest"], &own), 0, &seen, &[warned]);
    let own = set(&own, &[("KEYCLOAK_REALM", "matrix")]);
    assert_done(&run(&["conntest"], &own), 0, &seen, &[]);
    let told = page.posts();
    for other in ["matri", "matrix2", "MATRIX"] {
        let other = set(&own, &[("KEYCLOAK_REALM", other)]);
        let refused = "/realms/matrix/auth and not at ";
        assert_done(&run(&["conntest"], &other), 1, &[], &[refused]);
    }
    assert_eq!(page.posts(), told, "nothing was filled in");
}

#[cfg(all(feature = "keycloak", feature = "sso"))]
#[test]
fn jwt_test_goes_through_all_steps() {
    let (world, _keycloak, env) = with_keycloak();
    let done = run(&["jwt-test"], &env);
    let seen = [
        "step 1  Keycloak: asking http://127.0.0.1:",
        " as client operator for a token of bot\n",
        " bytes, good for 300 s\n",
        "step 2  token: what it says\n",
        "\"kid\": \"first-key\"",
        "\"preferred_username\": \"bot\"",
        "ok: signed by the realm, for this user, and not expired\n",
        "step 3  Matrix: logging in to http://127.0.0.1:",
        " by com.famedly.login.token.oauth\n",
        "logged in   @bot:test, device ",
        "logged out  device ",
    ];
    assert_done(&done, 0, &seen, &[]);
    assert!(!done.out.contains("offered: "), "{}", done.out);
    assert_eq!(devices(&world), Vec::<String>::new());

    let done = run(&["jwt-test", "--skip-decode", "--verbose"], &env);
    let seen = [
        "(--show-secrets shows it)",
        "step 2  token: not taken apart (--skip-decode)\n",
        "offered: m.login.password, com.famedly.login.token.oauth\n",
    ];
    assert_done(&done, 0, &seen, &[]);
    assert!(!done.out.contains("preferred_username"), "{}", done.out);

    let done = run(&["jwt-test", "-m", "password"], &world.login_env());
    let seen = [
        "step 1  Keycloak: skipped",
        "by m.login.password\n",
        "logged in ",
    ];
    assert_done(&done, 0, &seen, &[]);
    assert_eq!(devices(&world), Vec::<String>::new());
}

#[cfg(all(feature = "keycloak", feature = "sso"))]
#[test]
fn jwt_test_shows_the_token_only_when_asked_to() {
    let (world, _keycloak, env) = with_keycloak();
    let done = run_showing_secrets(&["jwt-test", "--show-secrets"], &env);
    assert_done(&done, 0, &["step 3"], &[]);
    let token = world.hs.requests("POST /login")[0].body["token"].clone();
    assert!(done.out.contains(token.as_str().unwrap()), "{}", done.out);
    // It is for the tokens; what the environment holds is nobody's business.
    assert!(!done.out.contains(PASSWORD) && !done.out.contains(SECRET));
}

#[test]
fn jwt_test_makes_a_token_where_there_is_a_secret() {
    let world = World::new();
    let secret = "8796a5b4c3d2e1f0".repeat(4);
    let kind = "com.famedly.login.token";
    let verify = of_secret(&secret);
    world
        .hs
        .with(|state| state.sessions.by_token.insert(kind.into(), verify));
    let mut env = world.login_env();
    env.remove("MATRIX_PASSWORD");
    let env = set(&env, &[("JWT_SECRET", &secret)]);
    let done = run(&["jwt-test", "-t", kind], &env);
    let seen = [
        "step 1  Keycloak: not asked, JWT_SECRET makes the token\n",
        "\"alg\": \"HS512\"",
        "\"sub\": \"bot\"",
        "logged out  device ",
    ];
    assert_done(&done, 0, &seen, &[]);

    let env = set(&env, &[("JWT_SECRET", &"8".repeat(64))]);
    let done = run(&["jwt-test", "-t", kind], &env);
    assert_done(
        &done,
        4,
        &["step 3"],
        &["JWT_SECRET is the secret of the homeserver's module"],
    );
}

#[cfg(all(feature = "keycloak", feature = "sso"))]
#[test]
fn jwt_test_ends_with_the_code_of_the_step_that_failed() {
    let (world, keycloak, env) = with_keycloak();
    let wrong = set(&env, &[("MATRIX_PASSWORD", "not the right one")]);
    let said = [
        "Keycloak does not accept",
        "(to be fixed in: this program's configuration)",
    ];
    assert_done(&run(&["jwt-test"], &wrong), 2, &["step 1"], &said);

    let no_jwt = json!({"access_token": "opaque-and-no-jwt-at-all", "expires_in": 60});
    keycloak.fault("/token", 2, Fault::json(200, &no_jwt));
    assert_done(
        &run(&["jwt-test"], &env),
        3,
        &["step 2"],
        &["the token is no JWT"],
    );
    // Not taken apart, it goes as far as to the homeserver.
    let said = ["(to be fixed in: ", "is no JWT"];
    assert_done(&run(&["jwt-test", "-s"], &env), 4, &["step 3"], &said);

    keycloak.with(|state| state.signs = 1);
    let seen = [
        "wrong: the token is signed with key \"second-key\"",
        "step 3",
    ];
    let said = [
        "the homeserver refuses: 403 M_FORBIDDEN",
        "(to be fixed in: Keycloak)",
    ];
    assert_done(&run(&["jwt-test"], &env), 4, &seen, &said);
    keycloak.with(|state| state.signs = 0);

    world
        .hs
        .fault("POST /login", 1, Fault::matrix(400, "M_UNKNOWN"));
    let said = ["check that the homeserver's module for this login type is loaded"];
    assert_done(&run(&["jwt-test"], &env), 4, &["step 3"], &said);
    assert_eq!(devices(&world), Vec::<String>::new());

    let mut missing = env.clone();
    missing.remove("KEYCLOAK_REALM");
    let said = ["configuration error: KEYCLOAK_REALM is not set"];
    assert_done(&run(&["jwt-test"], &missing), 1, &[], &said);
    assert_done(&run(&["jwt-test", "--frob"], &env), 1, &[], &["\"--frob\""]);
}

#[cfg(all(feature = "keycloak", feature = "sso"))]
#[test]
fn check_config_tells_everything_and_asks_nobody() {
    let (world, keycloak, env) = with_keycloak();
    let env = set(&env, &[("AUTH_METHOD", "jwt"), ("ALLOWED_USERS", ALICE)]);
    let done = run(&["check-config"], &env);
    let seen = [
        "AUTH_METHOD ",
        "KEYCLOAK_CLIENT_SECRET   ********\n",
        "MATRIX_PASSWORD          ********\n",
        "KUBERNETES_SERVICE_HOST is not set here",
        "nothing is wrong with the configuration",
    ];
    assert_done(&done, 0, &seen, &[]);

    let mut wrong = set(
        &env,
        &[("ALLOWED_USERS", "alice"), ("ECHO_MODE", "perhaps")],
    );
    wrong.remove("KEYCLOAK_REALM");
    let said = [
        "configuration error: ALLOWED_USERS ",
        "configuration error: ECHO_MODE ",
        "configuration error: KEYCLOAK_REALM ",
    ];
    let done = run(&["check-config"], &wrong);
    assert_done(&done, 1, &[], &said);
    assert_eq!(done.err.lines().count(), said.len(), "{}", done.err);
    assert_eq!(world.hs.requests("").len() + keycloak.count(""), 0);

    // What is allowed, and had better be otherwise, is no fault.
    assert!(!run(&["check-config"], &env).out.contains("warning"));
    let in_clear = set(
        &env,
        &[
            ("MATRIX_HOMESERVER", "http://synapse.svc:8008"),
            ("KEYCLOAK_URL", "http://keycloak.svc:8080"),
        ],
    );
    let warned = [
        "warning: MATRIX_HOMESERVER is http://synapse.svc:8008, which is not encrypted: ",
        "warning: KEYCLOAK_URL is http://keycloak.svc:8080, which is not encrypted: ",
        "nothing is wrong with the configuration",
    ];
    assert_done(&run(&["check-config"], &in_clear), 0, &warned, &[]);
}

/// The bot says it at each start, and goes on.
#[test]
fn a_homeserver_on_plain_http_is_warned_of_at_the_start() {
    let mut world = World::new();
    world.set("MATRIX_HOMESERVER", "http://homeserver.invalid:8008");
    world.spawn();
    let line = world.bot().wait_log("which is not encrypted");
    assert!(line.contains("WARN"), "{line}");
    assert!(line.contains("MATRIX_HOMESERVER is http://homeserver.invalid:8008, "));
    world.bot().wait_log("; trying again in ");
    world.stop();

    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    assert!(!world.bot().log().contains("not encrypted:"), "on loopback");
}
