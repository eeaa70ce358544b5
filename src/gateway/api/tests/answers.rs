//! Answers about targets, and problems.

use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};

use super::{full_view, name, now, view};
use crate::control::access::Access;
use crate::gateway::api::answer::{Detail, list, target};
use crate::gateway::api::problem::{Kind, Problem};
use crate::gateway::auth::AuthFault;
use crate::gateway::wake::{Phase, Refusal};

#[test]
fn an_answer_tells_of_a_target_what_its_reader_may_know() {
    let now = now();
    let worker = name("worker");
    let full = full_view(now);
    for (view, detail, expected) in [
        (&full, Detail::Name, r#"{"name":"worker"}"#),
        (
            &full,
            Detail::Phase,
            r#"{"name":"worker","phase":"ready","since":"2026-11-21T11:58:30.000Z","replicas":2,"ready":1}"#,
        ),
        (
            &full,
            Detail::All,
            r#"{"name":"worker","phase":"ready","since":"2026-11-21T11:58:30.000Z","reason":"image \"x\"\ncannot be pulled","replicas":2,"ready":1,"startedBy":"sa:ci/runner","sleepsIn":1799,"keepUntil":"2026-11-21T12:00:00.500Z"}"#,
        ),
        (
            &view(Phase::Off, now),
            Detail::All,
            r#"{"name":"worker","phase":"off","since":"2026-11-21T11:58:30.000Z","ready":0}"#,
        ),
    ] {
        assert_eq!(target(&worker, view, now, detail), expected);
    }
    for (phase, word) in [
        (Phase::Off, "off"),
        (Phase::Starting, "starting"),
        (Phase::Ready, "ready"),
        (Phase::Stopping, "stopping"),
        (Phase::Failed, "failed"),
    ] {
        let json = target(&worker, &view(phase, now), now, Detail::Phase);
        assert!(json.contains(&format!("\"phase\":\"{word}\"")), "{json}");
    }
    assert_eq!(list(&[]), r#"{"targets":[]}"#);
    let two = ["{}".to_owned(), r#"{"name":"b"}"#.to_owned()];
    assert_eq!(list(&two), r#"{"targets":[{},{"name":"b"}]}"#);
}

/// Status, kind and detail of a problem, with its headers beside those that all have.
fn shown(problem: &Problem) -> (u16, &'static str, String, Vec<String>) {
    let answer = problem.response();
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
    assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
    assert_eq!(answer.status().as_u16(), problem.status());
    let extra = [WWW_AUTHENTICATE, ALLOW, RETRY_AFTER]
        .iter()
        .filter_map(|name| {
            Some(format!(
                "{name}: {}",
                answer.headers().get(name)?.to_str().unwrap()
            ))
        })
        .collect();
    (
        problem.status(),
        problem.slug(),
        problem.detail.clone().into_owned(),
        extra,
    )
}

#[test]
fn each_reason_has_its_status_and_headers() {
    let limit = Duration::from_secs(7_200);
    for (problem, status, slug, detail, headers) in [
        (
            Problem::nobody(),
            401,
            "unauthorized",
            "show a bearer token",
            &["www-authenticate: Bearer"][..],
        ),
        (
            Problem::of_credential(AuthFault::Unauthorized("another audience")),
            401,
            "unauthorized",
            "the token is not taken",
            &["www-authenticate: Bearer error=\"invalid_token\""],
        ),
        (
            Problem::of_credential(AuthFault::TooMany),
            429,
            "too-many",
            "too many tokens from your address were refused",
            &["retry-after: 10"],
        ),
        (
            Problem::of_credential(AuthFault::Unavailable),
            503,
            "unchecked",
            "the API server or the identity provider does not answer",
            &["retry-after: 5"],
        ),
        (
            Problem::of_access(Access::Denied).unwrap(),
            403,
            "forbidden",
            "none of your roles allows this",
            &[],
        ),
        (
            Problem::of_access(Access::TooMany(3)).unwrap(),
            403,
            "forbidden",
            "at most 3 replicas may be asked for",
            &[],
        ),
        (
            Problem::of_access(Access::TooLong(limit)).unwrap(),
            403,
            "forbidden",
            "at most 2 h may be asked for",
            &[],
        ),
        (
            Problem::new(Kind::Method("GET"), "ask this path by GET"),
            405,
            "method",
            "ask this path by GET",
            &["allow: GET"],
        ),
        (
            Problem::of_refusal(Refusal::Refused("switched off by a person".to_owned())),
            409,
            "refused",
            "switched off by a person",
            &[],
        ),
        (
            Problem::of_refusal(Refusal::Impossible(
                "the gateway has no right to".to_owned(),
            )),
            500,
            "impossible",
            "the gateway has no right to",
            &[],
        ),
        (
            Problem::of_refusal(Refusal::Unavailable),
            503,
            "unavailable",
            "the API server of the cluster does not answer",
            &["retry-after: 5"],
        ),
    ] {
        let headers = headers.iter().map(|&header| header.to_owned()).collect();
        assert_eq!(shown(&problem), (status, slug, detail.to_owned(), headers));
    }
    assert_eq!(Problem::of_access(Access::Granted), None);
}

#[test]
fn hidden_and_unknown_are_the_same_to_the_byte() {
    let hidden = Problem::of_access(Access::Hidden).unwrap();
    let unknown = Problem::not_found();
    assert_eq!(hidden, unknown);
    assert_eq!(
        unknown.json(),
        r#"{"type":"urn:openclaw-gateway:not-found","title":"There is no such thing","status":404,"detail":"no such path or target, or none that you may see"}"#
    );
    assert_eq!(hidden.response().headers(), unknown.response().headers());
}

#[test]
fn a_problem_says_when_to_come_again() {
    assert_eq!(
        Problem::of_refusal(Refusal::Unavailable).json(),
        r#"{"type":"urn:openclaw-gateway:unavailable","title":"The cluster cannot be asked","status":503,"detail":"the API server of the cluster does not answer","retryAfter":5}"#
    );
}
