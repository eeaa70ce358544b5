//! A gateway beside the chat: who wants a target on, off, asleep, and what the chat tells of
//! that.

use serde_json::json;

use super::targets::{code, prompt, targets};
use crate::support::apiserver::failure;
use crate::support::faults::Fault;
use crate::support::leases::Lease;
use crate::support::rooms::now_ms;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, ROOM, World};

const CHAT: &str = "openclaw-k8s-toggle-operator";
const GATEWAY: &str = "openclaw-gateway";
const WORKER: &str = "gw-worker";
const VERA: &str = "@vera:test";
const NEWS: &str = "!news:test";

/// Alice, a worker, and a gateway by which the worker is reached.
fn behind_a_gateway() -> Scenario {
    let scenario = targets()
        .set("PROGRESS", "false")
        .set("GATEWAY_LEASES", "claw/gw-");
    scenario.with(|world| {
        prompt(world);
        world
            .api
            .with(|state| state.objects.leases.add("claw", WORKER));
    })
}

fn lease(world: &World) -> Lease {
    world
        .api
        .with(|state| state.objects.leases.get(WORKER).clone())
}

/// A time as the gateway writes it, so many seconds from now.
fn at(seconds: i64) -> String {
    let ms = now_ms().saturating_add_signed(seconds * 1_000);
    let at = jiff::Timestamp::from_second(i64::try_from(ms / 1_000).expect("soon"));
    at.expect("a time").to_string().replace('Z', ".000000Z")
}

/// The gateway wakes the worker for a visitor.
fn wake(world: &World, by: &str) {
    world.api.workload("worker", |worker| {
        (worker.replicas, worker.ready, worker.available) = (1, 1, 1);
        worker.owners = vec![GATEWAY.to_owned()];
    });
    let annotations = [
        ("phase", "run"),
        ("started-by", by),
        ("started-at", &at(0)),
        ("idle", "1800"),
    ];
    set(world, 0, &annotations);
}

fn set(world: &World, renewed: i64, annotations: &[(&str, &str)]) {
    let renewed = at(renewed);
    world
        .api
        .with(|state| state.objects.leases.set(WORKER, &renewed, annotations));
}

fn owners(world: &World) -> Vec<String> {
    world.api.workload("worker", |worker| worker.owners.clone())
}

/// The requests about Leases, and those that apply.
fn of_a_gateway(world: &World) -> usize {
    let applied = world.api.calls("PATCH /scale");
    let applied = applied
        .iter()
        .filter(|call| call.content_type == "application/apply-patch+yaml");
    world.api.calls("/leases").len() + applied.count()
}

#[test]
fn without_a_gateway_nothing_is_asked_about_one() {
    let mut world = targets().set("PROGRESS", "false").with(prompt).start();
    assert_eq!(
        world.ask("start worker"),
        "worker is starting: 0 → 1 replicas."
    );
    assert!(
        world
            .ask("start worker")
            .starts_with("worker is already on")
    );
    assert!(world.ask("status worker").starts_with("worker is "));
    assert!(world.ask("list").contains("worker"));
    assert_eq!(
        world.ask("stop worker"),
        "worker is stopping: 1 → 0 replicas."
    );
    for (text, forms) in [
        ("start worker idle", "\"start … idle\""),
        ("stop all hold", "\"stop … hold\""),
    ] {
        assert_eq!(
            world.ask(text),
            format!(
                "{forms} is about a gateway, and I know of none: my operator has to set \
                 GATEWAY_LEASES."
            )
        );
    }
    let help = world.ask("help start");
    assert!(!help.contains("idle"), "{help}");
    assert_eq!(of_a_gateway(&world), 0);
}

#[test]
fn what_a_person_starts_is_not_put_to_sleep() {
    let mut world = behind_a_gateway().start();
    assert_eq!(
        world.ask("start worker"),
        "worker is starting: 0 → 1 replicas."
    );
    let by = format!("chat:{ALICE}");
    let told = lease(&world);
    assert_eq!(told.of("phase"), "run");
    assert_eq!((told.of("keep-by"), told.of("started-by")), (&*by, &*by));
    assert!(told.renewed.is_some());
    let status = world.ask("status worker");
    assert!(
        status.contains("\nKept on by @alice:test: it does not sleep.\n"),
        "{status}"
    );
    assert_eq!(
        world.ask("stop worker"),
        "worker is stopping: 1 → 0 replicas."
    );
    let told = lease(&world);
    assert_eq!((told.of("phase"), told.of("keep-by")), ("stopped", ""));
    assert_eq!(told.of("stopped-by"), by);
}

