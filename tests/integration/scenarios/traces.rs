//! What is looked at, and what is left behind, beside the change of a target itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::targets::told_of_four;
use crate::support::apiserver::Call;
use crate::support::faults::Fault;
use crate::support::scenario::Scenario;
use crate::support::world::World;

/// Alice, and a worker.
fn worker() -> Scenario {
    let scenario = Scenario::encrypted()
        .set("DEPLOYMENT_NAME", "")
        .set("DEPLOYMENT_NAMESPACE", "claw")
        .set("TARGETS", "worker=openclaw/deployment/worker:5");
    scenario.with(|world| {
        world.api.add("apps/v1/deployments", "openclaw", "worker");
    })
}

#[test]
fn a_pod_that_waits_for_its_volume_says_so_without_a_name() {
    let mut world = worker().start();
    world.api.with(|state| {
        state.objects.pods.push(json!({
            "metadata": {
                "name": "worker-6f9-x", "namespace": "openclaw", "uid": "uid-of-a-pod",
                "creationTimestamp": "2026-11-29T09:00:00Z",
                "labels": {"app": "worker", "pod-template-hash": "6f9"},
                "ownerReferences": [
                    {"kind": "ReplicaSet", "name": "worker-6f9", "uid": "uid-of-a-set"},
                ],
            },
            "spec": {"containers": [{"name": "main", "image": "app:1"}]},
            "status": {
                "phase": "Pending",
                "conditions": [{"type": "PodScheduled", "status": "True"}],
                "containerStatuses": [{
                    "name": "main", "image": "app:1", "ready": false, "restartCount": 0,
                    "state": {"waiting": {"reason": "ContainerCreating"}},
                }],
            },
        }));
        state.objects.events.push(json!({
            "involvedObject": {"uid": "uid-of-a-pod"}, "type": "Warning",
            "reason": "FailedAttachVolume", "count": 3,
            "lastTimestamp": "2026-11-29T09:01:00Z",
            "message": "Multi-Attach error for volume \"pvc-0d9c\" of claim-of-worker",
        }));
    });
    world.say("start worker");
    assert_eq!(world.next_body(), "worker is starting: 0 → 1 replicas.");
    let told = loop {
        let body = world.next_body();
        if body.contains("volume") {
            break body;
        }
    };
    assert_eq!(told, "* worker: 0 of 1 ready; it waits for its volume");
    let asked = world.api.calls("GET openclaw/events");
    let about: Vec<&str> = asked
        .iter()
        .filter_map(|call| call.target.split("uid%3D").nth(1)?.split("%2C").next())
        .collect();
    assert_eq!(about[..2], ["uid-of-openclaw-worker", "uid-of-a-pod"]);
}

#[test]
fn only_a_command_that_takes_long_is_seen_to_be_worked_on() {
    let mut world = worker().set("PROGRESS", "false").start();
    let asked = Instant::now();
    assert_eq!(world.ask("status worker"), "worker is off.");
    let is_quick = asked.elapsed() < Duration::from_secs(1);
    let before = world.hs.requests("/typing/").len();
    assert!(before == 0 || !is_quick, "{before}");
    world.api.fault("GET deployments/worker", 1, Fault::Hang);
    world.say("status worker");
    let told = |world: &World, count: usize| -> Vec<Value> {
        let requests = world.hs.wait_requests("PUT /typing/", before + count);
        let later = requests.into_iter().skip(before);
        later.map(|request| request.body).collect()
    };
    let begun = json!({"typing": true, "timeout": 30_000});
    assert_eq!(told(&world, 1)[0], begun);
    // It is refused without a word, and keeps nothing from its answer.
    world
        .hs
        .fault("/typing/", 1, Fault::matrix(403, "M_FORBIDDEN"));
    world.api.clear_faults();
    assert_eq!(world.next_body(), "worker is off.");
    assert_eq!(told(&world, 2), [begun, json!({"typing": false})]);
}

