//! The bodies of requests.

use std::time::Duration;

use super::NOON_MS;
use crate::gateway::api::body::{change, media_type};
use crate::gateway::api::problem::Kind;
use crate::gateway::api::route::{MAX_WAIT, Operation};
use crate::gateway::wake::Change;

fn start(replicas: Option<i32>, minutes: Option<u64>) -> Change {
    Change::Start {
        replicas,
        run_for: minutes.map(|minutes| Duration::from_secs(60 * minutes)),
    }
}

#[test]
fn a_body_says_what_is_to_be_changed() {
    for (operation, body, expected) in [
        (Operation::Start, "", start(None, None)),
        (Operation::Start, "{}", start(None, None)),
        (Operation::Start, " {\n} ", start(None, None)),
        (Operation::Start, r#"{"replicas":3}"#, start(Some(3), None)),
        (
            Operation::Start,
            r#"{"for":"2h30m"}"#,
            start(None, Some(150)),
        ),
        (
            Operation::Start,
            r#"{"for":"90m","replicas":1}"#,
            start(Some(1), Some(90)),
        ),
        (
            Operation::Start,
            r#"{"until":"2026-11-21T14:00:00+01:00"}"#,
            start(None, Some(60)),
        ),
        (
            Operation::Start,
            r#"{"\u0066or":"1d"}"#,
            start(None, Some(1_440)),
        ),
        (Operation::Stop, "", Change::Stop),
        (Operation::Stop, "{}", Change::Stop),
        (Operation::Scale, r#"{"replicas":0}"#, Change::Scale(0)),
        (
            Operation::Scale,
            r#"{"replicas":2147483647}"#,
            Change::Scale(i32::MAX),
        ),
    ] {
        let read = change(operation, body.as_bytes(), NOON_MS);
        assert_eq!(read, Ok(Some(expected)), "{operation:?} {body}");
    }
    for operation in [Operation::Status, Operation::Wait(MAX_WAIT)] {
        assert_eq!(change(operation, b"", NOON_MS), Ok(None));
        assert!(change(operation, b"{}", NOON_MS).is_err());
    }
}

#[test]
fn what_is_wrong_with_a_body_is_said_by_name() {
    let (start, stop, scale) = (Operation::Start, Operation::Stop, Operation::Scale);
    const NO_COUNT: &str = "\"replicas\" has to be a whole number, at least 1";
    const NO_NUMBER: &str = "\"replicas\" has to be a whole number";
    const NO_LENGTH: &str = "\"for\" has to be from 1m to 366d, such as 90m or 2h";
    const NO_TIME: &str = "\"until\" has to be such as 2026-11-21T18:00:00Z";
    const BOTH: &str = "\"until\" and \"for\" exclude each other";
    for (operation, body, said) in [
        (start, "x", "the body is not JSON"),
        (start, "{", "the body is not JSON"),
        (start, "{}{}", "the body is not JSON"),
        (start, "{\"replicas\":01}", "the body is not JSON"),
        (start, "[]", "the body is not a JSON object"),
        (start, "null", "the body is not a JSON object"),
        (start, "3", "the body is not a JSON object"),
        (
            start,
            r#"{"replica":3}"#,
            "there is no member \"replica\" here",
        ),
        (
            start,
            r#"{"Replicas":3}"#,
            "there is no member \"Replicas\" here",
        ),
        (start, r#"{"":3}"#, "there is no member \"\" here"),
        (start, r#"{"a\nb":3}"#, r#"there is no member "a\nb" here"#),
        (
            start,
            r#"{"__proto__":{}}"#,
            "there is no member \"__proto__\" here",
        ),
        (
            stop,
            r#"{"replicas":3}"#,
            "there is no member \"replicas\" here",
        ),
        (
            scale,
            r#"{"replicas":3,"for":"2h"}"#,
            "there is no member \"for\" here",
        ),
        (
            start,
            r#"{"replicas":1,"replicas":2}"#,
            "\"replicas\" is there twice",
        ),
        (
            start,
            r#"{"for":"2h","\u0066or":"3h"}"#,
            "\"for\" is there twice",
        ),
        (
            start,
            r#"{"for":"2h","until":"2026-11-21T14:00:00Z"}"#,
            BOTH,
        ),
        (
            start,
            r#"{"until":"2026-11-21T14:00:00Z","for":"2h"}"#,
            BOTH,
        ),
        (start, r#"{"replicas":0}"#, NO_COUNT),
        (start, r#"{"replicas":-1}"#, NO_COUNT),
        (start, r#"{"replicas":1.0}"#, NO_COUNT),
        (start, r#"{"replicas":1e3}"#, NO_COUNT),
        (start, r#"{"replicas":2147483648}"#, NO_COUNT),
        (start, r#"{"replicas":"3"}"#, NO_COUNT),
        (start, r#"{"replicas":null}"#, NO_COUNT),
        (scale, r#"{"replicas":-1}"#, NO_NUMBER),
        (scale, r#"{"replicas":[3]}"#, NO_NUMBER),
        (scale, "{}", "\"replicas\" is missing"),
        (scale, "", "\"replicas\" is missing"),
        (start, r#"{"for":90}"#, "\"for\" has to be a text"),
        (
            start,
            r#"{"until":1795262400}"#,
            "\"until\" has to be a text",
        ),
        (start, r#"{"for":"\ud800"}"#, "\"for\" has to be a text"),
        (start, r#"{"for":"90"}"#, NO_LENGTH),
        (start, r#"{"for":"30s"}"#, NO_LENGTH),
        (start, r#"{"for":"367d"}"#, NO_LENGTH),
        (start, r#"{"for":""}"#, NO_LENGTH),
        (start, r#"{"until":"18:00"}"#, NO_TIME),
        (start, r#"{"until":"2026-11-21"}"#, NO_TIME),
        (
            start,
            r#"{"until":"2026-11-21T12:00:00Z"}"#,
            "\"until\" is over",
        ),
        (
            start,
            r#"{"until":"1970-01-01T00:00:00Z"}"#,
            "\"until\" is over",
        ),
        (
            start,
            r#"{"until":"2027-11-23T12:00:00Z"}"#,
            "\"until\" is more than 366 days ahead",
        ),
    ] {
        let problem = change(operation, body.as_bytes(), NOON_MS).unwrap_err();
        assert_eq!(problem.kind, Kind::Malformed, "{body}");
        assert_eq!(problem.detail, said, "{body}");
    }
    assert!(change(start, b"{\"for\":\"\xff\"}", NOON_MS).is_err());
    // Deeper than any parser's stack, and as long as a body can be.
    let deep = "[".repeat(4_096);
    assert!(change(start, deep.as_bytes(), NOON_MS).is_err());
    let deep = format!("{{\"for\":{}", "[".repeat(4_000));
    assert!(change(start, deep.as_bytes(), NOON_MS).is_err());
    let long = format!("{{\"{}\":1}}", "ä".repeat(2_000));
    let problem = change(start, long.as_bytes(), NOON_MS).unwrap_err();
    assert!(problem.detail.len() < 80, "{}", problem.detail);
}

#[test]
fn a_body_is_json_by_its_media_type() {
    for good in [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON ; x=y",
    ] {
        assert_eq!(media_type(Some(good.as_bytes())), Ok(()), "{good}");
    }
    for bad in [
        "",
        "text/plain",
        "text/json",
        "application/jsonx",
        "application/x-www-form-urlencoded",
        "application/json, text/plain",
        "application/merge-patch+json",
        "*/*",
    ] {
        let problem = media_type(Some(bad.as_bytes())).unwrap_err();
        assert_eq!(problem.kind, Kind::MediaType, "{bad}");
    }
    assert!(media_type(None).is_err());
}
