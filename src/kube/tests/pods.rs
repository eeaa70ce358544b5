//! Pods and the warnings about them.

use serde_json::{Value, json};

use super::*;
use crate::control::progress::{
    ConditionStatus, ContainerState, ContainerView, EventView, PodOwner, PodView, Termination,
};

fn pod(name: &str, created: &str) -> Value {
    json!({
        "metadata": {"name": name, "creationTimestamp": created},
        "spec": {"containers": []}, "status": {"phase": "Running"},
    })
}

fn pods(target: &Workload, replies: Vec<Reply>) -> (Result<Vec<PodView>, Error>, Vec<String>) {
    run(async {
        let cluster = Cluster::new(replies);
        let pods = cluster.api.pods(target, "app=db,tier in (a)").await;
        (pods, cluster.server.requests())
    })
}

fn list(items: &[Value]) -> Reply {
    Reply::new(200, &json!({"kind": "PodList", "items": items}).to_string())
}

fn names(pods: Result<Vec<PodView>, Error>) -> Vec<String> {
    pods.unwrap().into_iter().map(|pod| pod.name).collect()
}

#[test]
fn a_pod_is_seen_with_all_that_tells_why_it_does_not_run() {
    let body = json!({
        "metadata": {
            "name": "web-6d4c-x", "uid": "p", "creationTimestamp": "1970-01-01T00:00:02Z",
            "deletionTimestamp": "1970-01-01T00:00:03Z",
            "labels": {"app": "web", "pod-template-hash": "6d4c"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-6d4c", "uid": "r",
                "controller": true}],
        },
        "spec": {
            "nodeName": "secret-node",
            "initContainers": [{"name": "init", "image": "registry.example/init:1"}],
            "containers": [
                {"name": "app", "image": "registry.example/app:2", "env": [{"name": "TOKEN"}]},
                {"name": "side", "image": "side"},
            ],
        },
        "status": {
            "phase": "Pending", "reason": "Evicted",
            "conditions": [{"type": "PodScheduled", "status": "True"}],
            "initContainerStatuses": [{
                "name": "init", "image": "sha256:1", "ready": false, "restartCount": 0,
                "state": {"terminated": {"reason": "Completed", "exitCode": 0}},
            }],
            "containerStatuses": [
                {
                    "name": "app", "image": "sha256:2", "ready": false, "restartCount": 4,
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back\noff"}},
                    "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
                },
                {"name": "side", "ready": true, "state": {"running": {"startedAt": "x"}}},
                {"name": "odd", "image": "odd:1"},
            ],
        },
    });
    let (pods, requests) = pods(&target(), vec![list(&[body])]);
    let container = |image: &str, is_ready, restarts, state, last| ContainerView {
        image: image.to_owned(),
        is_ready,
        restarts,
        state,
        last,
    };
    let ended = |reason: &str, exit_code| Termination {
        reason: reason.to_owned(),
        exit_code,
    };
    let waiting = |reason: &str, message: &str| ContainerState::Waiting {
        reason: reason.to_owned(),
        message: message.to_owned(),
    };
    let mut pods = pods.unwrap();
    let conditions = std::mem::take(&mut pods[0].conditions);
    assert_eq!(conditions[0].kind, "PodScheduled");
    assert_eq!(conditions[0].status, ConditionStatus::True);
    let seen = PodView {
        name: "web-6d4c-x".to_owned(),
        uid: "p".to_owned(),
        owners: vec![PodOwner {
            kind: "ReplicaSet".to_owned(),
            name: "web-6d4c".to_owned(),
            uid: "r".to_owned(),
        }],
        template_hash: "6d4c".to_owned(),
        created_at: 2000,
        is_terminating: true,
        phase: "Pending".to_owned(),
        reason: "Evicted".to_owned(),
        conditions: Vec::new(),
        init_containers: vec![container(
            "registry.example/init:1",
            true,
            0,
            ContainerState::Terminated(ended("Completed", 0)),
            None,
        )],
        containers: vec![
            container(
                "registry.example/app:2",
                false,
                4,
                waiting("CrashLoopBackOff", "back\\noff"),
                Some(ended("OOMKilled", 137)),
            ),
            container("side", true, 0, ContainerState::Running, None),
            container("odd:1", false, 0, waiting("", ""), None),
        ],
    };
    assert_eq!(pods, [seen]);
    let line = "GET /api/v1/namespaces/claw/pods\
                ?labelSelector=app%3Ddb%2Ctier%20in%20%28a%29&limit=20 HTTP/1.1\r\n";
    assert!(requests[0].starts_with(line), "{}", requests[0]);
}

