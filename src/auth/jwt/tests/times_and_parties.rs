//! The checks of claims.

use super::*;

fn faults_of(claims: &Value, expected: &Expected<'_>) -> Vec<TokenError> {
    let key = Private::first();
    let token = key.token("k", "RS256", claims);
    check(&token, &jwks(&[key.jwk("k")]), expected, at(NOW))
}

/// The faults of a token with one claim changed, or taken out with `null`.
fn with(claim: &str, value: Value) -> Vec<TokenError> {
    faults_of(&changed(claim, value), &EXPECTED)
}

fn changed(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(claim);
    } else {
        claims[claim] = value;
    }
    claims
}

#[test]
fn times_are_whole_numbers_or_not_and_clocks_may_differ_by_a_minute() {
    assert_eq!(with("exp", json!(NOW - 60)), []);
    assert_eq!(with("exp", json!(NOW as f64 + 0.5)), []);
    assert_eq!(with("exp", json!(1.8e9)), []);
    assert_eq!(
        with("exp", json!(NOW - 61)),
        [TokenError::Expired(Duration::from_secs(61))]
    );
    for claim in ["nbf", "iat"] {
        assert_eq!(with(claim, json!(NOW + 60)), []);
        assert_eq!(with(claim, Value::Null), []);
        assert_eq!(
            with(claim, json!(NOW + 7200)),
            [TokenError::NotYetValid {
                claim,
                ahead: Duration::from_secs(7200)
            }]
        );
    }
    assert_eq!(with("exp", Value::Null), [TokenError::Missing("exp")]);
}

#[test]
fn a_claim_of_a_wrong_type_is_never_passed_over() {
    let wrong = |claim: &str, expected| {
        vec![TokenError::WrongType {
            claim: claim.to_owned(),
            expected,
        }]
    };
    let time = "a number of seconds since 1970";
    for claim in ["exp", "nbf", "iat"] {
        for value in [
            json!("1800000300"),
            json!(-1),
            json!(1e300),
            json!([NOW]),
            json!(true),
        ] {
            assert_eq!(with(claim, value.clone()), wrong(claim, time), "{value}");
        }
    }
    for claim in ["iss", "azp", "sub", "preferred_username"] {
        for value in [json!(7), json!([ISSUER]), json!({})] {
            assert_eq!(
                with(claim, value.clone()),
                wrong(claim, "a text"),
                "{value}"
            );
        }
    }
    for value in [json!(7), json!({}), json!(["account", 7])] {
        let texts = "a text or a list of texts";
        assert_eq!(with("aud", value.clone()), wrong("aud", texts), "{value}");
    }
    let mut claims = claims();
    claims["exp"] = Value::Null;
    assert_eq!(faults_of(&claims, &EXPECTED), wrong("exp", time));
}

#[test]
fn issuer_audience_and_client_are_compared_where_they_are_expected() {
    assert_eq!(
        with("iss", json!("http://kc.example/realms/r")),
        [TokenError::Issuer {
            found: "http://kc.example/realms/r".to_owned(),
            expected: ISSUER.to_owned()
        }]
    );
    assert_eq!(with("iss", Value::Null), [TokenError::Missing("iss")]);

    let expected = Expected {
        audience: Some("matrix"),
        authorized_party: Some("client"),
        ..EXPECTED
    };
    for good in [json!("matrix"), json!(["account", "matrix"])] {
        assert_eq!(faults_of(&changed("aud", good), &expected), []);
    }
    for (bad, found) in [
        (json!("account"), vec!["account".to_owned()]),
        (json!([]), Vec::new()),
        (Value::Null, Vec::new()),
    ] {
        assert_eq!(
            faults_of(&changed("aud", bad), &expected),
            [TokenError::Audience {
                found,
                expected: "matrix".to_owned()
            }]
        );
    }
    let mut claims = changed("azp", json!("other"));
    claims["aud"] = json!("matrix");
    assert_eq!(
        faults_of(&claims, &expected),
        [TokenError::AuthorizedParty {
            found: Some("other".to_owned()),
            expected: "client".to_owned()
        }]
    );
}

#[test]
fn the_user_is_in_the_claim_that_is_named() {
    let user = |claim: &str, found: Option<&str>| {
        let (claim, expected) = (claim.to_owned(), "bot".to_owned());
        vec![match found.map(str::to_owned) {
            None => TokenError::NoUser { claim, expected },
            Some(found) => TokenError::OtherUser {
                claim,
                found,
                expected,
            },
        }]
    };
    let claim = "preferred_username";
    assert_eq!(with(claim, json!("bob")), user(claim, Some("bob")));
    assert_eq!(with(claim, Value::Null), user(claim, None));
    for claim in ["sub", "matrix_id"] {
        let expected = Expected {
            user_claim: claim,
            ..EXPECTED
        };
        assert_eq!(faults_of(&changed(claim, json!("bot")), &expected), []);
        assert_eq!(
            faults_of(&changed(claim, json!("x")), &expected),
            user(claim, Some("x"))
        );
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once_and_each_names_party_and_cure() {
    let (one, two) = (Private::first(), Private::second());
    let bad = json!({
        "iss": "x\u{1b}", "exp": NOW - 200_000, "nbf": NOW + 90, "iat": NOW + 600,
        "aud": ["a", "b", "c", "d", "e", "f"], "azp": "y", "preferred_username": "z", "sub": 7,
    });
    let expected = Expected {
        audience: Some("matrix"),
        authorized_party: Some("client"),
        ..EXPECTED
    };
    let token = two.token("k", "RS256", &bad);
    let said: Vec<String> = check(&token, &jwks(&[one.jwk("k")]), &expected, at(NOW))
        .iter()
        .map(ToString::to_string)
        .collect();
    let parts = [
        "signature is not of the realm's key: something between Keycloak and this program",
        "expired 2 days ago: compare the clocks of this machine and of Keycloak's",
        "nbf is 90 s in the future: the clock of this machine is slow",
        "iat is 10 min in the future",
        r#"issuer is "x\u{1b}" and not "https://kc.example/realms/r": if the former"#,
        r#"audience is "a", "b", "c", "d", "e", … and not "matrix": add an audience mapper"#,
        r#"issued to the client "y" and not to "client": check KEYCLOAK_CLIENT_ID"#,
        r#"claim "sub" is not a text: correct the mapper in Keycloak"#,
        r#""preferred_username" is "z" and not "bot": set MATRIX_USER"#,
    ];
    assert_eq!(said.len(), parts.len(), "{said:#?}");
    for (said, part) in said.iter().zip(parts) {
        assert!(said.contains(part), "{said}");
        assert!(!said.contains('\n') && !said.ends_with('.'), "{said}");
    }
}
