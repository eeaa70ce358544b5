//! Several targets: who may switch which, what becomes of a change, what is asked back, and
//! when something stops again.

use serde_json::json;

use crate::support::faults::Fault;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, ROOM, World};

const VERA: &str = "@vera:test";

/// Alice, and a worker and a gateway.
pub(super) fn targets() -> Scenario {
    let scenario = Scenario::encrypted()
        .set("DEPLOYMENT_NAME", "")
        .set("DEPLOYMENT_NAMESPACE", "claw")
        .set(
            "TARGETS",
            "worker=openclaw/deployment/worker:5, gateway=statefulset/gateway:2",
        );
    scenario.with(|world| {
        world.api.add("apps/v1/deployments", "openclaw", "worker");
        world.api.add("apps/v1/statefulsets", "claw", "gateway");
    })
}

pub(super) fn prompt(world: &World) {
    for name in ["worker", "gateway"] {
        world
            .api
            .workload(name, |workload| workload.is_prompt = true);
    }
}

/// The code of a question.
pub(super) fn code(question: &str) -> String {
    let (_, code) = question.rsplit_once("yes ").expect(question);
    code.to_owned()
}

#[test]
fn a_start_is_answered_at_once_and_then_followed_until_it_is_ready() {
    let mut world = targets().start();
    prompt(&world);
    let asked = world.say("start worker 3");
    let answer = world.next();
    assert_eq!(
        answer.body.as_deref(),
        Some("worker is starting: 0 → 3 replicas.")
    );
    let reply = json!({"m.in_reply_to": {"event_id": asked}});
    assert_eq!(answer.outer["m.relates_to"], reply, "{:?}", answer.outer);
    let outcome = world.next();
    let body = outcome.body.clone().unwrap();
    assert!(body.starts_with("worker is ready: 3 of 3 after "), "{body}");
    let mentions = &outcome.inner["content"]["m.mentions"];
    assert_eq!(*mentions, json!({"user_ids": [ALICE]}));
    assert_eq!(
        world.ask("status worker").lines().next(),
        Some("worker is on: 3 of 3 ready.")
    );
    // It is never lowered by a start.
    assert_eq!(
        world.ask("start worker 1"),
        "worker is already on: 3 of 3 ready."
    );
    let listed = world.ask("list");
    assert_eq!(listed, "On (1): worker (3)\nOff (1): gateway");
    let history = world.ask("history worker");
    assert!(
        history.contains("start 0 → 3 by @alice:test: ready after"),
        "{history}"
    );
    // A slip of the pen is asked back.
    let answer = world.ask("stop wroker");
    assert!(answer.contains("Did you mean \"stop worker\"?"), "{answer}");
}

#[test]
fn what_does_not_come_up_is_told_in_the_message_about_it() {
    let mut world = targets().start();
    world.say("start gateway 2");
    assert_eq!(world.next_body(), "gateway is starting: 0 → 2 replicas.");
    // It was seen without any.
    let before = world.api.calls("GET statefulsets/gateway").len();
    while world.api.calls("GET statefulsets/gateway").len() < before + 2 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    world.api.workload("gateway", |workload| {
        workload.ready = 1;
        workload.available = 1;
    });
    let edit = world.next();
    let body = edit.body.clone().unwrap();
    assert!(
        body.contains("gateway: ") && body.contains(" of 2 ready"),
        "{body}"
    );
    let relation = &edit.outer["m.relates_to"];
    assert_eq!(relation["rel_type"], "m.replace", "{:?}", edit.outer);
    world.api.workload("gateway", |workload| {
        workload.ready = 2;
        workload.available = 2;
    });
    loop {
        let body = world.next_body();
        if body.starts_with("gateway is ready: 2 of 2 after ") {
            break;
        }
        assert!(body.starts_with("* "), "{body}");
    }
}

#[test]
fn several_targets_are_stopped_only_with_the_code_of_the_question() {
    let mut world = targets().set("PROGRESS", "false").start();
    world.api.workload("worker", |workload| {
        (workload.replicas, workload.ready) = (2, 2);
    });
    world.api.workload("gateway", |workload| {
        (workload.replicas, workload.ready) = (1, 1);
    });
    let question = world.ask("stop all");
    assert!(
        question.contains("Shall I stop worker, gateway?"),
        "{question}"
    );
    let code = code(&question);
    assert!(world.ask("yes").starts_with("That is not the code"));
    assert!(world.ask("yes 1111").starts_with("That is not the code"));
    let summary = world.ask(&format!("yes {}", code.to_lowercase()));
    let lines: Vec<&str> = summary.lines().collect();
    assert_eq!(
        lines,
        [
            "worker is stopping: 2 → 0 replicas.",
            "gateway is stopping: 1 → 0 replicas."
        ]
    );
    assert_eq!(
        world.ask(&format!("yes {code}")),
        "There is nothing to confirm: please send the command itself."
    );
    let scaled = world.api.calls("PATCH /");
    let real = scaled.iter().filter(|call| !call.is_dry_run()).count();
    assert_eq!(real, 2);
}

