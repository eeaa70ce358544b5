//! The API over sockets of loopback.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::world::{Api, JSON, on_loopback, request};
use crate::gateway::wake::{Change, Changed, Phase, Refusal};

#[test]
fn one_connection_has_many_requests() {
    on_loopback(async |mut api: Api| {
        let mut connection = api.connect().await;
        let list = request("GET", "operator", "/v1/targets", "", "");
        let reply = connection.ask(&list).await;
        assert_eq!(reply.status, 200);
        let targets = reply.json()["targets"].clone();
        let names: Vec<&str> = targets
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["open", "other", "worker"]);
        let status = request("GET", "operator", "/v1/targets/worker", "", "");
        let reply = connection.ask(&status).await;
        assert_eq!((reply.status, &reply.json()["phase"]), (200, &"off".into()));
        let stop = request("POST", "operator", "/v1/targets/worker/stop", "", "");
        connection.send(&stop).await;
        let asked = api.worker.answer(Ok(Changed::Done(0))).await.unwrap();
        assert_eq!(asked, (Change::Stop, "sa:ci/operator".to_owned()));
        let reply = connection.reply().await;
        assert_eq!((reply.status, &reply.json()["replicas"]), (200, &0.into()));
        let reply = connection
            .ask(&request("GET", "operator", "/v1/openapi.json", "", ""))
            .await;
        assert_eq!(reply.json()["openapi"], "3.1.0");
        assert!(!reply.closes());
        let refused = connection
            .ask(&request("PUT", "operator", "/v1/targets", "", ""))
            .await;
        assert_eq!(refused.status, 405);
        assert_eq!(connection.ask(&list).await.status, 200);
    });
}

#[test]
fn what_is_hidden_and_what_does_not_exist_are_the_same_to_the_byte() {
    on_loopback(async |api: Api| {
        let unknown = api.get("listener", "/v1/targets/nobody").await;
        assert_eq!(unknown.status, 404);
        for path in [
            "/v1/targets/other",
            "/v1/targets/other/wait",
            "/v1/targets/nobody/wait?timeout=0",
            "/v1/targets/Nobody",
            "/v1/targets/%6fther",
            "/v1/nothing",
            "/",
        ] {
            assert_eq!(api.get("listener", path).await, unknown, "{path}");
        }
        for path in ["/v1/targets/other/start", "/v1/targets/nobody/scale"] {
            // Neither the media type nor the body is looked at.
            assert_eq!(api.post("listener", path, "{{").await, unknown, "{path}");
        }
        // The method is a matter of the path alone.
        let other = api.post("listener", "/v1/targets/other", "").await;
        let nobody = api.post("listener", "/v1/targets/nobody", "").await;
        assert_eq!((other.status, &other), (405, &nobody));
    });
}

#[test]
fn who_shows_nothing_learns_nothing() {
    on_loopback(async |api: Api| {
        let unshown = api.get("", "/v1/targets/nobody").await;
        assert_eq!(unshown.status, 401);
        assert!(
            unshown.head.contains("www-authenticate: Bearer\n"),
            "{}",
            unshown.head
        );
        for path in [
            "/v1/targets",
            "/v1/openapi.json",
            "/v1/targets/worker",
            "/nothing",
        ] {
            let reply = api.get("", path).await;
            match path {
                "/v1/targets" => assert_eq!(reply.json()["targets"][0]["name"], "open"),
                _ => assert_eq!(reply, unshown, "{path}"),
            }
            let reply = api.post("", &format!("{path}/start"), "{}").await;
            assert_eq!(reply, unshown, "{path}");
        }
        let reply = api.get("", "/v1/targets/open").await;
        assert_eq!(reply.json()["phase"], "off");
        // The ways to show something that is no bearer token.
        for header in ["Basic b3BlcmF0b3I6eA==", "operator", "Bearer", "Digest x"] {
            let header = format!("Authorization: {header}\r\n");
            let reply = api
                .raw(&request("GET", "", "/v1/targets/worker", &header, ""))
                .await;
            assert_eq!(reply.status, 401, "{header}");
        }
        // Two of them are none, whichever is good.
        let twice = "Authorization: Basic b3BlcmF0b3I6eA==\r\n";
        let twice = request("GET", "operator", "/v1/targets/worker", twice, "");
        assert_eq!(api.raw(&twice).await.status, 401);
        let cookie = "Cookie: token=operator\r\n";
        let reply = api
            .raw(&request("GET", "", "/v1/targets/worker", cookie, ""))
            .await;
        assert_eq!(reply, unshown);
        let refused = api.get("stranger", "/v1/targets/worker").await;
        assert!(
            refused.head.contains("error=\"invalid_token\""),
            "{}",
            refused.head
        );
    });
}

