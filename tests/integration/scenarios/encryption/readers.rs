//! The readers of a reply: every device of the members there are, and nobody else.

use serde_json::{Value, json};

use super::{BOB, with_bob};
use crate::support::person::{MEGOLM, Person};
use crate::support::world::{ALICE, BOT, OFF, ON, ROOM, World};

/// Rule 27.
#[test]
fn a_member_who_leaves_cannot_read_on() {
    let (mut world, mut bob) = with_bob();
    let first = {
        world.say("start");
        world.next()
    };
    assert_eq!(bob.last_answer(ROOM).as_deref(), Some(ON));
    world.hs.member(ROOM, BOB, "leave");
    world.hs.wait_next_sync();
    let second = {
        world.say("stop");
        world.next()
    };
    assert_eq!(second.body.as_deref(), Some(OFF));
    assert_ne!(first.outer["session_id"], second.outer["session_id"]);
    assert_eq!(bob.last_answer(ROOM), None);
}

/// Rule 27: also when the leaving lies in a gap and shows as state only.
#[test]
fn a_member_who_leaves_in_a_gap_cannot_read_on() {
    let (mut world, mut bob) = with_bob();
    world.ask("start");
    let content = json!({"membership": "leave"});
    world.hs.skipped_event(
        ROOM,
        json!({"type": "m.room.member", "sender": BOB, "state_key": BOB, "content": content}),
    );
    world.hs.message(
        ROOM,
        ALICE,
        json!({"msgtype": "m.notice", "body": "after the gap"}),
    );
    world.hs.wait_next_sync();
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(bob.last_answer(ROOM), None);
}

/// Rule 27: also when the member is back before anything is said.
#[test]
fn a_member_who_left_and_came_back_gets_another_key() {
    let (mut world, mut bob) = with_bob();
    world.say("start");
    let first = world.next();
    world.hs.member(ROOM, BOB, "leave");
    world.hs.wait_next_sync();
    world.hs.member(ROOM, BOB, "join");
    world.hs.wait_next_sync();
    world.say("stop");
    let second = world.next();
    assert_ne!(first.outer["session_id"], second.outer["session_id"]);
    assert_eq!(bob.last_answer(ROOM).as_deref(), Some(OFF));
}

/// Rule 27.
#[test]
fn a_device_that_is_gone_cannot_read_on() {
    let (mut world, mut bob) = with_bob();
    let first = {
        world.say("start");
        world.next()
    };
    assert_eq!(bob.last_answer(ROOM).as_deref(), Some(ON));
    world.hs.with(|state| {
        state
            .devices
            .get_mut(&(BOB.into(), "BOBPHONE".into()))
            .unwrap()
            .keys = None;
        state.device_changed(BOB);
    });
    world.hs.wait_next_sync();
    let second = {
        world.say("stop");
        world.next()
    };
    assert_ne!(first.outer["session_id"], second.outer["session_id"]);
    assert_eq!(bob.last_answer(ROOM), None);
}

/// Rule 27: what the room asks for, within bounds.
#[test]
fn the_session_rotates_after_as_many_messages_as_the_room_says() {
    let mut world = World::new();
    world.hs.add_room(ROOM, &[ALICE, BOT], false);
    let content = json!({"algorithm": MEGOLM, "rotation_period_msgs": 2});
    world
        .hs
        .state_event(ROOM, ALICE, "m.room.encryption", "", content);
    world.start();
    let sessions: Vec<Value> = (0..5)
        .map(|_| {
            world.say("status");
            world.next().outer["session_id"].clone()
        })
        .collect();
    assert_eq!(sessions[0], sessions[1]);
    assert_ne!(sessions[1], sessions[2]);
    assert_eq!(sessions[2], sessions[3]);
    assert_ne!(sessions[3], sessions[4]);
}

/// Rule 28: everything that makes a reply readable comes before it. Bob is known
/// from the member list alone: he never says anything.
#[test]
fn all_members_get_the_key_before_the_reply() {
    let (mut world, mut bob) = with_bob();
    assert_eq!(world.ask("start"), ON);
    assert_eq!(bob.last_answer(ROOM).as_deref(), Some(ON));
    let log = world.hs.with(|state| state.log.clone());
    let first = |pattern: &str| {
        log.iter()
            .position(|entry| entry.is(pattern))
            .unwrap_or_else(|| panic!("no {pattern}"))
    };
    // Alice's key need not wait for Bob's to be claimed, but the reply does.
    let shared = "PUT /sendToDevice/m.room.encrypted";
    let places = [
        first("/members"),
        first("POST /keys/claim"),
        log.iter().rposition(|entry| entry.is(shared)).unwrap(),
        first("PUT /send/m.room.encrypted"),
    ];
    assert!(places.is_sorted(), "they came at {places:?}");
    assert!(first("POST /keys/query") < first("POST /keys/claim"));
}

