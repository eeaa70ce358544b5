//! `docs/openapi.json` describes what the API does, and nothing else.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use super::validate::{faults, resolve};
use super::{NOON_MS, full_view, name, now, view};
use crate::gateway::api::answer::{Detail, list, target};
use crate::gateway::api::body::change;
use crate::gateway::api::caller::DESCRIPTION;
use crate::gateway::api::problem::{Kind, Problem};
use crate::gateway::api::route::{Operation, Route, route};
use crate::gateway::wake::Phase;

/// The largest description that is served, in bytes: it is a part of the program.
const MOST: usize = 8 * 1024;

const KINDS: [Kind; 15] = [
    Kind::Malformed,
    Kind::Unauthorized(false),
    Kind::Unauthorized(true),
    Kind::Forbidden,
    Kind::NotFound,
    Kind::Method("GET"),
    Kind::Slow,
    Kind::TooLarge,
    Kind::MediaType,
    Kind::Refused,
    Kind::Failed,
    Kind::TooMany,
    Kind::Impossible,
    Kind::Unchecked,
    Kind::Unavailable,
];

fn document() -> Value {
    serde_json::from_str(DESCRIPTION).unwrap()
}

/// The operations that are described: method, path, description.
fn operations(document: &Value) -> Vec<(Method, String, &Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (key, operation) in item.as_object().unwrap() {
            if key != "parameters" {
                let method = key.to_ascii_uppercase().parse().unwrap();
                operations.push((method, path.clone(), operation));
            }
        }
    }
    operations
}

/// The operations of a described path.
fn routed(method: &Method, path: &str) -> Route {
    let path = path.replace("{target}", "worker");
    route(method, &path, None).unwrap_or_else(|problem| panic!("{path}: {problem:?}"))
}

/// True if a problem of this kind can come of a request that has this route. Paths that are
/// none and methods that are others belong to no operation.
fn can_come(kind: Kind, route: &Route) -> bool {
    let changes = matches!(
        route,
        Route::Target(_, Operation::Start | Operation::Stop | Operation::Scale)
    );
    match kind {
        Kind::Malformed
        | Kind::Unauthorized(_)
        | Kind::TooMany
        | Kind::Unchecked
        | Kind::Unavailable => true,
        Kind::Forbidden | Kind::NotFound => matches!(route, Route::Target(..)),
        Kind::Method(_) => false,
        Kind::Slow | Kind::TooLarge | Kind::MediaType | Kind::Refused | Kind::Impossible => changes,
        Kind::Failed => matches!(route, Route::Target(_, Operation::Wait(_))),
    }
}

/// The statuses of answers that are no problem.
fn good(route: &Route) -> &'static [u16] {
    match route {
        Route::Target(_, Operation::Wait(_)) => &[200, 202],
        _ => &[200],
    }
}

/// The schema of the answer of this status to an operation, and its media type.
fn schema<'a>(document: &'a Value, operation: &'a Value, status: u16) -> (&'a str, &'a Value) {
    let responses = &operation["responses"];
    let response = responses.get(status.to_string());
    let mut response = response.or(responses.get("default")).unwrap();
    if let Some(reference) = response["$ref"].as_str() {
        response = resolve(document, reference);
    }
    let content = response["content"].as_object().unwrap();
    let (media_type, content) = content.iter().next().unwrap();
    (media_type, &content["schema"])
}

#[test]
fn it_is_small_enough_to_be_served() {
    assert!(DESCRIPTION.len() <= MOST, "{} bytes", DESCRIPTION.len());
    assert_eq!(document()["openapi"], "3.1.0");
}