#[test]
fn a_role_is_told_what_it_may_see() {
    on_loopback(async |mut api: Api| {
        let list = api.get("listener", "/v1/targets").await.json();
        let listed = list["targets"].as_array().unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[1], serde_json::json!({"name": "worker"}));
        let denied = api.get("listener", "/v1/targets/worker").await;
        assert_eq!(
            (denied.status, denied.detail()),
            (403, "none of your roles allows this".into())
        );
        api.worker
            .phase(Phase::Failed, Some("the image cannot be pulled"));
        let wait = "/v1/targets/worker/wait?timeout=0s";
        let reply = api.get("starter", wait).await;
        assert_eq!(
            (reply.status, reply.detail()),
            (409, "it did not come up".into())
        );
        let reply = api.get("operator", wait).await;
        assert_eq!(
            (reply.status, reply.detail()),
            (409, "the image cannot be pulled".into())
        );
        let start = request(
            "POST",
            "starter",
            "/v1/targets/worker/start",
            JSON,
            "{\"replicas\":2}",
        );
        let (_, by, reply) = api.changed(&start, Ok(Changed::Done(2))).await;
        assert_eq!(by, "sa:ci/starter");
        assert_eq!(reply.json()["reason"], Value::Null);
        assert_eq!(reply.json()["replicas"], 2);
    });
}

#[test]
fn a_change_is_made_within_what_is_allowed() {
    on_loopback(async |mut api: Api| {
        let start = |who, body| request("POST", who, "/v1/targets/worker/start", JSON, body);
        let two_hours = Some(Duration::from_secs(7_200));
        for (who, body, replicas, run_for) in [
            // Without a number it is the configured one, or what the role allows of it.
            ("operator", "", None, None),
            ("starter", "", Some(2), None),
            ("starter", "{\"for\":\"2h\"}", Some(2), two_hours),
            ("starter", "{\"replicas\":1}", Some(1), None),
            (
                "starter",
                "{\"replicas\":2,\"for\":\"2h\"}",
                Some(2),
                two_hours,
            ),
        ] {
            let start = start(who, body);
            let (change, _, reply) = api.changed(&start, Ok(Changed::AlreadyOn(3))).await;
            assert_eq!(change, Change::Start { replicas, run_for });
            let line = api.context.audit.take_written().pop().unwrap();
            let told = ["event", "decision"].map(|name| line[name].clone());
            assert_eq!(told, ["changed", "allowed"], "{line}");
            assert_eq!((reply.status, &reply.json()["replicas"]), (200, &3.into()));
        }
        for (path, who, body, said) in [
            (
                "start",
                "starter",
                "{\"replicas\":3}",
                "at most 2 replicas may be asked for",
            ),
            (
                "start",
                "starter",
                "{\"for\":\"3h\"}",
                "at most 2 h may be asked for",
            ),
            (
                "start",
                "operator",
                "{\"replicas\":6}",
                "at most 5 replicas may be asked for",
            ),
            (
                "scale",
                "operator",
                "{\"replicas\":6}",
                "at most 5 replicas may be asked for",
            ),
            (
                "scale",
                "starter",
                "{\"replicas\":1}",
                "none of your roles allows this",
            ),
            ("stop", "starter", "{}", "none of your roles allows this"),
        ] {
            let reply = api
                .post(who, &format!("/v1/targets/worker/{path}"), body)
                .await;
            assert_eq!(
                (reply.status, reply.detail()),
                (403, said.to_owned()),
                "{body}"
            );
        }
        let stop = request("POST", "operator", "/v1/targets/worker/stop", "", "");
        let refusal = |why: &str| why.to_owned();
        for (answer, status, said) in [
            (
                Refusal::Refused(refusal("a person holds it")),
                409,
                "a person holds it",
            ),
            (
                Refusal::Impossible(refusal("no right to")),
                500,
                "no right to",
            ),
            (
                Refusal::Unavailable,
                503,
                "the API server of the cluster does not answer",
            ),
        ] {
            let (_, _, reply) = api.changed(&stop, Err(answer)).await;
            assert_eq!((reply.status, reply.detail()), (status, said.to_owned()));
            let line = api.context.audit.take_written().pop().unwrap();
            let told = ["event", "decision", "reason"].map(|name| line[name].clone());
            assert_eq!(told, ["changed", "failed", said], "{line}");
            assert_eq!(reply.head.contains("retry-after: 5"), status == 503);
        }
    });
}

#[test]
fn a_wait_ends_when_it_is_ready_or_the_time_is_over() {
    on_loopback(async |api: Api| {
        let path = "/v1/targets/worker/wait";
        let reply = api.get("operator", &format!("{path}?timeout=0")).await;
        assert_eq!((reply.status, &reply.json()["phase"]), (202, &"off".into()));
        let mut connection = api.connect().await;
        connection
            .send(&request("GET", "operator", path, "", ""))
            .await;
        // It waits while it starts, and has not answered.
        tokio::task::yield_now().await;
        api.worker.phase(Phase::Starting, None);
        let reply = api.get("operator", &format!("{path}?timeout=0s")).await;
        assert_eq!(
            (reply.status, &reply.json()["phase"]),
            (202, &"starting".into())
        );
        assert!(connection.read.is_empty());
        api.worker.ready("10.0.0.1:80".parse().unwrap());
        let reply = connection.reply().await;
        assert_eq!(
            (reply.status, &reply.json()["phase"]),
            (200, &"ready".into())
        );
        assert!(!reply.closes());
    });
}

