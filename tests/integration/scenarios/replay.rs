//! Recorded things that are played again: messages by the server, keys with them,
//! and the bot's own store from an older copy.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::faults::Fault;
use crate::support::person::text_message;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, OFF, ON, ROOM, World};

/// A ciphertext of Alice's as an event without an id.
pub fn sealed(world: &mut World, text: &str) -> Value {
    let content = world.alice.encrypt(ROOM, &text_message(text));
    json!({"type": "m.room.encrypted", "sender": ALICE, "content": content})
}

/// A command in good order is answered, nothing else was scaled, and whoever
/// played the recording again heard nothing.
fn assert_ignored(world: &mut World, scaled: &[i64]) {
    world.say("status");
    assert_eq!(world.wait_for_status(), Vec::<String>::new());
    assert_eq!(world.api.scaled_to(), scaled);
}

/// Rules 20 and 51: the index only goes up. What the server kept back and
/// shows after a newer message is a replay to the bot.
#[test]
fn an_older_message_after_a_newer_one_is_not_executed() {
    let mut world = World::encrypted();
    world.ask("status");
    let kept_back = sealed(&mut world, "start");
    assert_eq!(world.ask("stop"), OFF);
    world.hs.event(ROOM, kept_back.clone());
    assert_ignored(&mut world, &[0]);
    world.crash_and_restart();
    world.hs.event(ROOM, kept_back);
    assert_ignored(&mut world, &[0]);
}

/// A key that comes again, from its first index on, does not wind the mark back:
/// neither as the same Olm message nor as a new one of the same device.
#[test]
fn a_room_key_sent_again_does_not_make_a_replay_good() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    let key = world.alice.room_key(ROOM);
    let recorded = sealed(&mut world, "start");
    let deliver = |world: &mut World| {
        let payload = world.alice.payload((BOT, &device), "m.room_key", &key);
        let content = world.alice.olm((BOT, &device), &payload);
        let again = content.clone();
        world
            .alice
            .deliver((BOT, &device), "m.room.encrypted", content);
        world
            .alice
            .deliver((BOT, &device), "m.room.encrypted", again);
    };
    deliver(&mut world);
    world.alice.mark_shared(ROOM, (BOT, &device));
    world.hs.event(ROOM, recorded.clone());
    assert_eq!(world.next_body(), ON);
    assert_eq!(world.ask("stop"), OFF);
    for restart in [false, true] {
        if restart {
            world.crash_and_restart();
        }
        deliver(&mut world);
        world.hs.wait_next_sync();
        world.hs.event(ROOM, recorded.clone());
        assert_ignored(&mut world, &[1, 0]);
    }
}

/// The same recording in another room, where the same device is a member, and
/// with the room's name rewritten outside of the ciphertext.
#[test]
fn a_recording_is_not_good_in_another_room_after_it_was_executed() {
    let mut world = Scenario::encrypted()
        .room("!other:test", |room| room.encrypted().member(ALICE))
        .start();
    world.ask("status");
    let mut recorded = sealed(&mut world, "start");
    world.hs.event(ROOM, recorded.clone());
    assert_eq!(world.next_body(), ON);
    assert_eq!(world.ask("stop"), OFF);
    recorded["room_id"] = json!(ROOM);
    recorded["content"]["room_id"] = json!(ROOM);
    world.hs.event("!other:test", recorded);
    assert_ignored(&mut world, &[1, 0]);
}

pub fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

pub fn store(world: &World) -> PathBuf {
    PathBuf::from(&world.env["CRYPTO_STORE_PATH"])
}

/// Every (session, ciphertext index) that the bot ever sent: no two alike.
fn assert_no_index_twice(world: &World) {
    let mut seen = BTreeSet::new();
    let events: Vec<Value> = world.hs.with(|state| {
        let rooms = state.rooms.values().flat_map(|room| &room.events);
        rooms.map(|event| event.json.clone()).collect()
    });
    for event in events {
        if event["sender"] != BOT || event["type"] != "m.room.encrypted" {
            continue;
        }
        let text = event["content"]["ciphertext"].as_str().unwrap();
        let message = vodozemac::megolm::MegolmMessage::from_base64(text).unwrap();
        let session = event["content"]["session_id"].as_str().unwrap().to_owned();
        let index = message.message_index();
        assert!(
            seen.insert((session, index)),
            "index {index} was used twice: {event}"
        );
    }
}

