//! More is asked than can be done or said: what matters goes first, and the rest
//! has an end.

use std::time::Duration;

use crate::support::faults::Fault;
use crate::support::person::text_message;
use crate::support::world::{ALICE, BOT, OFF, ON, ROOM, World};

/// The bot's words to somebody who asks for more than it can do.
const TOO_MUCH: &str = "I have more commands than I can answer";

/// Alice says all of this, seen by one sync.
fn say_at_once<'a>(world: &World, texts: impl Iterator<Item = &'a str>) {
    let hs = world.hs.clone();
    hs.at_once(|| {
        for text in texts {
            hs.message(ROOM, ALICE, text_message(text));
        }
    });
}

fn said(world: &World) -> Vec<String> {
    world.hs.with(|state| {
        let events = state.rooms[ROOM].events.iter();
        events
            .filter(|event| event.json["sender"] == BOT && event.json["state_key"].is_null())
            .filter_map(|event| Some(event.json["content"]["body"].as_str()?.to_owned()))
            .collect()
    })
}

fn wait_said(world: &World, what: &str, fragment: &str) {
    world.hs.wait(what, |state| {
        let mut events = state.rooms[ROOM].events.iter();
        let body = |json: &serde_json::Value| json["content"]["body"].as_str().map(str::to_owned);
        events
            .any(|event| {
                event.json["sender"] == BOT
                    && body(&event.json).is_some_and(|body| body.contains(fragment))
            })
            .then_some(())
    });
}

#[test]
fn a_flood_of_status_keeps_no_stop_from_being_done() {
    let world = World::plain();
    world
        .api
        .fault("GET /", 100, Fault::Delay(Duration::from_millis(100)));
    let before = world.api.calls("GET /").len();
    say_at_once(&world, std::iter::repeat_n("status", 40).chain(["stop"]));
    world.api.wait("the stop", |state| {
        let scaled = state
            .calls
            .iter()
            .any(|call| call.method == "PATCH" && !call.is_dry_run());
        scaled.then_some(())
    });
    let asked = world.api.calls("GET /").len() - before;
    assert!(asked <= 6, "{asked} times asked before");
    world.api.clear_faults();
    wait_said(&world, "the answer to it", OFF);
    wait_said(&world, "the answers to the others", "Deployment is off\n");
    let said = || said(&world);
    world.hs.wait("all that is answered", |state| {
        (state.said(BOT, ROOM) > 15 + 1).then_some(())
    });
    world.hs.wait_next_sync();
    let told = said().iter().filter(|body| body.contains(TOO_MUCH)).count();
    assert_eq!(told, 1, "{:?}", said());
    assert_eq!(said().len(), 15 + 1 + 1, "{:?}", said());
    assert_eq!(world.api.scaled_to(), [0]);
}

#[test]
fn an_answer_does_not_wait_behind_all_that_is_chatter() {
    let mut world = World::plain();
    world.hs.fault("PUT /send", 1, Fault::Hold);
    say_at_once(&world, std::iter::repeat_n("how are you?", 45));
    world.hs.wait_requests("PUT /send", 1);
    world.hs.wait_next_sync();
    say_at_once(&world, ["start"].into_iter());
    world.api.wait("the start", |state| {
        let scaled = state
            .calls
            .iter()
            .any(|call| call.method == "PATCH" && !call.is_dry_run());
        scaled.then_some(())
    });
    world.bot().wait_log("does without");
    world.bot().wait_log("start: Deployment is now on");
    // Then it is in the store.
    world.hs.wait_next_sync();
    world.hs.clear_faults();
    wait_said(&world, "the answer", ON);
    world.hs.wait_next_sync();
    let said = said(&world);
    assert_eq!(said.last().map(String::as_str), Some(ON));
    assert_eq!(said.len(), 8 + 12 + 1, "{said:?}");
}
