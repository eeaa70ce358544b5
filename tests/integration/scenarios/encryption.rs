//! What the bot owes an end-to-end encrypted room, rule by rule. Each test
//! names the rule of the encryption design that it proves.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::faults::Fault;
use crate::support::homeserver::Logged;
use crate::support::person::{MEGOLM, OLM, Person, text_message};
use crate::support::signing::is_signed;
use crate::support::world::{ALICE, BOT, MALLORY, OFF, ON, ROOM, World};
use serde_json::{Value, json};
use vodozemac::megolm::{GroupSession, GroupSessionPickle};

const BOB: &str = "@bob:test";

/// Alice, the bot, and Bob, who never says anything, in an encrypted room.
fn with_bob() -> (World, Person) {
    let mut world = World::new();
    let bob = world.person(BOB, "BOBPHONE");
    world.hs.add_room(ROOM, &[ALICE, BOT, BOB], true);
    world.start();
    (world, bob)
}

/// What Bob reads of the bot's last message.
fn last_read_by(person: &mut Person) -> Option<String> {
    person.read(ROOM, BOT).pop().and_then(|seen| seen.body)
}

/// MUST 1.
#[test]
fn the_device_keys_are_complete_and_signed() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    let keys = world
        .hs
        .with(|state| state.only_device(BOT).unwrap().1.keys.clone().unwrap());
    assert_eq!(keys["user_id"], BOT);
    assert_eq!(keys["device_id"], json!(device));
    let algorithms = keys["algorithms"].as_array().unwrap();
    assert!(
        algorithms.contains(&json!(OLM)) && algorithms.contains(&json!(MEGOLM)),
        "{keys}"
    );
    assert!(
        keys["keys"][format!("curve25519:{device}")].is_string(),
        "{keys}"
    );
    let ed25519 = keys["keys"][format!("ed25519:{device}")].as_str().unwrap();
    assert!(is_signed(&keys, BOT, &device, ed25519), "{keys}");
    assert!(world.bot().is_running());
}

/// MUST 1: a server with other keys for this very device is not to be used.
#[test]
fn a_start_with_other_keys_on_the_server_is_refused() {
    let mut world = World::encrypted();
    world.bot().terminate();
    world.bot().wait_exit(Duration::from_secs(5));
    let device = world.bot_device();
    let liar = Person::unpublished(&world.hs, BOT, &device);
    liar.publish_raw(liar.device_keys());
    let status = world.spawn().wait_exit(Duration::from_secs(10));
    assert_eq!(status.code(), Some(1));
    let log = world.bot().log().to_lowercase();
    assert!(log.contains("key"), "the log says what is wrong: {log}");
}

/// MUST 2: the signature holds over all that came in, known to us or not.
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
    assert_eq!(last_read_by(&mut bob).as_deref(), Some(ON));
}

/// MUST 2.
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

/// MUST 2: what was learnt of a device outlives a broken answer about it.
#[test]
fn a_known_device_is_not_lost_to_a_tampered_answer() {
    let (mut world, mut bob) = with_bob();
    let mut keys = bob.device_keys();
    keys["org.example.added"] = json!("by the server");
    bob.publish_raw(keys);
    assert_eq!(world.ask("start"), ON);
    assert_eq!(last_read_by(&mut bob).as_deref(), Some(ON));
}

/// MUST 3 and 5.
#[test]
fn fifty_signed_one_time_keys_and_a_fallback_key_are_on_the_server() {
    let mut world = World::encrypted();
    world.settle();
    let device = world.bot_device();
    world.hs.with(|state| {
        let found = state.only_device(BOT).unwrap().1;
        let ed25519 = found.keys.as_ref().unwrap()["keys"][format!("ed25519:{device}")].clone();
        let ed25519 = ed25519.as_str().unwrap();
        for (id, key) in &found.one_time {
            assert!(id.starts_with("signed_curve25519:"), "{id}");
            assert!(is_signed(key, BOT, &device, ed25519), "{key}");
            assert!(key["fallback"].is_null(), "{key}");
        }
        let (_, (fallback, _)) = found.fallback.iter().next().expect("a fallback key");
        assert_eq!(fallback["fallback"], true);
        assert!(is_signed(fallback, BOT, &device, ed25519), "{fallback}");
    });
}

