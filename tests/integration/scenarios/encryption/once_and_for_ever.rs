//! A ciphertext is executed once, and a room that was encrypted stays so.

use serde_json::json;

use crate::support::faults::Fault;
use crate::support::person::{MEGOLM, text_message};
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, OFF, ON, ROOM, World};

/// Rules 20 and 25: one ciphertext, one command.
#[test]
fn a_ciphertext_replayed_under_any_event_id_is_executed_once() {
    let mut world = World::encrypted();
    world.ask("status");
    let content = world.alice.encrypt(ROOM, &text_message("start"));
    let event = json!({"type": "m.room.encrypted", "sender": ALICE, "content": content});
    let mut same_id = event.clone();
    same_id["event_id"] = json!(world.hs.event(ROOM, event.clone()));
    assert_eq!(world.next_body(), ON);
    assert_eq!(world.ask("stop"), OFF);
    world.hs.event(ROOM, event.clone());
    world.hs.event(ROOM, same_id.clone());
    world.assert_scaled_only(&[1, 0]);
    world.crash_and_restart();
    world.hs.event(ROOM, event);
    world.hs.event(ROOM, same_id);
    world.assert_scaled_only(&[1, 0]);
}

/// Rule 20: the journal forgets in time, and a server can hurry it by filling it;
/// the ratchet's index is not forgotten with it.
#[test]
fn an_event_the_journal_has_forgotten_is_not_executed_again() {
    let mut world = World::encrypted();
    world.ask("status");
    let content = world.alice.encrypt(ROOM, &text_message("start"));
    let mut event = json!({"type": "m.room.encrypted", "sender": ALICE, "content": content});
    event["event_id"] = json!(world.hs.event(ROOM, event.clone()));
    assert_eq!(world.next_body(), ON);
    assert_eq!(world.ask("stop"), OFF);
    world.bot().kill();
    let store = rusqlite::Connection::open(world.dir.sub("store").join("store.sqlite3")).unwrap();
    assert!(store.execute("DELETE FROM journal", []).unwrap() > 0);
    drop(store);
    world.start();
    world.hs.event(ROOM, event);
    world.assert_scaled_only(&[1, 0]);
}

/// Rule 25.
#[test]
fn an_event_delivered_again_in_plaintext_is_executed_once() {
    let mut world = World::plain();
    let event = json!({"type": "m.room.message", "sender": ALICE, "content": text_message("start"), "event_id": "$one:test"});
    world.hs.event(ROOM, event.clone());
    assert_eq!(world.next_body(), ON);
    world.hs.event(ROOM, event);
    world.say_plain("status");
    assert_eq!(world.wait_for_status(), Vec::<String>::new());
    assert_eq!(world.api.scaled_to(), [1]);
}

/// Rule 24: encrypted once is encrypted for ever.
#[test]
fn a_state_reset_does_not_make_plaintext_commands_good() {
    let mut world = World::encrypted();
    world.ask("status");
    world
        .hs
        .state_event(ROOM, ALICE, "m.room.encryption", "", json!({}));
    world.hs.with(|state| {
        let room = state.rooms.get_mut(ROOM).unwrap();
        room.events
            .retain(|event| event.json["type"] != "m.room.encryption");
    });
    world.say_plain("start");
    world.assert_nothing_done();
    world.crash_and_restart();
    world.say_plain("start");
    world.assert_nothing_done();
    assert!(world.hs.requests("PUT /send/m.room.message").is_empty());
}

/// Rule 24.
#[test]
fn a_plaintext_command_in_an_encrypted_room_is_refused() {
    let mut world = World::encrypted();
    world.say_plain("start");
    world.assert_nothing_done();
    assert!(world.hs.requests("PUT /send/m.room.message").is_empty());
}

/// Rule 24: `/sync` may keep the state event back; the room is asked for it.
#[test]
fn encryption_hidden_from_the_sync_is_found_by_asking() {
    let mut world = World::new();
    world.hs.rewrite("/sync", |body| {
        for part in ["state", "timeline"] {
            if let Some(events) = body["rooms"]["join"][ROOM][part]["events"].as_array_mut() {
                events.retain(|event| event["type"] != "m.room.encryption");
            }
        }
    });
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    world.say_plain("start");
    world.assert_nothing_done();
    assert!(world.hs.requests("PUT /send/m.room.message").is_empty());
}

/// Rule 24: only a 404 says that a room is not encrypted.
#[test]
fn a_room_whose_encryption_cannot_be_asked_for_is_not_taken_for_plaintext() {
    let mut world = World::new();
    world.hs.rewrite("/sync", |body| {
        for part in ["state", "timeline"] {
            if let Some(events) = body["rooms"]["join"][ROOM][part]["events"].as_array_mut() {
                events.retain(|event| event["type"] != "m.room.encryption");
            }
        }
    });
    for pattern in ["/state/m.room.encryption", "GET /state"] {
        world.hs.fault(pattern, 1, Fault::matrix(500, "M_UNKNOWN"));
    }
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    world.say_plain("start");
    world.assert_nothing_done();
    assert!(world.hs.requests("PUT /send/m.room.message").is_empty());
}

/// Rule 24.
#[test]
fn nothing_is_sent_to_a_room_with_an_unknown_algorithm() {
    let content = json!({"algorithm": "org.example.rot13"});
    let mut world = Scenario::encrypted()
        .room("!odd:test", |room| room.member(ALICE))
        .build();
    world
        .hs
        .state_event("!odd:test", ALICE, "m.room.encryption", "", content);
    world.start();
    world.hs.message("!odd:test", ALICE, text_message("start"));
    world.alice.say("!odd:test", "start");
    world.assert_nothing_done();
    assert_eq!(world.said("!odd:test"), 0);
}

/// Rule 24: a room that becomes encrypted is answered encrypted.
#[test]
fn a_room_encrypted_later_is_answered_encrypted_from_then_on() {
    let mut world = World::plain();
    assert_eq!(world.ask_plain("start"), ON);
    let content = json!({"algorithm": MEGOLM});
    world
        .hs
        .state_event(ROOM, ALICE, "m.room.encryption", "", content);
    world.say("stop");
    let seen = world.next();
    assert_eq!(
        (seen.kind.as_str(), seen.body.as_deref()),
        ("m.room.encrypted", Some(OFF))
    );
}
