//! What a hostile homeserver, member or device could try. In each scenario the
//! bot does nothing because of the attack and goes on serving afterwards.

mod keys;
mod messages;
mod senders;

use crate::support::person::Person;
use crate::support::world::{ALICE, BOT, MALLORY, ON, ROOM, World};

/// Alice, the bot and Mallory, who may not command it, in an encrypted room.
pub(super) fn with_mallory() -> (World, Person) {
    let mut world = World::new();
    let mallory = world.person(MALLORY, "MALLORYS");
    world.hs.add_room(ROOM, &[ALICE, BOT, MALLORY], true);
    world.start();
    (world, mallory)
}

/// Alice has cross-signing keys and the bot knows them.
pub(super) fn with_cross_signed_alice() -> World {
    let mut world = World::new();
    world.alice.cross_sign();
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    world
}
