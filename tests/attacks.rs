//! What a hostile homeserver, member or device could try. In each scenario the
//! bot does nothing because of the attack and goes on serving afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::person::{MEGOLM, OLM, Person, text_message};
use support::signing::{add_signature, unpadded};
use support::world::{ALICE, BOT, MALLORY, OFF, ON, ROOM, World};

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
    }
    world.hs.wait_next_sync();
    assert_eq!(world.ask("stop"), OFF);
    for id in &ids {
        assert!(!world.olm_recipients().contains(&format!("{ALICE} {id}")));
    }
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

/// Injected secrets: nothing was asked for, so nothing is taken.
#[test]
fn secrets_that_nobody_asked_for_are_ignored() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    let secret =
        json!({"request_id": "x", "secret": unpadded(&[7; 32]), "name": "m.cross_signing.master"});
    world
        .alice
        .deliver((BOT, &device), "m.secret.send", secret.clone());
    let payload = world
        .alice
        .payload((BOT, &device), "m.secret.send", &secret);
    let sealed = world.alice.olm((BOT, &device), &payload);
    world
        .alice
        .deliver((BOT, &device), "m.room.encrypted", sealed);
    assert_eq!(world.ask("start"), ON);
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