#[test]
fn a_wait_goes_on_elsewhere_when_the_gateway_ends() {
    on_loopback(async |api: Api| {
        let mut waiting = api.connect().await;
        waiting
            .send(&request(
                "GET",
                "operator",
                "/v1/targets/worker/wait",
                "",
                "",
            ))
            .await;
        let mut idle = api.connect().await;
        let status = request("GET", "operator", "/v1/targets/worker", "", "");
        assert_eq!(idle.ask(&status).await.status, 200);
        api.context.drain();
        let reply = waiting.reply().await;
        assert!(reply.status == 202 && reply.closes(), "{reply:?}");
        waiting.ends().await;
        idle.ends().await;
        // Who comes yet is answered.
        let reply = api.raw(&status).await;
        assert!(reply.status == 200 && reply.closes(), "{reply:?}");
    });
}

#[test]
fn a_body_is_short_json_and_a_get_has_none() {
    on_loopback(async |api: Api| {
        let path = "/v1/targets/worker/scale";
        let long = format!("{{\"replicas\":{}1}}", " ".repeat(4_096));
        let reply = api.post("operator", path, &long).await;
        assert_eq!(reply.status, 413);
        // All of it is sent before the answer is read.
        for who in ["operator", ""] {
            let reply = api.post(who, path, &" ".repeat(200_000)).await;
            let expected = if who.is_empty() { 401 } else { 413 };
            assert_eq!(reply.status, expected, "{who}");
        }
        let chunked = format!("{JSON}Transfer-Encoding: chunked\r\n");
        let mut body = request("POST", "operator", path, &chunked, "");
        body += &format!("1001\r\n{}\r\n0\r\n\r\n", " ".repeat(0x1001));
        assert_eq!(api.raw(&body).await.status, 413);
        let expects = format!("{JSON}Expect: 100-continue\r\nContent-Length: 4097\r\n");
        let reply = api
            .raw(&request("POST", "operator", path, &expects, ""))
            .await;
        assert_eq!(reply.status, 413);
        for content_type in ["", "Content-Type: text/plain\r\n"] {
            let body = "{\"replicas\":1}";
            let reply = api
                .raw(&request("POST", "operator", path, content_type, body))
                .await;
            assert_eq!(reply.status, 415, "{content_type}");
        }
        let reply = api
            .post("operator", path, "{\"replicas\":1,\"force\":true}")
            .await;
        assert_eq!(
            (reply.status, reply.detail()),
            (400, "there is no member \"force\" here".into())
        );
        let reply = api
            .raw(&request("GET", "operator", "/v1/targets", JSON, "{}"))
            .await;
        assert_eq!(
            (reply.status, reply.detail()),
            (400, "a GET has no body".into())
        );
        assert!(reply.closes());
    });
}

#[test]
fn what_another_server_may_read_in_another_way_is_refused() {
    on_loopback(async |api: Api| {
        let path = "/v1/targets/worker/start";
        for (headers, body) in [
            ("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
            ("Transfer-Encoding: identity, chunked\r\n", "0\r\n\r\n"),
            (
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
        ] {
            let head = request("POST", "operator", path, headers, "");
            let mut connection = api.connect().await;
            let reply = connection.ask(&(head + body)).await;
            assert_eq!(reply.status, 400, "{headers}");
            connection.ends().await;
        }
        let large = format!("X: {}\r\n", "x".repeat(17 * 1024));
        let reply = api
            .raw(&request("GET", "operator", "/v1/targets", &large, ""))
            .await;
        assert_eq!(reply.status, 431);
    });
}

#[test]
fn who_is_slow_is_not_waited_for() {
    on_loopback(async |api: Api| {
        tokio::time::pause();
        let mut silent = api.connect().await;
        silent.send("GET /v1/targets HTTP/1.1\r\nHost: x\r\n").await;
        while silent.more().await {}
        let headers = format!("{JSON}Content-Length: 14\r\n");
        let head = request("POST", "operator", "/v1/targets/worker/scale", &headers, "");
        let reply = api.raw(&(head + "{\"replicas\"")).await;
        assert_eq!(
            (reply.status, reply.detail()),
            (408, "send the body within 10 s".into())
        );
    });
}

#[test]
fn a_client_that_leaves_waits_no_more() {
    on_loopback(async |api: Api| {
        let before = Arc::strong_count(&api.context);
        let mut waiting = api.connect().await;
        waiting
            .send(&request(
                "GET",
                "operator",
                "/v1/targets/worker/wait",
                "",
                "",
            ))
            .await;
        // It has arrived when one that came later is answered.
        let status = request("GET", "operator", "/v1/targets/worker", "", "");
        assert_eq!(api.raw(&status).await.status, 200);
        assert!(Arc::strong_count(&api.context) > before);
        drop(waiting);
        while Arc::strong_count(&api.context) > before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}
