//! A command in a thread is answered in that thread.

use serde_json::{Value, json};

use crate::support::faults::Fault;
use crate::support::person::text_message;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, OFF, ON, ROOM, World};

fn in_thread(root: &str) -> Value {
    json!({
        "rel_type": "m.thread", "event_id": root, "is_falling_back": true,
        "m.in_reply_to": {"event_id": root},
    })
}

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

fn answer_to(root: &str, asked: &str) -> Value {
    json!({
        "rel_type": "m.thread", "event_id": root, "is_falling_back": true,
        "m.in_reply_to": {"event_id": asked},
    })
}

impl World {
    fn say_in(&mut self, text: &str, relation: Value) -> String {
        self.alice.share(ROOM);
        let mut content = self.alice.encrypt(ROOM, &text_message(text));
        content["m.relates_to"] = relation;
        self.alice.post(ROOM, content)
    }
}

/// The relation stands beside the ciphertext, and the echo is in the thread as well.
/// A restart while the command is under way changes nothing. What is in no thread is
/// answered in none.
#[test]
fn a_command_in_a_thread_is_answered_there() {
    let mut world = Scenario::encrypted().set("ECHO_MODE", "true").start();
    let root = world.say("status");
    assert_eq!(world.next_body(), "🦞 status");
    world.next_body();
    let asked = world.say_in("start", in_thread(&root));
    assert_eq!(world.next_body(), "🦞 start");
    let answer = world.next();
    assert_eq!(answer.body.as_deref(), Some(ON));
    assert!(
        answer.inner["content"]["m.relates_to"].is_null(),
        "{:?}",
        answer.inner
    );
    let due = answer_to(&root, &asked);
    assert_eq!(
        relations(&world),
        [Value::Null, Value::Null, due.clone(), due]
    );

    // What is no command, and what is done after a restart.
    let odd = world.say_in("make tea", in_thread(&root));
    world.next_body();
    assert!(world.next_body().starts_with("Unknown command"));
    world
        .api
        .with(|state| state.faults.add("PATCH /", 1, Fault::Hang));
    let late = world.say_in("stop", in_thread(&root));
    world.next_body();
    world.bot().kill();
    world.api.clear_faults();
    world.start();
    assert_eq!(world.next_body(), OFF);
    // A reply outside of any thread, and threads whose first message is none.
    world.say_in("start", json!({"m.in_reply_to": {"event_id": root}}));
    world.next_body();
    assert_eq!(world.next_body(), ON);
    for no_thread in [json!({"rel_type": "m.thread"}), in_thread("x")] {
        world.say_in("stop", no_thread);
        world.next_body();
        assert_eq!(world.next_body(), OFF);
    }
    let (odd, late) = (answer_to(&root, &odd), answer_to(&root, &late));
    let found = relations(&world);
    assert_eq!(found[4..8], [odd.clone(), odd, late.clone(), late]);
    assert!(found[8..].iter().all(Value::is_null), "{found:?}");
    // Edits and reactions in a thread are no commands.
    world.say_in("start", json!({"rel_type": "m.replace", "event_id": root}));
    world.say_in(
        "start",
        json!({"rel_type": "m.annotation", "event_id": root, "key": "start"}),
    );
    world.say("help");
    world.next_body();
    assert!(world.next_body().starts_with("Clawdbot Operator commands"));
}

/// In a room without encryption, and where only one sentence may be said there.
#[test]
fn a_command_in_clear_in_a_thread_is_answered_there() {
    for requires_encryption in [false, true] {
        let mut world = Scenario::plain()
            .set("REQUIRE_ENCRYPTION", &requires_encryption.to_string())
            .start();
        let root = world.say_plain("hello");
        world.next_body();
        let mut content = text_message("start");
        content["m.relates_to"] = in_thread(&root);
        let asked = world.hs.message(ROOM, ALICE, content);
        let answer = world.next_body();
        match requires_encryption {
            true => assert!(
                answer.contains("only take commands in encrypted rooms"),
                "{answer}"
            ),
            false => assert_eq!(answer, ON),
        }
        assert_eq!(relations(&world), [Value::Null, answer_to(&root, &asked)]);
    }
}