/// Rule 28: nothing has changed, so nothing is asked.
#[test]
fn the_second_reply_in_an_unchanged_room_is_one_request() {
    let (mut world, _bob) = with_bob();
    assert_eq!(world.ask("start"), ON);
    world.settle();
    let before = world.hs.with(|state| state.log.len());
    assert_eq!(world.ask("stop"), OFF);
    let since: Vec<String> = world.hs.with(|state| {
        state.log[before..]
            .iter()
            .filter(|entry| !entry.path.ends_with("/sync"))
            .map(|entry| format!("{} {}", entry.method, entry.path))
            .collect()
    });
    assert_eq!(since.len(), 1, "{since:#?}");
    assert!(
        since[0].starts_with("PUT ") && since[0].contains("/send/m.room.encrypted/"),
        "{since:?}"
    );
}

/// Rule 28: who joins later gets the key from now on.
#[test]
fn a_member_who_joins_reads_from_then_on() {
    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    let mut bob = world.person(BOB, "BOBPHONE");
    world.hs.member(ROOM, BOB, "join");
    world.hs.wait_next_sync();
    world.say("stop");
    let reply = world.next();
    assert_eq!(bob.last_answer(ROOM).as_deref(), Some(OFF));
    let session = reply.outer["session_id"].as_str().unwrap();
    let index = bob.first_index(ROOM, session).unwrap();
    let whole = world.alice.first_index(ROOM, session).unwrap();
    assert!(
        index > whole || bob.read(ROOM, BOT)[0].body.is_none(),
        "Bob reads what was before him"
    );
}

/// Rule 29: Bob's device has only this one-time key; he is told once, others read.
fn withheld_once(world: &mut World, bob: &mut Person) {
    assert_eq!(world.ask("start"), ON);
    assert_eq!(world.ask("stop"), OFF);
    world.crash_and_restart();
    assert_eq!(world.ask("start"), ON);
    bob.receive();
    assert_eq!(bob.withheld(), ["m.no_olm"]);
    assert!(!world.olm_recipients().contains(&format!("{BOB} BOBPHONE")));
}

#[test]
fn a_badly_signed_one_time_key_is_not_used_and_told_once() {
    let (mut world, mut bob) = with_bob();
    bob.withdraw_one_time_keys();
    bob.publish_one_time_keys(5, |key| {
        let signature = key["signatures"][BOB]["ed25519:BOBPHONE"].as_str().unwrap();
        let other = if signature.starts_with('A') { "B" } else { "A" };
        key["signatures"][BOB]["ed25519:BOBPHONE"] = json!(format!("{other}{}", &signature[1..]));
    });
    withheld_once(&mut world, &mut bob);
}

#[test]
fn an_unsigned_one_time_key_is_not_used_and_told_once() {
    let (mut world, mut bob) = with_bob();
    bob.withdraw_one_time_keys();
    bob.publish_one_time_keys(5, |key| {
        drop(key.as_object_mut().unwrap().remove("signatures"))
    });
    withheld_once(&mut world, &mut bob);
}

#[test]
fn a_device_without_one_time_keys_is_told_once() {
    let (mut world, mut bob) = with_bob();
    bob.withdraw_one_time_keys();
    withheld_once(&mut world, &mut bob);
}

/// Rules 31, and 30 by what the person checks in every Olm payload.
#[test]
fn a_reply_carries_the_device_and_its_key_as_older_clients_need() {
    let mut world = World::encrypted();
    world.say("start");
    let reply = world.next();
    let device = world.bot_device();
    let curve = world.hs.with(|state| {
        let keys = state.only_device(BOT).unwrap().1.keys.clone().unwrap();
        keys["keys"][format!("curve25519:{device}")].clone()
    });
    assert_eq!(reply.kind, "m.room.encrypted");
    assert_eq!(reply.outer["algorithm"], MEGOLM);
    assert_eq!(reply.outer["sender_key"], curve);
    assert_eq!(reply.outer["device_id"], json!(device));
    assert_eq!(reply.inner["room_id"], ROOM);
    let shared = world
        .alice
        .received
        .iter()
        .find(|p| p["type"] == "m.room_key")
        .unwrap();
    assert!(shared["sender_device_keys"].is_object(), "{shared}");
}
