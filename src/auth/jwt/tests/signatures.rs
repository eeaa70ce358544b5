//! The checks of signatures.

use std::thread;

use ring::hmac;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING};

use super::*;

fn faults(token: &Secret, keys: &Jwks) -> Vec<TokenError> {
    check(token, keys, &EXPECTED, at(NOW))
}

fn algorithm(found: &str) -> Vec<TokenError> {
    vec![TokenError::Algorithm(found.to_owned())]
}

#[test]
fn every_public_algorithm_is_checked() {
    let kinds = [
        (
            Private::first(),
            &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..],
        ),
        (Private::ec(&ECDSA_P256_SHA256_FIXED_SIGNING), &["ES256"]),
        (Private::ec(&ECDSA_P384_SHA384_FIXED_SIGNING), &["ES384"]),
        (Private::ed(), &["EdDSA"]),
    ];
    for (key, algorithms) in kinds {
        let keys = jwks(&[key.jwk("k")]);
        for algorithm in algorithms {
            let token = key.token("k", algorithm, &claims());
            assert_eq!(faults(&token, &keys), [], "{algorithm}");
            let mut other = claims();
            other["admin"] = json!(true);
            let (head, signature) = token.expose().rsplit_once('.').unwrap();
            let head = head.split_once('.').unwrap().0;
            let forged = format!("{head}.{}.{signature}", base64(other.to_string()));
            let found = faults(&Secret::new(forged), &keys);
            assert_eq!(found, [TokenError::BadSignature], "{algorithm}");
        }
    }
}

#[test]
fn the_key_decides_which_algorithms_fit() {
    let key = Private::first();
    let keys = jwks(&[key.jwk("k")]);
    for named in [
        "none", "None", "", "ES256", "EdDSA", "HS256", "HS512", "RS1",
    ] {
        let token = key.token("k", named, &claims());
        assert_eq!(faults(&token, &keys), algorithm(named), "{named}");
    }
    // The header's word does not change how the signature is checked.
    let header = json!({"alg": "RS512", "kid": "k"});
    let token = key.sign(&header, "RS256", &claims());
    assert_eq!(faults(&token, &keys), [TokenError::BadSignature]);

    let mut bound = key.jwk("k");
    bound["alg"] = json!("RS512");
    let token = key.token("k", "RS256", &claims());
    assert_eq!(faults(&token, &jwks(&[bound])), algorithm("RS256"));
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let key = Private::first();
    let mut jwk = key.jwk("k");
    for kty in ["RSA", "oct"] {
        jwk["kty"] = json!(kty);
        jwk["k"] = jwk["n"].clone();
        let keys = jwks(&[jwk.clone(), Private::second().jwk("other")]);
        let head = json!({"alg": "HS512", "kid": "k"}).to_string();
        let message = format!("{}.{}", base64(head), base64(claims().to_string()));
        for secret in [jwk["n"].as_str().unwrap().as_bytes(), b""] {
            let tag = hmac::sign(
                &hmac::Key::new(hmac::HMAC_SHA512, secret),
                message.as_bytes(),
            );
            let token = Secret::new(format!("{message}.{}", base64(tag)));
            assert_eq!(faults(&token, &keys), algorithm("HS512"));
        }
    }
}

#[test]
fn the_key_is_the_one_of_the_id() {
    let (one, two) = (Private::first(), Private::second());
    let keys = jwks(&[one.jwk("one"), two.jwk("two")]);
    assert_eq!(faults(&two.token("two", "RS256", &claims()), &keys), []);
    assert_eq!(
        faults(&two.token("one", "RS256", &claims()), &keys),
        [TokenError::BadSignature]
    );
    assert_eq!(
        faults(&one.token("three", "RS256", &claims()), &keys),
        [TokenError::UnknownKey("three".to_owned())]
    );
    let nameless = two.sign(&json!({"alg": "RS256"}), "RS256", &claims());
    assert_eq!(faults(&nameless, &keys), []);
    let twice = jwks(&[one.jwk("same"), two.jwk("same")]);
    assert_eq!(faults(&two.token("same", "RS256", &claims()), &twice), []);
}