#[test]
fn a_target_whose_api_call_hangs_keeps_no_other_from_being_switched() {
    let mut world = targets().set("PROGRESS", "false").start();
    world.api.fault("PATCH worker/scale", 1, Fault::Hang);
    world.say("start worker");
    world.say("stop worker");
    assert_eq!(
        world.ask("start gateway"),
        "gateway is starting: 0 → 1 replicas."
    );
}

#[test]
fn a_viewer_looks_and_changes_nothing() {
    let mut world = targets()
        .set("VIEWERS", VERA)
        .set("PROGRESS", "false")
        .user(VERA, |vera| vera.device("VERAPHONE"))
        .member(VERA)
        .start();
    let mut vera = world.take(VERA);
    vera.say(ROOM, "start worker");
    assert_eq!(
        world.next_body(),
        "You may look at worker, and not change it."
    );
    vera.say(ROOM, "status worker");
    assert_eq!(world.next_body(), "worker is off.");
    assert!(world.api.scaled_to().is_empty());
    assert!(world.hs.with(|state| {
        state.rooms[ROOM]
            .events
            .iter()
            .any(|event| event.json["sender"] == BOT)
    }));
}

#[test]
fn what_is_started_for_a_time_is_stopped_and_warned_of_and_can_be_extended() {
    let mut world = targets().set("PROGRESS", "false").movable_clock().start();
    let answer = world.ask("start worker 2 for 1m");
    assert!(
        answer.starts_with("worker is starting: 0 → 2 replicas. It stops "),
        "{answer}"
    );
    let status = world.ask("status worker");
    assert!(status.contains("It stops "), "{status}");
    let extended = world.ask("extend worker 1m");
    assert!(extended.starts_with("worker: It stops "), "{extended}");
    // Six seconds, a tenth of the time, before its end.
    world.jump(115_000);
    world.say("status gateway");
    assert_eq!(world.next_body(), "gateway is off.");
    let warning = world.next_body();
    assert!(
        warning.contains("To keep it on, write for example: extend worker 1h"),
        "{warning}"
    );
    world.jump(135_000);
    world.say("status gateway");
    assert_eq!(world.next_body(), "gateway is off.");
    assert_eq!(
        world.next_body(),
        "The time of worker is up, so I stop it: 2 → 0 replicas."
    );
    assert_eq!(
        world.api.workload("worker", |workload| workload.replicas),
        0
    );
}

/// The end of a timer of two replicas where there are four by then.
pub(super) fn told_of_four(world: &mut World) -> String {
    world.ask("start worker 2 for 1m");
    world
        .api
        .workload("worker", |workload| workload.replicas = 4);
    world.jump(58_000);
    world.say("list");
    world.next_body();
    world.next_body();
    world.jump(75_000);
    world.say("list");
    world.next_body();
    world.next_body()
}

#[test]
fn what_somebody_has_set_since_is_not_stopped() {
    let mut world = targets().set("PROGRESS", "false").movable_clock().start();
    let told = told_of_four(&mut world);
    assert!(
        told.contains("I did not stop it: somebody has set it to 4 replicas since"),
        "{told}"
    );
    assert_eq!(
        world.api.workload("worker", |workload| workload.replicas),
        4
    );
}

#[test]
fn a_question_is_void_once_its_person_goes_on_with_something_else() {
    let mut world = targets().set("PROGRESS", "false").start();
    let question = world.ask("stop all");
    let code = code(&question);
    assert_eq!(world.ask("status worker"), "worker is off.");
    assert_eq!(
        world.ask(&format!("yes {code}")),
        "There is nothing to confirm: please send the command itself."
    );
    assert!(world.api.scaled_to().is_empty());
}

#[test]
fn guessing_codes_is_a_flood_like_any_other() {
    let mut world = targets().set("PROGRESS", "false").start();
    for _ in 0..12 {
        world.say("yes 1111");
    }
    for _ in 0..10 {
        assert!(world.next_body().starts_with("There is nothing to confirm"));
    }
    assert!(
        world
            .next_body()
            .starts_with("You ask faster than I can answer")
    );
    world.hs.wait_next_sync();
    assert_eq!(world.unread(), Vec::<Option<String>>::new());
}
