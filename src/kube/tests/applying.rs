//! Server-side apply of a number of replicas.

use serde_json::{Value, json};

use super::*;

/// The path and the body of each request.
pub(super) fn asked(cluster: &Cluster) -> Vec<(String, Value)> {
    let requests = cluster.server.requests();
    let asked = requests.iter().map(|request| {
        let line = request.split(" HTTP/1.1").next().unwrap().to_owned();
        let body = request.split("\r\n\r\n").nth(1).unwrap();
        (line, serde_json::from_str(body).unwrap_or_default())
    });
    asked.collect()
}

/// As the API server writes it, for these managers.
fn conflict(managers: &[&str]) -> Reply {
    let causes = managers.iter().map(|manager| {
        json!({
            "reason": "FieldManagerConflict",
            "message": format!("conflict with \"{manager}\" with subresource \"scale\" using autoscaling/v1"),
            "field": ".spec.replicas",
        })
    });
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "Apply failed with 1 conflict", "reason": "Conflict", "code": 409,
        "details": {"causes": causes.collect::<Vec<_>>()},
    });
    Reply::new(409, &body.to_string())
}

fn stale() -> Reply {
    let message = "Operation cannot be fulfilled on deployments.apps \"bot\": the object has \
                   been modified; please apply your changes to the latest version and try again";
    status(409, "Conflict", message)
}

const ZERO: Apply<'static> = Apply {
    replicas: 0,
    manager: "openclaw-gateway",
    force: false,
    resource_version: "",
};

#[test]
fn a_count_is_applied_and_a_zero_is_sent() {
    run(async {
        for (target, path, kind) in [
            (target(), "deployments/bot", "application/apply-patch+yaml"),
            (
                database(),
                "statefulsets/db",
                "application/apply-patch+yaml",
            ),
        ] {
            let cluster = Cluster::new([Reply::new(200, SCALE), Reply::new(200, SCALE)]);
            let forced = Apply {
                replicas: 1,
                force: true,
                resource_version: "17",
                ..ZERO
            };
            for apply in [ZERO, forced] {
                let applied = cluster.api.apply_replicas(&target, &apply).await;
                let Ok(Applied::Done(scale)) = applied else {
                    panic!("{applied:?}");
                };
                assert_eq!(scale.replicas, 1);
            }
            let path = format!("PATCH /apis/apps/v1/namespaces/claw/{path}/scale?fieldManager=");
            let metadata = json!({"name": target.name.as_str(), "namespace": "claw"});
            let versioned = json!({
                "name": target.name.as_str(), "namespace": "claw", "resourceVersion": "17",
            });
            let scale = |metadata: Value, replicas: i32| {
                json!({
                    "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata,
                    "spec": {"replicas": replicas},
                })
            };
            assert_eq!(
                asked(&cluster),
                [
                    (format!("{path}openclaw-gateway"), scale(metadata, 0)),
                    (
                        format!("{path}openclaw-gateway&force=true"),
                        scale(versioned, 1)
                    ),
                ]
            );
            for request in cluster.server.requests() {
                assert!(request.contains(&format!("content-type: {kind}\r\n")));
            }
        }
    });
}

#[test]
fn a_conflict_is_an_answer_and_says_whose() {
    let owned = |owners: &[&str]| {
        let owners = owners.iter().map(|owner| (*owner).to_owned());
        Applied::Owned(owners.collect())
    };
    let many: Vec<String> = (0..20).map(|n| format!("m{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = "x".repeat(4000);
    for (reply, version, expected) in [
        (conflict(&["kubectl"]), "", owned(&["kubectl"])),
        (
            conflict(&["before-first-apply"]),
            "17",
            owned(&["before-first-apply"]),
        ),
        (
            conflict(&["kubectl", "argocd", "kubectl"]),
            "17",
            owned(&["kubectl", "argocd"]),
        ),
        (conflict(&many), "", owned(&many[..8])),
        (stale(), "17", Applied::Stale),
        (Reply::new(409, "conflict"), "17", Applied::Stale),
    ] {
        run(async {
            let cluster = Cluster::new([reply]);
            let apply = Apply {
                resource_version: version,
                ..ZERO
            };
            let applied = cluster.api.apply_replicas(&target(), &apply).await;
            assert_eq!(applied.unwrap(), expected);
            assert_eq!(cluster.server.requests().len(), 1);
        });
    }
    run(async {
        let cluster = Cluster::new([conflict(&[&long])]);
        let applied = cluster.api.apply_replicas(&target(), &ZERO).await.unwrap();
        let Applied::Owned(owners) = applied else {
            panic!("{applied:?}");
        };
        assert_eq!(owners[0].len(), 128);
        // Without a version there is nothing to be older than.
        let cluster = Cluster::new([stale()]);
        let error = cluster.api.apply_replicas(&target(), &ZERO).await;
        assert!(matches!(error, Err(Error::Refused { .. })), "{error:?}");
    });
}

#[test]
fn a_refused_apply_says_what_to_grant() {
    let message = "deployments.apps \"bot\" is forbidden: User \"x\" cannot patch resource";
    run(async {
        let forbidden = status(403, "Forbidden", message);
        let cluster = Cluster::new([forbidden.clone(), forbidden]);
        let error = cluster.api.apply_replicas(&target(), &ZERO).await;
        assert_eq!(
            error.unwrap_err().sentence(&target()),
            "I may not scale deployment bot in namespace claw: \
             grant my service account `patch` on `deployments/scale`."
        );
        let error = cluster.api.read_scale(&target()).await;
        assert_eq!(
            error.unwrap_err().sentence(&target()),
            "I may not read the scale of deployment bot in namespace claw: \
             grant my service account `get` on `deployments/scale`."
        );
    });
}

#[test]
fn a_scale_is_read() {
    run(async {
        let cluster = Cluster::new([Reply::new(200, SCALE), Reply::new(200, DEPLOYMENT)]);
        let scale = cluster.api.read_scale(&database()).await.unwrap();
        assert_eq!((scale.replicas, scale.current), (1, 0));
        let error = cluster.api.read_scale(&target()).await.unwrap_err();
        assert!(matches!(error, Error::Broken { .. }), "{error:?}");
        let line = &asked(&cluster)[0].0;
        assert_eq!(
            line,
            "GET /apis/apps/v1/namespaces/claw/statefulsets/db/scale"
        );
    });
}
