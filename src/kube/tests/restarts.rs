//! Replacing the pods of a target one after another.

use super::*;

const ROLLED: &str = r#"{"kind":"StatefulSet","apiVersion":"apps/v1",
    "metadata":{"name":"db","uid":"u","generation":8},"spec":{"replicas":3}}"#;

/// Uid, generation, replicas and selector.
type Rolled = (String, i64, i32, String);

/// The outcome of a restart, and its requests.
fn rolled(replies: Vec<Reply>) -> (Result<Rolled, Error>, Vec<String>) {
    run(async {
        let cluster = Cluster::new(replies);
        let at = "2026-11-29T15:00:00.123Z";
        let rolled = cluster.api.roll(&database(), "u", at).await;
        let rolled =
            rolled.map(|(seen, selector)| (seen.uid, seen.generation, seen.desired, selector));
        (rolled, cluster.server.requests())
    })
}

#[test]
fn a_restart_sets_one_annotation_of_the_template_of_one_object() {
    let (outcome, requests) = rolled(vec![Reply::new(200, ROLLED), Reply::new(200, SCALE)]);
    let wanted = ("u".to_owned(), 8, 3, "app=bot".to_owned());
    assert_eq!(outcome, Ok(wanted));
    let [patch, scale] = &requests[..] else {
        panic!("{requests:?}")
    };
    let line = "PATCH /apis/apps/v1/namespaces/claw/statefulsets/db\
                ?fieldManager=openclaw-k8s-toggle-operator HTTP/1.1\r\n";
    assert!(patch.starts_with(line), "{patch}");
    assert!(patch.contains("\r\ncontent-type: application/merge-patch+json\r\n"));
    let body = r#"{"metadata":{"uid":"u"},"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-11-29T15:00:00.123Z"}}}}}"#;
    assert!(patch.ends_with(body), "{patch}");
    assert!(scale.contains("/statefulsets/db/scale?") && scale.contains("&dryRun=All"));
}

#[test]
fn a_restart_whose_pods_cannot_be_told_has_begun_all_the_same() {
    let (outcome, _) = rolled(vec![
        Reply::new(200, ROLLED),
        status(403, "Forbidden", "db is forbidden: User \"x\" cannot patch"),
    ]);
    assert_eq!(outcome, Ok(("u".to_owned(), 8, 3, String::new())));
}

#[test]
fn a_restart_that_is_refused_says_why() {
    let denied = "ValidatingAdmissionPolicy 'x' denied request: only the annotation";
    let (outcome, requests) = rolled(vec![status(422, "Invalid", denied)]);
    let sentence = outcome.unwrap_err().sentence(&database());
    assert!(sentence.contains(denied), "{sentence}");
    assert_eq!(requests.len(), 1);

    let forbidden = "statefulsets is forbidden: User \"x\" cannot patch resource";
    let (outcome, _) = rolled(vec![status(403, "Forbidden", forbidden)]);
    let sentence = outcome.unwrap_err().sentence(&database());
    assert!(
        sentence.starts_with("I may not restart ")
            && sentence.ends_with("`patch` on `statefulsets`."),
        "{sentence}"
    );
    let (outcome, _) = rolled(vec![Reply::new(200, SCALE)]);
    assert!(matches!(outcome, Err(Error::Broken { .. })), "{outcome:?}");
}
