//! Attacks that a hostile homeserver, member or device could try. In each scenario
//! the bot does nothing because of the attack and goes on serving afterwards.

mod keys;
mod messages;
mod senders;

use crate::support::person::Person;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, MALLORY, ON, World};

/// Alice, the bot and Mallory, who may not command it, in an encrypted room.
pub(super) fn with_mallory() -> (World, Person) {
    let mut world = Scenario::encrypted()
        .user(MALLORY, |user| user.device("MALLORYS"))
        .member(MALLORY)
        .start();
    let mallory = world.take(MALLORY);
    (world, mallory)
}

/// Alice has cross-signing keys and the bot knows them.
pub(super) fn with_cross_signed_alice() -> World {
    let mut world = Scenario::encrypted()
        .user(ALICE, |alice| alice.cross_signed())
        .start();
    assert_eq!(world.ask("start"), ON);
    world
}
