//! Restarts: one pod after another where that is granted, and else off and on again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::faults::Fault;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, World};

/// A worker with three pods, a gateway with two, and a web that always asks.
fn running() -> Scenario {
    let scenario = Scenario::encrypted()
        .set("DEPLOYMENT_NAME", "")
        .set("DEPLOYMENT_NAMESPACE", "claw");
    let mut scenario = scenario.with(|world| {
        for (resource, name, count) in [
            ("apps/v1/deployments", "worker", 3),
            ("apps/v1/statefulsets", "gateway", 2),
            ("apps/v1/deployments", "web", 1),
        ] {
            world.api.add(resource, "openclaw", name);
            world.api.workload(name, |workload| {
                (workload.replicas, workload.ready, workload.available) = (count, count, count);
            });
        }
    });
    let target = |name: &str, kind: &str| json!({"name": name, "object": name, "namespace": "openclaw", "kind": kind, "max": 5});
    let mut web = target("web", "deployment");
    web["confirm"] = json!("always");
    let mut gateway = target("gateway", "statefulset");
    gateway["details"] = json!("full");
    let targets = json!({"targets": [target("worker", "deployment"), gateway, web]});
    scenario = scenario.with(move |world| {
        let file = world.dir.path().join("targets.json");
        std::fs::write(file, targets.to_string()).expect("a file can be written");
    });
    scenario
}

fn start(scenario: Scenario) -> World {
    let mut world = scenario.build();
    let file = world.dir.path().join("targets.json");
    world.set("TARGETS_FILE", &file.display().to_string());
    world.start();
    world.settle();
    world
}

/// The code of a question.
fn code(question: &str) -> String {
    let (_, code) = question.rsplit_once("yes ").expect(question);
    code.to_owned()
}

/// The values that the annotation of a restart has had.
fn restarts(world: &World, name: &str) -> Vec<String> {
    world
        .api
        .workload(name, |workload| workload.restarts.clone())
}

