//! What a hostile homeserver, member or device could try. In each scenario the
//! bot does nothing because of the attack and goes on serving afterwards.

use std::time::{Duration, Instant};

use crate::support::person::{MEGOLM, OLM, Person, text_message};
use crate::support::signing::{add_signature, from_unpadded, unpadded};
use crate::support::world::{ALICE, BOT, MALLORY, OFF, ON, ROOM, World};
use serde_json::{Value, json};

/// Alice, the bot and Mallory, who may not command it, in an encrypted room.
fn with_mallory() -> (World, Person) {
    let mut world = World::new();
    let mallory = world.person(MALLORY, "MALLORYS");
    world.hs.add_room(ROOM, &[ALICE, BOT, MALLORY], true);
    world.start();
    (world, mallory)
}

/// Alice has cross-signing keys and the bot knows them.
fn with_cross_signed_alice() -> World {
    let mut world = World::new();
    world.alice.cross_sign();
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    world
}

/// Event sender rewritten (CVE-2025-48937, rule 19): Mallory's ciphertext shown
/// as Alice's.
#[test]
fn a_rewritten_event_sender_is_not_believed() {
    let (mut world, mut mallory) = with_mallory();
    mallory.share(ROOM);
    let content = mallory.encrypt(ROOM, &text_message("start"));
    let event = json!({"type": "m.room.encrypted", "sender": ALICE, "content": content});
    world.hs.event(ROOM, event);
    world.assert_nothing_done();
}

/// The same with the envelope of the key rewritten too.
#[test]
fn a_rewritten_sender_of_key_and_event_is_not_believed() {
    let (mut world, mut mallory) = with_mallory();
    let device = world.bot_device();
    for claimed in [MALLORY, ALICE] {
        mallory.rotate(ROOM);
        let content = mallory.room_key(ROOM);
        let mut payload = mallory.payload((BOT, &device), "m.room_key", &content);
        payload["sender"] = json!(claimed);
        let sealed = mallory.olm((BOT, &device), &payload);
        let event = json!({"type": "m.room.encrypted", "sender": ALICE, "content": sealed});
        world.hs.to_device(BOT, &device, event);
        let content = mallory.encrypt(ROOM, &text_message("start"));
        let event = json!({"type": "m.room.encrypted", "sender": ALICE, "content": content});
        world.hs.event(ROOM, event);
    }
    world.assert_nothing_done();
}

/// `sender_device_keys` of somebody else's name (CVE-2026-45056, rule 12):
/// Mallory's own keys, validly signed by Mallory's device, under Alice's id.
#[test]
fn sender_device_keys_in_anothers_name_are_not_believed() {
    let (mut world, mut mallory) = with_mallory();
    let device = world.bot_device();
    let claims: [(&str, &str); 2] = [(ALICE, "MALLORYS"), (ALICE, "ALICEPHONE")];
    for (user, id) in claims {
        for envelope in [MALLORY, ALICE] {
            mallory.rotate(ROOM);
            let mut keys = json!({
                "user_id": user,
                "device_id": id,
                "algorithms": [OLM, MEGOLM],
                "keys": {
                    format!("curve25519:{id}"): mallory.curve25519(),
                    format!("ed25519:{id}"): mallory.ed25519(),
                },
            });
            add_signature(&mut keys, user, id, |text| mallory.account.sign(text));
            let content = mallory.room_key(ROOM);
            let mut payload = mallory.payload((BOT, &device), "m.room_key", &content);
            payload["sender"] = json!(envelope);
            payload["sender_device_keys"] = keys;
            let sealed = mallory.olm((BOT, &device), &payload);
            let event = json!({"type": "m.room.encrypted", "sender": envelope, "content": sealed});
            world.hs.to_device(BOT, &device, event);
            let content = mallory.encrypt(ROOM, &text_message("start"));
            for sender in [ALICE, MALLORY] {
                let event =
                    json!({"type": "m.room.encrypted", "sender": sender, "content": content});
                world.hs.event(ROOM, event);
            }
        }
    }
    world.assert_nothing_done();
}

