//! Paths, methods, parameters.

use std::time::Duration;

use http::Method;

use super::name;
use crate::gateway::api::problem::{Kind, Problem};
use crate::gateway::api::route::{MAX_WAIT, Operation, Route, route};

fn get(path: &str, query: Option<&str>) -> Result<Route, Problem> {
    route(&Method::GET, path, query)
}

fn of(operation: Operation) -> Route {
    Route::Target(name("worker"), operation)
}

#[test]
fn what_there_is() {
    let (get, post) = (Method::GET, Method::POST);
    for (method, path, expected) in [
        (&get, "/v1/targets", Route::List),
        (&get, "/v1/openapi.json", Route::Description),
        (&get, "/v1/targets/worker", of(Operation::Status)),
        (
            &get,
            "/v1/targets/worker/wait",
            of(Operation::Wait(MAX_WAIT)),
        ),
        (&post, "/v1/targets/worker/start", of(Operation::Start)),
        (&post, "/v1/targets/worker/stop", of(Operation::Stop)),
        (&post, "/v1/targets/worker/scale", of(Operation::Scale)),
    ] {
        assert_eq!(route(method, path, None), Ok(expected.clone()), "{path}");
        assert_eq!(route(method, path, Some("")), Ok(expected), "{path}?");
        for other in [
            "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE",
        ] {
            let other: Method = other.parse().unwrap();
            if other != *method {
                let problem = route(&other, path, None).unwrap_err();
                let allowed = if *method == get { "GET" } else { "POST" };
                assert_eq!(problem.kind, Kind::Method(allowed), "{other} {path}");
                assert_eq!(problem.response().headers()["allow"], allowed);
            }
        }
    }
}

#[test]
fn a_path_that_is_written_in_another_way_leads_nowhere() {
    for path in [
        "",
        "*",
        "/",
        "/v1",
        "/v1/",
        "/v1/targets/",
        "/v1/targets//",
        "//v1/targets",
        "/v1//targets",
        "/v1/./targets",
        "/v1/x/../targets",
        "/v1/Targets",
        "/v2/targets",
        "/v1/target",
        "/v1/targetsworker",
        "/v1/openapi.json/",
        "/v1/openapi",
        "/v1/targets/worker/",
        "/v1/targets/worker/start/",
        "/v1/targets/worker//start",
        "/v1/targets//start",
        "/v1/targets/worker/restart",
        "/v1/targets/worker/start/now",
        "/v1/targets/../worker",
        "/v1/targets/%77orker",
        "/v1/targets/worker%2fstart",
        "/v1/targets/worker%2Fstart",
        "/v1/targets/worker/%73tart",
        "/v1/targets/worker/..",
        "/v1/targets/worker;a=b",
        "/v1/targets/worker\\start",
        "/v1/targets/Worker",
        "/v1/targets/wor ker",
        "/v1/targets/wörker",
        "/v1/targets/all",
        "/v1/targets/ns.worker",
        "/.gateway/v1/targets",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let found = route(&method, path, None);
            assert_eq!(found, Err(Problem::not_found()), "{method} {path:?}");
        }
    }
    let long = format!("/v1/targets/{}", "a".repeat(64));
    assert_eq!(get(&long, None), Err(Problem::not_found()));
}

#[test]
fn a_wait_says_how_long_and_nothing_else_has_parameters() {
    let path = "/v1/targets/worker/wait";
    for (query, seconds) in [
        ("timeout=50s", 50),
        ("timeout=50", 50),
        ("timeout=0", 0),
        ("timeout=7s", 7),
        ("timeout=05s", 5),
    ] {
        let wait = of(Operation::Wait(Duration::from_secs(seconds)));
        assert_eq!(get(path, Some(query)), Ok(wait), "{query}");
    }
    for query in [
        "timeout=51s",
        "timeout=999",
        "timeout=",
        "timeout=s",
        "timeout=-1",
        "timeout=+5",
        "timeout=1m",
        "timeout=5.5s",
        "timeout=5ss",
        "timeout",
        "Timeout=5s",
        "wait=5s",
        "timeout=5s&timeout=6s",
        "timeout=5s&x=y",
        "timeout=5%73",
        "&timeout=5s",
    ] {
        let problem = get(path, Some(query)).unwrap_err();
        assert_eq!(problem.kind, Kind::Malformed, "{query}");
    }
    for (method, path) in [
        (Method::GET, "/v1/targets"),
        (Method::GET, "/v1/openapi.json"),
        (Method::GET, "/v1/targets/worker"),
        (Method::POST, "/v1/targets/worker/start"),
    ] {
        let problem = route(&method, path, Some("replicas=3")).unwrap_err();
        assert_eq!(problem.kind, Kind::Malformed, "{path}");
    }
}