/// MUST 3.
#[test]
fn one_time_keys_are_made_up_to_fifty_again() {
    let mut world = World::encrypted();
    world.settle();
    let device = world.bot_device();
    let spent: BTreeSet<String> = world.hs.with(|state| {
        (0..20)
            .map(|_| state.claim(BOT, &device).unwrap().0)
            .collect()
    });
    world.settle();
    world.hs.with(|state| {
        let left = &state.only_device(BOT).unwrap().1.one_time;
        assert!(
            spent.iter().all(|id| !left.contains_key(id)),
            "a spent key came back"
        );
    });
}

/// MUST 3: a count that is missing is 0.
#[test]
fn a_missing_count_of_one_time_keys_is_zero() {
    let mut world = World::encrypted();
    world.settle();
    world.hs.with(|state| {
        state.omit_zero_counts = true;
        let id = (BOT.to_owned(), state.only_device(BOT).unwrap().0);
        state.devices.get_mut(&id).unwrap().one_time.clear();
    });
    world.settle();
}

/// MUST 5: a fallback key that was used is replaced.
#[test]
fn a_used_fallback_key_is_replaced_and_still_opens_a_session() {
    let mut world = World::encrypted();
    world.settle();
    let (device, first) = world.hs.with(|state| {
        let (device, found) = state.only_device(BOT).unwrap();
        (device, found.fallback.keys().next().unwrap().clone())
    });
    world.hs.with(|state| {
        let id = (BOT.to_owned(), device.clone());
        state.devices.get_mut(&id).unwrap().one_time.clear();
    });
    // With the queue of one-time keys empty, this claims the fallback key.
    world.alice.new_session((BOT, &device));
    world.hs.nudge();
    world.hs.wait("another fallback key", |state| {
        let found = state.only_device(BOT)?.1;
        (*found.fallback.keys().next()? != first).then_some(())
    });
    assert_eq!(world.ask("start"), ON);
}

/// The uploads that carry one-time keys.
fn key_uploads(world: &World) -> Vec<Logged> {
    let mut uploads = world.hs.requests("POST /keys/upload");
    uploads.retain(|upload| {
        upload.body["one_time_keys"]
            .as_object()
            .is_some_and(|k| !k.is_empty())
    });
    uploads
}

/// MUST 4: keys are committed before they are uploaded, so a crash in between
/// sends the same ones again. `fault` is what the answer to the upload suffers.
fn crash_in_key_upload(fault: Fault) {
    let mut world = World::encrypted();
    world.settle();
    let device = world.bot_device();
    world
        .hs
        .with(|state| (0..10).for_each(|_| drop(state.claim(BOT, &device))));
    let before = world.hs.requests("POST /keys/upload").len();
    world.hs.fault("POST /keys/upload", 1, fault);
    world.hs.nudge();
    world.hs.wait("the upload", |state| {
        (state.requests("POST /keys/upload").len() > before).then_some(())
    });
    world.bot().kill();
    let cut_short = key_uploads(&world).pop().unwrap();
    world.hs.clear_faults();
    world.start();
    world.settle();
    let again = key_uploads(&world)
        .into_iter()
        .find(|upload| upload.at > cut_short.at)
        .unwrap();
    assert_eq!(again.body["one_time_keys"], cut_short.body["one_time_keys"]);
    assert!(
        world
            .hs
            .requests("POST /keys/upload")
            .iter()
            .all(|u| u.status != Some(400))
    );
    assert_eq!(world.ask("start"), ON);
}

#[test]
fn keys_whose_upload_never_arrived_are_sent_again() {
    crash_in_key_upload(Fault::Hang);
}

/// The server has them already: there must be no second set under the same ids.
/// After the restart it counts them, so nothing may need sending at all.
#[test]
fn keys_whose_upload_was_not_answered_do_not_collide() {
    let mut world = World::encrypted();
    world.settle();
    let device = world.bot_device();
    world
        .hs
        .with(|state| (0..10).for_each(|_| drop(state.claim(BOT, &device))));
    let before = world.hs.requests("POST /keys/upload").len();
    world.hs.fault("POST /keys/upload", 1, Fault::HangAfter);
    world.hs.nudge();
    world.hs.wait("the upload", |state| {
        let full = state.only_device(BOT)?.1.one_time.len() == 50;
        (full && state.requests("POST /keys/upload").len() > before).then_some(())
    });
    world.crash_and_restart();
    world.hs.clear_faults();
    world
        .hs
        .with(|state| (0..10).for_each(|_| drop(state.claim(BOT, &device))));
    world.settle();
    assert!(
        world
            .hs
            .requests("POST /keys/upload")
            .iter()
            .all(|u| u.status != Some(400))
    );
    assert_eq!(world.ask("start"), ON);
}

