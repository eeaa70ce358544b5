//! What is looked at, and what is left behind, beside the change of a target itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

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
    assert_eq!(
        told,
        "* worker: 0 of 1 ready, waits for the others; it waits for its volume"
    );
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
    assert_eq!(told(&world, 1), [begun.clone()]);
    // It is refused without a word, and keeps nothing from its answer.
    world
        .hs
        .fault("/typing/", 1, Fault::matrix(403, "M_FORBIDDEN"));
    world.api.clear_faults();
    assert_eq!(world.next_body(), "worker is off.");
    assert_eq!(told(&world, 2), [begun, json!({"typing": false})]);
}
