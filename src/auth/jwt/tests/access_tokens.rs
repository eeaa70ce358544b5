//! Access tokens: what has to be in them, and everything that must not pass for one.

use ring::hmac;
use ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING;

use super::*;
use crate::auth::jwt;

/// What is wanted of a token, with texts that live as long.
struct Rules {
    clients: Vec<String>,
    algorithms: Vec<String>,
    roles_claim: Vec<String>,
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

impl Rules {
    fn new() -> Self {
        Self {
            clients: texts(&["cli", "client"]),
            algorithms: texts(&["RS256", "ES256"]),
            roles_claim: texts(&["realm_access", "roles"]),
        }
    }

    fn read(&self, token: &Secret) -> Result<AccessToken, AccessFault> {
        let unverified = Unverified::decode(token).unwrap();
        let wanted = Wanted {
            issuer: ISSUER,
            audience: "openclaw-gateway",
            clients: &self.clients,
            algorithms: &self.algorithms,
            max_lifetime: Duration::from_secs(3_600),
            roles_claim: &self.roles_claim,
        };
        AccessToken::read(&unverified, &wanted, at(NOW))
    }
}

/// The claims of an access token of Keycloak's with an audience mapper.
fn access() -> Value {
    json!({
        "iss": ISSUER, "sub": "5a0f", "preferred_username": "anna", "azp": "client",
        "aud": ["openclaw-gateway", "account"], "typ": "Bearer", "jti": "j-1",
        "iat": NOW - 10, "exp": NOW + 290, "realm_access": {"roles": ["sme-user", "offline_access"]},
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = access();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = access();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn read(claims: &Value) -> Result<AccessToken, AccessFault> {
    Rules::new().read(&Private::first().token("k", "RS256", claims))
}

fn head(header: &Value, claims: &Value) -> Result<AccessToken, AccessFault> {
    Rules::new().read(&Private::first().sign(header, "RS256", claims))
}

#[test]
fn what_a_token_says_is_read() {
    assert_eq!(
        read(&access()),
        Ok(AccessToken {
            subject: "5a0f".to_owned(),
            username: "anna".to_owned(),
            roles: texts(&["sme-user", "offline_access"]),
            id: Some("j-1".to_owned()),
            expires: at(NOW + 290),
            key_id: "k".to_owned(),
        })
    );
    assert!(read(&with("aud", json!("openclaw-gateway"))).is_ok());
    assert_eq!(read(&without("preferred_username")).unwrap().username, "");
}

#[test]
fn each_claim_that_is_wrong_is_a_refusal() {
    let hour = NOW + 3_600;
    let cases = [
        (
            with("iss", json!("https://kc.example/realms/r/")),
            "another issuer",
        ),
        (
            with("iss", json!("https://KC.example/realms/r")),
            "another issuer",
        ),
        (without("iss"), "another issuer"),
        (with("aud", json!("account")), "another audience"),
        (
            with("aud", json!(["openclaw-gateway2", "OPENCLAW-GATEWAY"])),
            "another audience",
        ),
        (with("aud", json!([])), "another audience"),
        (without("aud"), "another audience"),
        (
            with("aud", json!({"openclaw-gateway": 1})),
            "a claim of a wrong type",
        ),
        (
            with("aud", json!(["openclaw-gateway", 7])),
            "a claim of a wrong type",
        ),
        (with("azp", json!("other")), "another client"),
        (with("azp", json!("")), "another client"),
        (without("azp"), "another client"),
        (with("azp", json!(["client"])), "a claim of a wrong type"),
        (with("typ", json!("ID")), "another kind of token"),
        (with("typ", json!("Refresh")), "another kind of token"),
        (with("typ", json!("Offline")), "another kind of token"),
        (with("typ", json!("Logout")), "another kind of token"),
        (with("typ", json!("bearer")), "another kind of token"),
        (without("typ"), "no word that it is an access token"),
        (with("cnf", json!({"jkt": "x"})), "bound to a key (cnf)"),
        (with("cnf", Value::Null), "bound to a key (cnf)"),
        (with("sub", json!("")), "no subject"),
        (without("sub"), "no subject"),
        (with("sub", json!(7)), "a claim of a wrong type"),
        (
            with("sub", json!("s".repeat(256))),
            "a subject that is too long",
        ),
        (with("exp", json!(NOW - 61)), "expired"),
        (with("exp", json!("tomorrow")), "a claim of a wrong type"),
        (with("exp", json!(-1)), "a claim of a wrong type"),
        (without("exp"), "no exp or no iat"),
        (without("iat"), "no exp or no iat"),
        (with("iat", json!(NOW + 61)), "not valid yet"),
        (with("nbf", json!(NOW + 61)), "not valid yet"),
        (with("exp", json!(hour)), "valid for too long"),
        (with("iat", json!(NOW + 30)), ""),
        (with("nbf", json!(NOW + 60)), ""),
        (with("exp", json!(hour - 10)), ""),
    ];
    for (claims, reason) in cases {
        let expected = match reason {
            "" => None,
            reason => Some(AccessFault::Refused(reason)),
        };
        assert_eq!(read(&claims).err(), expected, "{claims}");
    }
    // A moment of leeway, as homeserver and API server have it.
    let mut late = with("iat", json!(NOW - 400));
    late["exp"] = json!(NOW - 60);
    assert!(read(&late).is_ok());
    let mut backwards = with("iat", json!(NOW + 50));
    backwards["exp"] = json!(NOW + 40);
    assert_eq!(
        read(&backwards),
        Err(AccessFault::Refused("valid for too long"))
    );
}

#[test]
fn each_header_that_is_wrong_is_a_refusal() {
    let other = "another algorithm";
    let kind = "another kind of token";
    let cases = [
        (json!({"alg": "none", "kid": "k"}), other),
        (json!({"alg": "None", "kid": "k"}), other),
        (json!({"alg": "HS256", "kid": "k"}), other),
        (json!({"alg": "RS512", "kid": "k"}), other),
        (json!({"alg": "rs256", "kid": "k"}), other),
        (json!({"alg": ["RS256"], "kid": "k"}), other),
        (json!({"kid": "k"}), other),
        (json!({"alg": "RS256"}), "no key id"),
        (json!({"alg": "RS256", "kid": 7}), "no key id"),
        (
            json!({"alg": "RS256", "kid": "k", "crit": []}),
            "an extension (crit, b64)",
        ),
        (
            json!({"alg": "RS256", "kid": "k", "b64": true}),
            "an extension (crit, b64)",
        ),
        (
            json!({"alg": "RS256", "kid": "k", "typ": "logout+jwt"}),
            kind,
        ),
        (json!({"alg": "RS256", "kid": "k", "typ": "dpop+jwt"}), kind),
        (
            json!({"alg": "RS256", "kid": "k", "typ": 7}),
            "a kind that is no text",
        ),
    ];
    for (header, reason) in cases {
        let fault = head(&header, &access()).unwrap_err();
        assert_eq!(fault, AccessFault::Refused(reason), "{header}");
    }
    // The word of RFC 9068 does without Keycloak's, and not against it.
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        let header = json!({"alg": "RS256", "kid": "k", "typ": typ});
        assert!(head(&header, &without("typ")).is_ok(), "{typ}");
        let id = head(&header, &with("typ", json!("ID")));
        assert_eq!(id, Err(AccessFault::Refused(kind)));
    }
    let mut standard = without("azp");
    standard["client_id"] = json!("cli");
    assert!(read(&standard).is_ok());
    standard["azp"] = json!("other");
    assert_eq!(read(&standard), Err(AccessFault::Refused("another client")));
}

#[test]
fn keys_are_the_key_sets_alone() {
    let (ours, theirs) = (Private::first(), Private::second());
    let keys = jwks(&[
        ours.jwk("k"),
        Private::ec(&ECDSA_P256_SHA256_FIXED_SIGNING).jwk("e"),
    ]);
    let verified = |token: &Secret| {
        let unverified = Unverified::decode(token).unwrap();
        Rules::new().read(token)?;
        jwt::verify(token, &unverified, &keys)
    };
    assert_eq!(verified(&ours.token("k", "RS256", &access())), Ok(()));
    let bad = Err(AccessFault::Refused("bad signature"));
    assert_eq!(verified(&theirs.token("k", "RS256", &access())), bad);
    assert_eq!(
        verified(&theirs.token("other", "RS256", &access())),
        Err(AccessFault::UnknownKey)
    );
    // A key for another algorithm.
    assert_eq!(
        verified(&ours.token("e", "RS256", &access())),
        Err(AccessFault::Refused("the key is not for its algorithm"))
    );
    // A key that the token brings along.
    for (name, value) in [
        ("jwk", theirs.jwk("k")),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/x5u")),
        ("x5c", json!(["AAAA"])),
    ] {
        let mut header = json!({"alg": "RS256", "kid": "k"});
        header[name] = value;
        assert_eq!(
            verified(&theirs.sign(&header, "RS256", &access())),
            bad,
            "{name}"
        );
    }
    // The public key as a shared secret, were HS256 taken by mistake.
    let mut rules = Rules::new();
    rules.algorithms = texts(&["HS256", "none"]);
    let modulus = ours.jwk("k")["n"].as_str().unwrap().to_owned();
    for (algorithm, secret) in [("HS256", modulus.as_bytes()), ("none", b"")] {
        let header = json!({"alg": algorithm, "kid": "k"}).to_string();
        let message = format!("{}.{}", base64(header), base64(access().to_string()));
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, secret),
            message.as_bytes(),
        );
        for signature in [base64(tag), String::new()] {
            let token = Secret::new(format!("{message}.{signature}"));
            assert!(rules.read(&token).is_ok());
            let unverified = Unverified::decode(&token).unwrap();
            assert_eq!(
                jwt::verify(&token, &unverified, &keys),
                Err(AccessFault::Refused("the key is not for its algorithm")),
                "{algorithm}"
            );
        }
    }
}

#[test]
fn roles_are_at_a_path_and_have_limits() {
    let roles = |path: &[&str], claims: &Value| {
        let mut rules = Rules::new();
        rules.roles_claim = texts(path);
        let token = Private::first().token("k", "RS256", claims);
        rules.read(&token).unwrap().roles
    };
    let mut claims = with("groups", json!(["a", 7, "", {"b": 1}, "c"]));
    claims["resource_access"] = json!({"my.app": {"roles": ["x"]}, "one": {"roles": "y"}});
    assert_eq!(roles(&["groups"], &claims), ["a", "c"]);
    assert_eq!(
        roles(&["resource_access", "my.app", "roles"], &claims),
        ["x"]
    );
    assert_eq!(roles(&["resource_access", "one", "roles"], &claims), ["y"]);
    for path in [
        &["groups", "a"][..],
        &["none"],
        &["sub", "x"],
        &["realm_access"],
        &[],
    ] {
        assert_eq!(roles(path, &claims), [""; 0], "{path:?}");
    }
    let many: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
    assert_eq!(roles(&["groups"], &with("groups", json!(many))).len(), 200);
    let long = json!(["r".repeat(201), "r".repeat(200)]);
    assert_eq!(roles(&["groups"], &with("groups", long)).len(), 1);
}
