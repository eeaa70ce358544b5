//! Changing the number of replicas of a target.

use std::time::Duration;

use super::*;
use crate::control::progress::Observation;
use crate::kube::change::Conditional;

/// A Scale with this number of replicas, which is left out where it is zero.
fn scale(uid: &str, replicas: i32) -> Reply {
    let spec = match replicas {
        0 => "{}".to_owned(),
        _ => format!(r#"{{"replicas":{replicas}}}"#),
    };
    Reply::new(
        200,
        &format!(
            r#"{{"kind":"Scale","apiVersion":"autoscaling/v1",
            "metadata":{{"name":"db","uid":"{uid}","resourceVersion":"77"}},
            "spec":{spec},"status":{{"replicas":1,"selector":"app=db,tier in (a)"}}}}"#
        ),
    )
}

fn answer(uid: &str, replicas: i32) -> ScaleAnswer {
    ScaleAnswer {
        uid: uid.to_owned(),
        resource_version: "77".to_owned(),
        replicas,
        current: 1,
        selector: "app=db,tier in (a)".to_owned(),
    }
}

fn object(uid: &str, replicas: i32) -> Reply {
    Reply::new(
        200,
        &format!(
            r#"{{"kind":"StatefulSet","apiVersion":"apps/v1",
            "metadata":{{"name":"db","uid":"{uid}"}},"spec":{{"replicas":{replicas}}}}}"#
        ),
    )
}

/// The answer of the API server to a test that fails, and to anything else in a patch.
fn untrue() -> Reply {
    let words = "the server rejected our request due to an error in our request";
    status(422, "Invalid", words)
}

fn lost() -> Reply {
    Reply::Cut(String::new())
}

/// The bodies of the requests, and the outcome.
fn started(replies: Vec<Reply>) -> (Result<Started, Error>, Vec<String>) {
    run(async {
        let cluster = Cluster::new(replies);
        let started = cluster.api.start(&database(), 2).await;
        (started, cluster.server.requests())
    })
}

fn desired(started: &Result<Started, Error>) -> Option<(bool, i32)> {
    match started {
        Ok(Started::Raised { scale }) => Some((true, scale.replicas)),
        Ok(Started::AlreadyOn {
            observation: Observation { desired, .. },
        }) => Some((false, *desired)),
        Err(_) => None,
    }
}

#[test]
fn a_start_raises_from_zero_in_one_step() {
    let (outcome, requests) = started(vec![scale("u", 2)]);
    let raised = Started::Raised {
        scale: answer("u", 2),
    };
    assert_eq!(outcome, Ok(raised));
    let [request] = &requests[..] else {
        panic!("{requests:?}")
    };
    let line = "PATCH /apis/apps/v1/namespaces/claw/statefulsets/db/scale\
                ?fieldManager=openclaw-k8s-toggle-operator HTTP/1.1\r\n";
    assert!(request.starts_with(line), "{request}");
    assert!(request.contains("\r\ncontent-type: application/json-patch+json\r\n"));
    let patch = r#"[{"op":"test","path":"/spec/replicas","value":null},{"op":"add","path":"/spec/replicas","value":2}]"#;
    assert!(request.ends_with(patch), "{request}");
}

#[test]
fn a_start_never_lowers_a_count() {
    for (replies, outcome, asked) in [
        (vec![untrue(), object("u", 5)], Some((false, 5)), 2),
        // Somebody stopped it in between: once more.
        (
            vec![untrue(), object("u", 0), scale("u", 2)],
            Some((true, 2)),
            3,
        ),
        (
            vec![untrue(), object("u", 0), untrue(), object("u", 1)],
            Some((false, 1)),
            4,
        ),
        // It is no condition that fails.
        (
            vec![untrue(), object("u", 0), untrue(), object("u", 0)],
            None,
            4,
        ),
        // The answer of the first attempt was lost, and it had done it.
        (vec![lost(), untrue(), scale("u", 2)], Some((true, 2)), 3),
        (
            vec![lost(), untrue(), untrue(), object("u", 3)],
            Some((false, 3)),
            4,
        ),
    ] {
        let (started, requests) = started(replies);
        assert_eq!(desired(&started), outcome, "{started:?}");
        assert_eq!(requests.len(), asked, "{requests:?}");
    }
}

#[test]
fn a_refused_start_says_why() {
    let denied = || status(422, "Invalid", "ValidatingAdmissionPolicy denied it");
    let replies = vec![denied(), object("u", 0), denied(), object("u", 0)];
    let error = started(replies).0.unwrap_err();
    assert_eq!(
        error.sentence(&database()),
        "The Kubernetes API server refused to scale statefulset db in namespace claw: \
         ValidatingAdmissionPolicy denied it."
    );
}