/// Device id confusion (CVE-2022-39250, rule 8): a device whose id is the
/// public part of a cross-signing key.
#[test]
fn a_device_named_like_a_cross_signing_key_gets_no_key() {
    let mut world = with_cross_signed_alice();
    let (master, self_signing) = world.alice.cross_signing.as_ref().unwrap();
    let ids = [
        master.public_key().to_base64(),
        self_signing.public_key().to_base64(),
    ];
    for id in &ids {
        let mut trap = Person::unpublished(&world.hs, ALICE, id);
        trap.publish(|_| {});
        trap.publish_one_time_keys(2, |_| {});
        world.alice.vouch_for(id);
    }
    world.hs.wait_next_sync();
    assert_eq!(world.ask("stop"), OFF);
    for id in &ids {
        assert!(!world.olm_recipients().contains(&format!("{ALICE} {id}")));
    }
}

/// The other side of it: such a device commands nothing, not even when the
/// identity's own key has signed what it says.
#[test]
fn a_device_named_like_a_cross_signing_key_commands_nothing() {
    let mut world = with_cross_signed_alice();
    let id = world.alice.master();
    let mut trap = Person::unpublished(&world.hs, ALICE, &id);
    trap.publish(|_| {});
    trap.publish_one_time_keys(2, |_| {});
    world.alice.vouch_for(&id);
    world.hs.wait_next_sync();
    trap.say(ROOM, "stop");
    assert_eq!(
        world.next_body(),
        "Your message came from a device that is not in your account's list, so I did not run it: \
         please send it from one of your own sessions."
    );
    world.assert_scaled_only(&[1]);
}

/// Unknown key-share: one user lists another's Olm key as a device of their own
/// (rule 12 and the signed binding of both keys). What that other user sends is
/// not taken for theirs, though both may command.
#[test]
fn a_device_that_lists_anothers_olm_key_speaks_for_nobody() {
    let mut world = World::new();
    world.set("ALLOWED_USERS", &format!("{ALICE},{MALLORY}"));
    let mut thief = Person::unpublished(&world.hs, MALLORY, "MALLORYS");
    let stolen = world.alice.curve25519();
    thief.publish(|keys| keys["keys"]["curve25519:MALLORYS"] = json!(stolen));
    world.hs.add_room(ROOM, &[ALICE, BOT, MALLORY], true);
    world.start();
    let device = world.bot_device();
    for lie in [false, true] {
        world.alice.rotate(ROOM);
        let content = world.alice.room_key(ROOM);
        let mut payload = world.alice.payload((BOT, &device), "m.room_key", &content);
        if lie {
            payload["sender"] = json!(MALLORY);
            payload
                .as_object_mut()
                .unwrap()
                .remove("sender_device_keys");
        }
        let sealed = world.alice.olm((BOT, &device), &payload);
        let event = json!({"type": "m.room.encrypted", "sender": MALLORY, "content": sealed});
        world.hs.to_device(BOT, &device, event);
        let content = world.alice.encrypt(ROOM, &text_message("start"));
        let event = json!({"type": "m.room.encrypted", "sender": MALLORY, "content": content});
        world.hs.event(ROOM, event);
    }
    // The one-time key of the old session went into the forgeries.
    world.alice.new_session((BOT, &device));
    world.alice.rotate(ROOM);
    world.assert_nothing_done();
}

/// A device that is in the list no longer (rule 21).
#[test]
fn a_device_that_was_removed_commands_nothing() {
    let mut world = World::encrypted();
    let mut tablet = world.person(ALICE, "ALICETABLET");
    world.hs.wait_next_sync();
    tablet.say(ROOM, "start");
    assert_eq!(world.next_body(), ON);
    world.hs.with(|state| {
        state
            .devices
            .get_mut(&(ALICE.into(), "ALICETABLET".into()))
            .unwrap()
            .keys = None;
        state.device_changed(ALICE);
    });
    world.hs.wait_next_sync();
    let content = tablet.encrypt(ROOM, &text_message("stop"));
    tablet.post(ROOM, content);
    world.assert_scaled_only(&[1]);
}

