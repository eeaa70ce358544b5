//! Somebody speaks in another's name, or is let in by the server.

use serde_json::{Value, json};

use super::{with_cross_signed_alice, with_mallory};
use crate::support::monitor::poll;
use crate::support::person::{MEGOLM, OLM, Person, text_message};
use crate::support::scenario::Scenario;
use crate::support::signing::add_signature;
use crate::support::world::{ALICE, BOT, MALLORY, OFF, ON, ROOM, World};

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

/// A signed set of keys of the bot itself, added by the server to the bot's own
/// user: another device of the bot is no friend, and none of its words count.
#[test]
fn a_device_added_to_the_bots_own_user_commands_nothing() {
    let mut world = Scenario::encrypted()
        .set("ALLOWED_USERS", &format!("{ALICE},{BOT}"))
        .start();
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
    // It may end or try again; either way it is past the first answer then.
    poll("the bot to end or to try again", || {
        let is_past = !world.bot().is_running() || world.hs.requests("POST /login").len() > 1;
        is_past.then_some(())
    });
    assert!(world.hs.requests("POST /keys/upload").is_empty());
}