#[test]
fn a_change_of_what_is_expected_is_one_step() {
    let changed = |replies: Vec<Reply>| {
        run(async {
            let cluster = Cluster::new(replies);
            let outcome = cluster.api.set_replicas_if(&database(), "u", 3, 0).await;
            (outcome, cluster.server.requests())
        })
    };
    let seen = |(outcome, _): (Result<Conditional, Error>, Vec<String>)| match outcome {
        Ok(Conditional::Changed(seen)) => (seen.uid, seen.desired),
        other => panic!("{other:?}"),
    };
    let gone = || status(404, "NotFound", "statefulsets.apps \"db\" not found");

    let (outcome, requests) = changed(vec![scale("u", 0)]);
    assert_eq!(outcome, Ok(Conditional::Done(answer("u", 0))));
    let patch = r#"[{"op":"test","path":"/metadata/uid","value":"u"},{"op":"test","path":"/spec/replicas","value":3},{"op":"add","path":"/spec/replicas","value":0}]"#;
    assert!(requests[0].ends_with(patch), "{}", requests[0]);

    // Another number, another object, and one whose number fits by chance.
    assert_eq!(
        seen(changed(vec![untrue(), object("u", 5)])),
        ("u".to_owned(), 5)
    );
    assert_eq!(
        seen(changed(vec![untrue(), object("v", 3)])),
        ("v".to_owned(), 3)
    );
    for replies in [vec![gone()], vec![untrue(), gone()]] {
        assert_eq!(changed(replies).0, Ok(Conditional::Gone));
    }
    // It was changed back in between.
    let (outcome, _) = changed(vec![untrue(), object("u", 3), scale("u", 0)]);
    assert_eq!(outcome, Ok(Conditional::Done(answer("u", 0))));
    let again = vec![untrue(), object("u", 3), untrue(), object("u", 3)];
    assert!(matches!(
        changed(again).0.unwrap_err(),
        Error::Refused { .. }
    ));
    // The answer of the first attempt was lost, and it had done it.
    let (outcome, requests) = changed(vec![lost(), untrue(), scale("u", 0)]);
    assert_eq!(outcome, Ok(Conditional::Done(answer("u", 0))));
    let patch = r#"{"op":"test","path":"/spec/replicas","value":null},{"op":"add","path":"/spec/replicas","value":0}]"#;
    assert!(requests[2].ends_with(patch), "{}", requests[2]);
}

#[test]
fn a_number_is_set_for_any_kind() {
    run(async {
        let cluster = Cluster::new([scale("u", 4)]);
        let scaled = cluster.api.set_replicas(&rollout(), 4).await;
        assert_eq!(scaled, Ok(answer("u", 4)));
        let requests = cluster.server.requests();
        let path = "PATCH /apis/argoproj.io/v1alpha1/namespaces/claw/rollouts/web/scale?";
        assert!(requests[0].starts_with(path), "{}", requests[0]);
        assert!(requests[0].ends_with("\r\n\r\n{\"spec\":{\"replicas\":4}}"));
    });
}

#[test]
fn an_inspection_says_all_that_is_missing_and_changes_nothing() {
    let inspected = |replies: Vec<Reply>| {
        run(async {
            let cluster = Cluster::new(replies);
            let seen = cluster.api.inspect(&database()).await;
            (seen, cluster.server.requests())
        })
    };
    let no = || status(403, "Forbidden", "");
    let (seen, requests) = inspected(vec![object("u", 3), scale("u", 3)]);
    assert_eq!(seen.unwrap().desired, 3);
    assert!(requests[1].contains("&dryRun=All HTTP/1.1\r\n"));
    assert!(requests[1].ends_with("\r\n\r\n{}"));
    let sentences = |replies| {
        let faults = inspected(replies).0.unwrap_err();
        let sentences = faults.iter().map(|fault| fault.sentence(&database()));
        sentences.collect::<Vec<_>>()
    };
    let read = "I may not read statefulset db in namespace claw: \
                grant my service account `get` on `statefulsets`.";
    let scaled = "I may not scale statefulset db in namespace claw: \
                 grant my service account `patch` on `statefulsets/scale`.";
    assert_eq!(sentences(vec![no(), no()]), [read, scaled]);
    assert_eq!(sentences(vec![object("u", 3), no()]), [scaled]);
    assert_eq!(sentences(vec![no(), scale("u", 3)]), [read]);
    assert_eq!(sentences(vec![status(404, "NotFound", "x")]).len(), 1);
}