#[test]
fn broken_signatures_are_bad_ones() {
    let key = Private::first();
    let keys = jwks(&[key.jwk("k")]);
    let token = key.token("k", "RS256", &claims());
    let message = token.expose().rsplit_once('.').unwrap().0;
    for signature in ["", "!", "AAAA", &"A".repeat(342), &"A".repeat(20_000)] {
        let token = Secret::new(format!("{message}.{signature}"));
        assert_eq!(faults(&token, &keys), [TokenError::BadSignature]);
    }
    let point = jwks(&[json!({"kty": "EC", "kid": "k", "crv": "P-256", "x": "AAAA", "y": ""})]);
    let token = key.token("k", "ES256", &claims());
    assert_eq!(faults(&token, &point), [TokenError::BadSignature]);
}

#[test]
fn keys_for_other_uses_and_of_other_kinds_are_passed_over() {
    let key = Private::first();
    let token = key.token("k", "RS256", &claims());
    let mut encrypts = key.jwk("k");
    encrypts["use"] = json!("enc");
    let odd = [
        json!(7),
        json!({"kty": "RSA"}),
        json!({"kid": "k"}),
        json!({"kty": "AKP", "kid": "pq", "pub": "x"}),
        json!({"kty": "RSA", "kid": 7, "n": [], "e": null}),
    ];
    let keys = jwks(&[&odd[..], &[encrypts.clone(), Private::second().jwk("x")]].concat());
    assert_eq!(
        faults(&token, &keys),
        [TokenError::UnknownKey("k".to_owned())]
    );
    let keys = jwks(&[&odd[..], &[encrypts.clone(), key.jwk("k")]].concat());
    assert_eq!(faults(&token, &keys), []);

    let useless = [&odd[..], &[encrypts]].concat();
    let none = json!({ "keys": useless }).to_string();
    assert_eq!(Jwks::parse(none.as_bytes()).unwrap_err(), JwksError::Empty);
}

#[test]
fn rsa_keys_have_2048_to_8192_bits() {
    let parse = |bytes: &[u8]| {
        let jwk = json!({"kty": "RSA", "kid": "k", "n": base64(bytes), "e": "AQAB"});
        Jwks::parse(json!({"keys": [jwk]}).to_string().as_bytes()).map(|_| ())
    };
    let of = |first: u8, length: usize| {
        let mut bytes = vec![1; length];
        bytes[0] = first;
        bytes
    };
    assert_eq!(parse(&of(0x80, 256)), Ok(()));
    assert_eq!(parse(&of(0xff, 1024)), Ok(()));
    for bad in [
        of(0x7f, 256),
        of(1, 1025),
        of(0xff, 128),
        vec![],
        vec![0; 300],
    ] {
        assert_eq!(parse(&bad), Err(JwksError::Empty));
    }
    // The sign's byte of a number is not counted and not in the way.
    let key = Private::first();
    let mut jwk = key.jwk("k");
    let n = Base64::<UrlSafe>::parse(jwk["n"].as_str().unwrap()).unwrap();
    jwk["n"] = json!(base64([&[0], n.as_bytes()].concat()));
    let token = key.token("k", "RS256", &claims());
    assert_eq!(faults(&token, &jwks(&[jwk])), []);
}

#[test]
fn key_sets_have_limits() {
    let parse = |text: &str| Jwks::parse(text.as_bytes()).map(|_| ()).unwrap_err();
    for text in ["", "[]", "{}", "null", r#"{"keys":{}}"#, r#"{"keys":[}"#] {
        assert_eq!(parse(text), JwksError::Malformed, "{text}");
    }
    let many = vec![Private::first().jwk("k"); MAX_KEYS + 1];
    let text = |keys: &[Value]| json!({ "keys": keys }).to_string();
    assert_eq!(parse(&text(&many)), JwksError::TooMany(MAX_KEYS + 1));
    assert!(Jwks::parse(text(&many[1..]).as_bytes()).is_ok());
    let padded = format!("{}{}", text(&many[1..]), " ".repeat(MAX_JWKS_BYTES));
    assert_eq!(parse(&padded), JwksError::TooLarge);
}

#[test]
fn any_thread_can_be_the_first_to_use_a_key() {
    let key = Private::first();
    let keys = jwks(&[key.jwk("k")]);
    let token = key.token("k", "RS256", &claims());
    let secret = Secret::new("s".repeat(64));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(faults(&token, &keys), []));
            scope.spawn(|| mint(&secret, "bot", at(NOW)).unwrap());
        }
    });
}
