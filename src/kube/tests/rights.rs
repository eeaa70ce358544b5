//! The rights of this program.

use serde_json::{Value, json};

use super::*;
use crate::kube::rights::{Rights, WorkloadRights};

fn rights(rules: &Value, incomplete: bool) -> Rights {
    run(async {
        let body = json!({
            "kind": "SelfSubjectRulesReview",
            "status": {"resourceRules": rules, "incomplete": incomplete},
        });
        let cluster = Cluster::new([Reply::new(201, &body.to_string())]);
        let namespace = Namespace::parse("claw").unwrap();
        let rights = cluster.api.rights(&namespace).await.unwrap();
        let request = &cluster.server.requests()[0];
        let line = "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews HTTP/1.1\r\n";
        assert!(request.starts_with(line), "{request}");
        assert!(
            request.contains(r#""spec":{"namespace":"claw"}"#),
            "{request}"
        );
        rights
    })
}

fn rule(verbs: &[&str], group: &str, resources: &[&str], names: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": [group], "resources": resources, "resourceNames": names})
}

/// The rights by their first letters.
fn letters(rights: WorkloadRights) -> String {
    let all = [
        (rights.get, 'g'),
        (rights.list, 'l'),
        (rights.watch, 'w'),
        (rights.scale, 's'),
        (rights.restart, 'r'),
        (rights.pods, 'p'),
        (rights.events, 'e'),
        (rights.is_incomplete, '?'),
    ];
    let all = all.into_iter().filter(|(is, _)| *is);
    all.map(|(_, letter)| letter).collect()
}

#[test]
fn rights_are_those_of_rbac_with_names_and_stars() {
    let set = ["statefulsets"];
    for (rules, database_may, rollout_may) in [
        (json!([]), "", ""),
        (json!([rule(&["*"], "*", &["*"], &[])]), "glwsrpe", "glwspe"),
        (
            json!([rule(&["get", "list", "watch"], "apps", &set, &[])]),
            "glw",
            "",
        ),
        // A list of all takes more than a right on some.
        (
            json!([rule(&["get", "list", "watch"], "apps", &set, &["x", "db"])]),
            "gw",
            "",
        ),
        (json!([rule(&["get"], "apps", &set, &["other"])]), "", ""),
        (
            json!([rule(&["patch"], "apps", &["statefulsets/scale"], &["db"])]),
            "s",
            "",
        ),
        // The Scale is not the object.
        (json!([rule(&["patch"], "apps", &set, &["db"])]), "r", ""),
        (json!([rule(&["patch"], "apps", &set, &["other"])]), "", ""),
        // Of other kinds no template is known.
        (
            json!([rule(&["patch"], "argoproj.io", &["rollouts"], &[])]),
            "",
            "",
        ),
        (
            json!([rule(&["patch", "get"], "*", &["*/scale"], &[])]),
            "s",
            "gs",
        ),
        (
            json!([rule(&["get"], "argoproj.io", &["rollouts/scale"], &["web"])]),
            "",
            "g",
        ),
        (
            json!([rule(&["list"], "", &["pods", "events"], &[])]),
            "pe",
            "pe",
        ),
        (json!([rule(&["list"], "apps", &["pods"], &[])]), "", ""),
        (
            json!([rule(&["get"], "", &["pods"], &["db-0", "db-1"])]),
            "p",
            "",
        ),
    ] {
        let rights = rights(&rules, false);
        assert_eq!(letters(rights.on(&database())), database_may, "{rules}");
        assert_eq!(letters(rights.on(&rollout())), rollout_may, "{rules}");
    }
}

#[test]
fn what_is_not_known_of_the_rights_is_said() {
    let none = json!([]);
    assert_eq!(letters(rights(&none, true).on(&target())), "?");
    let odd = json!([7, {"verbs": "get"}, {"verbs": {"get": 1}, "apiGroups": ["apps"]}]);
    assert_eq!(letters(rights(&odd, false).on(&target())), "?");
    let rule = rule(&["get"], "apps", &["deployments"], &["x"; 5000]);
    assert_eq!(letters(rights(&json!([rule]), false).on(&target())), "?");
    let many = vec![json!({"verbs": ["x"]}); 2000];
    assert_eq!(letters(rights(&json!(many), false).on(&target())), "?");
    run(async {
        for body in ["{}", "[]", "<html>", SCALE] {
            let cluster = Cluster::new([Reply::new(201, body)]);
            let namespace = Namespace::parse("claw").unwrap();
            let error = cluster.api.rights(&namespace).await.unwrap_err();
            assert!(matches!(error, Error::Broken { .. }), "{body}");
        }
    });
}