/// MUST 4, on the very first upload: the identity itself.
#[test]
fn the_first_upload_cut_short_is_sent_again_with_the_same_identity() {
    let mut world = World::new();
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.hs.fault("POST /keys/upload", 1, Fault::Hang);
    world.spawn();
    world.hs.wait_requests("POST /keys/upload", 1);
    world.bot().kill();
    world.hs.clear_faults();
    world.start();
    let uploads = world.hs.requests("POST /keys/upload");
    let identities: Vec<&Value> = uploads
        .iter()
        .map(|u| &u.body["device_keys"])
        .filter(|keys| keys.is_object())
        .collect();
    assert!(identities.len() >= 2, "{identities:?}");
    assert!(
        identities
            .iter()
            .all(|keys| keys["keys"] == identities[0]["keys"]),
        "{identities:?}"
    );
    assert_eq!(world.ask("start"), ON);
}

/// MUST 6.
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

/// MUST 7: an incremental sync tells what changed in the meantime.
#[test]
fn a_device_added_while_the_bot_was_away_gets_the_key() {
    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    world.bot().kill();
    let mut tablet = world.person(ALICE, "ALICETABLET");
    world.start();
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(last_read_by(&mut tablet).as_deref(), Some(OFF));
}

/// MUST 6: the room is large, the query is not.
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

/// MUST 7: a server that cannot be asked now has deleted no device.
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
    assert_eq!(last_read_by(&mut bob).as_deref(), Some(OFF));
}

/// MUST 8: publishes these keys for Bob's second device and proves that it gets
/// nothing while his first one does.
fn second_device_gets_no_key(keys: impl FnOnce(&Person) -> Value) {
    let (mut world, mut bob) = with_bob();
    let mut tablet = Person::unpublished(&world.hs, BOB, "BOBTABLET");
    tablet.publish_one_time_keys(2, |_| {});
    tablet.publish_raw(keys(&tablet));
    world.hs.wait_next_sync();
    assert_eq!(world.ask("start"), ON);
    assert_eq!(last_read_by(&mut bob).as_deref(), Some(ON));
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

/// MUST 8: one device id, one ed25519 key, for ever.
#[test]
fn a_device_whose_ed25519_key_changed_gets_no_key() {
    let (mut world, mut bob) = with_bob();
    assert_eq!(world.ask("start"), ON);
    assert_eq!(last_read_by(&mut bob).as_deref(), Some(ON));
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

/// MUST 10.
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

/// MUST 11: until the other side has written, every message is a pre-key one.
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

/// MUST 14: the server may deliver a to-device message twice.
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

/// MUST 12: each lie about who speaks to whom spoils the key it comes with.
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

/// MUST 12: the same, honest, with and without `sender_device_keys`.
#[test]
fn an_honest_room_key_is_taken_with_and_without_sender_device_keys() {
    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    world.alice.sends_own_keys = false;
    world.alice.rotate(ROOM);
    assert_eq!(world.ask("stop"), OFF);
}

/// MUST 13: the key comes before the device is known; it counts once it is.
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

/// MUST 17.
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

/// MUST 17: a key is for the room that it names.
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

/// MUST 17: found by (room, session id), never by the event's own claims.
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

/// MUST 18.
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

/// MUST 20 and 25: one ciphertext, one command.
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

/// MUST 20: the journal forgets in time, and a server can hurry it by filling it;
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

/// MUST 25.
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

/// MUST 24: encrypted once is encrypted for ever.
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

/// MUST 24.
#[test]
fn a_plaintext_command_in_an_encrypted_room_is_refused() {
    let mut world = World::encrypted();
    world.say_plain("start");
    world.assert_nothing_done();
    assert!(world.hs.requests("PUT /send/m.room.message").is_empty());
}

/// MUST 24: `/sync` may keep the state event back; the room is asked for it.
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

/// MUST 24: only a 404 says that a room is not encrypted.
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

/// MUST 24.
#[test]
fn nothing_is_sent_to_a_room_with_an_unknown_algorithm() {
    let mut world = World::new();
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.hs.add_room("!odd:test", &[ALICE, BOT], false);
    let content = json!({"algorithm": "org.example.rot13"});
    world
        .hs
        .state_event("!odd:test", ALICE, "m.room.encryption", "", content);
    world.start();
    world.hs.message("!odd:test", ALICE, text_message("start"));
    world.alice.say("!odd:test", "start");
    world.assert_nothing_done();
    assert_eq!(world.said("!odd:test"), 0);
}

/// MUST 24: a room that becomes encrypted is answered encrypted.
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

/// MUST 27.
#[test]
fn a_member_who_leaves_cannot_read_on() {
    let (mut world, mut bob) = with_bob();
    let first = {
        world.say("start");
        world.next()
    };
    assert_eq!(last_read_by(&mut bob).as_deref(), Some(ON));
    world.hs.member(ROOM, BOB, "leave");
    world.hs.wait_next_sync();
    let second = {
        world.say("stop");
        world.next()
    };
    assert_eq!(second.body.as_deref(), Some(OFF));
    assert_ne!(first.outer["session_id"], second.outer["session_id"]);
    assert_eq!(last_read_by(&mut bob), None);
}

/// MUST 27: also when the leaving lies in a gap and shows as state only.
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
    assert_eq!(last_read_by(&mut bob), None);
}

/// MUST 27: also when the member is back before anything is said.
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
    assert_eq!(last_read_by(&mut bob).as_deref(), Some(OFF));
}