/// Forwarded-key impersonation (CVE-2022-39249, CVE-2022-39257; rule 22).
#[test]
fn a_forwarded_room_key_authorizes_nothing() {
    let (mut world, mut mallory) = with_mallory();
    let device = world.bot_device();
    let key = mallory.room_key(ROOM);
    let exported = {
        let session = &mallory.group(ROOM).session;
        let config = vodozemac::megolm::SessionConfig::version_1();
        let inbound = vodozemac::megolm::InboundGroupSession::new(&session.session_key(), config);
        inbound.export_at_first_known_index().to_base64()
    };
    let forwarded = json!({
        "algorithm": MEGOLM, "room_id": ROOM, "session_id": key["session_id"],
        "session_key": exported, "sender_key": world.alice.curve25519(),
        "sender_claimed_ed25519_key": world.alice.ed25519(),
        "forwarding_curve25519_key_chain": [],
    });
    // In cleartext, from Mallory, and from Alice's own device.
    mallory.deliver((BOT, &device), "m.forwarded_room_key", forwarded.clone());
    let payload = mallory.payload((BOT, &device), "m.forwarded_room_key", &forwarded);
    let sealed = mallory.olm((BOT, &device), &payload);
    mallory.deliver((BOT, &device), "m.room.encrypted", sealed);
    let payload = world
        .alice
        .payload((BOT, &device), "m.forwarded_room_key", &forwarded);
    let sealed = world.alice.olm((BOT, &device), &payload);
    world
        .alice
        .deliver((BOT, &device), "m.room.encrypted", sealed);
    let content = mallory.encrypt(ROOM, &text_message("start"));
    let event = json!({"type": "m.room.encrypted", "sender": ALICE, "content": content});
    world.hs.event(ROOM, event);
    world.assert_nothing_done();
}

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

/// Megolm replay into another room (rules 19 and 20).
#[test]
fn a_ciphertext_moved_to_another_room_is_not_executed() {
    let mut world = World::new();
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.hs.add_room("!other:test", &[ALICE, BOT], true);
    world.start();
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

/// A signed set of keys of the bot itself, added by the server to the bot's own
/// user: another device of the bot is no friend, and none of its words count.
#[test]
fn a_device_added_to_the_bots_own_user_commands_nothing() {
    let mut world = World::new();
    world.set("ALLOWED_USERS", &format!("{ALICE},{BOT}"));
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    let device = world.bot_device();
    let mut twin = world.person(BOT, "TWIN");
    world.hs.wait_next_sync();
    twin.share_with(ROOM, (BOT, &device), |_| {});
    let content = twin.encrypt(ROOM, &text_message("start"));
    twin.post(ROOM, content);
    world.say("status");
    let mut seen = Value::Null;
    while seen.is_null() {
        let body = world.next().body.unwrap_or_default();
        if body.contains("Desired replicas") {
            seen = json!(body);
        }
    }
    assert_eq!(world.api.scaled_to(), Vec::<i64>::new());
}

/// A homeserver that invents a user as a member (rule 21): not allowed, not heard.
#[test]
fn a_server_made_member_commands_nothing() {
    let mut world = World::encrypted();
    let mut ghost = world.person("@alice:test.evil", "ALICEPHONE");
    world.hs.member(ROOM, "@alice:test.evil", "join");
    ghost.say(ROOM, "start");
    let mut upper = world.person("@Alice:test", "ALICEPHONE");
    world.hs.member(ROOM, "@Alice:test", "join");
    upper.say(ROOM, "start");
    world.say("status");
    assert_eq!(world.wait_for_status(), Vec::<String>::new());
    assert_eq!(world.api.scaled_to(), Vec::<i64>::new());
}

/// A login that gives another user than the one asked for is not gone on with.
#[test]
fn the_user_of_a_login_must_be_the_one_asked_for() {
    let mut world = World::new();
    world
        .hs
        .rewrite("POST /login", |body| body["user_id"] = json!(MALLORY));
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.spawn();
    let until = Instant::now() + Duration::from_secs(10);
    // It may end or try again; either way it is past the first answer then.
    while world.bot().is_running() && world.hs.requests("POST /login").len() < 2 {
        assert!(Instant::now() < until, "neither ended nor tried again");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(world.hs.requests("POST /keys/upload").is_empty());
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
    let mut world = World::new();
    world.alice.cross_sign();
    world.hs.add_room(ROOM, &[ALICE, BOT, "@bob:test"], true);
    world.start();
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