#[test]
fn the_newest_pods_come_first_and_odd_ones_are_bounded() {
    let items = [
        pod("b", "2026-11-29T09:00:00Z"),
        pod("a", "2026-11-29T09:00:05Z"),
        pod("c", "yesterday"),
        json!(7),
        json!({"metadata": [], "spec": "x", "status": {"containerStatuses": {}}}),
        json!({"status": {"containerStatuses": [{"restartCount": -5, "state":
            {"terminated": {"exitCode": 9_000_000_000_u64}}}]}}),
    ];
    let (seen, _) = pods(&target(), vec![list(&items)]);
    let seen = seen.unwrap();
    assert_eq!([&seen[0].name, &seen[1].name], ["a", "b"]);
    let container = seen.iter().find_map(|pod| pod.containers.first()).unwrap();
    assert_eq!((container.restarts, container.image.as_str()), (0, ""));

    let huge: Vec<Value> = (0..200)
        .map(|number| {
            let status = json!({"name": "c", "state": {"waiting": {"message": "m".repeat(1900)}}});
            let mut pod = pod(&format!("p{number}"), "2026-11-29T09:00:00Z");
            pod["status"]["containerStatuses"] = json!(vec![status; 5]);
            pod["metadata"]["annotations"] = json!({"a": "x".repeat(5000)});
            pod
        })
        .collect();
    let (seen, _) = pods(&target(), vec![list(&huge)]);
    assert!((1..=20).contains(&seen.unwrap().len()));
    let (seen, _) = pods(&target(), vec![Reply::new(200, "<html>")]);
    assert!(matches!(seen.unwrap_err(), Error::Broken { .. }));
}

#[test]
fn a_workload_without_a_selector_has_no_pods() {
    run(async {
        let cluster = Cluster::new([]);
        assert_eq!(cluster.api.pods(&target(), "").await, Ok(Vec::new()));
        assert_eq!(cluster.server.requests().len(), 0);
    });
}

#[test]
fn the_pods_of_a_statefulset_are_read_by_their_names_where_they_may_not_be_listed() {
    let no = || status(403, "Forbidden", "");
    let named = |name: &str| Reply::new(200, &pod(name, "2026-11-29T09:00:00Z").to_string());
    let gone = || status(404, "NotFound", "pods \"db-2\" not found");
    for end in [gone(), no()] {
        let (seen, requests) = pods(
            &database(),
            vec![no(), named("db-0"), named("db-1"), end.clone()],
        );
        assert_eq!(names(seen), ["db-0", "db-1"]);
        let line = "GET /api/v1/namespaces/claw/pods/db-0 HTTP/1.1\r\n";
        assert!(requests[1].starts_with(line), "{}", requests[1]);
    }
    run(async {
        let cluster = Cluster::new([no(), no(), no()]);
        for _ in 0..2 {
            let error = cluster.api.pods(&database(), "a=b").await.unwrap_err();
            assert_eq!(
                error.sentence(&database()),
                "I may not look at the pods of statefulset db in namespace claw: \
                 grant my service account `get` on `pods`."
            );
        }
        // That they may not be listed is remembered.
        assert_eq!(cluster.server.requests().len(), 3);
    });
    let error = pods(&target(), vec![no()]).0.unwrap_err();
    assert_eq!(
        error.sentence(&target()),
        "I may not look at the pods of deployment bot in namespace claw: \
         grant my service account `list` on `pods`."
    );
}

#[test]
fn warnings_are_the_newest_about_one_object() {
    run(async {
        let event = |reason: &str, at: &str| json!({"reason": reason, "lastTimestamp": at});
        let mut items = vec![
            event("Old", "2026-11-29T08:00:00Z"),
            json!({"reason": "FailedMount", "message": "no\nvolume", "count": 7,
                "eventTime": "2026-11-29T10:00:00.123456Z", "series": {"count": 12}}),
            json!({"reason": ["x"], "message": {}, "count": -4}),
            json!("odd"),
        ];
        for _ in 0..100 {
            items.push(event("Newer", "2026-11-29T09:00:00Z"));
        }
        let body = json!({"items": items}).to_string();
        let cluster = Cluster::new([Reply::new(200, &body), status(403, "Forbidden", "")]);
        let warnings = cluster.api.warnings(&database(), "0d9c-1").await.unwrap();
        let first = EventView {
            reason: "FailedMount".to_owned(),
            message: "no\\nvolume".to_owned(),
            count: 12,
        };
        assert_eq!((&warnings[0], warnings.len()), (&first, 8));
        assert_eq!(
            (warnings[1].reason.as_str(), warnings[1].count),
            ("Newer", 1)
        );
        let line = "GET /api/v1/namespaces/claw/events?fieldSelector=\
                    involvedObject.uid%3D0d9c-1%2Ctype%3DWarning&limit=50 HTTP/1.1\r\n";
        let request = &cluster.server.requests()[0];
        assert!(request.starts_with(line), "{request}");
        let error = cluster.api.warnings(&database(), "x").await.unwrap_err();
        assert_eq!(
            error.sentence(&database()),
            "I may not read the events about statefulset db in namespace claw: \
             grant my service account `list` on `events`."
        );
    });
}
