//! People and their tokens.

use std::sync::Mutex;

use super::*;
use crate::auth::jwt::tests::{Private, jwks};
use crate::gateway::auth::bearer::digest;
use crate::gateway::auth::fetch_keys;
use crate::gateway::auth::issuer::{Read, jwks_uri};
use crate::net::fake::{Fake, Reply, run};
use crate::net::{Client, Roots};

const ISSUER: &str = "https://kc.example/realms/r";

/// The audience of their tokens.
const CLAW: &str = "https://claw.example.org";

fn oidc() -> Oidc {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    Oidc {
        issuer: ISSUER.to_owned(),
        audience: CLAW.to_owned(),
        clients: texts(&["cli"]),
        roles_claim: texts(&["realm_access", "roles"]),
        algorithms: texts(&["RS256"]),
        max_lifetime: Duration::from_secs(3_600),
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "5a0f", "preferred_username": "anna", "azp": "cli",
        "aud": CLAW, "typ": "Bearer", "jti": "j-1", "iat": now(), "exp": now() + 300,
        "realm_access": {"roles": ["sme-user", "offline_access"]},
    })
}

/// The keys that an identity provider publishes.
type Published = Arc<Mutex<Result<Vec<Value>, String>>>;

/// An authenticator for people, with the number of times that the keys were read.
fn of(keys: Vec<Value>) -> (Authenticator, Published, Asked) {
    let (server, _) = server(|| None);
    beside(server, keys)
}

/// The same beside this API server.
fn beside(server: Server, keys: Vec<Value>) -> (Authenticator, Published, Asked) {
    by(right_clock(), server, keys)
}

/// The same by this clock.
fn by(clock: ServerClock, server: Server, keys: Vec<Value>) -> (Authenticator, Published, Asked) {
    let published: Published = Arc::new(Mutex::new(Ok(keys)));
    let asked = Asked::default();
    let (shown, count) = (Arc::clone(&published), Arc::clone(&asked));
    let source = Source::Test(Box::new(move || -> Result<Read, String> {
        count.fetch_add(1, Relaxed);
        let keys = shown.lock().unwrap().clone()?;
        Ok((jwks(&keys), digest(json!(keys).to_string().as_bytes())))
    }));
    let oidc = Some((oidc(), source));
    let authenticator = Authenticator::of_sources(server, oidc, clock, grants());
    (authenticator, published, asked)
}

fn signed(kid: &str, claims: &Value) -> String {
    Private::first()
        .token(kid, "RS256", claims)
        .expose()
        .to_owned()
}

#[test]
fn a_person_is_let_in_by_one_signature() {
    paused(async {
        let (authenticator, _, asked) = of(vec![Private::first().jwk("k")]);
        let token = signed("k", &claims());
        let caller = show(&authenticator, &token).await.unwrap();
        assert_eq!(caller.credential, Credential::Ours);
        assert_eq!(caller.session.principal.by(), "person:anna");
        // People can change the name; the subject is what joins the lines.
        let whole = caller.session.record(GatewayEvent::Denied);
        let woke = record_of(&caller.session.principal, GatewayEvent::Wake);
        for line in [whole, woke] {
            assert_eq!((line.sub, line.display_name), ("5a0f", "anna"));
            assert_eq!(line.service_account, "");
        }
        assert_eq!(caller.session.permissions.roles, ["node"]);
        let again = show(&authenticator, &token).await.unwrap();
        assert!(Arc::ptr_eq(&caller.session, &again.session));
        assert_eq!(asked.load(Relaxed), 1);
        assert!(
            authenticator
                .check_again(&caller.session, &origin())
                .await
                .is_ok()
        );
    });
}

#[test]
fn a_person_without_a_role_is_known_and_may_nothing() {
    paused(async {
        let (authenticator, _, _) = of(vec![Private::first().jwk("k")]);
        let mut claims = super::persons::claims();
        claims["realm_access"] = json!({"roles": ["other"]});
        let token = signed("k", &claims);
        assert_eq!(
            show(&authenticator, &token).await,
            Err(AuthFault::Forbidden)
        );
        assert_eq!(authenticator.sizes().0, 0);
    });
}

