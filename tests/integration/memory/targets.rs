//! Answers of the API server about many targets, what people ask of them, and the largest
//! configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cases::{Case, all, case, end};
use super::stage::{ASKING, FLOODING, PATIENCE, Stage, Store, TARGETS, measured, run, show};
use crate::support::faults::Fault;
use crate::support::filling::{Shape, each, fill};
use crate::support::monitor::poll;

/// The largest answer that is read.
const LARGE: usize = 4 * 1024 * 1024;

/// The largest file of targets.
const FILE: usize = 256 * 1024;

const TABLE: &str = "GET /deployments";
const PODS: &str = "GET /pods";
const EVENTS: &str = "GET /events";
const RULES: &str = "POST /selfsubjectrulesreviews";

/// The time that changes are followed.
const FOLLOWED: Duration = Duration::from_secs(25);

#[test]
fn a_list_of_targets_may_be_of_any_size() {
    let row = |more: Value| json!({"cells": ["t00", "1/1", 1, 1, "5d", more], "object": null});
    let mut cases: Vec<Case> = vec![
        listed(
            "a Table of 500 rows",
            table(json!([each(500, &row(json!("x")))])),
        )
        .quick(),
        listed(
            "a Table of 500 rows of 8 kB that are all wanted",
            table(json!([each(500, &row(fill(Shape::Flat, 8_000)))])),
        ),
        listed(
            "a Table of 50,000 rows that are all wanted",
            table(json!([each(50_000, &row(json!("x")))])),
        ),
        listed(
            "a Table of 290 rows with objects of 14 kB",
            table(json!([each(
                290,
                &json!({"cells": ["t00", "1/1", 1, 1], "object": fill(Shape::Dense, 14_000)})
            )])),
        ),
    ];
    for shape in [Shape::Dense, Shape::Flat, Shape::Members, Shape::Nested] {
        let size = LARGE - 2000;
        for (place, body) in [
            ("rows", table(fill(shape, size))),
            ("a row", table(json!([fill(shape, size)]))),
            ("a cell", table(json!([row(fill(shape, size))]))),
            (
                "the columns",
                json!({"kind": "Table", "columnDefinitions": fill(shape, size), "rows": []}),
            ),
            ("everything", fill(shape, size)),
        ] {
            cases.push(listed(&format!("a Table, {shape:?} in {place}"), body));
        }
    }
    cases.push(listed(
        "a Table of 64 MiB",
        table(json!([row(fill(Shape::Flat, 16 * LARGE))])),
    ));
    all("a list of targets", &cases);
}

#[test]
fn people_may_ask_of_many_targets_as_they_like() {
    let said = |name: &str, text: String, times: usize| {
        case(name, move |stage| {
            for _ in 0..times {
                stage.told(&text, PATIENCE);
            }
        })
        .of_targets()
    };
    let flood = case("100 commands at once to 50 targets", |stage| {
        stage.flood(0..100);
        let answered = stage.ask_patiently(PATIENCE * 2);
        assert!(answered.is_some(), "nothing is answered any more");
    });
    all(
        "commands to targets",
        &[
            said("messages of 10 kB", "start ".repeat(1_700), 3),
            said(
                "names that are none",
                format!("stop {}", "x ".repeat(2_000)),
                3,
            ),
            said(
                "all names many times",
                format!("stop {}", "t00 t01 ".repeat(500)),
                3,
            )
            .quick(),
            said(
                "a time of 4 kB",
                format!("start t00 for {}", "1h".repeat(2_000)),
                3,
            ),
            flood.of_targets(),
        ],
    );
}

#[test]
fn fifty_changes_may_be_followed_with_the_largest_answers() {
    if !measured() {
        return;
    }
    let container = json!({
        "name": "app", "image": fill(Shape::Flat, 500), "ready": false, "restartCount": 1,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": fill(Shape::Flat, 2_000)}},
    });
    let pod = json!({
        "metadata": {"name": "p<i>", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"containers": [each(16, &json!({"name": "app", "image": "x"}))]},
        "status": {"phase": "Pending", "containerStatuses": [each(16, &container)]},
    });
    let event = json!({"reason": "Failed", "message": fill(Shape::Flat, 2_000), "count": 1});
    let mut rows = Vec::new();
    for (name, pods, events) in [
        (
            "full pods and events",
            json!([each(90, &pod)]),
            json!([each(1_900, &event)]),
        ),
        (
            "flat",
            fill(Shape::Flat, LARGE - 2000),
            fill(Shape::Flat, LARGE - 2000),
        ),
        (
            "dense",
            fill(Shape::Dense, LARGE - 2000),
            fill(Shape::Dense, LARGE - 2000),
        ),
        (
            "objects",
            fill(Shape::Objects, LARGE - 2000),
            fill(Shape::Objects, LARGE - 2000),
        ),
    ] {
        let mut stage = Stage::of_targets(Store::Full);
        for number in 0..TARGETS {
            let large = json!({"metadata": {"annotations": {"x": "a".repeat(14_000)}}});
            let name = format!("t{number:02}");
            stage
                .world
                .api
                .workload(&name, |workload| workload.overlay = large);
        }
        let list = |items: &Value| Fault::json(200, &json!({"kind": "List", "items": items}));
        stage.world.api.fault(PODS, usize::MAX, list(&pods));
        stage.world.api.fault(EVENTS, usize::MAX, list(&events));
        let name = format!("50 changes, {name}");
        let row = run(
            "changes that are followed",
            &name,
            Store::Full,
            &mut stage,
            &|stage| {
                // No more wait in one room.
                for first in [0, TARGETS / 2] {
                    stage.flood(first..first + TARGETS / 2);
                    poll("the targets to be scaled", || {
                        let scaled = stage.world.api.scaled_to().len();
                        (scaled >= first + TARGETS / 2).then_some(())
                    });
                }
                std::thread::sleep(FOLLOWED);
                let answered = stage.ask_patiently(PATIENCE * 2);
                assert!(answered.is_some(), "nothing is answered any more");
                let looks = stage.world.api.calls(PODS).len();
                assert!(looks >= TARGETS / 2, "{looks} looks at pods");
            },
        );
        show(&row);
        rows.push(row);
    }
    end(&rows);
}

