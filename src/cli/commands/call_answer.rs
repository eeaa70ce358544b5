//! The answers of the gateway: what follows from them, and in words for people.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use crate::cli::{CallFault, CallFaultKind};
use crate::control::time::describe_duration;
use crate::util::printable;

/// The longest sentence of the gateway that is shown, in bytes.
const MAX_SHOWN: usize = 300;

/// The consequence of an answer.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// It was done, and this is how it is now.
    Done(Value),
    /// It is not ready yet, and this is how it is now.
    NotYet(Value),
    /// The token is not taken: there may be a newer one in its file.
    NewToken(CallFault),
    /// It is worth another try, after this time if the gateway says one.
    Again(CallFault, Option<Duration>),
    /// It was not done.
    Not(CallFault),
}

/// The consequence of an answer of this status, with this `Retry-After` and this body.
pub(super) fn step(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Step {
    let said: Option<Value> = serde_json::from_slice(body).ok().filter(Value::is_object);
    let fault = match (status, said) {
        (200, Some(said)) => return Step::Done(said),
        (202, Some(said)) => return Step::NotYet(said),
        (_, said) => CallFault {
            kind: kind(status),
            sentence: sentence(status, said.as_ref()),
            said,
        },
    };
    match status {
        401 => Step::NewToken(fault),
        408 | 429 | 502..=504 => Step::Again(fault, retry_after),
        _ => Step::Not(fault),
    }
}

/// The kind of a status that is no success.
const fn kind(status: u16) -> CallFaultKind {
    match status {
        401 | 403 | 404 => CallFaultKind::NotAllowed,
        409 | 500 => CallFaultKind::Failed,
        408 | 429 | 503 => CallFaultKind::Timeout,
        400 | 405..=499 => CallFaultKind::Usage,
        _ => CallFaultKind::Unreachable,
    }
}

/// The content of an answer that is no success.
fn sentence(status: u16, said: Option<&Value>) -> String {
    let detail = said.map_or("", |said| text(said, "detail"));
    match (status, detail) {
        (300..=399, _) => {
            format!("the URL is not the gateway's own: it leads elsewhere ({status})")
        }
        (..=299, _) => format!("the URL is not the gateway's: its answer is another ({status})"),
        (_, "") => format!("the gateway answered {status} and not why"),
        (_, detail) => format!("{} ({status})", printable(detail, MAX_SHOWN)),
    }
}

/// A number of an answer, if it is in there.
pub(super) fn number(said: &Value, name: &str) -> Option<u64> {
    said.get(name).and_then(Value::as_u64)
}

/// The lines for people about an answer: one for each target.
pub(super) fn lines(said: &Value) -> String {
    let Some(targets) = said.get("targets").and_then(Value::as_array) else {
        return line(said) + "\n";
    };
    if targets.is_empty() {
        return "no targets\n".to_owned();
    }
    targets.iter().map(|target| line(target) + "\n").collect()
}

/// The line about a target: `worker: ready, 1 of 1`.
pub(super) fn line(target: &Value) -> String {
    let shown = |name| printable(text(target, name), MAX_SHOWN);
    let number = |name| number(target, name);
    let mut line = shown("name");
    // Writing into a string cannot fail.
    if !text(target, "phase").is_empty() {
        let _ = write!(line, ": {}", shown("phase"));
    }
    match (number("ready"), number("replicas")) {
        (Some(0), Some(0) | None) | (None, _) => {}
        (Some(ready), Some(0)) => {
            let _ = write!(line, ", {ready} left");
        }
        (Some(ready), Some(replicas)) => {
            let _ = write!(line, ", {ready} of {replicas}");
        }
        (Some(ready), None) => {
            let _ = write!(line, ", {ready}");
        }
    }
    if !text(target, "keepUntil").is_empty() {
        let _ = write!(line, ", until {}", shown("keepUntil"));
    } else if let Some(seconds) = number("sleepsIn") {
        let left = describe_duration(Duration::from_secs(seconds));
        let _ = write!(line, ", sleeps in {left} unless it is used");
    }
    if !text(target, "reason").is_empty() {
        let _ = write!(line, ": {}", shown("reason"));
    }
    line
}

/// A text of an object; empty if there is none.
fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_follows_from_a_status() {
        use CallFaultKind::{Failed, NotAllowed, Timeout, Unreachable, Usage};
        for (status, expected) in [
            (400, Usage),
            (401, NotAllowed),
            (403, NotAllowed),
            (404, NotAllowed),
            (405, Usage),
            (408, Timeout),
            (409, Failed),
            (413, Usage),
            (415, Usage),
            (429, Timeout),
            (500, Failed),
            (502, Unreachable),
            (503, Timeout),
            (504, Unreachable),
            (301, Unreachable),
            (204, Unreachable),
            (511, Unreachable),
        ] {
            let body = br#"{"detail":"because\n of this","status":1}"#;
            let after = Some(Duration::from_secs(7));
            let (fault, is_new_token, again) = match step(status, after, body) {
                Step::NewToken(fault) => (fault, true, None),
                Step::Again(fault, after) => (fault, false, Some(after)),
                Step::Not(fault) => (fault, false, None),
                other => panic!("{status}: {other:?}"),
            };
            assert_eq!(fault.kind, expected, "{status}");
            assert_eq!(is_new_token, status == 401);
            let is_again = matches!(status, 408 | 429 | 502 | 503 | 504);
            assert_eq!(again, is_again.then_some(after), "{status}");
            if status >= 400 {
                assert_eq!(fault.to_string(), format!("because\\n of this ({status})"));
            }
            assert_eq!(fault.json(), r#"{"detail":"because\n of this","status":1}"#);
        }
        let said = json!({"name": "worker"});
        let body = said.to_string();
        assert_eq!(step(200, None, body.as_bytes()), Step::Done(said.clone()));
        assert_eq!(step(202, None, body.as_bytes()), Step::NotYet(said));
    }

    #[test]
    fn an_answer_of_something_else_is_none_of_the_gateway() {
        for (status, body, said) in [
            (
                200,
                "<html>",
                "the URL is not the gateway's: its answer is another (200)",
            ),
            (
                200,
                "[]",
                "the URL is not the gateway's: its answer is another (200)",
            ),
            (
                202,
                "",
                "the URL is not the gateway's: its answer is another (202)",
            ),
            (
                302,
                "",
                "the URL is not the gateway's own: it leads elsewhere (302)",
            ),
            (404, "<html>", "the gateway answered 404 and not why"),
            (
                403,
                r#"{"detail":3}"#,
                "the gateway answered 403 and not why",
            ),
        ] {
            let Step::Not(fault) = step(status, None, body.as_bytes()) else {
                panic!("{status} {body}");
            };
            assert_eq!(fault.to_string(), said);
        }
        let long = json!({"detail": "x".repeat(100_000)}).to_string();
        let Step::Not(fault) = step(409, None, long.as_bytes()) else {
            panic!();
        };
        assert!(fault.to_string().len() < 400);
    }

    #[test]
    fn a_target_in_a_line() {
        for (target, line) in [
            (
                json!({"name": "worker", "phase": "ready", "replicas": 1, "ready": 1}),
                "worker: ready, 1 of 1",
            ),
            (
                json!({"name": "worker", "phase": "starting", "replicas": 3, "ready": 0}),
                "worker: starting, 0 of 3",
            ),
            (
                json!({"name": "worker", "phase": "off", "replicas": 0, "ready": 0}),
                "worker: off",
            ),
            (
                json!({"name": "worker", "phase": "off", "ready": 0}),
                "worker: off",
            ),
            (
                json!({"name": "worker", "phase": "ready", "ready": 2}),
                "worker: ready, 2",
            ),
            (
                json!({
                    "name": "worker", "phase": "ready", "replicas": 1, "ready": 1,
                    "sleepsIn": 1799
                }),
                "worker: ready, 1 of 1, sleeps in 30 min unless it is used",
            ),
            (
                json!({
                    "name": "worker", "phase": "ready", "replicas": 1, "ready": 1,
                    "sleepsIn": 1799, "keepUntil": "2026-11-21T18:00:00.000Z"
                }),
                "worker: ready, 1 of 1, until 2026-11-21T18:00:00.000Z",
            ),
            (
                json!({
                    "name": "worker", "phase": "failed", "replicas": 1, "ready": 0,
                    "reason": "no image\u{1b}[2J"
                }),
                "worker: failed, 0 of 1: no image\\u{1b}[2J",
            ),
            (json!({"name": "worker"}), "worker"),
        ] {
            assert_eq!(super::line(&target), line);
            let list = json!({"targets": [target, {"name": "b"}]});
            assert_eq!(lines(&list), format!("{line}\nb\n"));
        }
        assert_eq!(lines(&json!({"targets": []})), "no targets\n");
    }
}