/// Waits until a workload was looked at twice more.
fn look_twice(world: &World, name: &str) {
    let pattern = format!("GET /{name}");
    let before = world.api.calls(&pattern).len();
    while world.api.calls(&pattern).len() < before + 2 {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The next message that is no edit.
fn next_new(world: &mut World) -> String {
    loop {
        let body = world.next_body();
        if !body.starts_with("* ") {
            return body;
        }
    }
}

const RESTARTING: &str = "worker is restarting: new pods for 3 replicas, one after another.";

#[test]
fn a_restart_that_interrupts_nothing_asks_nothing_and_is_followed_to_the_last_pod() {
    let mut world = start(running());
    assert_eq!(world.ask("restart worker"), RESTARTING);
    let [at] = &restarts(&world, "worker")[..] else {
        panic!("restarted once")
    };
    assert!(at.ends_with('Z') && at.contains('T'), "{at}");
    assert!(world.api.scaled_to().is_empty());
    // All are ready, and none is new.
    look_twice(&world, "worker");
    world
        .api
        .workload("worker", |workload| workload.updated = Some(2));
    look_twice(&world, "worker");
    assert!(
        world
            .unread()
            .iter()
            .flatten()
            .all(|body| body.starts_with("* worker: "))
    );
    world
        .api
        .workload("worker", |workload| workload.updated = None);
    let outcome = next_new(&mut world);
    assert!(
        outcome.starts_with("worker is ready: 3 of 3 after "),
        "{outcome}"
    );
    let history = world.ask("history worker");
    assert!(
        history.contains("restart 3 → 3 by @alice:test: ready after"),
        "{history}"
    );
}

#[test]
fn a_restart_of_what_is_off_or_paused_changes_nothing() {
    let mut world = start(running());
    world.api.workload("worker", |workload| {
        workload.overlay = json!({"spec": {"paused": true}});
    });
    assert_eq!(
        world.ask("restart worker"),
        "I did not restart worker: its rollout is paused, so nothing would happen before \
         somebody resumes it."
    );
    world
        .api
        .workload("worker", |workload| workload.replicas = 0);
    assert_eq!(
        world.ask("restart worker"),
        "worker is off: there is nothing to restart."
    );
    assert!(restarts(&world, "worker").is_empty());
    assert!(world.api.scaled_to().is_empty());
}

#[test]
fn a_crash_in_the_middle_of_a_restart_neither_repeats_nor_loses_it() {
    let mut world = start(running());
    let victim = world.bot().victim();
    world
        .api
        .fault("PATCH deployments/worker", 1, Fault::KillAfter(victim));
    world.say("restart worker");
    world.api.wait("the crash", |state| {
        let restarts = &state.objects.workload("worker").restarts;
        (restarts.len() == 1).then_some(())
    });
    world.crash_and_restart();
    assert_eq!(world.next_body(), RESTARTING);
    assert_eq!(restarts(&world, "worker").len(), 1);
    let patched = world.api.calls("PATCH deployments/worker");
    let patched = patched.iter().filter(|call| !call.path.contains("/scale"));
    let values: Vec<&Value> = patched.map(|call| &call.body).collect();
    assert_eq!(values.len(), 2, "{values:?}");
    assert_eq!(values[0], values[1]);
    world
        .api
        .workload("worker", |workload| workload.updated = None);
    let outcome = next_new(&mut world);
    assert!(
        outcome.starts_with("worker is ready: 3 of 3 after "),
        "{outcome}"
    );
    // The next one is another one.
    assert_eq!(world.ask("restart worker"), RESTARTING);
    assert_eq!(restarts(&world, "worker").len(), 2);
}

#[test]
fn what_cannot_be_done_pod_by_pod_is_asked_back_and_goes_off_and_on() {
    for (name, forbidden, overlay) in [
        ("worker", true, json!({})),
        (
            "worker",
            false,
            json!({"spec": {"strategy": {"type": "Recreate"}}}),
        ),
        (
            "gateway",
            false,
            json!({"spec": {"updateStrategy": {"type": "OnDelete"}}}),
        ),
    ] {
        let mut world = start(running());
        if forbidden {
            world.api.forbid("patch", "deployments");
        }
        let count = world.api.workload(name, |workload| {
            workload.is_prompt = true;
            workload.overlay = overlay;
            workload.replicas
        });
        let question = world.ask(&format!("restart {name}"));
        assert!(
            question.starts_with(&format!("Shall I restart {name}?")),
            "{question}"
        );
        assert!(world.api.scaled_to().is_empty());
        let answer = world.ask(&format!("yes {}", code(&question)));
        assert_eq!(
            answer,
            format!("{name} is starting again: 0 → {count} replicas.")
        );
        assert_eq!(world.api.scaled_to(), [0, count]);
        assert!(restarts(&world, name).is_empty());
    }
}

#[test]
fn a_target_that_always_asks_is_asked_for_once() {
    let mut world = start(running());
    let question = world.ask("restart web");
    assert!(question.starts_with("Shall I restart web?"), "{question}");
    assert!(restarts(&world, "web").is_empty());
    let answer = world.ask(&format!("yes {}", code(&question)));
    assert_eq!(
        answer,
        "web is restarting: new pods for 1 replicas, one after another."
    );

    // Without the right the same answer is enough.
    let mut world = start(running());
    world.api.forbid("patch", "deployments");
    world
        .api
        .workload("web", |workload| workload.is_prompt = true);
    let question = world.ask("restart web");
    let answer = world.ask(&format!("yes {}", code(&question)));
    assert_eq!(answer, "web is starting again: 0 → 1 replicas.");
}

#[test]
fn a_restart_that_hangs_says_why_in_full_where_that_is_wanted() {
    let mut world = start(running());
    world.api.with(|state| {
        state.objects.pods = vec![json!({
            "metadata": {
                "name": "gateway-1", "namespace": "openclaw", "uid": "p",
                "creationTimestamp": "2026-11-29T15:00:00Z", "labels": {"app": "gateway"},
                "ownerReferences": [{
                    "kind": "StatefulSet", "name": "gateway", "uid": "uid-of-openclaw-gateway",
                    "controller": true,
                }],
            },
            "status": {"phase": "Pending", "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/3 nodes are available: 3 Insufficient memory.",
            }]},
        })];
    });
    world.say("restart gateway");
    assert_eq!(
        world.next_body(),
        "gateway is restarting: new pods for 2 replicas, one after another."
    );
    world.api.workload("gateway", |workload| {
        (workload.updated, workload.ready, workload.available) = (Some(1), 1, 1);
    });
    loop {
        let edit = world.next();
        let body = edit.body.clone().expect("a text");
        assert!(body.starts_with("* gateway: "), "{body}");
        if body.contains("3 Insufficient memory") {
            break;
        }
    }
    let mentions = |world: &mut World| world.next().inner["content"]["m.mentions"].clone();
    world.api.workload("gateway", |workload| {
        (workload.updated, workload.ready, workload.available) = (None, 2, 2);
    });
    assert_eq!(mentions(&mut world), json!({"user_ids": [ALICE]}));
}
