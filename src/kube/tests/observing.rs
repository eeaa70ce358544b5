//! Reading workloads of any kind.

use super::*;
use crate::control::progress::{Condition, ConditionStatus, Observation, Owner, UpdateStrategy};

fn observed(target: &Workload, body: &str) -> Result<Observation, Error> {
    run(async {
        let cluster = Cluster::new([Reply::new(200, body)]);
        cluster.api.observe(target).await
    })
}

fn deployment(metadata: &str, spec: &str, status: &str) -> String {
    format!(
        r#"{{"kind":"Deployment","apiVersion":"apps/v1","metadata":{{{metadata}}},
            "spec":{{{spec}}},"status":{{{status}}}}}"#
    )
}

fn statefulset(spec: &str, status: &str) -> String {
    format!(
        r#"{{"kind":"StatefulSet","apiVersion":"apps/v1","metadata":{{"name":"db","uid":"u"}},
            "spec":{{{spec}}},"status":{{{status}}}}}"#
    )
}

#[test]
fn a_deployment_is_seen_with_all_that_is_judged() {
    let body = deployment(
        r#""name":"bot","uid":"0d9c","generation":7,"managedFields":[{"a":"b"}],
           "annotations":{"deployment.kubernetes.io/revision":"3","x":"y"}"#,
        r#""replicas":3,"paused":true,"strategy":{"type":"RollingUpdate",
           "rollingUpdate":{"maxSurge":"25%"}},"template":{"metadata":{"labels":{"a":"b"}},
           "spec":{"containers":[{"name":"c"}],"terminationGracePeriodSeconds":90}}"#,
        r#""observedGeneration":6,"replicas":4,"updatedReplicas":2,"readyReplicas":3,
           "availableReplicas":1,"terminatingReplicas":5,"conditions":[
           {"type":"Progressing","status":"False","reason":"ProgressDeadlineExceeded",
            "message":"too\nlate","lastUpdateTime":"2026-11-29T09:00:00Z"},
           {"type":"Available","status":"True"},7,{"type":"Odd","status":"Maybe"}]"#,
    );
    let condition = |kind: &str, status, reason: &str, message: &str| Condition {
        kind: kind.to_owned(),
        status,
        reason: reason.to_owned(),
        message: message.to_owned(),
    };
    let seen = Observation {
        name: "bot".to_owned(),
        uid: "0d9c".to_owned(),
        generation: 7,
        observed_generation: 6,
        is_scale_only: false,
        is_paused: true,
        was_never_rolled_out: false,
        desired: 3,
        replicas: 4,
        updated: 2,
        ready: 3,
        available: 1,
        terminating: Some(5),
        strategy: UpdateStrategy::Rolling { partition: 0 },
        is_ordered: false,
        deletes_volumes: false,
        has_old_revision: false,
        grace_period_secs: 90,
        conditions: vec![
            condition(
                "Progressing",
                ConditionStatus::False,
                "ProgressDeadlineExceeded",
                "too\\nlate",
            ),
            condition("Available", ConditionStatus::True, "", ""),
            condition("Odd", ConditionStatus::Unknown, "", ""),
        ],
        owner: None,
    };
    assert_eq!(observed(&target(), &body), Ok(seen));
}

#[test]
fn a_statefulset_is_seen_with_all_that_is_judged() {
    let body = statefulset(
        r#""replicas":3,"podManagementPolicy":"OrderedReady","updateStrategy":
           {"type":"RollingUpdate","rollingUpdate":{"partition":2}},
           "volumeClaimTemplates":[{"metadata":{"name":"data"}}],
           "persistentVolumeClaimRetentionPolicy":{"whenScaled":"Delete","whenDeleted":"Retain"}"#,
        r#""replicas":2,"currentRevision":"db-1","updateRevision":"db-2""#,
    );
    let seen = observed(&database(), &body).unwrap();
    assert_eq!(seen.strategy, UpdateStrategy::Rolling { partition: 2 });
    assert!(seen.is_ordered && seen.deletes_volumes && seen.has_old_revision);
    assert!(!seen.was_never_rolled_out && !seen.is_paused);
    assert_eq!(
        (seen.desired, seen.replicas, seen.grace_period_secs),
        (3, 2, 30)
    );
    assert_eq!(seen.terminating, None);

    let body = statefulset(
        r#""replicas":3,"podManagementPolicy":"Parallel","updateStrategy":{"type":"OnDelete"},
           "persistentVolumeClaimRetentionPolicy":{"whenScaled":"Delete"}"#,
        r#""currentRevision":"db-1","updateRevision":"db-1""#,
    );
    let seen = observed(&database(), &body).unwrap();
    assert_eq!(seen.strategy, UpdateStrategy::OnDelete);
    // It has no volumes of its own.
    assert!(!seen.is_ordered && !seen.deletes_volumes && !seen.has_old_revision);
}

