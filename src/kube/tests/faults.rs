//! The errors, word for word.

use std::time::{Duration, Instant};

use super::*;
use crate::net::fake::closed_port;

#[test]
fn a_missing_right_is_named() {
    let message = "deployments.apps \"bot\" is forbidden: User \"system:serviceaccount:x:y\" \
                   cannot patch resource \"deployments/scale\" in API group \"apps\"";
    let (sentence, detail) = faces(status(403, "Forbidden", message));
    assert_eq!(
        sentence,
        "I may not scale deployment bot in namespace claw: \
         grant my service account `patch` on `deployments/scale`."
    );
    assert_eq!(
        detail,
        format!("patch deployments/scale: status 403: Forbidden {message}")
    );
    run(async {
        let cluster = Cluster::new([status(403, "Forbidden", message)]);
        let error = cluster.api.deployment(&target()).await.unwrap_err();
        assert_eq!(
            error.sentence(&target()),
            "I may not read deployment bot in namespace claw: \
             grant my service account `get` on `deployments`."
        );
    });
}

#[test]
fn a_refusal_gives_the_reason_and_nothing_more() {
    let denied = "admission webhook \"x.y\" denied the request:\n\u{202e}no\tscaling\u{7} today.";
    let shown = "The Kubernetes API server refused to scale deployment bot in namespace claw: \
                 admission webhook \"x[.]y\" denied the request: no scaling today.";
    assert_eq!(sentence(status(403, "Forbidden", denied)), shown);
    let (sentence_422, detail) = faces(status(422, "Invalid", denied));
    assert_eq!(sentence_422, shown);
    assert_eq!(
        detail,
        "patch deployments/scale: status 422: Invalid admission webhook \"x.y\" denied the \
         request:\\n\\u{202e}no\\tscaling\\u{7} today."
    );
    let (long, detail) = faces(status(400, "BadRequest", &"x".repeat(5000)));
    assert!(
        long.ends_with("xxx….") && long.chars().count() < 300,
        "{long}"
    );
    assert_eq!(detail.len(), 512);
    assert!(sentence(status(410, "Gone", "")).ends_with(": Gone."));
    assert!(sentence(status(410, "", "")).ends_with(": status 410."));
}

#[test]
fn a_conflict_is_tried_again_and_then_told() {
    run(async {
        let conflict = status(409, "Conflict", "the object has been modified");
        let cluster = Cluster::new([conflict.clone(), Reply::new(200, SCALE)]);
        assert!(cluster.scale().await.is_ok());
        let cluster = Cluster::new(vec![conflict; 4]);
        let error = cluster.scale().await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        assert_eq!(cluster.server.requests().len(), 3);
    });
}

#[test]
fn what_is_not_there_is_said() {
    assert_eq!(
        sentence(status(
            404,
            "NotFound",
            "deployments.apps \"bot\" not found"
        )),
        "There is no deployment bot in namespace claw: \
         check DEPLOYMENT_NAME and DEPLOYMENT_NAMESPACE."
    );
}

#[test]
fn some_other_web_server_is_not_understood() {
    let confused = "I do not understand the answer of the Kubernetes API server: \
                    check that KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT lead to it.";
    let html = "<html>\n<h1>It works!</h1>";
    for code in [200, 302, 400, 404] {
        let (sentence, detail) = faces(Reply::new(code, html));
        assert_eq!(sentence, confused);
        assert!(detail.ends_with("<html>\\n<h1>It works!</h1>"), "{detail}");
    }
    let login = "Location: https://sso.example/login?next=1\r\n";
    let (sentence_of_redirect, detail) = faces(Reply::with(302, login, ""));
    assert_eq!(sentence_of_redirect, confused);
    assert!(
        detail.contains("status 302, redirects to https://sso.example/login: "),
        "{detail}"
    );
    // JSON, but of another kind.
    assert_eq!(sentence(Reply::new(404, "{}")), confused);
    assert_eq!(sentence(Reply::new(200, "{}")), confused);
    assert_eq!(sentence(Reply::new(200, DEPLOYMENT)), confused);
    assert_eq!(sentence(Reply::new(200, &"[".repeat(100_000))), confused);
    assert_eq!(
        sentence(Reply::Cut("SSH-2.0-x\r\n\r\n".to_owned())),
        confused
    );
    run(async {
        let cluster = Cluster::new([Reply::new(200, "{}")]);
        let error = cluster.api.deployment(&target()).await.unwrap_err();
        assert_eq!(error.sentence(&target()), confused);
    });
}

#[test]
fn an_answer_has_a_limit() {
    let large = "HTTP/1.1 200 OK\r\nContent-Length: 4194305\r\n\r\n".to_owned();
    let (_, detail) = faces(Reply::Hang(large));
    assert!(detail.ends_with("is larger than 4194304 bytes"), "{detail}");
}

