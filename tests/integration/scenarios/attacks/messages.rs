//! A message in another place, of another kind, or in another wrapping than its sender's.

use serde_json::json;

use crate::support::person::{Person, text_message};
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, ROOM, World};

/// Olm and Megolm confusion (CVE-2022-39251, rule 10), both ways round.
#[test]
fn each_kind_of_ciphertext_counts_in_its_own_place_only() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    world.ask("status");
    // A room event encrypted with Olm.
    let message =
        json!({"type": "m.room.message", "content": text_message("start"), "room_id": ROOM});
    let mut payload = world
        .alice
        .payload((BOT, &device), "m.room.message", &message["content"]);
    payload["room_id"] = json!(ROOM);
    let sealed = world.alice.olm((BOT, &device), &payload);
    world.alice.post(ROOM, sealed);
    // A command sent to the device instead of a room, by Olm and by Megolm.
    let sealed = world.alice.olm((BOT, &device), &payload);
    world
        .alice
        .deliver((BOT, &device), "m.room.encrypted", sealed);
    let sealed = world.alice.megolm(ROOM, &message);
    world
        .alice
        .deliver((BOT, &device), "m.room.encrypted", sealed);
    // A room key inside a room message, and one sent to the device by Megolm.
    let mut mallory = Person::unpublished(&world.hs, ALICE, "NOBODY");
    let key = mallory.room_key(ROOM);
    let sealed = world.alice.megolm(
        ROOM,
        &json!({"type": "m.room_key", "content": key, "room_id": ROOM}),
    );
    world.alice.post(ROOM, sealed.clone());
    world
        .alice
        .deliver((BOT, &device), "m.room.encrypted", sealed);
    let content = mallory.encrypt(ROOM, &text_message("start"));
    mallory.post(ROOM, content);
    world.assert_nothing_done();
}

/// Megolm replay into another room (rules 19 and 20).
#[test]
fn a_ciphertext_moved_to_another_room_is_not_executed() {
    let mut world = Scenario::encrypted()
        .room("!other:test", |room| room.encrypted().member(ALICE))
        .start();
    world.alice.share(ROOM);
    let content = world.alice.encrypt(ROOM, &text_message("start"));
    world.alice.post("!other:test", content);
    world.assert_nothing_done();
}

/// Rule 19: what is inside must name the room, and be a message.
#[test]
fn a_payload_of_another_room_or_kind_is_not_executed() {
    let mut world = World::encrypted();
    world.ask("status");
    let content = text_message("start");
    let payloads = [
        json!({"type": "m.room.message", "content": content, "room_id": "!other:test"}),
        json!({"type": "m.room.message", "content": content}),
        json!({"type": "m.room.message", "content": content, "room_id": ROOM, "state_key": ""}),
        json!({"type": "m.room.encrypted", "content": content, "room_id": ROOM}),
        json!({"type": "org.example.message", "content": content, "room_id": ROOM}),
        json!({"type": 7, "content": content, "room_id": ROOM}),
        json!({"content": content, "room_id": ROOM}),
        json!("start"),
    ];
    for payload in payloads {
        let sealed = world.alice.megolm(ROOM, &payload);
        world.alice.post(ROOM, sealed);
    }
    world.assert_nothing_done();
}

/// An encrypted event as a state event, which no client sends.
#[test]
fn an_encrypted_state_event_is_not_executed() {
    let mut world = World::encrypted();
    world.ask("status");
    let content = world.alice.encrypt(ROOM, &text_message("start"));
    let event =
        json!({"type": "m.room.encrypted", "sender": ALICE, "state_key": "", "content": content});
    world.hs.event(ROOM, event);
    world.assert_nothing_done();
}

/// A relation beside the ciphertext belongs to the server, not to the person
/// (rule 23): it neither makes nor unmakes a command.
#[test]
fn a_relation_outside_the_ciphertext_is_not_the_persons() {
    let mut world = World::encrypted();
    let first = world.say("status");
    world.wait_for_status();
    let mut sealed = world.alice.encrypt(ROOM, &text_message("start"));
    sealed["m.relates_to"] = json!({"rel_type": "m.thread", "event_id": first});
    let edited = json!({
        "type": "m.room.encrypted", "sender": ALICE, "content": sealed,
        "unsigned": {"m.relations": {"m.replace": {"content": {"body": "stop"}}}},
    });
    world.hs.event(ROOM, edited);
    world.say("status");
    world.wait_for_status();
    assert!(!world.api.scaled_to().contains(&0));
}

/// A client writes the relation of an edit outside the ciphertext too, so what
/// calls itself one there is none of the person's new commands.
#[test]
fn a_replacement_outside_the_ciphertext_is_not_executed() {
    let mut world = World::encrypted();
    let first = world.say("status");
    world.wait_for_status();
    let mut sealed = world.alice.encrypt(ROOM, &text_message("start"));
    sealed["m.relates_to"] = json!({"rel_type": "m.replace", "event_id": first});
    let edit = json!({"type": "m.room.encrypted", "sender": ALICE, "content": sealed});
    world.hs.event(ROOM, edit);
    world.assert_nothing_done();
}

/// Encryption downgrade (rule 24): another algorithm, or none, in place of the
/// one that was there, in the state and in the event. Nothing is run there, and
/// what the bot says there stays encrypted as it was.
#[test]
fn another_algorithm_is_no_way_around_encryption() {
    let mut world = World::encrypted();
    world.ask("status");
    for algorithm in [json!("org.example.rot13"), json!(null), json!(7)] {
        let content = json!({"algorithm": algorithm});
        world
            .hs
            .state_event(ROOM, ALICE, "m.room.encryption", "", content);
        world.hs.wait_next_sync();
        for in_event in [json!("org.example.rot13"), json!(null)] {
            let mut content = world.alice.encrypt(ROOM, &text_message("start"));
            content["algorithm"] = in_event;
            content["body"] = json!("start");
            content["msgtype"] = json!("m.text");
            world.alice.post(ROOM, content);
        }
        world.say_plain("start");
        assert_eq!(
            world.next_body(),
            "This room is encrypted, so I only take encrypted commands: please send it again from \
             a client with encryption on.",
            "{algorithm}"
        );
        world.assert_nothing_done();
    }
    assert!(world.hs.requests("PUT /send/m.room.message").is_empty());
}