#[test]
fn the_rules_and_the_file_of_targets_may_be_of_any_size() {
    if !measured() {
        return;
    }
    let rule = json!({
        "verbs": [each(50, &json!("get"))], "apiGroups": ["apps"], "resources": ["deployments"],
        "resourceNames": [each(50, &json!("name-<i>"))],
    });
    let review = |rules: Value| json!({"kind": "SelfSubjectRulesReview", "status": {"resourceRules": rules, "incomplete": false}});
    let size = LARGE - 2000;
    let mut rows = Vec::new();
    for (name, body) in [
        ("3,000 rules", review(json!([each(3_000, &rule)]))),
        ("rules, dense", review(fill(Shape::Dense, size))),
        ("rules, flat", review(fill(Shape::Flat, size))),
        ("rules, members", review(fill(Shape::Members, size))),
    ] {
        let mut stage = Stage::unstarted_of_targets();
        stage.world.api.fault(RULES, 1, Fault::json(201, &body));
        rows.push(starts(name, &mut stage));
        assert_eq!(stage.world.api.calls(RULES).len(), 1);
    }
    let targets = (0..200).map(|number| {
        let users: Vec<String> = (0..12).map(|user| format!("@user{user}:test")).collect();
        json!({
            "name": format!("t{number:02}"), "object": format!("t{number:02}"), "max": 5,
            "users": ([users.clone(), vec![users[0].clone(); 40]].concat()),
            "schedule": vec!["Mon-Fri 08:00-18:00"; 10],
        })
    });
    let mut file = json!({"targets": targets.collect::<Vec<_>>()}).to_string();
    assert!(file.len() < FILE, "{} bytes", file.len());
    file.push_str(&" ".repeat(FILE - file.len()));
    let mut stage = Stage::unstarted_of_targets();
    stage.targets_file(&file);
    rows.push(starts("a file of targets at its limit", &mut stage));
    for (name, item) in [("numbers", "0,"), ("objects", "{},"), ("keys", "")] {
        let text = match name {
            "keys" => format!("{{\"targets\":[{{{}\"a\":0}}]}}", "\"k\":0,".repeat(43_000)),
            _ => format!(
                "{{\"targets\":[{}0]}}",
                item.repeat(FILE / 3 / item.len() * 2)
            ),
        };
        let mut stage = Stage::unstarted_of_targets();
        stage.targets_file(&text);
        stage.spawn();
        let code = stage.world.bot().wait_exit(PATIENCE).code();
        assert_eq!(code, Some(1), "{name}: it is not told what is wrong");
        let log = stage.world.bot().log();
        assert!(log.contains("has more faults than these"), "{name}: {log}");
    }
    end(&rows);
}

/// Starts the bot, and looks at it as at one that something is done to.
fn starts(name: &str, stage: &mut Stage) -> super::stage::Row {
    let started = Instant::now();
    stage.spawn();
    let row = run(
        "a start with targets",
        name,
        Store::Empty,
        stage,
        &|stage| {
            stage.world.wait_listening();
            assert!(started.elapsed() < PATIENCE);
        },
    );
    show(&row);
    row
}

fn table(rows: Value) -> Value {
    let columns = ["Name", "Ready", "Up-to-date", "Available", "Age"];
    let columns: Vec<Value> = columns.iter().map(|name| json!({"name": name})).collect();
    json!({"kind": "Table", "metadata": {}, "columnDefinitions": columns, "rows": rows})
}

/// A list is answered by that, and the list by anything.
fn listed(name: &str, answer: Value) -> Case {
    case(name, move |stage| {
        stage.world.api.fault(TABLE, 1, Fault::json(200, &answer));
        assert!(stage.told("list", PATIENCE).is_some(), "no list");
    })
    .of_targets()
}

impl Stage {
    /// Commands to these targets without waiting, of people who ask nothing else.
    fn flood(&mut self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let text = format!("start t{:02} 2", number % TARGETS);
            self.say_as(ASKING + number % FLOODING, &text);
        }
    }

    /// The targets are those of a file with this text.
    fn targets_file(&mut self, text: &str) {
        let path = self.world.dir.path().join("targets.json");
        fs::write(&path, text).expect("the directory is there");
        let mode = fs::Permissions::from_mode(0o644);
        fs::set_permissions(&path, mode).expect("it is there");
        self.world.env.remove("TARGETS");
        self.world.set("TARGETS_FILE", &path.display().to_string());
    }
}
