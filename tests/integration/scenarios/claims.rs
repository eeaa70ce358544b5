//! Sessions that others claim to have made, too: there is one maker, and whoever
//! has the key can say that it is theirs.

use serde_json::json;

use super::old_commands::aging;
use super::replay::sealed;
use crate::support::person::Person;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, MALLORY, OFF, ON, ROOM, World};

/// Somebody else who may command claims Alice's session first: she is heard all
/// the same, and each of her messages is good once.
#[test]
fn a_session_that_another_user_claims_first_stays_its_makers() {
    let mut world = Scenario::encrypted()
        .set("ALLOWED_USERS", &format!("{ALICE},{MALLORY}"))
        .user(MALLORY, |user| user.device("MALLORYS"))
        .member(MALLORY)
        .start();
    let mut mallory = world.take(MALLORY);
    claim(&mut world, &mut mallory);
    world.alice.share(ROOM);
    let command = sealed(&mut world, "start");
    world.hs.event(ROOM, command.clone());
    assert_eq!(world.next_body(), ON);
    assert_eq!(world.ask("stop"), OFF);
    let mut as_hers = command;
    as_hers["sender"] = json!(MALLORY);
    world.hs.event(ROOM, as_hers);
    world.assert_scaled_only(&[1, 0]);
}

/// So it is with another device of her own that she has not signed.
#[test]
fn a_session_that_another_device_claims_first_stays_its_makers() {
    let mut world = aging(|_| {});
    let mut stolen = world.person(ALICE, "STOLEN");
    world.hs.wait_next_sync();
    claim(&mut world, &mut stolen);
    assert_eq!(world.ask("start"), ON);
    assert_eq!(world.ask("stop"), OFF);
    world.crash_and_restart();
    assert_eq!(world.ask("start"), ON);
    assert_eq!(world.api.scaled_to(), [1, 0, 1]);
}

/// Gives Alice's room key to the bot as this one's own.
fn claim(world: &mut World, thief: &mut Person) {
    let device = world.bot_device();
    let key = world.alice.room_key(ROOM);
    thief.share_with(ROOM, (BOT, &device), |payload| payload["content"] = key);
    world.hs.wait_next_sync();
}
