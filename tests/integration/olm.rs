//! The bot's words inside Olm: on which session, and to whom again. And the things
//! that it asks a sync for.

use serde_json::json;

use crate::support::world::{BOT, OFF, ON, ROOM, World};

/// Rules 16 and 41: Alice's client made a new Olm session, so it may have
/// lost what came over the old one: the key in use is sent again, on the new one,
/// from the present index on.
#[test]
fn a_new_olm_session_of_a_peer_gets_the_key_in_use_again_on_it() {
    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    let first = world.alice.keys_received(ROOM);
    assert_eq!(first.len(), 1);
    let device = world.bot_device();
    world.alice.new_session((BOT, &device));
    let payload = world.alice.payload((BOT, &device), "m.dummy", &json!({}));
    let sealed = world.alice.olm((BOT, &device), &payload);
    world
        .alice
        .deliver((BOT, &device), "m.room.encrypted", sealed);
    // The one that decrypted last is the one to answer on: only it is left.
    world.alice.keep_newest_session();
    assert_eq!(world.ask("stop"), OFF);
    let keys = world.alice.keys_received(ROOM);
    assert_eq!(keys, [first[0].clone(), first[0].clone()]);
    assert_eq!(
        world.alice.received.last().unwrap()["content"]["session_key"]
            .as_str()
            .map(str::is_empty),
        Some(false)
    );
}

/// Rule 47: matrix-nio asks for it.
#[test]
fn what_is_said_over_olm_names_the_device() {
    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    let device = world.bot_device();
    assert!(!world.alice.received.is_empty());
    for payload in &world.alice.received {
        assert_eq!(payload["sender_device"], device, "{payload}");
    }
}

/// Rule 44: nothing that is not used is asked for, and the bot is not online.
#[test]
fn a_sync_asks_for_what_is_used_and_no_more() {
    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    for sync in world.hs.requests("GET /sync") {
        let target = percent_decoded(&sync.target);
        for part in [
            r#""presence":{"not_types":["*"]}"#,
            r#""account_data":{"not_types":["*"]}"#,
            r#""ephemeral":{"not_types":["*"]}"#,
            r#""lazy_load_members":true"#,
            r#""m.room.history_visibility""#,
            "set_presence=offline",
        ] {
            assert!(target.contains(part), "{part} is not in {target}");
        }
    }
}

fn percent_decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
            let digits = std::str::from_utf8(&digits).unwrap();
            out.push(u8::from_str_radix(digits, 16).unwrap());
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).unwrap()
}
