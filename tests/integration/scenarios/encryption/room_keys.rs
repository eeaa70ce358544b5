//! Room keys that come in: over Olm, from whom they say, for one room and session.

use serde_json::{Value, json};
use vodozemac::megolm::{GroupSession, GroupSessionPickle};

use crate::support::person::{Person, text_message};
use crate::support::world::{ALICE, BOT, MALLORY, OFF, ON, ROOM, World};

/// Rule 10.
#[test]
fn a_room_key_in_cleartext_is_ignored() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    let key = world.alice.room_key(ROOM);
    world.alice.deliver((BOT, &device), "m.room_key", key);
    world.alice.mark_shared(ROOM, (BOT, &device));
    world.say("start");
    world.alice.rotate(ROOM);
    world.assert_nothing_done();
}

/// Rule 11: until the other side has written, every message is a pre-key one.
#[test]
fn pre_key_messages_on_a_known_session_and_normal_ones_are_read() {
    let mut world = World::encrypted();
    world.say("start");
    world.alice.rotate(ROOM);
    world.say("stop");
    assert_eq!(world.alice.sent_olm_types, [0, 0]);
    assert_eq!(world.next_body(), ON);
    assert_eq!(world.next_body(), OFF);
    world.alice.rotate(ROOM);
    assert_eq!(world.ask("start"), ON);
    assert_eq!(world.alice.sent_olm_types, [0, 0, 1]);
    world.crash_and_restart();
    world.alice.rotate(ROOM);
    assert_eq!(world.ask("stop"), OFF);
}

/// Rule 14: the server may deliver a to-device message twice.
#[test]
fn a_to_device_message_delivered_twice_does_no_harm() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    let content = world.alice.room_key(ROOM);
    let payload = world.alice.payload((BOT, &device), "m.room_key", &content);
    let sealed = world.alice.olm((BOT, &device), &payload);
    for _ in 0..3 {
        world
            .alice
            .deliver((BOT, &device), "m.room.encrypted", sealed.clone());
    }
    world.alice.mark_shared(ROOM, (BOT, &device));
    assert_eq!(world.ask("start"), ON);
    world.alice.rotate(ROOM);
    assert_eq!(world.ask("stop"), OFF);
}

/// Rule 12: each lie about who speaks to whom spoils the key it comes with.
#[test]
fn a_room_key_in_a_payload_that_lies_is_discarded() {
    type Lie = fn(&mut Value);
    let lies: [(&str, Lie); 13] = [
        ("sender", |p| p["sender"] = json!(MALLORY)),
        ("no sender", |p| {
            drop(p.as_object_mut().unwrap().remove("sender"))
        }),
        ("recipient", |p| p["recipient"] = json!(MALLORY)),
        ("no recipient", |p| {
            drop(p.as_object_mut().unwrap().remove("recipient"))
        }),
        ("recipient_keys", |p| {
            p["recipient_keys"]["ed25519"] = p["keys"]["ed25519"].clone()
        }),
        ("no recipient_keys", |p| {
            drop(p.as_object_mut().unwrap().remove("recipient_keys"))
        }),
        ("keys", |p| {
            p["keys"]["ed25519"] = p["recipient_keys"]["ed25519"].clone()
        }),
        ("no keys", |p| {
            drop(p.as_object_mut().unwrap().remove("keys"))
        }),
        ("sender_device_keys.user_id", |p| {
            p["sender_device_keys"]["user_id"] = json!(MALLORY)
        }),
        ("sender_device_keys curve25519", |p| {
            p["sender_device_keys"]["keys"]["curve25519:ALICEPHONE"] = p["keys"]["ed25519"].clone();
        }),
        ("sender_device_keys ed25519", |p| {
            p["sender_device_keys"]["keys"]["ed25519:ALICEPHONE"] =
                p["recipient_keys"]["ed25519"].clone();
        }),
        ("sender_device_keys tampered", |p| {
            p["sender_device_keys"]["algorithms"] = json!([])
        }),
        ("sender_device_keys unsigned", |p| {
            drop(
                p["sender_device_keys"]
                    .as_object_mut()
                    .unwrap()
                    .remove("signatures"),
            );
        }),
    ];
    let mut world = World::encrypted();
    let device = world.bot_device();
    for (name, lie) in lies {
        world.alice.rotate(ROOM);
        world.alice.share_with(ROOM, (BOT, &device), lie);
        world.say("start");
        world.alice.rotate(ROOM);
        world.say("status");
        world.wait_for_status();
        assert_eq!(
            world.api.scaled_to(),
            Vec::<i64>::new(),
            "a lie about {name}"
        );
    }
}

/// Rule 12: the same, honest, with and without `sender_device_keys`.
#[test]
fn an_honest_room_key_is_taken_with_and_without_sender_device_keys() {
    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    world.alice.sends_own_keys = false;
    world.alice.rotate(ROOM);
    assert_eq!(world.ask("stop"), OFF);
}