#[test]
fn what_a_visitor_woke_stays_on_once_a_person_starts_it() {
    let mut world = behind_a_gateway().start();
    wake(&world, "sa:openclaw/openclaw-worker");
    let status = world.ask("status worker");
    let told = status.lines().nth(1).unwrap_or_default();
    assert!(
        told.starts_with("Started by sa openclaw/openclaw-worker ")
            && told.contains(" It sleeps at about ")
            && told.ends_with(" (in 30 min) unless it is used."),
        "{status}"
    );
    assert_eq!(
        world.ask("start worker 3"),
        "worker is already on: 1 of 1 ready."
    );
    assert_eq!(owners(&world), [GATEWAY, CHAT]);
    assert_eq!(lease(&world).of("keep-by"), format!("chat:{ALICE}"));
    // It is a number that it has anyway.
    assert_eq!(world.api.workload("worker", |worker| worker.replicas), 1);
    assert_eq!(
        world.ask("scale worker 1"),
        "worker has 1 replicas already."
    );
}

#[test]
fn what_is_started_idle_is_the_gateways_to_stop() {
    let mut world = behind_a_gateway().start();
    assert_eq!(
        world.ask("start worker 2 idle"),
        "worker is starting: 0 → 2 replicas. It sleeps when nobody uses it."
    );
    assert_eq!(owners(&world), [GATEWAY]);
    let told = lease(&world);
    assert_eq!((told.of("phase"), told.of("keep-by")), ("run", ""));
    assert!(!told.of("handed-back").is_empty());
    // A start takes it back, and one that is idle hands it back: it keeps its number.
    assert!(world.ask("start worker for 2h").contains("It stops "));
    assert!(lease(&world).of("handed-back").is_empty());
    let answer = world.ask("start worker 5 idle");
    assert!(
        answer.starts_with("worker is already on: ")
            && answer.ends_with(" of 2 ready. It sleeps when nobody uses it."),
        "{answer}"
    );
    let told = lease(&world);
    assert!(told.of("keep-by").is_empty() && !told.of("handed-back").is_empty());
    assert!(
        world
            .ask("extend worker 1h")
            .contains("does not stop by itself")
    );
    assert_eq!(world.api.workload("worker", |worker| worker.replicas), 2);
}

/// A visitor who comes in the middle would start it with another number, and it would be the
/// gateway's to stop.
#[test]
fn a_restart_keeps_visitors_from_starting_it_meanwhile() {
    let mut world = behind_a_gateway().start();
    world.api.forbid("patch", "deployments");
    world.ask("start worker");
    let question = world.ask("restart worker");
    assert_eq!(
        world.ask(&format!("yes {}", code(&question))),
        "worker is starting again: 0 → 1 replicas."
    );
    let writes = world.api.calls("PATCH /scale");
    let applied = writes
        .iter()
        .filter(|call| call.content_type == "application/apply-patch+yaml");
    let bodies: Vec<String> = applied.map(|call| call.body.to_string()).collect();
    assert!(
        bodies.iter().any(|body| body.contains("\"replicas\":0")),
        "{bodies:?}"
    );
    let by = format!("chat:{ALICE}");
    assert_eq!(lease(&world).of("keep-by"), by);
    assert_eq!(lease(&world).of("phase"), "run");
}

