//! Following a change where the API server may be watched: it tells, and is not asked.

use serde_json::json;

use crate::support::apiserver::failure;
use crate::support::faults::Fault;
use crate::support::monitor::poll;
use crate::support::scenario::Scenario;
use crate::support::world::World;

const DEPLOYMENTS: &str = "apps/v1/deployments";

/// Workloads of these names that may be watched. Returns when nothing is asked for any
/// more that a start of the bot takes.
fn watched(names: &[&str]) -> World {
    let targets = names
        .iter()
        .map(|name| format!("{name}=apps/deployment/{name}:3"));
    let mut world = Scenario::encrypted()
        .set("DEPLOYMENT_NAME", "")
        .set("TARGETS", &targets.collect::<Vec<_>>().join(","))
        .with(|world| {
            for name in names {
                world.api.add(DEPLOYMENTS, "apps", name);
            }
            world.api.with(|state| state.objects.may_watch = true);
        })
        .start();
    for name in names {
        world
            .bot()
            .wait_log(&format!("{name} (apps/{name}): may be read"));
    }
    world.api.with(|state| state.calls.clear());
    world
}

fn start(world: &mut World, name: &str) {
    let answer = world.ask(&format!("start {name} 3"));
    assert_eq!(answer, format!("{name} is starting: 0 → 3 replicas."));
}

fn set_ready(world: &World, name: &str, count: i64) {
    world.api.workload(name, |workload| {
        (workload.ready, workload.available) = (count, count);
    });
}

/// The outcome, behind what is told of the progress.
fn outcome(world: &mut World) -> String {
    loop {
        let body = world.next_body();
        if !body.starts_with("* ") {
            return body;
        }
    }
}

/// The number of watches that were asked for, and of reads of a workload.
fn asked(world: &World) -> (usize, usize) {
    let watches = world.api.calls("WATCH /deployments").len();
    (watches, world.api.calls("GET /deployments/").len())
}

/// Waits until this many watches were asked for.
fn wait_watches(world: &World, count: usize) {
    poll("a watch", || (asked(world).0 == count).then_some(()));
}

fn say_line(world: &World, name: &str, line: &str) {
    let line = (name.to_owned(), line.to_owned());
    world.api.with(|state| state.objects.lines.push(line));
}

#[test]
fn a_start_is_followed_by_one_watch_without_a_read() {
    let mut world = watched(&["worker"]);
    start(&mut world, "worker");
    wait_watches(&world, 1);
    set_ready(&world, "worker", 1);
    // Not after a second or five, but when it is so.
    set_ready(&world, "worker", 3);
    let told = outcome(&mut world);
    assert!(told.starts_with("worker is ready: 3 of 3 after "), "{told}");
    assert_eq!(asked(&world), (1, 0));
    let watch = &world.api.calls("WATCH /deployments")[0].target;
    let version = world.api.calls("PATCH /scale").len();
    let end = format!(
        "/deployments?watch=true&fieldSelector=metadata.name%3Dworker&allowWatchBookmarks=true\
         &timeoutSeconds=240&resourceVersion={version}"
    );
    assert!(watch.ends_with(&end), "{watch}");
    // That it stays so is not asked for either.
    world
        .api
        .workload("worker", |workload| workload.replicas = 1);
    let told = outcome(&mut world);
    assert!(told.contains("was set from 3 to 1"), "{told}");
    assert_eq!(asked(&world), (1, 0));
}

#[test]
fn a_version_that_is_too_old_is_asked_for_once_and_then_the_present() {
    let mut world = watched(&["worker"]);
    start(&mut world, "worker");
    wait_watches(&world, 1);
    let status = failure(410, "Expired", "too old resource version: 1 (900)");
    let error = json!({"type": "ERROR", "object": status}).to_string();
    say_line(&world, "worker", &error);
    wait_watches(&world, 2);
    let again = &world.api.calls("WATCH /deployments")[1].target;
    assert!(!again.contains("resourceVersion"), "{again}");
    set_ready(&world, "worker", 3);
    let told = outcome(&mut world);
    assert!(told.starts_with("worker is ready: 3 of 3 after "), "{told}");
    assert_eq!(asked(&world), (2, 0));
}

