//! Calls of a gateway that answers what it is told to.

use std::ffi::OsString;

use serde_json::json;

use super::*;
use crate::cli::{Invocation, invocation::parse};
use crate::net::fake::{Authority, Fake, Reply, closed_port, run as on_one_thread};
use crate::util::temp::TempFile;

const READY: &str = r#"{"name":"worker","phase":"ready","replicas":1,"ready":1}"#;
const STARTING: &str = r#"{"name":"worker","phase":"starting","replicas":1,"ready":0}"#;
const DENIED: &str = r#"{"title":"This is not allowed","detail":"none of your roles allows this"}"#;

/// The result of a call: its exit code, standard output, and both kinds of standard error.
#[derive(Debug, PartialEq)]
struct Outcome {
    code: u8,
    out: String,
    error: String,
    news: String,
}

fn command(url: &str, args: &str, token: &TempFile) -> CallCommand {
    let args = format!("call --url {url} --token-file {} {args}", token.path());
    let args = args.split_whitespace().map(OsString::from);
    match parse("program".as_ref(), args, &|_| None) {
        Ok(Invocation::Call(command)) => command,
        other => panic!("{other:?}"),
    }
}

fn called(url: &str, args: &str) -> Outcome {
    let token = TempFile::new("the-token\n");
    outcome(&command(url, args, &token))
}

fn outcome(command: &CallCommand) -> Outcome {
    let (mut out, mut news) = (Vec::new(), Vec::new());
    let done = on_one_thread(run(command, Clock::stopped(), &mut out, &mut news));
    let (code, error) = match done {
        Ok(()) => (0, String::new()),
        Err(error) => (error.code(), error.to_string()),
    };
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome {
        code,
        out: text(out),
        error,
        news: text(news),
    }
}

/// The first lines of the requests, and their bodies.
fn asked_of(gateway: &Fake) -> Vec<String> {
    let requests = gateway.requests();
    let requests = requests.iter().map(|request| {
        assert!(
            request.contains("authorization: Bearer the-token\r\n"),
            "{request}"
        );
        let (line, rest) = request.split_once(" HTTP/1.1\r\n").unwrap();
        let (head, body) = rest.split_once("\r\n\r\n").unwrap();
        let is_json = head.contains("content-type: application/json");
        assert_eq!(is_json, !body.is_empty());
        format!("{line} {body}").trim_end().to_owned()
    });
    requests.collect()
}

#[test]
fn each_task_is_one_request() {
    for (args, request) in [
        ("list", "GET /v1/targets"),
        ("status worker", "GET /v1/targets/worker"),
        ("stop worker", "POST /v1/targets/worker/stop"),
        ("start worker", "POST /v1/targets/worker/start"),
        (
            "start worker 3",
            r#"POST /v1/targets/worker/start {"replicas":3}"#,
        ),
        (
            "start worker 3 --for 2h30m",
            r#"POST /v1/targets/worker/start {"replicas":3,"for":"150m0s"}"#,
        ),
        (
            "start worker --for 366d",
            r#"POST /v1/targets/worker/start {"for":"527040m0s"}"#,
        ),
        (
            "start worker --for 90s",
            r#"POST /v1/targets/worker/start {"for":"1m30s"}"#,
        ),
        (
            "scale worker 0 --wait",
            r#"POST /v1/targets/worker/scale {"replicas":0}"#,
        ),
        (
            "wait worker --timeout 9s",
            "GET /v1/targets/worker/wait?timeout=8s",
        ),
        ("wait worker", "GET /v1/targets/worker/wait?timeout=50s"),
    ] {
        let gateway = Fake::plain([Reply::new(200, READY)]);
        let outcome = called(&gateway.url("/base"), args);
        assert_eq!(outcome.code, 0, "{args}: {outcome:?}");
        assert_eq!(outcome.out, "worker: ready, 1 of 1\n");
        assert_eq!(outcome.error + &outcome.news, "");
        let request = request.replace("/v1", "/base/v1");
        assert_eq!(asked_of(&gateway), [request], "{args}");
    }
}

#[test]
fn what_is_waited_for_is_asked_for_until_it_is_ready() {
    let gateway = Fake::plain([
        Reply::new(200, STARTING),
        Reply::new(202, STARTING),
        Reply::new(200, READY),
    ]);
    let outcome = called(&gateway.url(""), "start worker --wait --json");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(
        serde_json::from_str::<Value>(&outcome.out).unwrap(),
        json!({
            "name": "worker", "phase": "ready", "replicas": 1, "ready": 1
        })
    );
    assert_eq!(outcome.out.lines().count(), 1);
    let wait = "GET /v1/targets/worker/wait?timeout=50s";
    let requests = ["POST /v1/targets/worker/start", wait, wait];
    assert_eq!(asked_of(&gateway), requests);
}

