//! Everybody who can keep the bot out, and their reasons: each is named, and a
//! reason that may pass is waited for.

use serde_json::json;

use super::*;
use crate::support::modules::of_keycloak;

/// A change that is made before the start.
type Change = fn(&mut World, &Keycloak);

#[test]
fn what_keycloak_refuses_is_told_apart_and_ends_the_program() {
    let cases: [(Change, &str, &str); 10] = [
        (
            |world, _| world.set("MATRIX_PASSWORD", "no password of the bot's"),
            CONFIGURATION,
            "does not accept the credentials of user bot",
        ),
        (
            |_, keycloak| keycloak.user("bot", |user| user.totp = Some(vec![1; 20])),
            CONFIGURATION,
            "whether the user needs a one-time password",
        ),
        (
            |world, _| world.set("KEYCLOAK_CLIENT_SECRET", "no secret of the client's"),
            CONFIGURATION,
            "does not accept the secret of client operator",
        ),
        (
            |world, _| drop(world.env.remove("KEYCLOAK_CLIENT_SECRET")),
            CONFIGURATION,
            "asks for a secret of client operator",
        ),
        (
            |world, _| world.set("KEYCLOAK_CLIENT_ID", "nobody"),
            CONFIGURATION,
            "realm matrix has no client nobody",
        ),
        (
            |world, _| world.set("KEYCLOAK_REALM", "Matrix"),
            CONFIGURATION,
            "has no realm Matrix",
        ),
        (
            |_, keycloak| keycloak.user("bot", |user| user.disabled = true),
            KEYCLOAK,
            "has user bot disabled",
        ),
        (
            |_, keycloak| keycloak.user("bot", |user| user.unfinished = true),
            KEYCLOAK,
            "user bot is not fully set up",
        ),
        (
            |_, keycloak| keycloak.client(|client| client.no_direct_grants = true),
            KEYCLOAK,
            "turn direct access grants on",
        ),
        (
            |_, keycloak| keycloak.client(|client| client.consent = true),
            KEYCLOAK,
            "turn consent off for the client",
        ),
    ];
    each(&cases, |(change, party, said)| {
        let (mut world, keycloak) = by_oauth();
        change(&mut world, &keycloak);
        assert_ends(&mut world, party, said);
        assert_eq!(world.hs.requests(LOGIN).len(), 0);
    });
}

/// One 403 stands for all of these. Which it is, is found out here; what may
/// pass is tried again, and the bot works once it has.
#[test]
fn what_is_behind_a_refused_token_is_found_out() {
    let cases: [(Change, &str, &str, Change); 7] = [
        (
            |_, keycloak| keycloak.with(|state| state.signs = 1),
            KEYCLOAK,
            "signed with key \"second-key\", which Keycloak does not publish",
            |_, keycloak| keycloak.with(|state| state.published = vec![0, 1]),
        ),
        (
            |_, keycloak| keycloak.with(|state| state.clock = -3600),
            NETWORK,
            "the token expired 55 min ago",
            |_, keycloak| keycloak.with(|state| state.clock = 0),
        ),
        (
            |world, keycloak| {
                let wanted = format!("{}/realms/{REALM}", keycloak.url());
                world.set("KEYCLOAK_ISSUER", &wanted);
                let public = "https://public.example/realms/matrix".to_owned();
                keycloak.with(|state| state.issuer = Some(public));
            },
            CONFIGURATION,
            "issuer is \"https://public.example/realms/matrix\" and not \"http://127.0.0.1:",
            |_, keycloak| keycloak.with(|state| state.issuer = None),
        ),
        (
            |world, keycloak| {
                world.set("JWT_AUDIENCE", "synapse");
                let wanted = [("aud", json!("synapse"))];
                judge(
                    world,
                    OAUTH,
                    of_keycloak(keycloak, "preferred_username", &wanted),
                );
            },
            KEYCLOAK,
            "audience is \"account\" and not \"synapse\"",
            |_, keycloak| keycloak.with(|state| state.audience = json!("synapse")),
        ),
        (
            |_, keycloak| keycloak.fault(CERTS, 2, Fault::json(503, &json!({"error": "down"}))),
            KEYCLOAK,
            "the keys to check it with cannot be had here either",
            |_, _| {},
        ),
        (
            |world, keycloak| {
                world.set("MATRIX_USER", BOT);
                world.hs.with(|state| state.passwords.remove(BOT));
                judge(
                    world,
                    OAUTH,
                    of_keycloak(keycloak, "preferred_username", &[]),
                );
            },
            HOMESERVER,
            "the homeserver has no user @bot:test: register the account there",
            |world, _| world.hs.add_user(BOT, PASSWORD),
        ),
        (
            |world, _| judge(world, OAUTH, Box::new(|_| Err(forbidden()))),
            HOMESERVER,
            "the token is good as far as can be told from here, so look at the homeserver",
            |world, keycloak| {
                judge(
                    world,
                    OAUTH,
                    of_keycloak(keycloak, "preferred_username", &[]),
                );
            },
        ),
    ];
    each(&cases, |(change, party, said, cure)| {
        let (mut world, keycloak) = by_oauth();
        change(&mut world, &keycloak);
        world.spawn();
        wait_blamed(&mut world, party, said);
        cure(&mut world, &keycloak);
        assert_works(&mut world);
        assert_eq!(world.hs.requests(LOGIN).len(), 2);
    });
}

