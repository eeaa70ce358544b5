//! The devices of others: followed, and believed only if they are signed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{BOB, with_bob};
use crate::support::person::Person;
use crate::support::world::{ALICE, BOT, MALLORY, OFF, ON, ROOM, World};

/// Rule 2: the signature holds over all that came in, known to us or not.
#[test]
fn a_device_with_unknown_signed_fields_gets_the_key() {
    let mut world = World::new();
    let mut bob = Person::unpublished(&world.hs, BOB, "BOBPHONE");
    bob.publish(|keys| {
        keys["org.example.later"] =
            json!({"b": [1, {"ü": "é\u{1f99e}\u{7}\"\\"}], "a": -7, "A": null});
        keys["keys"]["org.example:BOBPHONE"] = json!("AAAA");
    });
    bob.publish_one_time_keys(1, |key| {
        key["org.example.later"] = json!(true);
    });
    // The edit came after signing, so sign again: the field is a signed one.
    world.hs.with(|state| {
        let device = state
            .devices
            .get_mut(&(BOB.into(), "BOBPHONE".into()))
            .unwrap();
        for key in device.one_time.values_mut() {
            key.as_object_mut().unwrap().remove("signatures");
            bob.sign(key);
        }
    });
    world.hs.add_room(ROOM, &[ALICE, BOT, BOB], true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    assert_eq!(bob.last_answer(ROOM).as_deref(), Some(ON));
}

/// Rule 2.
#[test]
fn a_device_whose_keys_were_tampered_with_gets_no_key() {
    let mut world = World::new();
    let mut bob = Person::unpublished(&world.hs, BOB, "BOBPHONE");
    let mut keys = bob.device_keys();
    keys["org.example.added"] = json!("by the server");
    bob.publish_raw(keys);
    bob.publish_one_time_keys(1, |_| {});
    world.hs.add_room(ROOM, &[ALICE, BOT, BOB], true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    assert!(!world.olm_recipients().contains(&format!("{BOB} BOBPHONE")));
}

/// Rule 2: what was learnt of a device outlives a broken answer about it.
#[test]
fn a_known_device_is_not_lost_to_a_tampered_answer() {
    let (mut world, mut bob) = with_bob();
    let mut keys = bob.device_keys();
    keys["org.example.added"] = json!("by the server");
    bob.publish_raw(keys);
    assert_eq!(world.ask("start"), ON);
    assert_eq!(bob.last_answer(ROOM).as_deref(), Some(ON));
}

/// Rule 6.
#[test]
fn a_new_device_gets_the_key_of_the_next_reply() {
    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    let mut tablet = world.person(ALICE, "ALICETABLET");
    world.hs.wait_next_sync();
    assert_eq!(world.ask("stop"), OFF);
    let seen = tablet.read(ROOM, BOT);
    assert_eq!(seen[1].body.as_deref(), Some(OFF));
    assert_eq!(
        seen[0].body, None,
        "the new device must not read what was said before it"
    );
}

/// Rule 7: an incremental sync tells what changed in the meantime.
#[test]
fn a_device_added_while_the_bot_was_away_gets_the_key() {
    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    world.bot().kill();
    let mut tablet = world.person(ALICE, "ALICETABLET");
    world.start();
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(tablet.last_answer(ROOM).as_deref(), Some(OFF));
}

/// Rule 6: the room is large, the query is not.
#[test]
fn no_query_names_more_than_250_users() {
    let mut world = World::new();
    let many: Vec<String> = (0..300).map(|n| format!("@member{n}:test")).collect();
    let mut members = vec![ALICE, BOT];
    members.extend(many.iter().map(String::as_str));
    world.hs.add_room(ROOM, &members, true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    let mut asked = BTreeSet::new();
    for query in world.hs.requests("POST /keys/query") {
        let users = query.body["device_keys"].as_object().unwrap();
        assert!(users.len() <= 250, "{} users", users.len());
        asked.extend(users.keys().cloned());
    }
    assert!(
        many.iter().all(|user| asked.contains(user)),
        "everybody was asked for"
    );
}

/// Rule 7: a server that cannot be asked now has deleted no device.
#[test]
fn a_query_that_fails_deletes_no_device() {
    let (mut world, mut bob) = with_bob();
    assert_eq!(world.ask("start"), ON);
    world.hs.rewrite("/keys/query", |body| {
        if body["device_keys"]
            .as_object_mut()
            .unwrap()
            .remove(BOB)
            .is_some()
        {
            body["failures"] = json!({"test": {}});
        }
    });
    world.hs.device_changed(BOB);
    world.hs.wait_next_sync();
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(bob.last_answer(ROOM).as_deref(), Some(OFF));
}

/// Rule 8: publishes these keys for Bob's second device and proves that it gets
/// nothing while his first one does.
fn second_device_gets_no_key(keys: impl FnOnce(&Person) -> Value) {
    let (mut world, mut bob) = with_bob();
    let mut tablet = Person::unpublished(&world.hs, BOB, "BOBTABLET");
    tablet.publish_one_time_keys(2, |_| {});
    tablet.publish_raw(keys(&tablet));
    world.hs.wait_next_sync();
    assert_eq!(world.ask("start"), ON);
    assert_eq!(bob.last_answer(ROOM).as_deref(), Some(ON));
    assert!(!world.olm_recipients().contains(&format!("{BOB} BOBTABLET")));
}

#[test]
fn a_device_of_another_user_inside_gets_no_key() {
    second_device_gets_no_key(|tablet| {
        let mut keys = tablet.bare_device_keys();
        keys["user_id"] = json!(MALLORY);
        tablet.sign(&mut keys);
        keys
    });
}

#[test]
fn a_device_of_another_id_inside_gets_no_key() {
    second_device_gets_no_key(|tablet| {
        let mut keys = tablet.bare_device_keys();
        keys["device_id"] = json!("BOBWATCH");
        tablet.sign(&mut keys);
        keys
    });
}

#[test]
fn a_device_with_a_bad_signature_gets_no_key() {
    second_device_gets_no_key(|tablet| {
        let mut keys = tablet.device_keys();
        let other = Person::unpublished(&tablet.hs, BOB, "BOBTABLET");
        keys["signatures"] = other.device_keys()["signatures"].clone();
        keys
    });
}

#[test]
fn a_device_without_a_signature_gets_no_key() {
    second_device_gets_no_key(Person::bare_device_keys);
}

#[test]
fn a_device_without_a_curve25519_key_gets_no_key() {
    second_device_gets_no_key(|tablet| {
        let mut keys = tablet.bare_device_keys();
        keys["keys"]
            .as_object_mut()
            .unwrap()
            .remove("curve25519:BOBTABLET");
        tablet.sign(&mut keys);
        keys
    });
}

/// Rule 8: one device id, one ed25519 key, for ever.
#[test]
fn a_device_whose_ed25519_key_changed_gets_no_key() {
    let (mut world, mut bob) = with_bob();
    assert_eq!(world.ask("start"), ON);
    assert_eq!(bob.last_answer(ROOM).as_deref(), Some(ON));
    let swapped = world.person(BOB, "BOBPHONE");
    world.hs.with(|state| {
        state
            .devices
            .get_mut(&(BOB.into(), "BOBPHONE".into()))
            .unwrap()
            .to_device
            .clear();
    });
    world.hs.wait_next_sync();
    assert_eq!(world.ask("stop"), OFF);
    let curve = swapped.curve25519();
    let shared = world.hs.requests("PUT /sendToDevice/m.room.encrypted");
    let text = json!(shared.iter().map(|r| &r.body).collect::<Vec<_>>()).to_string();
    assert!(!text.contains(&curve), "the swapped device got something");
}