/// MUST 27.
#[test]
fn a_device_that_is_gone_cannot_read_on() {
    let (mut world, mut bob) = with_bob();
    let first = {
        world.say("start");
        world.next()
    };
    assert_eq!(last_read_by(&mut bob).as_deref(), Some(ON));
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
    assert_eq!(last_read_by(&mut bob), None);
}

/// MUST 27: what the room asks for, within bounds.
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

/// MUST 28: everything that makes a reply readable comes before it. Bob is known
/// from the member list alone: he never says anything.
#[test]
fn all_members_get_the_key_before_the_reply() {
    let (mut world, mut bob) = with_bob();
    assert_eq!(world.ask("start"), ON);
    assert_eq!(last_read_by(&mut bob).as_deref(), Some(ON));
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

/// MUST 28: nothing has changed, so nothing is asked.
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

/// MUST 28: who joins later gets the key from now on.
#[test]
fn a_member_who_joins_reads_from_then_on() {
    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    let mut bob = world.person(BOB, "BOBPHONE");
    world.hs.member(ROOM, BOB, "join");
    world.hs.wait_next_sync();
    world.say("stop");
    let reply = world.next();
    assert_eq!(last_read_by(&mut bob).as_deref(), Some(OFF));
    let session = reply.outer["session_id"].as_str().unwrap();
    let index = bob.first_index(ROOM, session).unwrap();
    let whole = world.alice.first_index(ROOM, session).unwrap();
    assert!(
        index > whole || bob.read(ROOM, BOT)[0].body.is_none(),
        "Bob reads what was before him"
    );
}

/// MUST 29: Bob's device has only this one-time key; he is told once, others read.
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

/// MUST 31, and 30 by what the person checks in every Olm payload.
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

/// MUST 32: a reply whose answer is lost is the same reply again.
fn reply_is_repeated(fault: Fault) {
    let mut world = World::encrypted();
    world.hs.fault("PUT /send/m.room.encrypted", 1, fault);
    assert_eq!(world.ask("start"), ON);
    let sent = world.hs.wait_requests("PUT /send/m.room.encrypted", 2);
    assert_eq!(sent[0].path, sent[1].path, "the transaction id is the same");
    assert_eq!(sent[0].body, sent[1].body, "the ciphertext is the same");
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(world.said(ROOM), 2);
}

#[test]
fn a_reply_cut_after_it_took_effect_is_repeated_as_it_was() {
    reply_is_repeated(Fault::CutAfter);
}

#[test]
fn a_reply_cut_before_it_took_effect_is_repeated_as_it_was() {
    reply_is_repeated(Fault::Cut);
}

#[test]
fn a_reply_answered_by_an_error_of_the_server_is_repeated_as_it_was() {
    reply_is_repeated(Fault::html(502));
}

/// MUST 32, for the keys.
#[test]
fn a_key_share_whose_answer_is_lost_is_repeated_as_it_was() {
    let mut world = World::encrypted();
    world
        .hs
        .fault("PUT /sendToDevice/m.room.encrypted", 1, Fault::CutAfter);
    assert_eq!(world.ask("start"), ON);
    let sent = world.hs.requests("PUT /sendToDevice/m.room.encrypted");
    assert!(sent.len() >= 2);
    assert_eq!(
        (&sent[0].path, &sent[0].body),
        (&sent[1].path, &sent[1].body)
    );
}

/// MUST 32.
#[test]
fn no_request_carries_more_than_250_devices() {
    let mut world = World::new();
    let mut phones: Vec<Person> = (0..300)
        .map(|n| {
            let user = format!("@bob{}:test", n % 10);
            let mut phone = Person::unpublished(&world.hs, &user, &format!("PHONE{n}"));
            phone.publish(|_| {});
            phone.publish_one_time_keys(1, |_| {});
            phone
        })
        .collect();
    let bobs: Vec<String> = (0..10).map(|n| format!("@bob{n}:test")).collect();
    let members: Vec<&str> = [ALICE, BOT]
        .into_iter()
        .chain(bobs.iter().map(String::as_str))
        .collect();
    world.hs.add_room(ROOM, &members, true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    for request in world.hs.requests("PUT /sendToDevice/m.room.encrypted") {
        let messages = request.body["messages"].as_object().unwrap();
        let devices: usize = messages
            .values()
            .map(|d| d.as_object().unwrap().len())
            .sum();
        assert!(devices <= 250, "{devices} devices");
    }
    for phone in [0, 150, 299] {
        assert_eq!(last_read_by(&mut phones[phone]).as_deref(), Some(ON));
    }
}
/// MUST 33: three seconds are more than the bot would wait after a first failure
/// of its own accord.
fn assert_waits_as_asked(world: &World, pattern: &str) {
    let requests = world.hs.requests(pattern);
    let limited = requests.iter().position(|r| r.status == Some(429));
    let limited = limited.expect("there was a rate limit");
    let pause = requests[limited + 1].at - requests[limited].at;
    assert!(
        pause >= Duration::from_millis(2950),
        "{pattern} tried again after {pause:?}"
    );
}

/// MUST 33.
#[test]
fn a_reply_waits_as_long_as_the_server_asks() {
    let mut world = World::encrypted();
    let pattern = "PUT /send/m.room.encrypted";
    world.hs.fault(pattern, 1, Fault::limited(3));
    assert_eq!(world.ask("start"), ON);
    assert_waits_as_asked(&world, pattern);
}

/// MUST 33.
#[test]
fn a_sync_waits_as_long_as_the_server_asks() {
    let mut world = World::encrypted();
    world.hs.fault("/sync", 1, Fault::limited(3));
    world.hs.nudge();
    world.hs.wait("a sync that is limited", |state| {
        let syncs = state.requests("/sync");
        syncs
            .iter()
            .any(|sync| sync.status == Some(429))
            .then_some(())
    });
    assert_eq!(world.ask("start"), ON);
    assert_waits_as_asked(&world, "/sync");
}

/// MUST 33.
#[test]
fn a_login_waits_as_long_as_the_server_asks() {
    let mut world = World::new();
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.hs.fault("POST /login", 1, Fault::limited(3));
    world.start();
    assert_eq!(world.ask("start"), ON);
    assert_waits_as_asked(&world, "POST /login");
}

/// MUST 34: the bot dies when this request comes in, and starts again.
fn dies_at(pattern: &str, fault: Fault) {
    let (mut world, mut bob) = with_bob();
    let before = world.hs.requests(pattern).len();
    world.hs.fault(pattern, 1, fault);
    world.say("start");
    world.hs.wait(pattern, |state| {
        (state.requests(pattern).len() > before).then_some(())
    });
    world.bot().kill();
    world.hs.clear_faults();
    world.start();
    assert_eq!(world.next_body(), ON);
    assert!(world.api.scaled_to().iter().all(|replicas| *replicas == 1));
    world.say("status");
    assert_eq!(
        world.wait_for_status(),
        Vec::<String>::new(),
        "answered once"
    );
    assert_eq!(world.said(ROOM), 2);
    assert!(last_read_by(&mut bob).unwrap().contains("Desired replicas"));
    let sent = world.hs.requests("PUT /send/m.room.encrypted");
    let answers: BTreeSet<&str> = sent.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(
        answers.len(),
        2,
        "two replies, two transaction ids: {answers:?}"
    );
}

#[test]
fn a_crash_while_claiming_keys_loses_nothing() {
    dies_at("POST /keys/claim", Fault::Hang);
}

#[test]
fn a_crash_after_claiming_keys_loses_nothing() {
    dies_at("POST /keys/claim", Fault::HangAfter);
}

#[test]
fn a_crash_while_sharing_keys_loses_nothing() {
    dies_at("PUT /sendToDevice/m.room.encrypted", Fault::Hang);
}

#[test]
fn a_crash_after_sharing_keys_loses_nothing() {
    dies_at("PUT /sendToDevice/m.room.encrypted", Fault::HangAfter);
}

#[test]
fn a_crash_before_the_reply_arrived_loses_nothing() {
    dies_at("PUT /send/m.room.encrypted", Fault::Hang);
}

#[test]
fn a_crash_after_the_reply_arrived_repeats_nothing() {
    dies_at("PUT /send/m.room.encrypted", Fault::HangAfter);
}

/// MUST 34: the server forgets to-device messages once `since` moves on, so the
/// key in them must be safe by then. The bot dies at many moments after the
/// sync that brought key and command.
#[test]
fn a_crash_at_any_moment_after_a_sync_loses_no_key_and_no_command() {
    let mut world = World::encrypted();
    assert_eq!(
        world.ask("status").lines().next(),
        Some("Deployment is off")
    );
    let mut wanted = OFF;
    for delay in [0, 1, 2, 4, 8, 16, 32] {
        wanted = if wanted == ON { OFF } else { ON };
        world.alice.rotate(ROOM);
        world.say(if wanted == ON { "start" } else { "stop" });
        world.hs.wait("the sync that brings it", |state| {
            let last = state
                .log
                .iter()
                .rev()
                .find(|entry| entry.path.ends_with("/sync"))?;
            let (_, device) = state.only_device(BOT)?;
            (device.to_device.is_empty() || last.status.is_some()).then_some(())
        });
        std::thread::sleep(Duration::from_millis(delay));
        world.crash_and_restart();
        assert_eq!(world.next_body(), wanted, "killed after {delay} ms");
    }
    world.say("status");
    assert_eq!(
        world.wait_for_status(),
        Vec::<String>::new(),
        "each was answered once"
    );
}

/// MUST 34: the deployment is asked for the same number again, and the person
/// is answered once.
#[test]
fn a_crash_while_scaling_is_made_good_after_the_restart() {
    let mut world = World::encrypted();
    world.api.fault("PATCH /", 1, Fault::HangAfter);
    world.say("start");
    world.api.wait("the PATCH", |state| {
        state
            .calls
            .iter()
            .any(|call| call.method == "PATCH" && !call.is_dry_run())
            .then_some(())
    });
    world.bot().kill();
    world.api.clear_faults();
    world.start();
    assert_eq!(world.next_body(), ON);
    assert!(world.api.scaled_to().iter().all(|replicas| *replicas == 1));
}

/// MUST 35.
#[test]
fn a_restart_keeps_the_device_and_does_not_log_in_again() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    assert_eq!(world.ask("start"), ON);
    world.bot().terminate();
    assert_eq!(
        world.bot().wait_exit(Duration::from_secs(5)).code(),
        Some(0)
    );
    world.start();
    assert_eq!(world.bot_device(), device);
    assert_eq!(world.ask("stop"), OFF);
    let logins = world.hs.requests("POST /login");
    assert_eq!(logins.len(), 1, "{logins:?}");
    assert!(logins[0].body["device_id"].is_string(), "{logins:?}");
    assert!(world.hs.requests("POST /logout").is_empty());
}

/// MUST 35: the device stays; only the token is new.
#[test]
fn a_soft_logout_logs_in_again_with_the_same_device() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    assert_eq!(world.ask("start"), ON);
    world.hs.revoke(BOT, Some(true));
    world.hs.nudge();
    let logins = world.hs.wait_requests("POST /login", 2);
    assert_eq!(logins[1].body["device_id"], json!(device));
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(world.bot_device(), device);
}

