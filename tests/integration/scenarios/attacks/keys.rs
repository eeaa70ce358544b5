//! Keys that are worthless, asked for, or pushed; sessions replayed or cut short.

use serde_json::{Value, json};

use super::{with_cross_signed_alice, with_mallory};
use crate::support::person::{MEGOLM, Person, text_message};
use crate::support::scenario::Scenario;
use crate::support::signing::{from_unpadded, unpadded};
use crate::support::world::{ALICE, BOT, MALLORY, OFF, ON, ROOM, World};

/// Injected secrets: nothing was asked for, so nothing is taken, in clear or by
/// Olm. The bot's identity stays what it was.
#[test]
fn secrets_that_nobody_asked_for_are_ignored() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    for name in [
        "m.cross_signing.master",
        "m.cross_signing.self_signing",
        "m.megolm_backup.v1",
    ] {
        let secret = json!({"request_id": "x", "secret": unpadded(&[7; 32]), "name": name});
        for kind in ["m.secret.send", "m.secret.request"] {
            world.alice.deliver((BOT, &device), kind, secret.clone());
            let payload = world.alice.payload((BOT, &device), kind, &secret);
            let sealed = world.alice.olm((BOT, &device), &payload);
            world
                .alice
                .deliver((BOT, &device), "m.room.encrypted", sealed);
        }
    }
    assert_eq!(world.ask("start"), ON);
    world.crash_and_restart();
    assert!(!world.ask("status").contains("not signed"));
    let uploads = world.hs.requests("POST /keys/device_signing/upload");
    assert_eq!(uploads.len(), 1, "the one of the first start");
    let told: Vec<&Value> = world.alice.received.iter().map(|p| &p["type"]).collect();
    assert!(told.iter().all(|kind| **kind == "m.room_key"), "{told:?}");
}

/// Key theft by a reused device id (CVE-2021-40823/4, rule 42): a key of the
/// bot's goes again, once, to the very device that was given it, and to nobody
/// else who asks.
#[test]
fn a_key_request_gives_away_nothing_that_was_not_given() {
    let (mut world, mallory) = with_mallory();
    let device = world.bot_device();
    world.say("status");
    let session = world.next().outer["session_id"].clone();
    world.settle();
    let request = |world: &World, sender: &str, id: &str, session: &Value| {
        let event = json!({"type": "m.room_key_request", "sender": sender, "content": {
            "action": "request", "request_id": "1", "requesting_device_id": id,
            "body": {"algorithm": MEGOLM, "room_id": ROOM, "session_id": session, "sender_key": mallory.curve25519()},
        }});
        world.hs.to_device(BOT, &device, event);
    };
    let before = world.hs.requests("PUT /sendToDevice/").len();
    let alices = world.alice.group(ROOM).session.session_id();
    for (sender, id, session) in [
        (MALLORY, "ALICEPHONE", &session),
        (ALICE, "NOBODY", &session),
        (ALICE, "ALICEPHONE", &json!("another")),
        (ALICE, "ALICEPHONE", &json!(alices)),
    ] {
        request(&world, sender, id, session);
    }
    assert_eq!(world.ask("start"), ON);
    let sent = world.hs.requests("PUT /sendToDevice/").len();
    assert_eq!(sent, before, "something was sent because of a request");
    for _ in 0..3 {
        request(&world, ALICE, "ALICEPHONE", &session);
        request(&world, MALLORY, "MALLORYS", &session);
    }
    assert_eq!(world.ask("stop"), OFF);
    world.hs.wait_requests("PUT /sendToDevice/", before + 2);
    world.hs.wait_next_sync();
    let sent = world.hs.requests("PUT /sendToDevice/").len();
    assert_eq!(sent, before + 2, "once each, as members of the room");
}

/// Rule 14: the fallback key stays usable, so its pre-key messages can be sent
/// again; they bring nothing new and break nothing.
#[test]
fn a_replayed_pre_key_message_on_the_fallback_key_does_no_harm() {
    let mut world = World::encrypted();
    world.settle();
    let device = world.bot_device();
    world.hs.with(|state| {
        state
            .devices
            .get_mut(&(BOT.into(), device.clone()))
            .unwrap()
            .one_time
            .clear();
    });
    world.alice.new_session((BOT, &device));
    let content = world.alice.room_key(ROOM);
    let payload = world.alice.payload((BOT, &device), "m.room_key", &content);
    let sealed = world.alice.olm((BOT, &device), &payload);
    world
        .alice
        .deliver((BOT, &device), "m.room.encrypted", sealed.clone());
    world.alice.mark_shared(ROOM, (BOT, &device));
    assert_eq!(world.ask("start"), ON);
    for _ in 0..3 {
        world
            .alice
            .deliver((BOT, &device), "m.room.encrypted", sealed.clone());
    }
    world.alice.rotate(ROOM);
    assert_eq!(world.ask("stop"), OFF);
}

