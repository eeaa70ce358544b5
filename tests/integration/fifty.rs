//! Fifty targets: how many calls a list and many changes take, and what they cost. The
//! ignored tests are no tests: `make bench` prints their figures.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::scale::{mark, median, on_cpu, report, status_kb};
use crate::support::apiserver::Call;
use crate::support::faults::Fault;
use crate::support::monitor::poll;
use crate::support::person::Person;
use crate::support::scenario::Scenario;
use crate::support::world::{BOT, ROOM, World};

/// Each of these asks for at most ten things in a row.
const PEOPLE: usize = 8;

const TARGETS: usize = 50;

/// Commands of one room that are given without waiting.
const AT_ONCE: usize = 25;

/// Bytes of the annotations of a workload.
const ANNOTATIONS: usize = 14_000;

/// The time that 50 changes are followed before the memory is looked at.
const FOLLOWED: Duration = Duration::from_secs(12);

/// The time in which nothing happens.
const REST: Duration = Duration::from_secs(8);

/// The kind, namespace and name of a target: of two kinds and in two namespaces.
fn place(number: usize) -> (&'static str, &'static str, String) {
    let name = format!("t{number:02}");
    match number % 4 {
        0 | 1 => ("deployment", "one", name),
        2 => ("statefulset", "one", name),
        _ => ("deployment", "two", name),
    }
}

/// A bot with 50 targets, and people who may switch them.
fn fifty(progress: &str) -> (World, Vec<Person>) {
    let listed = (0..TARGETS).map(|number| {
        let (kind, namespace, name) = place(number);
        format!("{name}={namespace}/{kind}/{name}:5")
    });
    let listed: Vec<String> = listed.collect();
    let users: Vec<String> = (0..PEOPLE)
        .map(|user| format!("@user{user}:test"))
        .collect();
    let mut scenario = Scenario::encrypted()
        .set("DEPLOYMENT_NAME", "")
        .set("DEPLOYMENT_NAMESPACE", "one")
        .set("TARGETS", &listed.join(","))
        .set("ALLOWED_USERS", &users.join(","))
        .set("PROGRESS", progress)
        .set("RUST_LOG", "info");
    for user in &users {
        scenario = scenario
            .user(user, |plan| plan.device("PHONE"))
            .member(user);
    }
    let mut world = scenario
        .with(|world| {
            for number in 0..TARGETS {
                let (kind, namespace, name) = place(number);
                let resource = format!("apps/v1/{kind}s");
                world.api.add(&resource, namespace, &name);
                let large = json!({"metadata": {"annotations": {"x": "a".repeat(ANNOTATIONS)}}});
                world
                    .api
                    .workload(&name, |workload| workload.overlay = large);
                let pod = pod(namespace, &name);
                world.api.with(|state| state.objects.pods.push(pod));
            }
        })
        .start();
    let people = users.iter().map(|user| world.take(user)).collect();
    // The look at each of them at the start: its last call, and no other.
    world.api.wait("the look at all targets", |state| {
        let tried = state.calls.iter().filter(|call| call.is_dry_run());
        (tried.count() >= TARGETS).then_some(())
    });
    (world, people)
}

/// A pod that does not come up, as large as they are.
fn pod(namespace: &str, name: &str) -> Value {
    json!({
        "metadata": {
            "name": format!("{name}-0"), "namespace": namespace, "labels": {"app": name},
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {"x": "a".repeat(5_000)},
        },
        "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]},
        "status": {
            "phase": "Pending",
            "containerStatuses": [{
                "name": "app", "image": "registry.example/app:1", "ready": false,
                "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}},
            }],
        },
    })
}

/// Says something and waits for the answer; what it took to answer it, the calls to the API
/// server not counted, and these.
fn ask(world: &mut World, person: &mut Person, text: &str) -> (Duration, Vec<Call>) {
    world.hs.wait_idle(BOT, || 0);
    let (hs_mark, api_mark) = (mark(world), world.api.with(|state| state.calls.len()));
    let before = world.said(ROOM);
    person.say(ROOM, text);
    world.hs.wait("an answer", |state| {
        (state.said(BOT, ROOM) > before).then_some(())
    });
    let (synced, sent) = world.hs.with(|state| {
        let before = &state.log[..hs_mark];
        let polled = before
            .iter()
            .rposition(|entry| entry.path.ends_with("/sync"));
        let log = &state.log[polled.unwrap()..];
        let sent = log
            .iter()
            .find(|entry| entry.is("PUT /send/m.room.encrypted"));
        let sent = sent.unwrap().at;
        let syncs = log.iter().filter(|entry| entry.path.ends_with("/sync"));
        let answered = syncs.filter_map(|entry| entry.answered);
        (answered.filter(|at| *at < sent).min().unwrap(), sent)
    });
    let calls = world.api.with(|state| state.calls[api_mark..].to_vec());
    (sent - synced, calls)
}

/// The time in which the API server had a call.
fn at_the_cluster(calls: &[Call]) -> Duration {
    calls
        .iter()
        .map(|call| call.answered.unwrap() - call.at)
        .sum()
}

/// The most calls that were under way at once, but for watches.
fn at_once(calls: &[Call]) -> usize {
    let mut changes: Vec<(Instant, i32)> = Vec::new();
    for call in calls.iter().filter(|call| !call.target.contains("watch=")) {
        changes.push((call.at, 1));
        changes.extend(call.answered.map(|at| (at, -1)));
    }
    // One that ends makes place for the next.
    changes.sort();
    let (mut now, mut most) = (0, 0);
    for (_, change) in changes {
        now += change;
        most = most.max(now);
    }
    usize::try_from(most).unwrap()
}