#[test]
fn a_number_that_is_asked_for_is_waited_for() {
    let of = |phase: &str, replicas: u32, ready: u32| {
        format!(r#"{{"name":"worker","phase":"{phase}","replicas":{replicas},"ready":{ready}}}"#)
    };
    let (one, three) = (of("ready", 3, 1), of("ready", 3, 3));
    let unseen = r#"{"name":"worker"}"#.to_owned();
    let all = "worker: ready, 3 of 3\n";
    for (args, said, waits, out) in [
        (
            "scale worker 3 --wait",
            &one,
            &[&one, &one, &three][..],
            all,
        ),
        ("start worker 3 --wait", &one, &[&one, &three], all),
        // A number that is no larger than what it has was not asked for.
        ("start worker 2 --wait", &three, &[&three], all),
        (
            "start worker --wait",
            &one,
            &[&one],
            "worker: ready, 1 of 3\n",
        ),
        ("start worker 3 --wait", &unseen, &[&unseen], "worker\n"),
    ] {
        let gateway = Fake::plain([Reply::new(200, said)]);
        gateway.then(waits.iter().map(|said| Reply::new(200, said)));
        let outcome = called(&gateway.url(""), args);
        assert_eq!(
            (outcome.code, &*outcome.out),
            (0, out),
            "{args}: {outcome:?}"
        );
        assert_eq!(gateway.requests().len(), 1 + waits.len(), "{args}");
    }
    // Pods are counted to a limit.
    let many = of("ready", 100, 64);
    let gateway = Fake::plain([Reply::new(200, &many), Reply::new(200, &many)]);
    assert_eq!(called(&gateway.url(""), "scale worker 100 --wait").code, 0);

    let replies = [&one, &one, &one, &one].map(|said| Reply::new(200, said));
    let gateway = Fake::plain(replies);
    let outcome = called(&gateway.url(""), "scale worker 3 --wait --timeout 1s");
    let said = "not in time: worker: ready, 1 of 3";
    assert_eq!((outcome.code, &*outcome.error), (6, said), "{outcome:?}");

    // Somebody else holds the number.
    let gateway = Fake::plain([Reply::new(200, &one)]);
    let outcome = called(&gateway.url(""), "start worker 5 --wait");
    let said = "5 replicas are not possible: worker: ready, 1 of 3";
    assert_eq!((outcome.code, &*outcome.error), (5, said), "{outcome:?}");
    assert_eq!(gateway.requests().len(), 1);
}

#[test]
fn a_refusal_has_its_exit_code_and_its_sentence() {
    for (status, code) in [(400, 2), (403, 3), (404, 3), (409, 5), (500, 5), (302, 4)] {
        let gateway = Fake::plain([Reply::new(status, DENIED)]);
        let outcome = called(&gateway.url(""), "stop worker");
        assert_eq!(outcome.code, code, "{outcome:?}");
        assert_eq!(outcome.out + &outcome.news, "");
        if status != 302 {
            let said = format!("none of your roles allows this ({status})");
            assert_eq!(outcome.error, said);
        }
        assert_eq!(gateway.requests().len(), 1);
    }
    let gateway = Fake::plain([Reply::new(403, DENIED)]);
    let outcome = called(&gateway.url(""), "stop worker --json");
    let said: Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(said["detail"], "none of your roles allows this");
}

#[test]
fn a_token_that_is_not_taken_is_read_once_more() {
    let refused = || Reply::new(401, r#"{"detail":"the token is not taken"}"#);
    let gateway = Fake::plain([refused(), Reply::new(200, READY)]);
    assert_eq!(called(&gateway.url(""), "status worker").code, 0);
    assert_eq!(gateway.requests().len(), 2);

    let gateway = Fake::plain([refused(), refused()]);
    let outcome = called(&gateway.url(""), "status worker");
    assert_eq!(
        (outcome.code, &*outcome.error),
        (3, "the token is not taken (401)")
    );
    assert_eq!(gateway.requests().len(), 2);
}

#[test]
fn patience_is_asked_for_and_had() {
    let gateway = Fake::plain([
        Reply::with(503, "Retry-After: 0\r\n", r#"{"detail":"not now"}"#),
        Reply::Cut(String::new()),
        Reply::new(200, READY),
    ]);
    let outcome = called(&gateway.url(""), "status worker");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let news: Vec<&str> = outcome.news.lines().collect();
    assert_eq!(news.len(), 2, "{news:?}");
    assert_eq!(
        news[0],
        "not now (503); trying again until the time is over"
    );
    assert!(news[1].contains(" closed the connection instead of an answer; trying again"));

    // A body that was late may be in time the next time.
    let gateway = Fake::plain([Reply::new(408, DENIED), Reply::new(200, READY)]);
    assert_eq!(called(&gateway.url(""), "start worker 1").code, 0);
    assert_eq!(gateway.requests().len(), 2);

    // What is asked for is longer than there is time.
    let gateway = Fake::plain([Reply::with(429, "Retry-After: 60\r\n", DENIED)]);
    let outcome = called(&gateway.url(""), "status worker --timeout 50s");
    assert_eq!(outcome.code, 6, "{outcome:?}");
    assert_eq!(outcome.error, "none of your roles allows this (429)");
}

#[test]
fn who_is_not_there_in_time_is_unreachable() {
    let url = format!("http://127.0.0.1:{}", closed_port());
    let outcome = called(&url, "start worker --timeout 1s --json");
    assert_eq!(outcome.code, 4, "{outcome:?}");
    assert!(
        outcome.error.ends_with("refused the connection"),
        "{outcome:?}"
    );
    assert_eq!(outcome.news.lines().count(), 1, "{outcome:?}");
    let said: Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(said["detail"], outcome.error);
}

#[test]
fn what_does_not_become_ready_in_time_is_said_as_it_was_last() {
    let gateway = Fake::plain([
        Reply::new(200, STARTING),
        Reply::new(202, STARTING),
        Reply::new(202, STARTING),
        Reply::Hang(String::new()),
    ]);
    let outcome = called(&gateway.url(""), "start worker --wait --timeout 1s");
    assert_eq!(outcome.code, 6, "{outcome:?}");
    assert_eq!(outcome.out, "");
    let failed = r#"{"detail":"the image cannot be pulled","status":409}"#;
    let gateway = Fake::plain([Reply::new(200, STARTING), Reply::new(409, failed)]);
    let outcome = called(&gateway.url(""), "start worker --wait");
    assert_eq!(
        (outcome.code, &*outcome.error),
        (5, "the image cannot be pulled (409)")
    );
}

#[test]
fn the_gateways_certificate_is_signed_by_the_authorities_that_are_named() {
    let authority = Authority::new();
    let gateway = Fake::tls(authority.issue(), [Reply::new(200, READY)]);
    let ca = TempFile::new(authority.pem());
    let args = format!("status worker --ca {}", ca.path());
    assert_eq!(called(&gateway.url(""), &args).code, 0);
    // Which does not pass by itself.
    let other = TempFile::new(Authority::new().pem());
    let args = format!("status worker --ca {}", other.path());
    let outcome = called(&gateway.url(""), &args);
    assert_eq!(outcome.code, 4, "{outcome:?}");
    assert_eq!(outcome.news, "");
}

#[test]
fn a_file_that_is_named_has_to_be_one() {
    let gateway = Fake::plain([]);
    let missing = "/nowhere/token";
    for (token, args, said) in [
        ("", "list".to_owned(), "holds no token"),
        ("two words", "list".to_owned(), "holds no token"),
        ("a\nb", "list".to_owned(), "holds no token"),
        (
            "t",
            format!("list --token-file {missing}"),
            "the file of the token, /nowhere/token, cannot be read (entity not found): mount a \
             serviceAccountToken for the gateway there, or name its file by --token-file",
        ),
        (
            "t",
            format!("list --ca {missing}"),
            "the file of the authorities, /nowhere/token, cannot be read (entity not found)",
        ),
        (
            "t",
            "list --ca /proc/self/status".to_owned(),
            "is of no use: no PEM certificate in it",
        ),
    ] {
        let token = TempFile::new(token);
        let outcome = outcome(&command(&gateway.url(""), &args, &token));
        assert_eq!(outcome.code, 2, "{outcome:?}");
        assert!(outcome.error.ends_with(said), "{outcome:?}");
    }
    assert_eq!(gateway.connections(), 0);
    let large = TempFile::new("t".repeat(MAX_TOKEN + 1));
    let outcome = outcome(&command(&gateway.url(""), "list", &large));
    assert!(
        outcome.error.ends_with("is larger than 16384 bytes"),
        "{outcome:?}"
    );
}
