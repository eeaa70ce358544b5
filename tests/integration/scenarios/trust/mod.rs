//! The right to command: identities, pins, device trust, rooms. Each scenario runs
//! the real binary; a person who can mend a refusal is told how.

mod devices;
mod identities;
mod pins;
mod rooms;

use serde_json::Value;

use crate::support::person::{MEGOLM, Person};
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, ON, ROOM, World};

pub(super) const BOB: &str = "@bob:test";

/// Alice has cross-signing keys, and the bot has seen them.
pub(super) fn with_cross_signed_alice() -> World {
    let mut world = Scenario::encrypted()
        .user(ALICE, |alice| alice.cross_signed())
        .start();
    assert_eq!(world.ask("start"), ON);
    world
}

pub(super) fn unverified(device: &str) -> String {
    format!(
        "Your session {device} is not verified by your own identity, so I did not run your \
         command. If it is yours, verify it from another of your sessions (in Element: Settings, \
         Sessions, Verify session), and send it again; if you do not know it, sign it out."
    )
}

pub(super) const CHANGED: &str = "Your cryptographic identity is not the one I know you by, so I take no \
    commands from you. If you have reset it yourself, ask my operator to pin the new one: in \
    PINNED_IDENTITIES, or by \"openclaw-k8s-toggle-operator identities forget @alice:test\".";

/// The answer, as `person` reads it, to this text of theirs.
pub(super) fn answer(world: &mut World, person: &mut Person, text: &str) -> Option<String> {
    person.say(ROOM, text);
    world.next();
    person.last_answer(ROOM)
}

/// The identity of a user as the server shows it.
pub(super) fn shown_identity(world: &World, user: &str) -> serde_json::Map<String, Value> {
    world.hs.with(|state| state.cross_signing[user].clone())
}

/// From now on the server shows this one.
pub(super) fn show_identity(world: &World, user: &str, identity: serde_json::Map<String, Value>) {
    world.hs.with(|state| {
        state.cross_signing.insert(user.into(), identity);
        state.device_changed(user);
    });
    world.hs.wait_next_sync();
}

/// The `m.unverified` notices that a device got: room and session.
pub(super) fn notices(person: &mut Person) -> Vec<(Value, String)> {
    person.receive();
    person
        .plain
        .iter()
        .filter(|event| event["type"] == "m.room_key.withheld")
        .map(|event| {
            let content = &event["content"];
            assert_eq!(content["code"], "m.unverified", "{event}");
            assert_eq!(content["algorithm"], MEGOLM, "{event}");
            assert!(content["sender_key"].is_string(), "{event}");
            let session = content["session_id"].as_str().unwrap().to_owned();
            (content["room_id"].clone(), session)
        })
        .collect()
}