/// A fault that only the configuration can mend is not tried again.
#[test]
fn a_token_of_somebody_else_ends_the_program() {
    let cases: [(&str, &str); 2] = [
        (
            "preferred_username",
            "\"preferred_username\" is \"other\" and not \"bot\"",
        ),
        (
            "azp",
            "issued to the client \"other\" and not to \"operator\"",
        ),
    ];
    each(&cases, |(claim, said)| {
        let (mut world, keycloak) = by_oauth();
        keycloak.with(|state| state.claims.insert((*claim).to_owned(), json!("other")));
        assert_ends(&mut world, CONFIGURATION, said);
    });
}

#[test]
fn a_keycloak_in_trouble_is_waited_for() {
    let cases = [
        (Fault::html(503), "came a page of status 503"),
        (Fault::json(500, &json!({})), "fails with status 500"),
        (Fault::Cut, "Keycloak cannot be reached"),
    ];
    each(&cases, |(fault, said)| {
        let (mut world, keycloak) = by_oauth();
        keycloak.fault(TOKEN, 1, fault.clone());
        world.spawn();
        wait_blamed(&mut world, KEYCLOAK, said);
        assert_works(&mut world);
    });
}

#[test]
fn a_keycloak_that_is_not_there_is_waited_for() {
    let (mut world, keycloak) = by_oauth();
    world.pace(1);
    let closed = format!("http://127.0.0.1:{}", crate::support::fake::closed_port());
    world.set("KEYCLOAK_URL", &closed);
    world.spawn();
    wait_blamed(
        &mut world,
        KEYCLOAK,
        "refused the connection; check KEYCLOAK_URL",
    );
    assert_eq!(keycloak.count(TOKEN), 0);
}

/// A page in the place of a token is a wrong address, not trouble.
#[test]
fn a_page_instead_of_keycloak_ends_the_program() {
    let (mut world, keycloak) = by_oauth();
    keycloak.fault(TOKEN, 1, Fault::html(200));
    assert_ends(
        &mut world,
        KEYCLOAK,
        "came a page of status 200: check KEYCLOAK_URL",
    );
}

#[test]
fn a_login_type_that_is_not_offered_costs_keycloak_nothing() {
    let cases = [
        (
            OAUTH,
            "load synapse_token_authenticator there with a section oauth",
        ),
        (
            FAMEDLY,
            "load synapse_token_authenticator there with a section jwt",
        ),
        (NATIVE, "set jwt_config up there"),
    ];
    each(&cases, |(kind, cure)| {
        let (mut world, keycloak) = with_keycloak();
        world.set("JWT_LOGIN_TYPE", kind);
        let said = format!("offers no login of type {kind}, only m.login.password: {cure}");
        assert_ends(&mut world, HOMESERVER, &said);
        assert_eq!(keycloak.count(""), 0);
    });
}

/// Listed, and not there when it is used: as a worker has it that was not
/// restarted.
#[test]
fn a_login_type_that_is_offered_and_unknown_ends_the_program() {
    let (mut world, _keycloak) = by_oauth();
    let body = json!({"errcode": "M_UNKNOWN", "error": "Unknown login type"});
    world.hs.fault(LOGIN, 1, Fault::json(400, &body));
    let said = "400 M_UNKNOWN (Unknown login type); check that the homeserver's module";
    assert_ends(&mut world, HOMESERVER, said);
}