/// Zero-point Diffie-Hellman: a one-time key of small order, well signed.
#[test]
fn a_one_time_key_of_zeros_makes_no_session() {
    let mut world = World::new();
    let mut bob = world.person("@bob:test", "BOBPHONE");
    bob.withdraw_one_time_keys();
    let mut key = json!({"key": unpadded(&[0; 32])});
    bob.sign(&mut key);
    world.hs.with(|state| {
        let device = state
            .devices
            .get_mut(&("@bob:test".into(), "BOBPHONE".into()))
            .unwrap();
        device.one_time.insert("signed_curve25519:AAAA".into(), key);
    });
    world.hs.add_room(ROOM, &[ALICE, BOT, "@bob:test"], true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    bob.receive();
    assert_eq!(bob.withheld(), ["m.no_olm"]);
}

/// Rotation as a denial of service (rule 27): periods of nothing are clamped.
#[test]
fn absurd_rotation_periods_are_clamped() {
    for period in [
        json!(0),
        json!(1),
        json!(-1),
        json!(u64::MAX),
        json!("x"),
        json!(1e300),
    ] {
        let mut world = World::new();
        world.hs.add_room(ROOM, &[ALICE, BOT], false);
        let content = json!({"algorithm": MEGOLM, "rotation_period_ms": period});
        world
            .hs
            .state_event(ROOM, ALICE, "m.room.encryption", "", content);
        world.start();
        world.say("start");
        let first = world.next();
        assert_eq!(first.body.as_deref(), Some(ON), "{period}");
        world.say("stop");
        assert_eq!(
            world.next().outer["session_id"],
            first.outer["session_id"],
            "{period}"
        );
    }
}

/// History to unsigned devices (CVE-2024-47080): a device that the owner's
/// identity has not signed is given nothing on request, not even what it once
/// had, and no device is given what was said before it came.
#[test]
fn an_unsigned_device_is_given_no_history_on_request() {
    let mut world = with_cross_signed_alice();
    let device = world.bot_device();
    let mut tablet = world.person(ALICE, "ALICETABLET");
    world.alice.vouch_for("ALICETABLET");
    let mut watch = world.person(ALICE, "ALICEWATCH");
    world.hs.wait_next_sync();
    world.say("status");
    let session = world.next().outer["session_id"].clone();
    tablet.receive();
    assert_eq!(tablet.keys_received(ROOM), [session.as_str().unwrap()]);
    let answered = |world: &World| {
        let queries = world.hs.requests("/keys/query");
        queries
            .iter()
            .filter(|query| query.status.is_some())
            .count()
    };
    let queries = answered(&world);
    world.alice.lose_signatures("ALICETABLET");
    // On a busy machine some syncs come and go before the answer does.
    while answered(&world) == queries {
        world.hs.wait_next_sync();
    }
    world.settle();
    let before = world.hs.requests("PUT /sendToDevice/").len();
    for person in [&tablet, &watch] {
        let content = json!({
            "action": "request", "request_id": "1", "requesting_device_id": person.device,
            "body": {
                "algorithm": MEGOLM, "room_id": ROOM, "session_id": session,
                "sender_key": person.curve25519(),
            },
        });
        person.deliver((BOT, &device), "m.room_key_request", content);
    }
    world.hs.wait_next_sync();
    assert_eq!(world.hs.requests("PUT /sendToDevice/").len(), before);
    watch.receive();
    assert!(watch.keys_received(ROOM).is_empty());
    world.assert_scaled_only(&[1]);
}

/// Zero-point Diffie-Hellman in what comes in: pre-key messages whose base key
/// or identity key is of small order.
#[test]
fn a_pre_key_message_with_a_key_of_zeros_makes_no_session() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    // Version, then three fields of a tag, a length and 32 bytes, then the rest.
    for (tag_at, sender_key_too) in [(1, false), (35, false), (69, false), (69, true)] {
        world.alice.rotate(ROOM);
        let content = world.alice.room_key(ROOM);
        let payload = world.alice.payload((BOT, &device), "m.room_key", &content);
        world.alice.new_session((BOT, &device));
        let mut sealed = world.alice.olm((BOT, &device), &payload);
        let own = sealed["ciphertext"]
            .as_object()
            .unwrap()
            .keys()
            .next()
            .unwrap()
            .clone();
        let message = &mut sealed["ciphertext"][&own];
        assert_eq!(message["type"], 0);
        let mut bytes = from_unpadded(message["body"].as_str().unwrap());
        assert_eq!((bytes[tag_at] & 7, bytes[tag_at + 1]), (2, 32));
        bytes[tag_at + 2..tag_at + 34].fill(0);
        message["body"] = json!(unpadded(&bytes));
        if sender_key_too {
            sealed["sender_key"] = json!(unpadded(&[0; 32]));
        }
        world
            .alice
            .deliver((BOT, &device), "m.room.encrypted", sealed);
        world.alice.mark_shared(ROOM, (BOT, &device));
        let content = world.alice.encrypt(ROOM, &text_message("start"));
        world.alice.post(ROOM, content);
    }
    world.alice.new_session((BOT, &device));
    world.alice.rotate(ROOM);
    world.assert_nothing_done();
}