/// Rule 13: the key comes before the device is known; it counts once it is.
#[test]
fn a_key_of_a_device_not_yet_known_counts_after_the_query() {
    for sends_own_keys in [true, false] {
        let mut world = World::encrypted();
        let mut tablet = Person::unpublished(&world.hs, ALICE, "ALICETABLET");
        tablet.sends_own_keys = sends_own_keys;
        let (keys, one_time) = (tablet.device_keys(), tablet.fresh_one_time_keys(5));
        tablet.share_with(ROOM, (BOT, &world.bot_device()), |_| {});
        world.hs.wait_next_sync();
        world.hs.with(|state| {
            let id = (ALICE.to_owned(), "ALICETABLET".to_owned());
            state.devices.entry(id).or_default().one_time = one_time;
            state.put_device(ALICE, "ALICETABLET", keys);
        });
        let content = tablet.encrypt(ROOM, &text_message("start"));
        tablet.post(ROOM, content);
        assert_eq!(
            world.next_body(),
            ON,
            "with sender_device_keys: {sends_own_keys}"
        );
    }
}

/// Rule 17.
#[test]
fn a_room_key_under_another_session_id_is_discarded() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    world.alice.share_with(ROOM, (BOT, &device), |payload| {
        payload["content"]["session_id"] = json!("Qa5KBHVdwEK7bJnMwr4Fe0FYrVQIoo8UNJbpOE3sWOU");
    });
    world.say("start");
    let mut renamed = world.alice.encrypt(ROOM, &text_message("start"));
    renamed["session_id"] = json!("Qa5KBHVdwEK7bJnMwr4Fe0FYrVQIoo8UNJbpOE3sWOU");
    world.alice.post(ROOM, renamed);
    world.alice.rotate(ROOM);
    world.assert_nothing_done();
}

/// Rule 17: a key is for the room that it names.
#[test]
fn a_room_key_for_another_room_does_not_open_this_one() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    world.alice.share_with(ROOM, (BOT, &device), |payload| {
        payload["content"]["room_id"] = json!("!other:test");
    });
    world.say("start");
    world.alice.rotate(ROOM);
    world.assert_nothing_done();
}

/// Rule 17: found by (room, session id), never by the event's own claims.
#[test]
fn the_sender_key_and_device_id_of_an_event_do_not_matter() {
    let mut world = World::encrypted();
    world.ask("status");
    let mut content = world.alice.encrypt(ROOM, &text_message("start"));
    content["sender_key"] = json!("invented");
    content["device_id"] = json!("INVENTED");
    world.alice.post(ROOM, content);
    assert_eq!(world.next_body(), ON);
    let mut content = world.alice.encrypt(ROOM, &text_message("stop"));
    content.as_object_mut().unwrap().remove("sender_key");
    content.as_object_mut().unwrap().remove("device_id");
    world.alice.post(ROOM, content);
    assert_eq!(world.next_body(), OFF);
}

/// The same signing key, so the same session id, on another ratchet.
fn unconnected(session: &GroupSession) -> GroupSession {
    let mut pickle = serde_json::to_value(session.pickle()).unwrap();
    fn spoil(value: &mut Value) -> bool {
        match value {
            Value::Array(bytes) if bytes.len() > 64 => {
                bytes.iter_mut().for_each(|byte| *byte = json!(7));
                true
            }
            Value::Array(items) => items.iter_mut().any(spoil),
            Value::Object(map) => {
                map.get_mut("ratchet").is_some_and(spoil) || map.get_mut("inner").is_some_and(spoil)
            }
            _ => false,
        }
    }
    assert!(spoil(&mut pickle), "{pickle}");
    GroupSession::from_pickle(serde_json::from_value::<GroupSessionPickle>(pickle).unwrap())
}

#[test]
fn the_forged_ratchet_is_another_one_under_the_same_id() {
    let honest = GroupSession::new(vodozemac::megolm::SessionConfig::version_1());
    let forged = unconnected(&honest);
    assert_eq!(forged.session_id(), honest.session_id());
    assert_ne!(
        forged.session_key().to_base64(),
        honest.session_key().to_base64()
    );
}

/// Rule 18.
#[test]
fn a_second_room_key_that_does_not_connect_replaces_nothing() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    world.ask("status");
    let honest = GroupSession::from_pickle(world.alice.group(ROOM).session.pickle());
    let forged = unconnected(&honest);
    assert_eq!(forged.session_id(), honest.session_id());
    world.alice.group(ROOM).session = forged;
    world.alice.share_with(ROOM, (BOT, &device), |_| {});
    world.say("start");
    world.alice.group(ROOM).session = honest;
    world.say("stop");
    let mut answers = vec![world.next_body()];
    while answers.last().is_some_and(|answer| answer != OFF) {
        answers.push(world.next_body());
    }
    assert_eq!(world.api.scaled_to(), [0]);
}