/// MUST 35 and 36: the device is gone for good, and its keys with it.
#[test]
fn a_hard_logout_takes_a_new_device_with_new_keys() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    let keys = world
        .hs
        .with(|state| state.only_device(BOT).unwrap().1.keys.clone().unwrap());
    assert_eq!(world.ask("start"), ON);
    world.hs.revoke(BOT, Some(false));
    world.hs.nudge();
    world.hs.wait("a sync of a new device", |state| {
        let (new, found) = state.only_device(BOT)?;
        let follows = state.log.iter().any(|entry| {
            entry.path.ends_with("/sync")
                && entry.target.contains("since=")
                && entry.device.as_deref() == Some(new.as_str())
        });
        (new != device && follows && !found.one_time.is_empty()).then_some(())
    });
    let new = world.bot_device();
    let new_keys = world
        .hs
        .with(|state| state.only_device(BOT).unwrap().1.keys.clone().unwrap());
    assert_ne!(
        new_keys["keys"][format!("ed25519:{new}")],
        keys["keys"][format!("ed25519:{device}")]
    );
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(
        world.api.scaled_to(),
        [1, 0],
        "nothing of before is done again"
    );
}

/// MUST 36: an empty store never goes with a device id that had keys.
#[test]
fn a_lost_store_takes_a_new_device() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    world.bot().kill();
    let fresh = world.dir.sub("another-store").display().to_string();
    world.set("CRYPTO_STORE_PATH", &fresh);
    world.spawn().wait_log("listening");
    world.hs.wait("another device", |state| {
        let others = state
            .devices
            .iter()
            .any(|((user, id), found)| user == BOT && *id != device && found.keys.is_some());
        others.then_some(())
    });
}