/// The same in a device list: an Olm key of small order, well signed.
#[test]
fn a_device_with_an_olm_key_of_zeros_gets_no_key() {
    let mut world = World::new();
    let mut bob = Person::unpublished(&world.hs, "@bob:test", "BOBPHONE");
    bob.publish(|keys| keys["keys"]["curve25519:BOBPHONE"] = json!(unpadded(&[0; 32])));
    bob.publish_one_time_keys(3, |_| {});
    world.hs.add_room(ROOM, &[ALICE, BOT, "@bob:test"], true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    let recipients = world.olm_recipients();
    assert!(
        !recipients.contains(&"@bob:test BOBPHONE".to_owned()),
        "{recipients:?}"
    );
}

/// Keys of 0, 31 and 33 bytes, padded and not, wherever keys come in: some
/// parsers trust the length of the text.
#[test]
fn keys_of_a_wrong_length_stop_nothing() {
    let mut world = Scenario::encrypted()
        .user(ALICE, |alice| alice.cross_signed())
        .member("@bob:test")
        .start();
    let device = world.bot_device();
    let texts = [0, 31, 33]
        .map(|length| unpadded(&vec![9; length]))
        .into_iter()
        .flat_map(|text| [format!("{text}="), format!("{text}=="), text]);
    for (n, text) in texts.enumerate() {
        // In a device list, signed all the same.
        for kind in ["ed25519", "curve25519"] {
            let id = format!("BOB{n}{kind}");
            let mut bob = Person::unpublished(&world.hs, "@bob:test", &id);
            bob.publish(|keys| keys["keys"][format!("{kind}:{id}")] = json!(text));
            bob.publish_one_time_keys(1, |_| {});
        }
        // In a one-time key, and in its signature.
        let id = format!("BOB{n}");
        let mut bob = Person::unpublished(&world.hs, "@bob:test", &id);
        bob.publish(|_| {});
        let mut key = json!({"key": text});
        bob.sign(&mut key);
        let mut other = json!({"key": bob.curve25519()});
        other["signatures"]["@bob:test"][format!("ed25519:{id}")] = json!(text);
        let chosen = if n % 2 == 0 { key } else { other };
        world.hs.with(|state| {
            let found = state.devices.get_mut(&("@bob:test".into(), id.clone()));
            found
                .unwrap()
                .one_time
                .insert("signed_curve25519:AAAA".into(), chosen);
        });
        // In a cross-signing identity.
        for usage in ["master", "self_signing"] {
            let key = json!({
                "user_id": "@bob:test", "usage": [usage],
                "keys": {format!("ed25519:{text}"): text},
            });
            world.hs.with(|state| {
                let own = state.cross_signing.entry("@bob:test".into()).or_default();
                own.insert(usage.into(), key);
            });
        }
        world.hs.device_changed("@bob:test");
        // In what comes over Olm.
        for field in ["keys", "recipient_keys", "sender_device_keys"] {
            let content = world.alice.room_key(ROOM);
            let mut payload = world.alice.payload((BOT, &device), "m.room_key", &content);
            match field {
                "sender_device_keys" => {
                    payload[field]["keys"]["ed25519:ALICEPHONE"] = json!(text);
                    payload[field]["keys"]["curve25519:ALICEPHONE"] = json!(text);
                }
                _ => payload[field]["ed25519"] = json!(text),
            }
            let mut sealed = world.alice.olm((BOT, &device), &payload);
            world
                .alice
                .deliver((BOT, &device), "m.room.encrypted", sealed.clone());
            sealed["sender_key"] = json!(text);
            world
                .alice
                .deliver((BOT, &device), "m.room.encrypted", sealed);
        }
        let content = json!({
            "algorithm": MEGOLM, "code": "m.no_olm", "sender_key": text,
        });
        world
            .alice
            .deliver((BOT, &device), "m.room_key.withheld", content);
        world.hs.wait_next_sync();
    }
    world.alice.rotate(ROOM);
    assert_eq!(world.ask("start"), ON);
    let recipients = world.olm_recipients();
    assert!(
        recipients.iter().all(|to| !to.starts_with("@bob:test")),
        "{recipients:?}"
    );
}

/// Forged reasons: a withheld notice in Alice's name from the server is a
/// sentence at most, and never more than one for a message.
#[test]
fn a_forged_withheld_notice_does_nothing() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    assert_eq!(world.ask("start"), ON);
    let session = world.alice.group(ROOM).session.session_id();
    for code in ["m.blacklisted", "m.unverified", "m.no_olm"] {
        let content = json!({
            "algorithm": MEGOLM, "code": code, "room_id": ROOM, "session_id": session,
            "sender_key": world.alice.curve25519(),
        });
        world
            .alice
            .deliver((BOT, &device), "m.room_key.withheld", content);
    }
    assert_eq!(
        world.ask("stop"),
        OFF,
        "the key is there, whatever is said of it"
    );
}