#[test]
fn every_route_is_described_and_no_other() {
    let document = document();
    let described: BTreeSet<String> = operations(&document)
        .iter()
        .map(|(method, path, _)| match routed(method, path) {
            Route::Target(_, operation) => operation.action().as_str().to_owned(),
            Route::List => "list".to_owned(),
            Route::Description => "description".to_owned(),
        })
        .collect();
    let named: BTreeSet<String> = operations(&document)
        .iter()
        .map(|(_, _, operation)| operation["operationId"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(described, named);
    let all = [
        "description",
        "list",
        "scale",
        "start",
        "status",
        "stop",
        "wait",
    ];
    assert_eq!(described, all.map(str::to_owned).into());
    assert_eq!(operations(&document).len(), all.len());
}

#[test]
fn every_answer_is_as_it_is_described() {
    let document = document();
    let now = now();
    let worker = name("worker");
    let mut views = vec![full_view(now)];
    for phase in [
        Phase::Off,
        Phase::Starting,
        Phase::Ready,
        Phase::Stopping,
        Phase::Failed,
    ] {
        views.push(view(phase, now));
    }
    for (method, path, operation) in operations(&document) {
        let route = routed(&method, &path);
        for &status in good(&route) {
            let (media_type, schema) = schema(&document, operation, status);
            assert_eq!(media_type, "application/json");
            for view in &views {
                for detail in [Detail::Name, Detail::Phase, Detail::All] {
                    let target = target(&worker, view, now, detail);
                    let answer = match route {
                        Route::List => list(&[target.clone(), target]),
                        Route::Description => DESCRIPTION.to_owned(),
                        Route::Target(..) if detail == Detail::Name => continue,
                        Route::Target(..) => target,
                    };
                    let answer = serde_json::from_str(&answer).unwrap();
                    let faults = faults(&document, schema, &answer);
                    assert!(faults.is_empty(), "{path} {status}: {faults:?}");
                }
            }
        }
        for kind in KINDS.into_iter().filter(|kind| can_come(*kind, &route)) {
            let problem = Problem::new(kind, "because of \"it\"\n");
            let (media_type, schema) = schema(&document, operation, problem.status());
            let answer = problem.response();
            assert_eq!(answer.headers()["content-type"], media_type);
            let body = serde_json::from_str(&problem.json()).unwrap();
            let faults = faults(&document, schema, &body);
            assert!(faults.is_empty(), "{path} {kind:?}: {faults:?}");
        }
        // What is described by its number can come.
        for status in operation["responses"].as_object().unwrap().keys() {
            let Ok(status) = status.parse::<u16>() else {
                assert_eq!(status, "default");
                continue;
            };
            let mut kinds = KINDS.into_iter().filter(|kind| can_come(*kind, &route));
            let is_problem = kinds.any(|kind| kind.parts().0 == status);
            assert!(
                is_problem || good(&route).contains(&status),
                "{path} {status}"
            );
        }
    }
}

#[test]
fn every_kind_of_problem_is_described_and_no_other() {
    let document = document();
    let problem = &document["components"]["schemas"]["Problem"]["properties"];
    let types: BTreeSet<String> = KINDS
        .iter()
        .map(|kind| format!("urn:openclaw-gateway:{}", kind.parts().1))
        .collect();
    let statuses: BTreeSet<u64> = KINDS.iter().map(|kind| u64::from(kind.parts().0)).collect();
    let described = problem["type"]["enum"].as_array().unwrap().iter();
    let described: BTreeSet<String> = described
        .map(|text| text.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(described, types);
    let described = problem["status"]["enum"].as_array().unwrap().iter();
    let described: BTreeSet<u64> = described.map(|status| status.as_u64().unwrap()).collect();
    assert_eq!(described, statuses);
    let headers = &document["components"]["responses"]["Problem"]["headers"];
    let headers: BTreeSet<String> = headers
        .as_object()
        .unwrap()
        .keys()
        .map(|name| name.to_ascii_lowercase())
        .collect();
    let mut sent = BTreeSet::new();
    for kind in KINDS {
        let answer = Problem::new(kind, "").response();
        sent.extend(answer.headers().keys().map(|name| name.as_str().to_owned()));
    }
    for common in ["content-type", "cache-control"] {
        assert!(sent.remove(common));
    }
    assert_eq!(sent, headers);
}

#[test]
fn bodies_that_are_described_are_taken_and_no_others() {
    let document = document();
    for (operation, schema, body, is_taken) in [
        (Operation::Start, "Start", json!({}), true),
        (Operation::Start, "Start", json!({"replicas": 1}), true),
        (Operation::Start, "Start", json!({"replicas": 0}), false),
        (Operation::Start, "Start", json!({"replicas": "1"}), false),
        (Operation::Start, "Start", json!({"replicas": null}), false),
        (Operation::Start, "Start", json!({"for": "2h"}), true),
        (Operation::Start, "Start", json!({"for": 2}), false),
        (
            Operation::Start,
            "Start",
            json!({"until": "2026-11-21T18:00:00Z"}),
            true,
        ),
        (Operation::Start, "Start", json!({"until": "18:00"}), false),
        (
            Operation::Start,
            "Start",
            json!({"for": "2h", "until": "2026-11-21T18:00:00Z"}),
            false,
        ),
        (Operation::Start, "Start", json!({"wait": true}), false),
        (Operation::Start, "Start", json!([]), false),
        (Operation::Stop, "Stop", json!({}), true),
        (Operation::Stop, "Stop", json!({"replicas": 1}), false),
        (Operation::Scale, "Scale", json!({"replicas": 0}), true),
        (Operation::Scale, "Scale", json!({"replicas": -1}), false),
        (Operation::Scale, "Scale", json!({}), false),
        (
            Operation::Scale,
            "Scale",
            json!({"replicas": 1, "for": "2h"}),
            false,
        ),
    ] {
        let schema = &document["components"]["schemas"][schema];
        let faults = faults(&document, schema, &body);
        assert_eq!(faults.is_empty(), is_taken, "{body}: {faults:?}");
        let read = change(operation, body.to_string().as_bytes(), NOON_MS);
        assert_eq!(read.is_ok(), is_taken, "{body}: {read:?}");
    }
}