#[test]
fn an_overloaded_server_is_given_time() {
    let plain = "Too many requests, please try again later.\n";
    run(async {
        let soon = Reply::with(429, "Retry-After: 1\r\n", plain);
        let cluster = Cluster::new([soon, Reply::new(200, SCALE)]);
        let started = Instant::now();
        assert!(cluster.scale().await.is_ok());
        assert!(started.elapsed() >= Duration::from_secs(1));
        // More than there is time for: told at once.
        let late = Reply::with(429, "Retry-After: 40\r\n", plain);
        let cluster = Cluster::new([late, Reply::new(200, SCALE)]);
        let started = Instant::now();
        let error = cluster.scale().await.unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(5));
        assert_eq!(
            error.sentence(&target()),
            "The Kubernetes API server is overloaded (status 429): try again in 40 s."
        );
        assert_eq!(
            error.detail().to_string(),
            "patch deployments/scale: status 429: Too many requests, please try again later.\\n"
        );
    });
    let busy = r#"{"kind":"Status","apiVersion":"v1","status":"Failure",
        "details":{"retryAfterSeconds":77}}"#;
    assert_eq!(
        sentence(Reply::new(503, busy)),
        "The Kubernetes API server is overloaded (status 503): try again in 77 s."
    );
    assert_eq!(
        sentence(Reply::new(503, "")),
        "The Kubernetes API server is overloaded (status 503): try again in 30 s."
    );
}

#[test]
fn a_failing_server_is_tried_again_within_bounds() {
    run(async {
        let fail = status(500, "InternalError", "etcd: secret internals");
        let cluster = Cluster::new([fail.clone(), Reply::new(502, "bad"), Reply::new(200, SCALE)]);
        assert!(cluster.scale().await.is_ok());
        let cluster = Cluster::new(vec![fail; 5]);
        let error = cluster.scale().await.unwrap_err();
        assert_eq!(cluster.server.requests().len(), 3);
        assert_eq!(
            error.sentence(&target()),
            "The Kubernetes API server failed (status 500): \
             try again, and look at its log and mine if it stays so."
        );
    });
}

#[test]
fn a_lost_connection_is_tried_again() {
    run(async {
        let cluster = Cluster::new([
            Reply::Cut(String::new()),
            Reply::Cut("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{".to_owned()),
            Reply::new(200, SCALE),
        ]);
        assert!(cluster.scale().await.is_ok());
    });
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for() {
    run(async {
        let mut cluster = Cluster::new(vec![Reply::Hang(String::new()); 2]);
        cluster.api.api_client.deadline = Duration::from_millis(800);
        let error = cluster.scale().await.unwrap_err();
        assert_eq!(
            error.sentence(&target()),
            "The Kubernetes API server did not answer in time, so deployment bot in namespace \
             claw may or may not have been scaled: ask for the status."
        );
        let error = cluster.api.deployment(&target()).await.unwrap_err();
        assert_eq!(
            error.sentence(&target()),
            "The Kubernetes API server did not answer in time: try again."
        );
        let detail = error.detail().to_string();
        assert!(detail.starts_with("127.0.0.1:"), "{detail}");
        assert!(detail.contains(" did not answer within "), "{detail}");
    });
}

#[test]
fn silence_is_counted_from_the_first_failure_to_the_next_answer() {
    run(async {
        let cluster = Cluster::new([]);
        let told = |error: Error, since: &str| {
            assert_eq!(
                error.sentence(&target()),
                format!(
                    "The Kubernetes API server has not answered since {since} UTC: \
                     127.0.0.1:{} closed the connection instead of an answer.",
                    cluster.server.port
                )
            );
        };
        for (now, since) in [
            (NOON, "12:03:05"),
            (NOON + 60, "12:03:05"),
            (NOON + 86_400, "1970-01-01 12:03:05"),
        ] {
            NOW.set(now);
            told(cluster.scale().await.unwrap_err(), since);
        }
        // Any answer ends it, even a bad one.
        cluster.server.then([status(404, "NotFound", "x")]);
        let error = cluster.scale().await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }));
        NOW.set(NOON + 86_402);
        told(cluster.scale().await.unwrap_err(), "12:03:07");
    });
}

#[test]
fn nobody_listening_is_unreachable() {
    run(async {
        let account = Account::new("t", &Authority::new().pem());
        let port = closed_port();
        let error = account.api(port).deployment(&target()).await.unwrap_err();
        let sentence = error.sentence(&target());
        let end = format!(" UTC: 127.0.0.1:{port} refused the connection.");
        assert!(sentence.ends_with(&end), "{sentence}");
    });
}

#[test]
fn an_error_says_who_has_to_act_and_whether_it_helps_to_try_again() {
    use crate::net::{Remedy, Responsible};
    for (code, responsible, is_transient, wait) in [
        (401, Responsible::Configuration, false, None),
        (403, Responsible::Configuration, false, None),
        (404, Responsible::Configuration, false, None),
        (200, Responsible::Configuration, false, None),
        (409, Responsible::Server, false, None),
        (422, Responsible::Server, false, None),
        (500, Responsible::Server, true, None),
        (
            429,
            Responsible::Server,
            true,
            Some(Duration::from_secs(60)),
        ),
    ] {
        let message = "forbidden: User \"x\" cannot";
        let reply = match code {
            429 => Reply::with(429, "Retry-After: 60\r\n", ""),
            _ => status(code, "Reason", message),
        };
        let error = run(async { Cluster::new(vec![reply; 3]).scale().await.unwrap_err() });
        assert_eq!(error.responsible(), responsible, "{code}");
        assert_eq!(error.is_transient(), is_transient, "{code}");
        assert_eq!(error.retry_after(), wait, "{code}");
    }
}
