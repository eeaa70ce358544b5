//! Relations between messages that a homeserver refuses.

use serde_json::{Value, json};

use crate::support::faults::Fault;
use crate::support::person::text_message;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, OFF, ON, ROOM, World};

/// The relations of the bot's messages, in the order of the messages.
fn relations(world: &World) -> Vec<Value> {
    world.hs.with(|state| {
        let events = state.rooms[ROOM].events.iter().map(|event| &event.json);
        events
            .filter(|event| event["sender"] == BOT && event["state_key"].is_null())
            .map(|event| event["content"]["m.relates_to"].clone())
            .collect()
    })
}

fn thread(root: &str) -> Value {
    json!({"rel_type": "m.thread", "event_id": root})
}

/// A homeserver refuses a thread whose first message it does not know, or that is in
/// another one. The answer is owed all the same.
#[test]
fn an_answer_whose_relation_is_refused_comes_without_it() {
    let mut world = World::encrypted();
    let root = world.say("status");
    world.wait_for_status();
    for (command, answer, errcode) in [("start", ON, "M_BAD_JSON"), ("stop", OFF, "M_UNKNOWN")] {
        world
            .hs
            .fault("PUT /send/m.room.encrypted", 1, Fault::matrix(400, errcode));
        world.alice.share(ROOM);
        let mut content = world.alice.encrypt(ROOM, &text_message(command));
        content["m.relates_to"] = thread(&root);
        world.alice.post(ROOM, content);
        assert_eq!(world.next_body(), answer);
    }
    assert!(relations(&world).iter().all(Value::is_null));
    // Once without it, and no more.
    world.hs.fault(
        "PUT /send/m.room.encrypted",
        2,
        Fault::matrix(400, "M_BAD_JSON"),
    );
    let mut content = world.alice.encrypt(ROOM, &text_message("start"));
    content["m.relates_to"] = thread(&root);
    world.alice.post(ROOM, content);
    world.hs.wait_requests("PUT /send/m.room.encrypted", 7);
    world.say("stop");
    assert_eq!(world.next_body(), OFF);
}

/// The same where nothing is encrypted, and what has no relation is given up as before.
#[test]
fn an_answer_in_clear_whose_relation_is_refused_comes_without_it() {
    let mut world = Scenario::plain().start();
    let root = world.say_plain("status");
    world.next_body();
    world.hs.fault(
        "PUT /send/m.room.message",
        1,
        Fault::matrix(400, "M_UNKNOWN"),
    );
    let mut content = text_message("start");
    content["m.relates_to"] = thread(&root);
    world.hs.message(ROOM, ALICE, content);
    assert_eq!(world.next_body(), ON);
    world.hs.fault(
        "PUT /send/m.room.message",
        1,
        Fault::matrix(400, "M_UNKNOWN"),
    );
    world.say_plain("stop");
    world.say_plain("help");
    assert!(world.next_body().starts_with("Clawdbot Operator commands"));
    assert!(relations(&world).iter().all(Value::is_null));
}