#[test]
fn what_is_held_off_is_held_until_it_is_started() {
    let mut world = behind_a_gateway().start();
    wake(&world, "anonymous");
    let question = world.ask("stop all hold");
    assert!(
        question.starts_with("Shall I stop worker, gateway, and let no visitor wake what is off?"),
        "{question}"
    );
    let summary = world.ask(&format!("yes {}", code(&question)));
    let lines: Vec<&str> = summary.lines().collect();
    assert_eq!(
        lines,
        [
            "worker is stopping: 1 → 0 replicas. No visitor wakes it until it is started here.",
            "gateway is already off. The gateway does not know it, so no visitor wakes it in any \
             case."
        ]
    );
    assert_eq!(owners(&world), [CHAT]);
    let status = world.ask("status worker");
    assert!(
        status.contains("\nHeld off by @alice:test: no visitor wakes it.\n"),
        "{status}"
    );
    // A stop of what is off changes nothing of that.
    assert_eq!(world.ask("stop worker"), "worker is already off.");
    assert!(world.ask("status worker").contains("Held off by"));
    world.ask("start worker");
    assert!(lease(&world).of("held").is_empty());
    world.ask("stop worker");
    assert!(!world.ask("status worker").contains("Held off"));
}

#[test]
fn a_custom_resource_is_switched_without_a_gateway_which_takes_none() {
    let mut world = behind_a_gateway()
        .set("TARGETS", "web=argo/argoproj.io/v1alpha1/rollouts/web:3")
        .with(|world| {
            world
                .api
                .add("argoproj.io/v1alpha1/rollouts", "argo", "web");
            world.api.workload("web", |web| web.is_prompt = true);
            // That of a target of the gateway which has the name by chance.
            world
                .api
                .with(|state| state.objects.leases.add("claw", "gw-web"));
        })
        .start();
    let awake = " The gateway does not know web, so nobody puts it to sleep.";
    assert_eq!(
        world.ask("start web 2 idle"),
        format!("web is starting: 0 → 2 replicas.{awake}")
    );
    let answer = world.ask("start web 3 idle");
    assert!(
        answer.starts_with("web is already on") && answer.ends_with(awake),
        "{answer}"
    );
    let answer = world.ask("start web");
    assert!(
        answer.starts_with("web is already on") && !answer.contains("gateway"),
        "{answer}"
    );
    assert!(world.ask("status web").starts_with("web is on"));
    assert_eq!(
        world.ask("stop web hold"),
        "web is stopping: 2 → 0 replicas. The gateway does not know it, so no visitor wakes it \
         in any case."
    );
    assert_eq!(of_a_gateway(&world), 0);
}

#[test]
fn a_lease_that_cannot_be_written_fails_no_command() {
    let mut world = behind_a_gateway().start();
    let refused = failure(403, "Forbidden", "leases is forbidden");
    world
        .api
        .fault("/leases/", usize::MAX, Fault::json(403, &refused));
    let sentence = " I could not tell the gateway, so it may do otherwise.";
    assert_eq!(
        world.ask("start worker"),
        format!("worker is starting: 0 → 1 replicas.{sentence}")
    );
    assert!(world.ask("status worker").starts_with("worker is "));
    assert_eq!(
        world.ask("stop worker hold"),
        format!("worker is stopping: 1 → 0 replicas.{sentence}")
    );
    // What has no Lease is none of the gateway's.
    assert_eq!(
        world.ask("start gateway"),
        format!("gateway is starting: 0 → 1 replicas.{sentence}")
    );
    world.api.clear_faults();
    assert_eq!(
        world.ask("stop gateway"),
        "gateway is stopping: 1 → 0 replicas."
    );
    assert_eq!(
        world.ask("start gateway idle"),
        "gateway is starting: 0 → 1 replicas. The gateway does not know gateway, so nobody puts \
         it to sleep."
    );
}

#[test]
fn what_others_write_into_a_lease_is_shown_without_links_and_names_nobody_to_viewers() {
    let mut world = behind_a_gateway()
        .set("VIEWERS", VERA)
        .user(VERA, |vera| vera.device("VERAPHONE"))
        .member(VERA)
        .start();
    let mut vera = world.take(VERA);
    wake(&world, "person:@room https://evil.example \u{202e}");
    let status = world.ask("status worker");
    assert!(
        status.contains("Started by [at]room https[:]//evil[.]example "),
        "{status}"
    );
    set(&world, 0, &[("started-by", &"x".repeat(5_000))]);
    assert!(world.ask("status worker").len() < 600);
    vera.say(ROOM, "status worker");
    let status = world.next_body();
    assert!(
        status.contains("\nStarted ") && !status.contains(" by "),
        "{status}"
    );
}