#[test]
fn what_is_forged_is_refused_and_costs_its_peer() {
    paused(async {
        let (authenticator, _, asked) = of(vec![Private::first().jwk("k")]);
        let forged = Private::second().token("k", "RS256", &claims());
        let bad = Err(AuthFault::Unauthorized("bad signature"));
        for _ in 0..20 {
            assert_eq!(show(&authenticator, forged.expose()).await, bad);
        }
        let too_many = Err(AuthFault::TooMany);
        assert_eq!(show(&authenticator, forged.expose()).await, too_many);
        assert_eq!(asked.load(Relaxed), 1);
        // Of another issuer, or for another audience: nothing of ours.
        for (name, value, reason) in [
            (
                "iss",
                json!("https://kc.example/realms/other"),
                "another issuer",
            ),
            ("aud", json!("account"), "another audience"),
        ] {
            let mut claims = super::persons::claims();
            claims[name] = value;
            let shown = show(&authenticator, &signed("k", &claims)).await;
            assert_eq!(shown, Err(AuthFault::Unauthorized(reason)));
        }
    });
}

/// Nothing of a person's is shown to the API server or told as a service account's, where
/// both are taken with the same audience.
#[test]
fn a_persons_token_is_no_service_accounts() {
    paused(async {
        let keys = || vec![Private::first().jwk("k")];
        let failed =
            |count: u32| format!("openclaw_k8s_auth_attempts_total{{result=\"failed\"}} {count}\n");
        let other = json!("https://kc.example/realms/other");
        for (name, value, aud, reason) in [
            ("iss", other, AUDIENCE, "another issuer"),
            ("iss", Value::Null, AUDIENCE, "another issuer"),
            ("aud", json!("account"), "account", "another audience"),
            ("aud", json!(AUDIENCE), AUDIENCE, "another audience"),
            ("azp", json!("other"), CLAW, "another client"),
        ] {
            let (server, asked) = server(|| Some(pod_review()));
            let (authenticator, _, _) = beside(server, keys());
            let mut claims = claims();
            claims["aud"] = json!(aud);
            claims[name] = value;
            let token = signed("k", &claims);
            let shown = show(&authenticator, &token).await;
            assert_eq!(shown, Err(AuthFault::Unauthorized(reason)));
            let [line] = authenticator.audit().take_written().try_into().unwrap();
            assert_eq!(line["event"], "oidc-auth-failed", "{line}");
            assert_eq!(line["reason"], reason);
            assert_eq!(asked.load(Relaxed), 0);
            assert!(authenticator.metrics().shown().contains(&failed(0)));
        }
        let (server, asked) = server(|| Some(pod_review()));
        let (authenticator, _, _) = beside(server, keys());
        // A service account's are known by their subject, whoever the cluster says it is.
        let mut account = pod_claims();
        account["iss"] = json!("https://elsewhere.example");
        assert!(show(&authenticator, &token(&account)).await.is_ok());
        assert_eq!(asked.load(Relaxed), 1);
        account["aud"] = json!("https://kubernetes.default.svc");
        assert!(show(&authenticator, &token(&account)).await.is_err());
        assert_eq!(asked.load(Relaxed), 1);
        assert!(authenticator.metrics().shown().contains(&failed(1)));
    });
}

#[test]
fn a_machine_whose_clock_is_wrong_judges_by_the_servers() {
    paused(async {
        for is_ahead in [true, false] {
            let (server, asked) = server(|| Some(pod_review()));
            let clock = wrong_clock(is_ahead);
            let (authenticator, _, _) = by(clock, server, vec![Private::first().jwk("k")]);
            for _ in 0..2 {
                let pod = show(&authenticator, &token(&pod_claims())).await.unwrap();
                let person = show(&authenticator, &signed("k", &claims())).await.unwrap();
                for session in [pod.session, person.session] {
                    assert!(authenticator.check_again(&session, &origin()).await.is_ok());
                }
            }
            assert_eq!(asked.load(Relaxed), 1, "remembered");
            let (mut pod, mut person) = (pod_claims(), claims());
            for claims in [&mut pod, &mut person] {
                claims["exp"] = json!(now() - 61);
                claims["iat"] = json!(now() - 300);
            }
            for old in [token(&pod), signed("k", &person)] {
                let refused = Err(AuthFault::Unauthorized("expired"));
                assert_eq!(show(&authenticator, &old).await, refused);
            }
            assert_eq!(asked.load(Relaxed), 1);
        }
    });
}