/// Puts the older copy back and starts: the bot must go on as a new device.
fn roll_back_and_start(world: &mut World, copied: &Path) {
    let before = world.bot_device();
    world.bot().kill();
    copy(copied, &store(world));
    let scaled = world.api.scaled_to();
    // What is not done in this time waits for the sync.
    let pause = Fault::Delay(Duration::from_millis(700));
    world.hs.fault("/sync", 1, pause);
    world.spawn().wait_log("older");
    world.hs.wait("a sync of another device", |state| {
        let of_other = |entry: &crate::support::homeserver::Logged| {
            entry.path.ends_with("/sync")
                && entry.target.contains("since=")
                && entry
                    .device
                    .as_ref()
                    .is_some_and(|device| *device != before)
        };
        state.log.iter().any(of_other).then_some(())
    });
    assert_eq!(
        world.api.scaled_to(),
        scaled,
        "old commands are not run again"
    );
    assert_eq!(world.ask("start"), ON);
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(world.api.scaled_to(), [&scaled[..], &[1, 0]].concat());
    assert_no_index_twice(world);
}

/// Yesterday's copy of the store: its ratchets were used since, and its commands
/// done. The bot finds its own messages that the copy does not know.
#[test]
fn a_store_rolled_back_to_an_older_copy_becomes_a_new_device() {
    let mut world = Scenario::encrypted().pace(5).start();
    assert_eq!(world.ask("start"), ON);
    world.settle();
    world.stop();
    let copied = world.dir.sub("copy");
    copy(&store(&world), &copied);
    world.start();
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(world.ask("start"), ON);
    roll_back_and_start(&mut world, &copied);
}

/// The copy was made while a command was under way: the command was done since,
/// and its reply sent.
#[test]
fn a_command_that_an_older_copy_of_the_store_has_unfinished_is_not_run_again() {
    let mut world = Scenario::encrypted()
        .user(ALICE, |alice| alice.cross_signed())
        .pace(5)
        .start();
    assert_eq!(world.ask("stop"), OFF);
    world.settle();
    world.api.fault("PATCH /", 1, Fault::Hang);
    world.say("start");
    world.api.wait("the PATCH", |state| {
        let patches = state.calls.iter();
        let mut patches = patches.filter(|call| call.method == "PATCH" && !call.is_dry_run());
        patches.nth(1).map(drop)
    });
    world.bot().kill();
    let copied = world.dir.sub("copy");
    copy(&store(&world), &copied);
    world.api.clear_faults();
    world.start();
    assert_eq!(world.next_body(), ON);
    assert_eq!(world.ask("stop"), OFF);
    roll_back_and_start(&mut world, &copied);
}

/// The bot's own messages may lie in a gap that the first sync jumps over.
#[test]
fn an_older_copy_of_the_store_behind_a_gap_uses_no_index_twice() {
    let mut world = Scenario::encrypted().pace(5).start();
    assert_eq!(world.ask("start"), ON);
    world.settle();
    world.stop();
    let copied = world.dir.sub("copy");
    copy(&store(&world), &copied);
    world.start();
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(world.ask("start"), ON);
    world.stop();
    copy(&copied, &store(&world));
    for n in 0..200 {
        let notice = json!({"msgtype": "m.notice", "body": format!("noise {n}")});
        world.hs.message(ROOM, ALICE, notice);
    }
    world.spawn().wait_log("listening");
    world.say("stop");
    world.next();
    assert_no_index_twice(&world);
}

/// Rule 36: a server that has other one-time keys under the same ids says so
/// with 400. The device is given up.
#[test]
fn one_time_keys_that_already_exist_make_a_new_device() {
    let mut world = Scenario::encrypted().pace(5).start();
    assert_eq!(world.ask("start"), ON);
    world.settle();
    let before = world.bot_device();
    world.hs.fault(
        "POST /keys/upload",
        1,
        Fault::json(
            400,
            &json!({
                "errcode": "M_UNKNOWN",
                "error": "One time key signed_curve25519:AAAAAA already exists. Old key: {}; new key: {}",
            }),
        ),
    );
    world
        .hs
        .with(|state| (0..10).for_each(|_| drop(state.claim(BOT, &before))));
    world.hs.nudge();
    world.bot().wait_log("the store is an older copy");
    world.hs.wait("a sync of another device", |state| {
        let of_other = |entry: &crate::support::homeserver::Logged| {
            entry.path.ends_with("/sync")
                && entry.target.contains("since=")
                && entry
                    .device
                    .as_ref()
                    .is_some_and(|device| *device != before)
        };
        state.log.iter().any(of_other).then_some(())
    });
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(world.api.scaled_to(), [1, 0]);
    assert_no_index_twice(&world);
}