#[test]
fn what_is_not_told_is_read_and_the_room_learns_nothing_of_it() {
    let refused = failure(403, "Forbidden", "deployments.apps is forbidden");
    for (what, watches) in [("granted", 0), ("403", 1), ("a cut", 1), ("nonsense", 1)] {
        let mut world = watched(&["worker"]);
        match what {
            "granted" => world.api.with(|state| state.objects.may_watch = false),
            "403" => world.api.fault("WATCH /", 1, Fault::json(403, &refused)),
            "a cut" => world.api.fault("WATCH /", 1, Fault::Cut),
            _ => {}
        }
        start(&mut world, "worker");
        if what == "nonsense" {
            wait_watches(&world, 1);
            say_line(&world, "worker", "{\"type\":\"MODIFIED\",");
        }
        poll("a read", || (asked(&world).1 >= 2).then_some(()));
        set_ready(&world, "worker", 3);
        let told = outcome(&mut world);
        assert!(told.starts_with("worker is ready: 3 of 3 after "), "{told}");
        assert_eq!(asked(&world).0, watches, "{what}");
    }
}

#[test]
fn a_watch_that_says_nothing_is_not_waited_for() {
    let mut world = watched(&["worker"]);
    world.api.with(|state| state.objects.is_mute = true);
    world
        .api
        .workload("worker", |workload| workload.is_prompt = true);
    start(&mut world, "worker");
    let told = outcome(&mut world);
    assert!(told.starts_with("worker is ready: 3 of 3 after "), "{told}");
    assert_eq!(asked(&world), (1, 1));
}

#[test]
fn what_is_deleted_or_scaled_by_others_is_told_at_once() {
    let mut world = watched(&["worker", "gateway"]);
    start(&mut world, "worker");
    wait_watches(&world, 1);
    world.api.with(|state| {
        state
            .objects
            .workloads
            .retain(|known| known.name != "worker")
    });
    let told = outcome(&mut world);
    assert!(
        told.contains("worker") && told.contains("deleted"),
        "{told}"
    );
    assert_eq!(asked(&world), (1, 1));
    start(&mut world, "gateway");
    wait_watches(&world, 2);
    world
        .api
        .workload("gateway", |workload| workload.replicas = 2);
    let told = outcome(&mut world);
    assert!(told.contains("was set from 3 to 2"), "{told}");
    assert_eq!(asked(&world), (2, 1));
}

#[test]
fn eight_are_watched_and_the_ninth_is_read() {
    let names = ["a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"];
    let mut world = watched(&names);
    for name in names {
        world.say(&format!("start {name} 3"));
        wait_watches(
            &world,
            names
                .iter()
                .take_while(|known| **known <= name)
                .take(8)
                .count(),
        );
    }
    poll("the ninth", || (asked(&world).1 >= 2).then_some(()));
    assert_eq!(asked(&world).0, 8);
    let read = world.api.calls("GET /deployments/");
    assert!(
        read.iter().all(|call| call.path.ends_with("/a9")),
        "{read:?}"
    );
    for name in names {
        set_ready(&world, name, 3);
    }
    let mut told = Vec::new();
    while told.len() < names.len() {
        let body = outcome(&mut world);
        if body.contains(" is ready: 3 of 3 after ") {
            told.push(body);
        }
    }
}

#[test]
fn what_a_newer_command_does_is_not_told_as_somebody_elses_doing() {
    let mut world = watched(&["worker"]);
    world
        .api
        .workload("worker", |workload| workload.is_prompt = true);
    start(&mut world, "worker");
    let told = outcome(&mut world);
    assert!(told.starts_with("worker is ready: 3 of 3 after "), "{told}");
    // The change is made and told by the watch before its own answer comes.
    world.api.fault("PATCH worker/scale", 1, Fault::HangAfter);
    world.say("stop worker");
    world.api.wait("the change", |state| {
        (state.objects.workload("worker").replicas == 0).then_some(())
    });
    assert!(world.ask("help").contains("help"));
    world.api.clear_faults();
    // Its answer was lost, and the second one shows no change.
    assert_eq!(world.next_body(), "worker is already off.");
    let status = world.ask("status worker");
    assert!(status.starts_with("worker is off."), "{status}");
}