#[test]
fn random_keys_are_asked_for_once_in_ten_seconds() {
    paused(async {
        let (authenticator, _, asked) = of(vec![Private::first().jwk("k")]);
        let head = |kid: u32| base64(json!({"alg": "RS256", "kid": kid.to_string()}).to_string());
        let body = base64(claims().to_string());
        let began = Instant::now();
        for number in 0..10_000_u32 {
            let token = format!("{}.{body}.{}", head(number), base64("x"));
            // From everywhere, so that no peer tries too often.
            let origin = Origin {
                ip: IpAddr::V4((0x0a00_0000 + number).into()),
                id: RequestId::own(),
            };
            let shown = authenticator
                .authenticate(&bearer(&token), &origin, false)
                .await;
            assert!(shown.is_err());
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        let most = began.elapsed().as_secs() / 10 + 1;
        assert!(asked.load(Relaxed) <= most, "{asked:?} > {most}");
        assert!(show(&authenticator, &signed("k", &claims())).await.is_ok());
    });
}

#[test]
fn a_new_key_is_found_and_an_old_one_is_forgotten() {
    paused(async {
        let (authenticator, published, asked) = of(vec![Private::first().jwk("old")]);
        let old = signed("old", &claims());
        assert!(show(&authenticator, &old).await.is_ok());
        *published.lock().unwrap() = Ok(vec![Private::first().jwk("new")]);
        let new = signed("new", &claims());
        let unknown = Err(AuthFault::Unauthorized("unknown key"));
        assert_eq!(show(&authenticator, &new).await, unknown, "asked just now");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(show(&authenticator, &new).await.is_ok());
        assert_eq!(asked.load(Relaxed), 2);
        assert_eq!(
            show(&authenticator, &old).await,
            unknown,
            "and not remembered"
        );
    });
}

#[test]
fn keys_are_asked_for_again_every_ten_minutes_though_nobody_needs_others() {
    paused(async {
        let (authenticator, published, asked) = of(vec![Private::first().jwk("old")]);
        let running = tokio::spawn(authenticator.clone().run());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(asked.load(Relaxed), 1);
        // A key that was given away is gone from the answers, and no token asks for another.
        *published.lock().unwrap() = Ok(vec![Private::first().jwk("new")]);
        let old = signed("old", &claims());
        assert!(show(&authenticator, &old).await.is_ok());
        tokio::time::sleep(Duration::from_secs(630)).await;
        assert_eq!(asked.load(Relaxed), 2);
        let unknown = Err(AuthFault::Unauthorized("unknown key"));
        assert_eq!(show(&authenticator, &old).await, unknown);
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        let hourly = asked.load(Relaxed) - 2;
        assert!((5..=6).contains(&hourly), "{hourly} in an hour");
        running.abort();
    });
}

#[test]
fn keys_serve_for_a_day_without_their_issuer() {
    paused(async {
        let (authenticator, published, _) = of(vec![Private::first().jwk("k")]);
        let running = tokio::spawn(authenticator.clone().run());
        tokio::time::sleep(Duration::from_secs(1)).await;
        *published.lock().unwrap() = Err("down".to_owned());
        tokio::time::sleep(Duration::from_secs(23 * 3_600)).await;
        let mut number = 0;
        let mut shown = async || {
            number += 1;
            let mut claims = super::persons::claims();
            claims["jti"] = json!(format!("j-{number}"));
            show(&authenticator, &signed("k", &claims)).await.err()
        };
        assert_eq!(shown().await, None);
        tokio::time::sleep(Duration::from_secs(2 * 3_600)).await;
        assert_eq!(shown().await, Some(AuthFault::Unavailable));
        *published.lock().unwrap() = Ok(vec![Private::first().jwk("k")]);
        tokio::time::sleep(Duration::from_secs(21)).await;
        assert_eq!(shown().await, None);
        running.abort();
    });
}

#[test]
fn the_keys_are_where_the_issuer_itself_says() {
    let read = |configuration: Value| jwks_uri(configuration.to_string().as_bytes(), ISSUER);
    let at = |uri: &str| read(json!({"issuer": ISSUER, "jwks_uri": uri}));
    for uri in [
        "https://kc.example/certs",
        "https://elsewhere.example/certs",
        "http://localhost:8080/certs",
        "http://127.0.0.1:8080/certs",
        "http://[::1]/certs",
        "http://keycloak.iam.svc/certs",
        "http://keycloak.iam.svc.cluster.local:8080/certs",
    ] {
        assert_eq!(at(uri).as_deref(), Ok(uri));
    }
    for uri in [
        "http://kc.example/certs",
        "http://svc/certs",
        "http://x.svc.example.com/certs",
        "file:///etc/passwd",
        "ftp://localhost/certs",
        "",
        "/certs",
    ] {
        assert!(at(uri).is_err(), "{uri}");
    }
    for issuer in [
        "https://kc.example/realms/r/",
        "https://kc.example/realms/R",
        "",
    ] {
        let uri = "https://kc.example/certs";
        let fault = read(json!({"issuer": issuer, "jwks_uri": uri})).unwrap_err();
        assert!(fault.contains("to the byte"), "{fault}");
    }
    assert!(jwks_uri(b"<html>", ISSUER).is_err());
    assert!(read(json!({"issuer": [ISSUER], "jwks_uri": 7})).is_err());
}

/// The real client: an identity provider that leads elsewhere, says too much or nothing.
#[test]
fn hostile_identity_providers_give_no_keys() {
    run(async {
        let http = Client::new(Roots::Mozilla, Clock::system()).unwrap();
        let ours = Private::first().jwk("k");
        let set = |count| json!({"keys": vec![&ours; count]}).to_string();
        let elsewhere = Fake::plain([Reply::new(200, &set(1)), Reply::new(200, &set(1))]);
        let location = format!("Location: {}\r\n", elsewhere.url("/certs"));
        let large = format!("{}{}", set(1), " ".repeat(64 * 1024));
        let cases = [
            (Reply::new(200, &set(1)), ""),
            (Reply::new(200, &set(32)), ""),
            (Reply::new(200, &set(33)), "more than 32 keys"),
            (Reply::new(200, &large), "is larger than"),
            (Reply::new(200, "{}"), "no JSON object with a list of keys"),
            (Reply::new(500, &set(1)), "answers 500"),
            (Reply::with(302, &location, &set(1)), "answers 302"),
            (Reply::with(307, &location, ""), "answers 307"),
            (Reply::Cut(String::new()), ""),
        ];
        for (number, (certs, says)) in cases.into_iter().enumerate() {
            let fake = Fake::plain([]);
            let issuer = fake.url("");
            let issuer = issuer.trim_end_matches('/');
            let uri = format!("{issuer}/certs");
            let configuration = json!({"issuer": issuer, "jwks_uri": uri}).to_string();
            fake.then([Reply::new(200, &configuration), certs]);
            let fetched = fetch_keys(&http, issuer).await;
            match fetched {
                Ok((keys, _)) => assert!(number < 2 && keys.has("k")),
                Err(fault) => assert!(number >= 2 && fault.contains(says), "{fault}"),
            }
            // A configuration that is a redirect is none.
            let fake = Fake::plain([Reply::with(302, &location, "")]);
            assert!(fetch_keys(&http, &fake.url("")).await.is_err());
        }
        assert_eq!(elsewhere.connections(), 0, "redirects are not followed");
        // What is neither in the cluster nor https is not asked at all.
        let fault = fetch_keys(&http, "http://kc.example").await.unwrap_err();
        assert_eq!(
            fault,
            "http://kc.example/.well-known/openid-configuration is not https"
        );
    });
}