#[test]
fn what_stops_by_a_timer_is_woken_by_the_next_visitor() {
    let mut world = behind_a_gateway().movable_clock().start();
    assert!(world.ask("start worker for 1m").contains("It stops "));
    assert!(!lease(&world).of("keep-by").is_empty());
    world.jump(58_000);
    world.say("list");
    world.next_body();
    world.next_body();
    world.jump(75_000);
    world.say("list");
    world.next_body();
    assert_eq!(
        world.next_body(),
        "The time of worker is up, so I stop it: 1 → 0 replicas."
    );
    let told = lease(&world);
    assert_eq!((told.of("phase"), told.of("keep-by")), ("stopped", ""));
}

/// A room that is told, in which the bot is. Returns when the Leases are watched.
fn announced(scenario: Scenario) -> World {
    let world = scenario.set("ANNOUNCE_ROOM", NEWS).start();
    world.api.wait("the watch", |state| {
        let mut calls = state.calls.iter();
        calls
            .any(|call| call.method == "WATCH" && call.path.ends_with("/leases"))
            .then_some(())
    });
    world
}

fn sleep(world: &World) {
    world.api.workload("worker", |worker| {
        (worker.replicas, worker.ready, worker.available) = (0, 0, 0);
        worker.owners = Vec::new();
    });
    set(world, -1_800, &[("phase", "stopping")]);
    set(world, -1_800, &[("phase", "stopped")]);
}

#[test]
fn a_room_is_told_what_the_gateway_does_and_nothing_of_the_chat() {
    let mut world = announced(behind_a_gateway().room(NEWS, |room| room.encrypted().member(ALICE)));
    // What the chat does is told where it was asked for.
    world.ask("start worker");
    world.ask("stop worker");
    wake(&world, "sa:openclaw/openclaw-worker");
    let told = world.next_in(NEWS);
    assert_eq!(
        told.body.as_deref(),
        Some("worker woke up (sa openclaw/openclaw-worker)")
    );
    assert_eq!(told.inner["content"]["m.mentions"], json!({}));
    // It is used, and not a new state.
    set(&world, 0, &[]);
    world.hs.wait_next_sync();
    assert_eq!(world.said(NEWS), 1);
}

#[test]
fn a_room_is_told_that_a_target_sleeps_but_not_what_was_so_before() {
    let scenario = behind_a_gateway()
        .room(NEWS, |room| room.member(ALICE))
        .with(|world| wake(world, "anonymous"));
    let mut world = announced(scenario);
    sleep(&world);
    let told = world.next_in(NEWS);
    let body = told.outer["body"].as_str().unwrap_or_default();
    assert_eq!(body, "worker went to sleep after 30 min without use");
    assert_eq!(world.said(NEWS), 1);
    // Not in a row.
    wake(&world, "anonymous");
    world.ask("status worker");
    assert_eq!(world.said(NEWS), 1);
}

#[test]
fn a_room_in_which_nothing_may_be_said_is_told_nothing() {
    for (encryption, joins, why) in [
        ("true", true, "REQUIRE_ENCRYPTION is set"),
        ("false", false, "invite the bot into it"),
    ] {
        let scenario = behind_a_gateway().set("REQUIRE_ENCRYPTION", encryption);
        let scenario = scenario.room(NEWS, |room| match joins {
            true => room.member(ALICE),
            false => room.member(ALICE).without_bot(),
        });
        let mut world = announced(scenario);
        wake(&world, "anonymous");
        let line = world.bot().wait_log("is not told what the gateway does");
        assert!(line.contains(why), "{line}");
        world.ask("status worker");
        assert_eq!(world.said(NEWS), 0);
    }
}

#[test]
fn leases_that_cannot_be_followed_keep_nothing_from_being_done() {
    let refused = failure(403, "Forbidden", "leases is forbidden");
    let mut world = behind_a_gateway()
        .room(NEWS, |room| room.member(ALICE))
        .set("ANNOUNCE_ROOM", NEWS)
        .with(|world| {
            world
                .api
                .fault("GET /leases", usize::MAX, Fault::json(403, &refused));
        })
        .start();
    let line = world
        .bot()
        .wait_log("what the gateway does cannot be followed");
    assert!(line.contains("leases"), "{line}");
    assert_eq!(
        world.ask("start worker"),
        "worker is starting: 0 → 1 replicas."
    );
}
