//! Tests of the meaning of an answer.

use http::HeaderMap;

use super::*;
use crate::util::Clock;

fn answer(status: u16, body: &str) -> Result<Vec<u8>, Fault> {
    let response = Response {
        status,
        headers: HeaderMap::new(),
        body: body.as_bytes().to_vec(),
        skipped: Default::default(),
        is_cut: false,
        arrived: std::time::SystemTime::UNIX_EPOCH,
    };
    read(response, None)
}

#[test]
fn matrix_errors_are_told_from_a_proxys_pages() {
    assert!(matches!(answer(200, "{}"), Ok(body) if body == b"{}"));
    assert!(matches!(
        answer(502, "<html>"),
        Err(Fault::Broken { status: 502, .. })
    ));
    assert!(matches!(
        answer(404, "<html>"),
        Err(Fault::Broken { status: 404, .. })
    ));
    assert!(matches!(
        answer(302, ""),
        Err(Fault::Broken { status: 302, .. })
    ));
    assert!(matches!(
        answer(403, r#"{"errcode":"M_FORBIDDEN","error":"no"}"#),
        Err(Fault::Refused { status: 403, .. })
    ));
}

/// Optional fields of another kind cost themselves: the code counts.
#[test]
fn an_error_is_read_whatever_its_other_fields_are() {
    for odd in ["null", "[]", "{}", "5", "true", r#""x""#] {
        let body = format!(
            r#"{{"errcode":"M_FORBIDDEN","error":{odd},"retry_after_ms":{odd},"session":{odd},
                "flows":{odd},"flows":null,"soft_logout":{odd}}}"#
        );
        let fault = answer(403, &body).unwrap_err();
        assert!(
            matches!(&fault, Fault::Refused { errcode, .. } if errcode == "M_FORBIDDEN"),
            "{odd}: {fault}"
        );
        let body = format!(r#"{{"errcode":"M_UNKNOWN_TOKEN","error":{odd}}}"#);
        assert!(matches!(
            answer(401, &body),
            Err(Fault::UnknownToken { soft_logout: false })
        ));
    }
    let spelled = r#"{"errcode":"M_UNKNOWN_TOKEN","soft_logout":"true"}"#;
    assert!(matches!(
        answer(401, spelled),
        Err(Fault::UnknownToken { soft_logout: true })
    ));
    for wait in ["1500", "1500.0", r#""1500""#] {
        let body = format!(r#"{{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":{wait}}}"#);
        assert_eq!(
            answer(429, &body).unwrap_err().retry_after(),
            Some(Duration::from_millis(1500)),
            "{wait}"
        );
    }
    let flows =
        r#"{"flows":[null,5,{"stages":["m.login.password"]},{"stages":null}],"session":null}"#;
    assert!(matches!(
        answer(401, flows),
        Err(Fault::Interactive {
            session: None,
            by_password: true
        })
    ));
}

/// Such an answer is a server's that words its errors in another way, or a
/// proxy's: what it says is told.
#[test]
fn an_error_without_a_code_is_told() {
    let said = |body: &str| answer(400, body).unwrap_err().to_string();
    let keys = r#"{"@a:b":{"D":{"Error":"one-time key already exists"}}}"#;
    assert!(
        said(keys).contains("one-time key already exists"),
        "{}",
        said(keys)
    );
    assert_eq!(
        said(r#"{"error":"no\nroute"}"#),
        r"the homeserver answers with status 400 and no error code: no\nroute"
    );
    assert!(said("<html>").ends_with("no Matrix content"));
}

#[test]
fn what_does_not_fit_into_a_request_is_named() {
    let client = Client::new(crate::net::Roots::Mozilla, Clock::stopped()).unwrap();
    let limits = Limits {
        deadline: DEADLINE,
        body: 1,
    };
    let target = format!("/sync?timeout=0&since={}", "x".repeat(70_000));
    let sound = Homeserver::new(client.clone(), "http://localhost".to_owned());
    assert_eq!(
        sound.unsendable(&target, limits).to_string(),
        "the request cannot be sent: since is too long (70000 bytes)"
    );
    let target = format!("/rooms/{}/join", "x".repeat(70_000));
    assert_eq!(
        sound.unsendable(&target, limits).to_string(),
        "the request cannot be sent: a part of its path is too long (70000 bytes)"
    );
    let address = Homeserver::new(client, "localhost".to_owned());
    assert!(matches!(
        address.unsendable("/sync", limits),
        Fault::Unusable(_)
    ));
}

#[test]
fn a_rate_limit_says_when_to_come_back() {
    let fault = answer(
        429,
        r#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":1500}"#,
    );
    assert_eq!(
        fault.unwrap_err().retry_after(),
        Some(Duration::from_millis(1500))
    );
    assert!(matches!(
        answer(429, "slow down"),
        Err(Fault::Limited(None))
    ));
}

#[test]
fn soft_and_hard_logout_are_told_apart() {
    let soft = r#"{"errcode":"M_UNKNOWN_TOKEN","soft_logout":true}"#;
    assert!(matches!(
        answer(401, soft),
        Err(Fault::UnknownToken { soft_logout: true })
    ));
    let hard = r#"{"errcode":"M_UNKNOWN_TOKEN"}"#;
    assert!(matches!(
        answer(401, hard),
        Err(Fault::UnknownToken { soft_logout: false })
    ));
}