#[test]
fn a_scale_that_is_none_is_not_understood() {
    let head = r#""kind":"Scale","apiVersion":"autoscaling/v1""#;
    for body in [
        "{}".to_owned(),
        "[]".to_owned(),
        r#"{"kind":"Scale","apiVersion":"apps/v1","spec":{"replicas":2}}"#.to_owned(),
        format!(r#"{{{head},"spec":{{"replicas":"many"}}}}"#),
        format!(r#"{{{head},"spec":{{"replicas":true}}}}"#),
    ] {
        let (outcome, _) = started(vec![Reply::new(200, &body)]);
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Broken { .. }), "{body}: {error:?}");
    }
    // Odd, but no reason to give up a change that was made.
    let odd = format!(
        r#"{{{head},"metadata":{{"uid":7,"resourceVersion":"{}"}},
        "spec":{{"replicas":-3}},"status":{{"replicas":9e99,"selector":["a"]}}}}"#,
        "9".repeat(500)
    );
    let (outcome, _) = started(vec![Reply::new(200, &odd)]);
    let scale = ScaleAnswer {
        current: i32::MAX,
        ..ScaleAnswer::default()
    };
    assert_eq!(outcome, Ok(Started::Raised { scale }));
}

#[test]
fn the_errors_of_a_target_name_its_kind_and_its_entry() {
    let told = |target: &Workload, reply: Reply| {
        run(async {
            let cluster = Cluster::new(vec![reply; 3]);
            let error = cluster.api.set_replicas(target, 1).await.unwrap_err();
            error.sentence(target)
        })
    };
    let no_page = || Reply::new(404, "404 page not found\n");
    for (target, reply, sentence) in [
        (
            database(),
            status(403, "Forbidden", ""),
            "I may not scale statefulset db in namespace claw: \
             grant my service account `patch` on `statefulsets/scale`.",
        ),
        (
            rollout(),
            status(403, "Forbidden", ""),
            "I may not scale rollouts web in namespace claw: \
             grant my service account `patch` on `rollouts/scale`.",
        ),
        (
            database(),
            status(404, "NotFound", "x"),
            "There is no statefulset db in namespace claw: check the target's entry.",
        ),
        (
            database(),
            Reply::new(
                404,
                r#"{"status":"Failure","details":{"name":"claw","kind":"namespaces"}}"#,
            ),
            "There is no namespace claw: check the target's entry.",
        ),
        (
            rollout(),
            no_page(),
            "The Kubernetes API server knows no rollouts in argoproj.io/v1alpha1: \
             check the target's entry.",
        ),
        (
            database(),
            no_page(),
            "I do not understand the answer of the Kubernetes API server: check that \
             KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT lead to it.",
        ),
    ] {
        assert_eq!(told(&target, reply), sentence);
    }
}

#[test]
fn a_change_without_an_answer_may_have_happened() {
    run(async {
        let mut cluster = Cluster::new([Reply::Hang(String::new())]);
        cluster.api.api_client.change_deadline = Duration::from_millis(300);
        let error = cluster.api.start(&database(), 1).await.unwrap_err();
        assert_eq!(
            error.sentence(&database()),
            "The Kubernetes API server did not answer in time, so statefulset db in namespace \
             claw may or may not have been scaled: ask for the status."
        );
    });
}

#[test]
fn what_took_long_is_not_tried_again_without_the_time_for_it() {
    use crate::kube::api_client::has_time;
    use crate::kube::operation::Operation;
    let ms = Duration::from_millis;
    for (operation, took, left, is_enough) in [
        (Operation::Change, 10, 1299, false),
        (Operation::Change, 10, 1300, true),
        // A webhook that hangs: its name is in the answer that there is.
        (Operation::Change, 10_000, 5000, false),
        (Operation::Change, 4000, 4300, true),
        (Operation::Scale, 6000, 4000, true),
        (Operation::Observe, 9000, 1000, false),
    ] {
        let has_time = has_time(operation, ms(took), ms(300), ms(left));
        assert_eq!(has_time, is_enough, "{operation:?} {took} {left}");
    }
}

#[test]
fn no_more_than_four_calls_are_under_way_and_three_in_a_namespace() {
    run(async {
        let mut cluster = Cluster::new(vec![Reply::Hang(String::new()); 10]);
        cluster.api.api_client.deadline = Duration::from_millis(700);
        let mut tasks = tokio::task::JoinSet::new();
        for (namespace, calls) in [("one", 5), ("two", 2)] {
            for _ in 0..calls {
                let api = cluster.api.clone();
                let target = Workload {
                    namespace: Namespace::parse(namespace).unwrap(),
                    ..database()
                };
                tasks.spawn(async move { api.observe(&target).await });
            }
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
        let requests = cluster.server.requests();
        let in_one = requests
            .iter()
            .filter(|request| request.contains("/one/"))
            .count();
        assert_eq!((requests.len(), in_one), (4, 3));
    });
}
