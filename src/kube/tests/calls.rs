//! The requests that are sent, and the meaning of good answers.

use super::*;

#[test]
fn scaling_is_a_merge_patch_of_the_scale() {
    run(async {
        let cluster = Cluster::new([Reply::new(200, SCALE), Reply::new(200, SCALE)]);
        assert_eq!(cluster.scale().await, Ok(Scaled { replicas: 1 }));
        let dry = cluster.api.scale(&target(), 0, DryRun::Yes).await;
        assert_eq!(dry, Ok(Scaled { replicas: 1 }));
        let requests = cluster.server.requests();
        let path = "/apis/apps/v1/namespaces/claw/deployments/bot/scale";
        let manager = "fieldManager=openclaw-k8s-toggle-operator";
        let line = format!("PATCH {path}?{manager} HTTP/1.1\r\n");
        assert!(requests[0].starts_with(&line), "{}", requests[0]);
        assert!(requests[0].contains("\r\ncontent-type: application/merge-patch+json\r\n"));
        assert!(requests[0].contains("\r\nauthorization: Bearer first\r\n"));
        assert!(requests[0].ends_with("\r\n\r\n{\"spec\":{\"replicas\":1}}"));
        let line = format!("PATCH {path}?{manager}&dryRun=All HTTP/1.1\r\n");
        assert!(requests[1].starts_with(&line), "{}", requests[1]);
        assert!(requests[1].ends_with("\r\n\r\n{\"spec\":{\"replicas\":0}}"));
        assert_eq!(cluster.server.connections(), 1);
    });
}

#[test]
fn a_zero_is_left_out_of_an_answer() {
    run(async {
        let zero = SCALE.replace(r#""replicas":1"#, "");
        let cluster = Cluster::new([Reply::new(200, &zero)]);
        assert_eq!(cluster.scale().await, Ok(Scaled { replicas: 0 }));
    });
}

#[test]
fn a_deployment_is_three_numbers() {
    let read = |body: String| {
        run(async {
            let cluster = Cluster::new([Reply::new(200, &body)]);
            let status = cluster.api.deployment(&target()).await.unwrap();
            let line = "GET /apis/apps/v1/namespaces/claw/deployments/bot HTTP/1.1\r\n";
            assert!(cluster.server.requests()[0].starts_with(line));
            (status.desired, status.ready, status.available)
        })
    };
    assert_eq!(read(DEPLOYMENT.to_owned()), (2, 1, 1));
    let head = r#"{"kind":"Deployment","apiVersion":"apps/v1""#;
    assert_eq!(read(format!("{head}}}")), (0, 0, 0));
    assert_eq!(
        read(format!(
            r#"{head},"spec":null,"status":{{"readyReplicas":null}}}}"#
        )),
        (0, 0, 0)
    );
    assert_eq!(
        read(format!(
            r#"{head},"spec":{{"replicas":-3}},"status":{{"readyReplicas":-1}}}}"#
        )),
        (0, 0, 0)
    );
}

#[test]
fn calls_can_be_spawned() {
    run(async {
        let cluster = Cluster::new([Reply::new(200, SCALE)]);
        let api = cluster.api.clone();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { api.scale(&target(), 1, DryRun::No).await });
        assert!(tasks.join_next().await.unwrap().unwrap().is_ok());
    });
}

#[test]
fn preflight_says_all_that_is_missing_and_changes_nothing() {
    let preflight = |replies: Vec<Reply>| {
        run(async {
            let cluster = Cluster::new(replies);
            let found = cluster.api.preflight(&target()).await;
            (found, cluster.server.requests())
        })
    };
    let no = || status(403, "Forbidden", "");
    let (found, requests) = preflight(vec![Reply::new(200, DEPLOYMENT), Reply::new(200, SCALE)]);
    let ready = DeploymentStatus {
        desired: 2,
        ready: 1,
        available: 1,
    };
    assert_eq!(found, Preflight::Ready(ready));
    assert!(requests[1].contains("&dryRun=All HTTP/1.1\r\n"));
    assert!(requests[1].ends_with("\r\n\r\n{}"));

    let sentences = |found: Preflight| match found {
        Preflight::Ready(status) => panic!("{status:?}"),
        Preflight::Faulty(faults) => {
            let sentences = faults.iter().map(|fault| fault.sentence(&target()));
            sentences.collect::<Vec<_>>()
        }
    };
    let read = "I may not read deployment bot in namespace claw: \
                grant my service account `get` on `deployments`.";
    let scale = "I may not scale deployment bot in namespace claw: \
                 grant my service account `patch` on `deployments/scale`.";
    let (found, _) = preflight(vec![no(), no()]);
    assert_eq!(sentences(found), [read, scale]);
    let (found, _) = preflight(vec![no(), Reply::new(200, SCALE)]);
    assert_eq!(sentences(found), [read]);
    let (found, _) = preflight(vec![Reply::new(200, DEPLOYMENT), no()]);
    assert_eq!(sentences(found), [scale]);
    let (found, requests) = preflight(vec![status(404, "NotFound", "x")]);
    assert_eq!(sentences(found).len(), 1);
    assert_eq!(requests.len(), 1);
}