fn calls_since(world: &World, mark: usize) -> Vec<Call> {
    world.api.with(|state| state.calls[mark..].to_vec())
}

/// Starts all targets, and waits until each was scaled: as many at once as may wait in one
/// room.
fn start_all(world: &mut World, people: &mut [Person]) {
    for number in 0..TARGETS {
        people[number % PEOPLE].say(ROOM, &format!("start t{number:02} 2"));
        if (number + 1) % AT_ONCE == 0 {
            poll("the targets to be scaled", || {
                let scaled = world.api.with(|state| {
                    let changes = state.calls.iter().filter(|call| call.method == "PATCH");
                    changes.filter(|call| !call.is_dry_run()).count()
                });
                (scaled > number).then_some(())
            });
        }
    }
}

#[test]
fn a_list_of_fifty_targets_takes_one_call_a_namespace_and_kind() {
    let (mut world, mut people) = fifty("false");
    let (_, calls) = ask(&mut world, &mut people[0], "list");
    let mut paths: Vec<&str> = calls.iter().map(|call| call.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "/apis/apps/v1/namespaces/one/deployments",
            "/apis/apps/v1/namespaces/one/statefulsets",
            "/apis/apps/v1/namespaces/two/deployments"
        ]
    );
}

#[test]
fn of_fifty_changes_at_once_four_calls_are_under_way() {
    let (mut world, mut people) = fifty("true");
    let slow = Fault::Delay(Duration::from_millis(30));
    world.api.fault("/", usize::MAX, slow);
    let api_mark = world.api.with(|state| state.calls.len());
    start_all(&mut world, &mut people);
    let most = at_once(&calls_since(&world, api_mark));
    assert!((2..=4).contains(&most), "{most} calls at once");
}

/// The own share of a command, and what a list takes.
#[test]
#[ignore = "a measurement"]
fn figures_of_commands_to_one_of_fifty_targets() {
    let (mut world, mut people) = fifty("false");
    let mut shares: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    let mut cpu = Duration::ZERO;
    let (mut lists, mut list_calls) = (Vec::new(), Vec::new());
    let (mut asked, mut whole) = (0_u32, Vec::new());
    for (number, person) in people.iter_mut().enumerate() {
        // The first message carries keys.
        ask(&mut world, person, "help");
        for text in ["status", "start", "stop", "help", "status", "start", "stop"] {
            let about = match text {
                "help" => text.to_owned(),
                _ => format!("{text} t{number:02}"),
            };
            let spent = on_cpu(&mut world);
            let (took, calls) = ask(&mut world, person, &about);
            world.hs.wait_idle(BOT, || 0);
            cpu += on_cpu(&mut world) - spent;
            asked += 1;
            let share = took.saturating_sub(at_the_cluster(&calls));
            shares.entry(text).or_default().push(share);
        }
        for _ in 0..2 {
            let (took, calls) = ask(&mut world, person, "list");
            list_calls.push(calls.len());
            lists.push(took);
            whole.push(at_the_cluster(&calls));
        }
    }
    let all: Vec<Duration> = shares.values().flatten().copied().collect();
    let by_command: BTreeMap<&str, f64> = shares
        .into_iter()
        .map(|(text, shares)| (text, median(shares)))
        .collect();
    let resident = status_kb(&mut world, "VmRSS");
    let api_mark = world.api.with(|state| state.calls.len());
    let spent = on_cpu(&mut world);
    std::thread::sleep(REST);
    let at_rest = calls_since(&world, api_mark).len();
    report(
        "fifty_commands",
        &json!({
            "ms": median(all),
            "by_command_ms": by_command,
            "cpu_ms": cpu.as_secs_f64() * 1000.0 / f64::from(asked),
            "list_ms": median(lists),
            "list_at_the_cluster_ms": median(whole),
            "list_calls": list_calls.iter().max(),
            "resident_kb": resident,
            "rest_seconds": REST.as_secs(),
            "rest_calls": at_rest,
            "rest_cpu_ms": (on_cpu(&mut world) - spent).as_secs_f64() * 1000.0,
        }),
    );
}

/// The memory of 50 changes that are followed, whose pods do not come up.
#[test]
#[ignore = "a measurement"]
fn figures_of_fifty_changes_that_are_followed() {
    let (mut world, mut people) = fifty("true");
    for person in &mut people {
        ask(&mut world, person, "help");
        ask(&mut world, person, "list");
    }
    world.hs.wait_idle(BOT, || 0);
    let before = status_kb(&mut world, "VmRSS");
    let peak_before = status_kb(&mut world, "VmHWM");
    let api_mark = world.api.with(|state| state.calls.len());
    start_all(&mut world, &mut people);
    let started = Instant::now();
    let mut most = 0;
    while started.elapsed() < FOLLOWED {
        most = most.max(status_kb(&mut world, "VmRSS"));
        std::thread::sleep(Duration::from_millis(20));
    }
    let calls = calls_since(&world, api_mark);
    let pods = calls.iter().filter(|call| call.path.ends_with("/pods"));
    report(
        "fifty_followed",
        &json!({
            "before_kb": before,
            "peak_before_kb": peak_before,
            "most_kb": most,
            "after_kb": status_kb(&mut world, "VmRSS"),
            "peak_kb": status_kb(&mut world, "VmHWM"),
            "calls": calls.len(),
            "looks_at_pods": pods.count(),
            "at_once": at_once(&calls),
        }),
    );
}