#[test]
fn of_a_kind_that_is_not_known_the_scale_is_seen() {
    run(async {
        let scale = r#"{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"uid":"u"},
            "spec":{"replicas":3},"status":{"replicas":2,"selector":"a=b"}}"#;
        let cluster = Cluster::new([Reply::new(200, scale), status(403, "Forbidden", "")]);
        let seen = Observation {
            name: "web".to_owned(),
            uid: "u".to_owned(),
            is_scale_only: true,
            desired: 3,
            replicas: 2,
            ..Observation::default()
        };
        assert_eq!(cluster.api.observe(&rollout()).await, Ok(seen));
        let line = "GET /apis/argoproj.io/v1alpha1/namespaces/claw/rollouts/web/scale HTTP/1.1\r\n";
        assert!(cluster.server.requests()[0].starts_with(line));
        let error = cluster.api.observe(&rollout()).await.unwrap_err();
        assert_eq!(
            error.sentence(&rollout()),
            "I may not read rollouts web in namespace claw: \
             grant my service account `get` on `rollouts/scale`."
        );
    });
}

#[test]
fn who_may_put_a_count_back_is_known_by_what_it_leaves_on_the_object() {
    let controller = |kind: &str| {
        Some(Owner::Controller {
            kind: kind.to_owned(),
        })
    };
    for (metadata, owner) in [
        ("", None),
        (
            r#""labels":{"app.kubernetes.io/instance":"bot","app":"bot"}"#,
            None,
        ),
        (
            r#""ownerReferences":[{"kind":"Kafka","controller":false},
               {"kind":"Rollout","controller":true}]"#,
            controller("Rollout"),
        ),
        (r#""ownerReferences":[{"kind":"Kafka"}]"#, None),
        (
            r#""annotations":{"argocd.argoproj.io/tracking-id":"a:b/c","meta.helm.sh/release-name":"x"}"#,
            Some(Owner::ArgoCd),
        ),
        (
            r#""labels":{"argocd.argoproj.io/instance":"a"}"#,
            Some(Owner::ArgoCd),
        ),
        (
            r#""labels":{"kustomize.toolkit.fluxcd.io/name":"a"}"#,
            Some(Owner::Flux),
        ),
        (
            r#""labels":{"helm.toolkit.fluxcd.io/name":"a"},
               "annotations":{"meta.helm.sh/release-name":"a"}"#,
            Some(Owner::Flux),
        ),
        (
            r#""annotations":{"meta.helm.sh/release-name":"a"}"#,
            Some(Owner::Helm),
        ),
        (
            r#""labels":{"objectset.rio.cattle.io/hash":"a"}"#,
            Some(Owner::K3s),
        ),
        (
            r#""ownerReferences":[{"kind":"Rollout","controller":true}],
               "labels":{"helm.toolkit.fluxcd.io/name":"a"}"#,
            controller("Rollout"),
        ),
    ] {
        let body = deployment(metadata, r#""replicas":1"#, "");
        let seen = observed(&target(), &body).unwrap();
        assert_eq!(seen.owner, owner, "{metadata}");
    }
}

#[test]
fn an_odd_workload_is_bounded_and_no_number_is_negative() {
    let body = deployment(
        &format!(
            r#""name":["a"],"uid":"{}","generation":"5","labels":[],"annotations":{{}},
               "ownerReferences":{{"kind":"x"}}"#,
            "u".repeat(100_000)
        ),
        r#""replicas":-2,"paused":"yes","strategy":"Recreate","template":[]"#,
        r#""readyReplicas":-1,"replicas":1e99,"updatedReplicas":"2","availableReplicas":{},
           "terminatingReplicas":null,"conditions":{"a":"b"}"#,
    );
    let seen = observed(&target(), &body).unwrap();
    assert_eq!((seen.name.as_str(), seen.uid.as_str()), ("", ""));
    assert_eq!(seen.generation, 5);
    assert_eq!((seen.desired, seen.ready, seen.available), (0, 0, 0));
    assert_eq!((seen.replicas, seen.updated), (i32::MAX, 2));
    assert!(!seen.is_paused && seen.was_never_rolled_out);
    assert_eq!((seen.terminating, seen.grace_period_secs), (None, 30));

    let condition = format!(
        r#"{{"type":"{}","status":"True","reason":"{}","message":"{}"}}"#,
        "T".repeat(100),
        "R".repeat(70_000),
        "m".repeat(1500)
    );
    let many = vec![condition; 40].join(",");
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let body = deployment(
        &format!(r#""annotations":{deep}"#),
        r#""replicas":1"#,
        &format!(r#""conditions":[{many}],"x":{deep}"#),
    );
    let seen = observed(&target(), &body).unwrap();
    assert!((1..=16).contains(&seen.conditions.len()));
    for condition in &seen.conditions {
        assert_eq!((condition.kind.len(), condition.message.len()), (64, 512));
        assert_eq!(condition.reason, "");
    }
}

#[test]
fn what_is_no_such_workload_is_not_understood() {
    for body in [
        "{}",
        "[]",
        "<html>",
        DEPLOYMENT,
        SCALE,
        r#"{"kind":"StatefulSet","apiVersion":"apps/v2"}"#,
        r#"{"kind":"StatefulSet","apiVersion":"apps/v1","spec":{"replicas":"many"}}"#,
        r#"{"kind":"StatefulSet","apiVersion":"apps/v1","spec":{"replicas":true}}"#,
    ] {
        let error = observed(&database(), body).unwrap_err();
        assert!(matches!(error, Error::Broken { .. }), "{body}: {error:?}");
    }
}