#[test]
fn a_change_leaves_one_event_on_its_workload_however_often_it_is_written() {
    let mut world = worker()
        .set("PROGRESS", "false")
        .set("WORKLOAD_EVENTS", "true")
        .start();
    world
        .api
        .workload("worker", |worker| worker.is_prompt = true);
    // It is written, and nobody says so.
    world.api.fault("POST /events", 1, Fault::CutAfter);
    let answer = world.ask("start worker 2");
    assert_eq!(answer, "worker is starting: 0 → 2 replicas.");
    world.api.wait("a repetition", |state| {
        let posts = state.calls.iter().filter(|call| is_post(call));
        (posts.count() >= 2).then_some(())
    });
    assert_eq!(
        world.ask("stop worker"),
        "worker is stopping: 2 → 0 replicas."
    );
    let written = world.api.wait("the Event of the next command", |state| {
        (state.objects.written.len() > 1).then(|| state.objects.written.clone())
    });
    assert_eq!(written.len(), 2);
    let of = &written[0]["involvedObject"];
    assert_eq!(
        (&of["kind"], &of["name"]),
        (&json!("Deployment"), &json!("worker"))
    );
    assert_eq!(of["uid"], "uid-of-openclaw-worker");
    assert_eq!(written[0]["message"], "start in the chat: 0 to 2 replicas");
    assert_eq!(written[1]["message"], "stop in the chat: 2 to 0 replicas");
    assert!(!json!(written).to_string().contains("alice"));
    assert!(!world.bot().log().contains("no event"));
}

#[test]
fn an_event_that_may_not_be_written_disturbs_nothing_and_is_told_once() {
    let mut world = worker()
        .set("PROGRESS", "false")
        .set("WORKLOAD_EVENTS", "users")
        .start();
    let told = "write events about deployment worker in namespace openclaw: \
                grant my service account `create` on `events`";
    world.api.forbid("create", "events");
    world
        .api
        .workload("worker", |worker| worker.is_prompt = true);
    assert_eq!(
        world.ask("start worker"),
        "worker is starting: 0 → 1 replicas."
    );
    world.bot().wait_log(told);
    assert_eq!(
        world.ask("stop worker"),
        "worker is stopping: 1 → 0 replicas."
    );
    world.hs.wait_next_sync();
    assert_eq!(world.bot().log().matches(told).count(), 1);
    assert_eq!(world.api.calls("POST /events").len(), 1);
}

fn is_post(call: &Call) -> bool {
    call.method == "POST" && call.path.ends_with("/events")
}

/// The autoscaler of the worker.
fn scaled_by_itself(world: &World) {
    world.api.with(|state| {
        state.objects.autoscalers.push(json!({
            "metadata": {"name": "worker", "namespace": "openclaw"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "worker"},
                "minReplicas": 2, "maxReplicas": 5,
            },
        }));
    });
}

#[test]
fn what_an_autoscaler_does_is_said_to_be_its_doing() {
    let mut world = worker().start();
    scaled_by_itself(&world);
    assert_eq!(
        world.ask("start worker"),
        "worker is starting: 0 → 1 replicas."
    );
    let looks = |world: &World| world.api.calls("GET deployments/worker").len();
    let before = looks(&world);
    world.api.wait("two looks more", |state| {
        let calls = state.calls.iter();
        let looks = calls.filter(|call| call.path.ends_with("deployments/worker"));
        (looks.count() >= before + 2).then_some(())
    });
    let asked = |world: &World| world.api.calls("GET /horizontalpodautoscalers").len();
    assert_eq!(asked(&world), 0);
    world
        .api
        .workload("worker", |workload| workload.replicas = 2);
    let told = loop {
        let body = world.next_body();
        if !body.starts_with("* ") {
            break body;
        }
    };
    assert!(
        told.starts_with("worker was set from 1 to 2 by its autoscaler, "),
        "{told}"
    );
    assert_eq!(asked(&world), 1);
}

#[test]
fn what_an_autoscaler_may_have_done_is_asked_once_where_that_may_not_be_seen() {
    let mut world = worker().start();
    scaled_by_itself(&world);
    world.api.forbid("list", "horizontalpodautoscalers");
    for count in [1, 2] {
        let command = format!("scale worker {count}");
        world.say(&command);
        world.api.wait("the change", |state| {
            (state.objects.workload("worker").replicas == count).then_some(())
        });
        world
            .api
            .workload("worker", |workload| workload.replicas = 3);
        while !world.next_body().contains("to 3 by something else, ") {}
    }
    assert_eq!(world.api.calls("GET /horizontalpodautoscalers").len(), 1);
}

#[test]
fn what_an_autoscaler_has_set_since_is_not_said_to_be_somebodys() {
    let mut world = worker().set("PROGRESS", "false").movable_clock().start();
    scaled_by_itself(&world);
    let told = told_of_four(&mut world);
    let sentence = "I did not stop it: its autoscaler has set it to 4 replicas since";
    assert!(told.contains(sentence), "{told}");
}