/// MUST 36: nothing is ever uploaded for the device that the lost store was.
#[test]
fn a_deleted_store_leaves_the_keys_of_its_device_alone() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    let keys_of = |world: &World, id: &str| {
        let id = (BOT.to_owned(), id.to_owned());
        world.hs.with(|state| state.devices[&id].keys.clone())
    };
    let before = keys_of(&world, &device);
    assert!(before.is_some());
    world.settle();
    world.bot().kill();
    let uploads = key_uploads(&world).len();
    std::fs::remove_dir_all(&world.env["CRYPTO_STORE_PATH"]).unwrap();
    world.spawn().wait_log("listening");
    let logins = world.hs.requests("POST /login");
    assert_eq!(logins.len(), 2, "{logins:?}");
    let new = logins[1].body["device_id"].as_str().unwrap();
    assert_ne!(new, device);
    assert_eq!(world.ask("start"), ON);
    let later = key_uploads(&world).split_off(uploads);
    assert!(!later.is_empty());
    for upload in later {
        assert_eq!(upload.device.as_deref(), Some(new), "{upload:?}");
        if let Some(keys) = upload.body.get("device_keys") {
            assert_eq!(keys["device_id"], json!(new));
        }
    }
    assert_eq!(keys_of(&world, &device), before);
    let identity =
        |keys: Option<Value>, id: &str| keys.unwrap()["keys"][format!("ed25519:{id}")].clone();
    assert_ne!(
        identity(keys_of(&world, new), new),
        identity(before, &device)
    );
}

/// MUST 36.
#[test]
fn a_second_process_on_the_same_store_is_refused() {
    let mut world = World::encrypted();
    let mut second = crate::support::bot::Bot::spawn(&world.env);
    assert_eq!(second.wait_exit(Duration::from_secs(10)).code(), Some(1));
    assert_eq!(world.hs.requests("POST /login").len(), 1);
    assert_eq!(world.ask("start"), ON, "the first one goes on");
}
