//! One call for many workloads.

use serde_json::{Value, json};

use super::*;
use crate::kube::list::Listed;

fn names(names: &[&str]) -> Vec<ObjectName> {
    let names = names.iter().map(|name| ObjectName::parse(name).unwrap());
    names.collect()
}

fn table(columns: &[&str], rows: &[Value]) -> Value {
    let columns: Vec<Value> = columns
        .iter()
        .map(|name| json!({"name": name, "description": "x".repeat(500)}))
        .collect();
    let rows: Vec<Value> = rows
        .iter()
        .map(|cells| json!({"cells": cells, "object": null}))
        .collect();
    json!({"kind": "Table", "metadata": {}, "columnDefinitions": columns, "rows": rows})
}

const COLUMNS: &[&str] = &[
    "Name",
    "Ready",
    "Up-to-date",
    "Available",
    "Age",
    "Containers",
];

/// The names and numbers, and the number of requests.
fn listed(kind: &Kind, wanted: &[&str], replies: Vec<Reply>) -> (Vec<(String, [i32; 3])>, usize) {
    run(async {
        let cluster = Cluster::new(replies);
        let namespace = Namespace::parse("claw").unwrap();
        let listed = cluster.api.list(&namespace, kind, &names(wanted)).await;
        let listed = listed.unwrap().into_iter().map(|listed| {
            let numbers = [listed.desired, listed.ready, listed.available];
            (listed.name.to_string(), numbers)
        });
        (listed.collect(), cluster.server.requests().len())
    })
}

fn reply(body: &Value) -> Reply {
    Reply::new(200, &body.to_string())
}

fn bot(replicas: i32) -> Reply {
    reply(&json!({
        "kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "bot"},
        "spec": {"replicas": replicas}, "status": {"readyReplicas": 1, "availableReplicas": 1},
    }))
}

#[test]
fn many_workloads_take_one_call() {
    run(async {
        let body = table(
            COLUMNS,
            &[
                json!(["web", "2/3", 3, 1, "5d", "nginx"]),
                json!(["somebody-elses", "1/1", 1, 1, "5d", "x"]),
                json!(["bot", "0/0", 0, 0, "5d", "y".repeat(10_000)]),
            ],
        );
        let cluster = Cluster::new([reply(&body)]);
        let namespace = Namespace::parse("claw").unwrap();
        let wanted = names(&["bot", "gone", "web"]);
        let listed = cluster.api.list(&namespace, &Kind::Deployment, &wanted);
        let row = |name: &str, desired, ready, available| Listed {
            name: ObjectName::parse(name).unwrap(),
            desired,
            ready,
            available,
        };
        let rows = vec![row("bot", 0, 0, 0), row("web", 3, 2, 1)];
        assert_eq!(listed.await, Ok(rows));
        let requests = cluster.server.requests();
        let [request] = &requests[..] else {
            panic!("{requests:?}")
        };
        let line = "GET /apis/apps/v1/namespaces/claw/deployments\
                    ?includeObject=None&limit=500 HTTP/1.1\r\n";
        assert!(request.starts_with(line), "{request}");
        let accept = "\r\naccept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n";
        assert!(request.contains(accept), "{request}");
    });
}

#[test]
fn columns_are_found_by_their_names() {
    let body = table(
        &["Age", "Ready", "Name"],
        &[json!(["5d", "2/3", "db"]), json!(["5d", "1/1", "web"])],
    );
    let (listed, _) = listed(&Kind::StatefulSet, &["db", "web"], vec![reply(&body)]);
    assert_eq!(
        listed,
        [("db".to_owned(), [3, 2, 2]), ("web".to_owned(), [1, 1, 1])]
    );
}

#[test]
fn what_a_table_does_not_say_is_asked_for_one_by_one() {
    let no = || status(403, "Forbidden", "");
    let gone = || status(404, "NotFound", "x");
    let row = |cells: Value| reply(&table(COLUMNS, &[cells]));
    let mut more = table(COLUMNS, &[]);
    more["metadata"]["continue"] = json!("eyJ");
    let huge: Vec<Value> = (0..3000)
        .map(|row| json!([format!("bot{row}"), "bot", 1, 1, "5d"]))
        .collect();
    for (what, reply) in [
        ("no right", no()),
        ("no such form", status(406, "NotAcceptable", "")),
        (
            "a list of objects",
            reply(&json!({"kind": "DeploymentList", "items": []})),
        ),
        (
            "no column",
            reply(&table(&["Name", "Age"], &[json!(["bot", "5d"])])),
        ),
        ("an odd cell", row(json!(["bot", "many", 1, 1, "5d"]))),
        ("a negative number", row(json!(["bot", "-1/2", 1, 1, "5d"]))),
        ("a cell that is missing", row(json!(["bot", "1/2"]))),
        (
            "a cell too long",
            row(json!(["bot", "1".repeat(300), 1, 1])),
        ),
        ("a page", reply(&more)),
        (
            "odd rows",
            reply(&json!({"kind": "Table", "rows": {"a": 1}})),
        ),
        ("more than fits", reply(&table(COLUMNS, &huge))),
        ("no JSON", Reply::new(200, "<html>")),
    ] {
        let kind = Kind::Deployment;
        let (listed, requests) = listed(&kind, &["bot", "gone"], vec![reply, bot(2), gone()]);
        assert_eq!(listed, [("bot".to_owned(), [2, 1, 1])], "{what}");
        assert_eq!(requests, 3, "{what}");
    }
}

#[test]
fn a_right_that_is_missing_is_remembered_and_one_object_is_read_by_its_name() {
    let no = || status(403, "Forbidden", "");
    run(async {
        let cluster = Cluster::new([no(), bot(2), no(), bot(2), no(), no(), no()]);
        let namespace = Namespace::parse("claw").unwrap();
        let wanted = names(&["bot", "other"]);
        for _ in 0..2 {
            let listed = cluster.api.list(&namespace, &Kind::Deployment, &wanted);
            assert_eq!(listed.await.unwrap().len(), 1);
        }
        assert_eq!(cluster.server.requests().len(), 5);
        // None of them may be read: that is no empty list.
        let listed = cluster.api.list(&namespace, &Kind::Deployment, &wanted);
        let error = listed.await.unwrap_err();
        assert!(matches!(error, Error::Forbidden { .. }), "{error:?}");
    });
    let (listed, requests) = listed(&Kind::Deployment, &["bot"], vec![bot(2)]);
    assert_eq!((listed.len(), requests), (1, 1));
}

#[test]
fn of_a_kind_that_is_not_known_each_scale_is_read() {
    let scale = |replicas: i32| {
        reply(&json!({
            "kind": "Scale", "apiVersion": "autoscaling/v1", "spec": {"replicas": replicas},
            "status": {"replicas": 1},
        }))
    };
    let kind = rollout().kind;
    let (listed, _) = listed(&kind, &["a", "b"], vec![scale(2), scale(3)]);
    assert_eq!(
        listed,
        [("a".to_owned(), [2, 1, 1]), ("b".to_owned(), [3, 1, 1])]
    );
}
