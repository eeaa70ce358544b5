//! Leases: read, and changed as they were seen.

use std::time::UNIX_EPOCH;

use serde_json::{Value, json};

use super::applying::asked;
use super::*;

fn namespace() -> Namespace {
    Namespace::parse("gw").unwrap()
}

fn name() -> ObjectName {
    ObjectName::parse("openclaw-gateway-web").unwrap()
}

pub(super) fn lease(name: &str, version: &str, annotations: &Value) -> Value {
    json!({
        "kind": "Lease", "apiVersion": "coordination.k8s.io/v1",
        "metadata": {
            "name": name, "namespace": "gw", "uid": "u", "resourceVersion": version,
            "annotations": annotations,
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
        },
        "spec": {
            "holderIdentity": "gw-1", "leaseDurationSeconds": 60,
            "renewTime": "1970-01-01T00:00:05.000007Z",
        },
    })
}

fn reply(annotations: &Value) -> Reply {
    Reply::new(
        200,
        &lease("openclaw-gateway-web", "9", annotations).to_string(),
    )
}

fn known() -> Lease {
    Lease {
        name: "openclaw-gateway-web".to_owned(),
        resource_version: "9".to_owned(),
        renew_time: "1970-01-01T00:00:05.000007Z".to_owned(),
        holder: "gw-1".to_owned(),
        annotations: [("phase".to_owned(), "run".to_owned())].into(),
    }
}

const PHASE: &str = "openclaw-k8s-toggle-operator/phase";

#[test]
fn of_its_annotations_ours_are_kept_whatever_others_write() {
    let mut annotations = json!({PHASE: "run", "phase": "x", "other/phase": "y"});
    for n in 0..500 {
        annotations[format!("other/{n}")] = json!("z".repeat(200));
    }
    run(async {
        let cluster = Cluster::new([reply(&annotations)]);
        let lease = cluster.api.lease(&namespace(), &name()).await.unwrap();
        assert_eq!(lease, known());
        let line = &asked(&cluster)[0].0;
        assert_eq!(
            line,
            "GET /apis/coordination.k8s.io/v1/namespaces/gw/leases/openclaw-gateway-web"
        );
    });
    // Ours have limits as well, and nothing to write with.
    let mut annotations = json!({
        PHASE: "run\u{202e}\n",
        "openclaw-k8s-toggle-operator/long": "z".repeat(600),
    });
    for n in 0..50 {
        annotations[format!("openclaw-k8s-toggle-operator/x{n}")] = json!("z");
    }
    run(async {
        let cluster = Cluster::new([reply(&annotations)]);
        let lease = cluster.api.lease(&namespace(), &name()).await.unwrap();
        assert_eq!(lease.annotations.get("phase").unwrap(), "run\\u{202e}\\n");
        assert_eq!(lease.annotations.get("long"), None);
        assert_eq!(lease.annotations.len(), 16);
    });
}

fn claim() -> LeaseChange {
    LeaseChange {
        resource_version: "8".to_owned(),
        renew_time: Some(UNIX_EPOCH + Duration::from_micros(5_000_007)),
        holder: Some("gw-1".to_owned()),
        annotations: vec![("phase", Some("run".to_owned())), ("keep-by", None)],
    }
}

async fn change(cluster: &Cluster, change: &LeaseChange) -> Result<LeaseWrite, Error> {
    let (namespace, name) = (namespace(), name());
    cluster.api.change_lease(&namespace, &name, change).await
}

#[test]
fn a_change_sends_what_changes_and_nothing_else() {
    let nothing = LeaseChange::default();
    let released = LeaseChange {
        holder: Some(String::new()),
        ..LeaseChange::default()
    };
    run(async {
        for (changed, body) in [
            (nothing, json!({"metadata": {}, "spec": {}})),
            (
                released,
                json!({"metadata": {}, "spec": {"holderIdentity": null}}),
            ),
            (
                claim(),
                json!({
                    "metadata": {
                        "resourceVersion": "8",
                        "annotations": {
                            PHASE: "run", "openclaw-k8s-toggle-operator/keep-by": null,
                        },
                    },
                    "spec": {
                        "renewTime": "1970-01-01T00:00:05.000007Z", "holderIdentity": "gw-1",
                    },
                }),
            ),
        ] {
            let cluster = Cluster::new([reply(&json!({PHASE: "run"}))]);
            let written = change(&cluster, &changed).await.unwrap();
            assert_eq!(written, LeaseWrite::Done(known()));
            let line = "PATCH /apis/coordination.k8s.io/v1/namespaces/gw/leases/\
                        openclaw-gateway-web?fieldManager=openclaw-k8s-toggle-operator";
            assert_eq!(asked(&cluster), [(line.to_owned(), body)]);
            let request = &cluster.server.requests()[0];
            assert!(request.contains("content-type: application/merge-patch+json\r\n"));
        }
    });
}

