//! Tokens taken apart, and tokens of our own.

use ring::hmac;

use super::*;

#[test]
fn a_token_is_shown_without_asking_who_signed_it() {
    let token = Private::first().token("k", "RS256", &json!({"sub": "a\n\u{202e}b", "n": [1]}));
    let shown = Unverified::decode(&token).unwrap();
    assert_eq!(
        shown.header(),
        "{\n  \"alg\": \"RS256\",\n  \"kid\": \"k\",\n  \"typ\": \"JWT\"\n}"
    );
    assert_eq!(
        shown.claims(),
        "{\n  \"n\": [\n    1\n  ],\n  \"sub\": \"a\\n\\u{202e}b\"\n}"
    );
    let long = json!({"long": "x".repeat(10_000), "many": vec![7; 1000]});
    let shown = Unverified::decode(&Private::first().token("k", "RS256", &long)).unwrap();
    assert_eq!(shown.claims().lines().count(), 201);
    assert!(shown.claims().lines().all(|line| line.len() <= 300));
}

#[test]
fn what_is_no_token_is_named() {
    let fault = |text: &str| Unverified::decode(&Secret::new(text.to_owned())).unwrap_err();
    assert_eq!(fault(""), DecodeError::Parts(1));
    assert_eq!(fault("a.b"), DecodeError::Parts(2));
    assert_eq!(fault("a.b.c.d.e"), DecodeError::Parts(5));
    assert_eq!(fault("..."), DecodeError::Parts(4));
    for header in ["", "%%", "bnVsbA", "W10", &base64([0xff])] {
        assert_eq!(fault(&format!("{header}.e30.x")), DecodeError::Header);
        assert_eq!(fault(&format!("e30.{header}.x")), DecodeError::Claims);
    }
    let deep = base64(format!("{{\"a\":{}", "[".repeat(40_000)));
    assert_eq!(fault(&format!("e30.{deep}.x")), DecodeError::Claims);
    let bytes = MAX_TOKEN_BYTES + 1;
    assert_eq!(fault(&"x".repeat(bytes)), DecodeError::TooLarge(bytes));

    let opaque = Secret::new("opaque".to_owned());
    let faults = check(
        &opaque,
        &jwks(&[Private::first().jwk("k")]),
        &EXPECTED,
        at(NOW),
    );
    assert_eq!(faults, [TokenError::Unreadable(DecodeError::Parts(1))]);
}

#[test]
fn a_token_of_our_own_is_short_lived_and_signed_with_hs512() {
    let secret = "0123456789abcdef".repeat(4);
    let token = mint(&Secret::new(secret.clone()), "bot", at(NOW)).unwrap();
    let (message, signature) = token.expose().rsplit_once('.').unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA512, secret.as_bytes());
    let signature = Base64::<UrlSafe>::parse(signature).unwrap();
    hmac::verify(&key, message.as_bytes(), signature.as_bytes()).unwrap();
    let shown = Unverified::decode(&token).unwrap();
    assert_eq!(
        Value::from(shown.header),
        json!({"alg": "HS512", "typ": "JWT"})
    );
    assert_eq!(
        Value::from(shown.claims),
        json!({"sub": "bot", "iat": NOW, "exp": NOW + 300})
    );
}

#[test]
fn a_short_secret_or_a_clock_before_1970_makes_no_token() {
    let secret = Secret::new("x".repeat(63));
    let fault = mint(&secret, "bot", at(NOW)).unwrap_err();
    assert_eq!(fault, MintError::ShortSecret(63));
    assert!(fault.to_string().contains("JWT_SECRET has 63 bytes"));
    let secret = Secret::new("x".repeat(64));
    let early = UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(mint(&secret, "bot", early), Err(MintError::Clock));
}
