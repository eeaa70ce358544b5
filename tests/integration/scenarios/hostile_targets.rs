//! Targets where something goes wrong at the wrong moment: the homeserver is away, the API
//! server too, the bot dies, a clock jumps, a room must not hear of another.

use std::time::{Duration, Instant};

use serde_json::json;

use super::targets::{code, prompt, targets};
use crate::support::faults::Fault;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, ROOM, World};

const BOB: &str = "@bob:test";
const SIDE: &str = "!side:test";

fn replicas(world: &World, name: &str) -> i64 {
    world.api.workload(name, |workload| workload.replicas)
}

fn set(world: &World, name: &str, count: i64) {
    world.api.workload(name, |workload| {
        (workload.replicas, workload.ready, workload.available) = (count, count, count);
    });
}

/// Waits until a workload has this number of replicas.
fn wait_for(world: &World, name: &str, count: i64) {
    world.api.wait("the number of replicas", |state| {
        (state.objects.workload(name).replicas == count).then_some(())
    });
}

/// Waits until the bot has said so much in a room.
fn wait_said(world: &World, room: &str, count: usize) {
    let until = Instant::now() + Duration::from_secs(10);
    while world.said(room) < count {
        assert!(Instant::now() < until, "{}", world.said(room));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The bot listens, and has looked at the worker.
fn begun(scenario: Scenario) -> World {
    let world = scenario.start();
    world.api.wait("the first look", |state| {
        let mut calls = state.calls.iter();
        calls
            .any(|call| call.is_dry_run() && call.path.ends_with("worker/scale"))
            .then_some(())
    });
    world
}

#[test]
fn what_is_overdue_at_a_start_is_stopped_while_the_homeserver_is_away() {
    let mut world = targets().set("PROGRESS", "false").movable_clock().start();
    prompt(&world);
    world.ask("start worker 2 for 1m");
    world.jump(58_000);
    assert!(world.ask("list").contains("worker (2"));
    let warning = world.next_body();
    assert!(warning.contains("worker stops "), "{warning}");
    world.bot().kill();
    world.jump(200_000);
    world.hs.fault("/_matrix/", usize::MAX, Fault::html(503));
    // The grace of two minutes for an `extend` that may wait.
    world.pace(60);
    world.spawn();
    let seen = world.api.calls("PATCH worker/scale").len();
    wait_for(&world, "worker", 0);
    assert!(world.api.calls("PATCH worker/scale").len() > seen);
    world.hs.clear_faults();
    assert_eq!(
        world.next_body(),
        "The time of worker is up, so I stop it: 2 → 0 replicas."
    );
}

#[test]
fn a_restart_comes_back_though_the_cluster_cannot_be_read_meanwhile() {
    let mut world = begun(targets().set("PROGRESS", "false"));
    world.api.forbid("patch", "deployments");
    prompt(&world);
    set(&world, "worker", 3);
    let question = world.ask("restart worker");
    world.api.fault(
        "PATCH worker/scale",
        1,
        Fault::Delay(Duration::from_millis(300)),
    );
    world.say(&format!("yes {}", code(&question)));
    world.api.wait("the restart", |state| {
        let mut calls = state.calls.iter();
        calls
            .any(|call| call.method == "PATCH" && !call.is_dry_run())
            .then_some(())
    });
    world
        .api
        .fault("GET deployments/worker", 1, Fault::json(403, &json!({})));
    assert_eq!(
        world.next_body(),
        "worker is starting again: 0 → 3 replicas."
    );
    assert_eq!(replicas(&world, "worker"), 3);
}

#[test]
fn a_restart_that_a_crash_interrupted_comes_back() {
    let mut world = begun(targets().set("PROGRESS", "false"));
    world.api.forbid("patch", "deployments");
    prompt(&world);
    set(&world, "worker", 3);
    let question = world.ask("restart worker");
    let victim = world.bot().victim();
    world
        .api
        .fault("PATCH worker/scale", 1, Fault::KillAfter(victim));
    world.say(&format!("yes {}", code(&question)));
    world.bot().wait_exit(Duration::from_secs(5));
    assert_eq!(replicas(&world, "worker"), 0);
    // Whoever asked may command no more.
    world.set("ALLOWED_USERS", BOB);
    world.set("VIEWERS", ALICE);
    world.start();
    assert_eq!(
        world.next_body(),
        "worker is starting again: 0 → 3 replicas."
    );
    assert_eq!(replicas(&world, "worker"), 3);
}

#[test]
fn a_namespace_that_hangs_leaves_places_for_others() {
    let names: Vec<String> = (1..=8).map(|number| format!("w{number}")).collect();
    let list = names
        .iter()
        .map(|name| format!("{name}=openclaw/deployment/{name}"));
    let list: Vec<String> = list.collect();
    let mut world = targets()
        .set("PROGRESS", "false")
        .set(
            "TARGETS",
            &format!("gateway=statefulset/gateway:2, {}", list.join(", ")),
        )
        .with(|world| {
            for name in &names {
                world.api.add("apps/v1/deployments", "openclaw", name);
            }
        })
        .start();
    world
        .api
        .fault("namespaces/openclaw/", usize::MAX, Fault::Hang);
    for name in &names {
        world.say(&format!("start {name}"));
    }
    assert_eq!(
        world.ask("start gateway"),
        "gateway is starting: 0 → 1 replicas."
    );
}

#[test]
fn who_extends_is_spoken_to_in_the_room_where_they_did() {
    let mut world = targets()
        .set("PROGRESS", "false")
        .set("ALLOWED_USERS", &format!("{ALICE},{BOB}"))
        .user(BOB, |bob| bob.device("BOBPHONE"))
        .room(SIDE, |room| room.encrypted().member(BOB))
        .movable_clock()
        .start();
    let mut bob = world.take(BOB);
    world.ask("start worker 2 for 1m");
    bob.say(SIDE, "extend worker 1m");
    wait_said(&world, SIDE, 1);
    world.jump(115_000);
    bob.say(SIDE, "status gateway");
    wait_said(&world, SIDE, 3);
    let seen = bob.read(SIDE, BOT);
    let warning = seen[2].body.as_deref().unwrap();
    assert!(warning.contains("worker stops "), "{warning}");
    assert_eq!(world.said(ROOM), 1, "nothing of it in the other room");
}

#[test]
fn a_clock_that_jumps_stops_nothing_whatever_the_api_server_said_before() {
    let mut world = targets().set("PROGRESS", "false").movable_clock().start();
    prompt(&world);
    world.api.with(|state| state.tells_date = true);
    world.ask("start worker 2 for 30m");
    world.jump(3_600_000);
    // Each turn of the loop looks at what is due.
    for _ in 0..3 {
        assert!(world.ask("list").contains("worker (2"));
    }
    assert_eq!(replicas(&world, "worker"), 2);
    assert!(world.unread().is_empty());
    world.bot().wait_log("the clock has gone forward by");
}

#[test]
fn what_is_remembered_of_targets_goes_with_their_configuration() {
    let mut world = targets().set("PROGRESS", "false").movable_clock().start();
    world.ask("start worker 2 for 1h");
    world.stop();
    world.set("TARGETS", "");
    world.set("DEPLOYMENT_NAME", "gone");
    world.start();
    world.bot().wait_log("worker is no target any more");
    world.stop();
    world.set("TARGETS", "worker=openclaw/deployment/worker:5");
    world.set("DEPLOYMENT_NAME", "");
    world.start();
    assert_eq!(world.ask("status worker").lines().count(), 1);
}