#[test]
fn a_conflict_is_not_tried_again() {
    let conflict = || status(409, "Conflict", "the object has been modified");
    run(async {
        let cluster = Cluster::new([conflict()]);
        let written = change(&cluster, &claim()).await.unwrap();
        assert_eq!(written, LeaseWrite::Conflict);
        assert_eq!(cluster.server.requests().len(), 1);
    });
    // The first attempt was heard, and its answer was lost.
    let lost = || Reply::Cut(String::new());
    for (seen, later, is_ours) in [
        (json!({PHASE: "run"}), 0, true),
        (json!({PHASE: "stopping"}), 0, false),
        (
            json!({PHASE: "run", "openclaw-k8s-toggle-operator/keep-by": "x"}),
            0,
            false,
        ),
        (json!({PHASE: "run"}), 1, false),
    ] {
        run(async {
            let cluster = Cluster::new([lost(), conflict(), reply(&seen)]);
            let mut claim = claim();
            let at = claim.renew_time.as_mut().unwrap();
            *at += Duration::from_micros(later);
            let written = change(&cluster, &claim).await.unwrap();
            assert_eq!(matches!(written, LeaseWrite::Done(_)), is_ours, "{seen}");
        });
    }
}

#[test]
fn each_refusal_is_about_the_lease() {
    let missing = "leases.coordination.k8s.io \"openclaw-gateway-web\" not found";
    let not_found = {
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
            "message": missing, "code": 404,
            "details": {"name": "openclaw-gateway-web", "kind": "leases"},
        });
        Reply::new(404, &body.to_string())
    };
    for (reply, read, written) in [
        (
            status(403, "Forbidden", "leases is forbidden: User \"x\" cannot"),
            "I may not read lease openclaw-gateway-web in namespace gw: \
             grant my service account `get` on `leases`.",
            "I may not change lease openclaw-gateway-web in namespace gw: \
             grant my service account `patch` on `leases`.",
        ),
        (
            not_found,
            "There is no lease openclaw-gateway-web in namespace gw: \
             the gateway's chart makes one for each target.",
            "There is no lease openclaw-gateway-web in namespace gw: \
             the gateway's chart makes one for each target.",
        ),
        (
            status(422, "Invalid", "no such time"),
            "The Kubernetes API server refused to read lease openclaw-gateway-web in namespace \
             gw: no such time.",
            "The Kubernetes API server refused to change lease openclaw-gateway-web in \
             namespace gw: no such time.",
        ),
    ] {
        run(async {
            let cluster = Cluster::new([reply.clone(), reply]);
            let error = cluster.api.lease(&namespace(), &name()).await.unwrap_err();
            // The workload that somebody asked about is not what this is about.
            assert_eq!(error.sentence(&target()), read);
            assert_eq!(error.sentence_without_target(), read);
            let error = change(&cluster, &claim()).await.unwrap_err();
            assert_eq!(error.sentence(&target()), written);
        });
    }
    run(async {
        let mut cluster = Cluster::new([Reply::Hang(String::new())]);
        cluster.api.api_client.deadline = Duration::from_millis(300);
        let error = change(&cluster, &claim()).await.unwrap_err();
        assert_eq!(
            error.sentence(&target()),
            "The Kubernetes API server did not answer in time, so lease openclaw-gateway-web in \
             namespace gw may or may not have been changed: ask for the status."
        );
        for body in ["{}", SCALE, "[]", "{\"kind\":\"Lease\"}", "x"] {
            let cluster = Cluster::new([Reply::new(200, body)]);
            let error = cluster.api.lease(&namespace(), &name()).await.unwrap_err();
            assert!(matches!(error, Error::Broken { .. }), "{error:?}");
        }
    });
}
