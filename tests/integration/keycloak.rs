//! A token from a Keycloak, checked against its realm's keys.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::support::faults::Fault;
use crate::support::keycloak::{CLIENT, Keycloak, REALM, SECRET, base32};
use openclaw_k8s_toggle_operator::auth::jwt::{Expected, TokenError, Totp, check};
use openclaw_k8s_toggle_operator::auth::keycloak::{self, Realm};
use openclaw_k8s_toggle_operator::net::{Client, Roots};
use openclaw_k8s_toggle_operator::util::Clock;
use openclaw_k8s_toggle_operator::util::Secret;

const PASSWORD: &str = "p&w +ü=%";

/// A Keycloak with the user `bot`.
fn start() -> Keycloak {
    let server = Keycloak::start();
    server.add_user("bot", PASSWORD);
    server
}

fn realm(server: &Keycloak) -> Realm {
    Realm {
        base: server.url(),
        realm: REALM.to_owned(),
        client_id: CLIENT.to_owned(),
        client_secret: Some(Secret::new(SECRET.to_owned())),
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

fn token(realm: &Realm, totp: Option<&Secret>) -> Result<Secret, keycloak::Error> {
    let http = Client::new(Roots::Mozilla, Clock::system()).unwrap();
    let password = Secret::new(PASSWORD.to_owned());
    let answer = run(realm.token(&http, "bot", &password, totp))?;
    Ok(answer.token)
}

/// The faults of a token, judged by the present keys of the realm.
fn faults(realm: &Realm, token: &Secret) -> Vec<TokenError> {
    let http = Client::new(Roots::Mozilla, Clock::system()).unwrap();
    let keys = run(realm.keys(&http)).unwrap();
    let expected = Expected {
        issuer: &realm.url(),
        audience: None,
        user_claim: "preferred_username",
        user: "bot",
        authorized_party: Some(CLIENT),
    };
    check(token, &keys, &expected, SystemTime::now())
}

#[test]
fn a_token_is_good_until_its_key_is_gone() {
    let server = start();
    let realm = realm(&server);
    let old = token(&realm, None).unwrap();
    assert_eq!(faults(&realm, &old), []);
    server.rotate();
    let gone = faults(&realm, &old);
    assert!(
        matches!(gone[..], [TokenError::UnknownKey { .. }]),
        "{gone:?}"
    );
    assert_eq!(faults(&realm, &token(&realm, None).unwrap()), []);
    assert_eq!(server.count("POST /token"), 2);
}

#[test]
fn clock_issuer_and_claims_of_the_server_show_in_the_token() {
    let server = start();
    let realm = realm(&server);
    let faults = |change: fn(&mut crate::support::keycloak::State)| {
        server.with(change);
        faults(&realm, &token(&realm, None).unwrap())
    };
    let expired = faults(|state| state.clock = -3600);
    assert!(
        matches!(expired[..], [TokenError::Expired { .. }]),
        "{expired:?}"
    );
    let early = faults(|state| state.clock = 3600);
    assert!(
        matches!(early[..], [TokenError::NotYetValid { claim: "iat", .. }]),
        "{early:?}"
    );
    let other = faults(|state| {
        state.clock = 0;
        state.issuer = Some("https://public.example/realms/matrix".to_owned());
        state
            .claims
            .insert("preferred_username".to_owned(), Value::Null);
        state.claims.insert("azp".to_owned(), json!(7));
    });
    assert!(
        matches!(
            other[..],
            [
                TokenError::Issuer { .. },
                TokenError::WrongType { .. },
                TokenError::NoUser { .. }
            ]
        ),
        "{other:?}"
    );
    let http = Client::new(Roots::Mozilla, Clock::system()).unwrap();
    let issuer = run(realm.issuer(&http)).unwrap();
    assert_eq!(issuer, "https://public.example/realms/matrix");
}

#[test]
fn a_one_time_password_is_taken_once() {
    let server = start();
    let realm = realm(&server);
    let key = b"20 bytes, just right".to_vec();
    let totp = Totp::parse(&base32(&key)).unwrap();
    server.user("bot", |user| user.totp = Some(key));
    let refused = token(&realm, None).unwrap_err();
    assert!(matches!(
        refused,
        keycloak::Error::Credentials {
            one_time: false,
            ..
        }
    ));
    let code = totp.take(SystemTime::now()).unwrap().text;
    assert!(token(&realm, Some(&code)).is_ok());
    let again = token(&realm, Some(&code)).unwrap_err();
    assert!(matches!(
        again,
        keycloak::Error::Credentials { one_time: true, .. }
    ));
}

#[test]
fn each_mistake_in_the_realm_is_told_apart() {
    let server = start();
    let good = realm(&server);
    let fault = |realm: &Realm| token(realm, None).unwrap_err();
    let other = |change: fn(&mut Realm)| {
        let mut realm = good.clone();
        change(&mut realm);
        fault(&realm)
    };
    use keycloak::Error as F;
    let unknown = other(|realm| realm.realm = "nope".to_owned());
    assert!(matches!(unknown, F::UnknownRealm { .. }), "{unknown}");
    let path = other(|realm| realm.base.push_str("/auth"));
    assert_eq!(path, F::WrongPath);
    let client = other(|realm| realm.client_id = "nobody".to_owned());
    assert!(matches!(client, F::UnknownClient { .. }), "{client}");
    let secret = other(|realm| realm.client_secret = None);
    assert!(matches!(secret, F::NoClientSecret { .. }), "{secret}");

    server.fault("/token", 1, Fault::html(502));
    let page = fault(&good);
    assert!(matches!(page, F::Page { status: 502, .. }), "{page}");
    server.user("bot", |user| user.unfinished = true);
    assert!(matches!(fault(&good), F::NotSetUp { .. }));
    server.user("bot", |user| user.disabled = true);
    assert!(matches!(fault(&good), F::UserDisabled { .. }));
    server.client(|client| client.consent = true);
    assert!(matches!(fault(&good), F::Consent { .. }));
    server.client(|client| client.no_direct_grants = true);
    assert!(matches!(fault(&good), F::NoDirectGrants { .. }));
    server.client(|client| client.disabled = true);
    assert!(matches!(fault(&good), F::UnknownClient { .. }));
}
