//! The look through the output of every run finds what it looks for.

use serde_json::Value;

use super::*;
use crate::support::bot::Victim;
use crate::support::redaction::Secrets;

/// That every run is looked through is worth something only if it finds what it
/// looks for.
#[cfg(all(feature = "keycloak", feature = "sso"))]
#[test]
#[should_panic(expected = "the output shows a secret, a token")]
fn a_run_that_shows_a_token_is_found() {
    let (_world, _keycloak, env) = with_keycloak();
    run(&["jwt-test", "--show-secrets"], &env);
}

/// As [`a_run_that_shows_a_token_is_found`], for a bot that serves.
#[test]
#[should_panic(expected = "the output shows a secret, MATRIX_PASSWORD")]
fn a_bot_that_shows_its_password_is_found() {
    let env = BTreeMap::from([("MATRIX_PASSWORD".to_owned(), PASSWORD.to_owned())]);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "echo \"password: $MATRIX_PASSWORD\""]);
    let mut bot = Bot::spawn_as(shell, &env, &Victim::default());
    bot.wait_exit(Duration::from_secs(5));
}

/// Wherever a secret comes from, and however it is written.
#[test]
fn each_secret_is_found_wherever_it_comes_from() {
    let world = World::new();
    let file = |name: &str, text: &str| {
        let path = world.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let seed = file("seed", "c2VlZCBvZiB0aGUgYm90J3MgaWRlbnRpdHk=\n");
    let client = file("client", "from-the-file\n");
    let proxy = "http://user:pass%2Fof-proxy@127.0.0.1:3128";
    let uri = "otpauth://totp/x?secret=MFRGGZDFMZTWQ2LK&digits=6";
    let env = set(
        &world.env,
        &[
            ("CROSS_SIGNING_SEED_FILE", &seed),
            ("KEYCLOAK_CLIENT_SECRET_FILE", &client),
            ("https_proxy", proxy),
            ("KEYCLOAK_TOTP_SECRET", uri),
            ("JWT_SECRET", "jwt-secret-of-these-tests"),
            ("MATRIX_ACCESS_TOKEN", "access-token-of-these-tests"),
            ("MATRIX_RECOVERY_KEY", "EsTa bcde fghi jklm nopq"),
        ],
    );
    let secrets = Secrets::of(&env);
    for (shown, name) in [
        (PASSWORD, "MATRIX_PASSWORD"),
        ("battery%269f3c%20%3Dst", "MATRIX_PASSWORD"),
        ("c2VlZCBvZiB0aGUgYm90", "CROSS_SIGNING_SEED"),
        ("from-the-file", "KEYCLOAK_CLIENT_SECRET"),
        ("pass/of-proxy", "the proxy's password"),
        ("pass%2Fof-proxy", "the proxy's password"),
        ("dXNlcjpwYXNzL29mLXByb3h5", "the proxy's credentials"),
        ("MFRGGZDFMZTWQ2LK", "KEYCLOAK_TOTP_SECRET"),
        ("jwt-secret-of-th…", "JWT_SECRET"),
        ("access-token-of-these-tests", "MATRIX_ACCESS_TOKEN"),
        ("EsTa bcde fghi jklm nopq", "MATRIX_RECOVERY_KEY"),
        ("EsTabcdefghijklmnopq", "MATRIX_RECOVERY_KEY"),
        ("the-service-account-token", "the service account's token"),
    ] {
        let found = secrets.find_in(&format!("INFO  login: {shown}\n"));
        assert_eq!(found.as_deref(), Some(name), "{shown}");
    }
    let harmless = Value::from(env.keys().cloned().collect::<Vec<_>>()).to_string();
    assert_eq!(secrets.find_in(&harmless), None);
}
