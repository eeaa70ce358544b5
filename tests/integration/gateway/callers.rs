//! Tokens of nobody, many of them, and an identity provider that is not what it says.

use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

use serde_json::{Value, json};

use super::support::client::Raw;
use super::support::issuer::Signer;
use super::support::world::{GatewayWorld, TOKEN_AUDIENCE, bearer};
use crate::support::monitor::poll;

/// Tokens of each kind.
const TOKENS: usize = 2_500;

/// The statuses of requests to the API with each of these tokens, one after the other.
fn statuses(world: &GatewayWorld, tokens: impl Iterator<Item = String>) -> BTreeSet<u16> {
    let mut raw = Raw::connect(world.ports().api);
    let mut statuses = BTreeSet::new();
    for token in tokens {
        raw.get("gateway.test", "/v1/targets", &bearer(&token));
        let reply = raw.reply();
        statuses.insert(reply.status);
        if reply.header("connection") == "close" {
            raw = Raw::connect(world.ports().api);
        }
    }
    statuses
}

fn is_let_in(world: &GatewayWorld, token: &str) -> bool {
    world.api("GET", "/v1/targets", Some(token), None).status == 200
}

#[test]
fn thousands_of_tokens_of_nobody_cost_others_nothing() {
    let world = GatewayWorld::with_web();
    let (worker, anna) = (world.worker(), world.anna());
    assert!(is_let_in(&world, &worker) && is_let_in(&world, &anna));
    let reviews = || world.cluster.calls("POST tokenreviews").len();
    let fetches = || world.issuer.count("/certs");
    let (reviews_before, fetches_before) = (reviews(), fetches());
    let started = Instant::now();

    let no_tokens = (0..TOKENS).map(|n| format!("{n:032x}"));
    assert!(statuses(&world, no_tokens).is_subset(&[401, 429].into()));
    // Each names another key, as after a rotation.
    let claims = world.issuer.claims("mallory", &["operator"]);
    let part = |value: &Value| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string())
    };
    let unknown_keys = (0..TOKENS).map(|n| {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": format!("key-{n}")});
        format!("{}.{}.{}", part(&header), part(&claims), "A".repeat(342))
    });
    assert!(statuses(&world, unknown_keys).is_subset(&[401, 429].into()));

    assert_eq!(reviews(), reviews_before);
    // At most one in ten seconds.
    let may_be = 1 + started.elapsed().as_secs() / 10;
    let were = u64::try_from(fetches() - fetches_before).unwrap();
    assert!(were <= may_be, "{were} fetches, at most {may_be}");
    // Who was known before stays so, from the same address.
    assert!(is_let_in(&world, &worker) && is_let_in(&world, &anna));
}

#[test]
fn a_replica_whose_clock_is_wrong_lets_in_whoever_may() {
    for ms in [7_200_000, -7_200_000] {
        let mut world = GatewayWorld::new();
        world.app("web");
        let clock = world.dir.path().join("clock");
        fs::write(&clock, ms.to_string()).unwrap();
        world.set("OPENCLAW_TEST_CLOCK", &clock.display().to_string());
        world.start();
        assert!(is_let_in(&world, &world.worker()), "{ms}");
        assert!(is_let_in(&world, &world.anna()), "{ms}");
    }
}

#[test]
fn a_token_of_another_issuer_is_not_shown_to_the_cluster() {
    let world = GatewayWorld::with_web();
    let mut claims = world.issuer.claims("anna", &["operator"]);
    claims["iss"] = json!("https://kc.example/realms/other");
    claims["aud"] = json!([TOKEN_AUDIENCE]);
    let token = world.issuer.sign(Signer::Rsa, &claims);
    assert!(!is_let_in(&world, &token));
    let line = world.wait_audit("oidc-auth-failed");
    assert_eq!(line["reason"], "another issuer", "{line}");
    assert!(world.cluster.calls("POST tokenreviews").is_empty());
    let failed = "openclaw_k8s_auth_attempts_total{result=\"failed\"} 0\n";
    assert!(world.metrics().contains(failed));
}

#[test]
fn a_provider_that_names_another_issuer_is_not_believed_until_it_is_the_right_one() {
    let mut world = GatewayWorld::new();
    world.app("web");
    world.pace(20);
    let other = "http://127.0.0.1:9/realms/other".to_owned();
    world.issuer.with(|state| state.issuer = Some(other));
    world.start();
    let anna = world.anna();
    let reply = world.api("GET", "/v1/targets", Some(&anna), None);
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert!(!reply.header("retry-after").is_empty());
    // The cluster is there, and nobody is told that it is not.
    assert_eq!(reply.json()["type"], "urn:openclaw-gateway:unchecked");
    for (reason, count) in [("unchecked", 1), ("unavailable", 0)] {
        let line = format!("openclaw_gateway_rejected_total{{reason=\"{reason}\"}} {count}\n");
        assert!(world.metrics().contains(&line), "{line}");
    }
    // Tokens of the cluster need no provider.
    assert!(is_let_in(&world, &world.worker()));
    world.issuer.with(|state| state.issuer = None);
    poll("anna is let in", || is_let_in(&world, &anna).then_some(()));
}

#[test]
fn keys_that_cannot_be_checked_with_let_nobody_in() {
    let mut world = GatewayWorld::new();
    world.app("web");
    world.pace(20);
    // A shared secret, which everybody has read; and more keys than anybody needs.
    let secret = json!({"kty": "oct", "kid": "rsa-0", "alg": "HS256", "k": "c2VjcmV0"});
    let many: Vec<Value> = (0..2_000)
        .map(|n| json!({"kty": "RSA", "kid": format!("key-{n}"), "alg": "RS256", "n": "AQAB", "e": "AQAB"}))
        .collect();
    for keys in [json!([secret]), Value::from(many)] {
        world
            .issuer
            .with(|state| state.keys = Some(json!({"keys": keys})));
        if world.replicas.is_empty() {
            world.start();
        }
        let reply = world.api("GET", "/v1/targets", Some(&world.anna()), None);
        assert!(matches!(reply.status, 401 | 503), "{}", reply.text());
    }
    world.issuer.with(|state| state.keys = None);
    poll("anna is let in", || {
        is_let_in(&world, &world.anna()).then_some(())
    });
}
