//! The bot's duties in an end-to-end encrypted room, rule by rule. Each test names
//! the rule that it proves.

mod devices;
mod once_and_for_ever;
mod own_keys;
mod readers;
mod requests;
mod restarts;
mod room_keys;

use crate::support::homeserver::Logged;
use crate::support::person::Person;
use crate::support::scenario::Scenario;
use crate::support::world::World;

pub(super) const BOB: &str = "@bob:test";

/// Alice, the bot, and Bob, who never says anything, in an encrypted room.
pub(super) fn with_bob() -> (World, Person) {
    let mut world = Scenario::encrypted()
        .user(BOB, |user| user.device("BOBPHONE"))
        .member(BOB)
        .start();
    let bob = world.take(BOB);
    (world, bob)
}

/// The uploads that carry one-time keys.
pub(super) fn key_uploads(world: &World) -> Vec<Logged> {
    let mut uploads = world.hs.requests("POST /keys/upload");
    uploads.retain(|upload| {
        upload.body["one_time_keys"]
            .as_object()
            .is_some_and(|k| !k.is_empty())
    });
    uploads
}
