//! Identities that the configuration pins, from the first message on.

use super::{BOB, CHANGED, answer, notices, unverified, with_cross_signed_alice};
use crate::support::person::Person;
use crate::support::world::{ALICE, BOT, OFF, ON, ROOM, World};

/// Rule 49: a pin of the configuration is no trust on first use at all. The
/// right one lets the first message through.
#[test]
fn a_pinned_identity_commands_from_the_first_message_on() {
    let mut world = World::new();
    world.alice.cross_sign();
    let pin = format!("{ALICE}={}", world.alice.master());
    world.set("PINNED_IDENTITIES", &pin);
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    let mut added = world.person(ALICE, "ADDED");
    world.hs.wait_next_sync();
    added.say(ROOM, "stop");
    assert_eq!(world.next_body(), unverified("ADDED"));
    world.assert_scaled_only(&[1]);
}

/// Alice is pinned to a key that is not hers; Bob is not pinned.
fn with_another_pin_than_shown(cross_signed: bool) -> (World, Person) {
    let mut world = World::new();
    if cross_signed {
        world.alice.cross_sign();
    }
    let mut elsewhere =
        Person::unpublished(&crate::support::homeserver::Homeserver::start(), ALICE, "X");
    elsewhere.cross_sign();
    let bob = world.person(BOB, "BOBPHONE");
    world.set("ALLOWED_USERS", &format!("{ALICE},{BOB}"));
    world.set(
        "PINNED_IDENTITIES",
        &format!("{ALICE}={}", elsewhere.master()),
    );
    world.hs.add_room(ROOM, &[ALICE, BOT, BOB], true);
    world.start();
    (world, bob)
}

fn refuses_alice_and_serves_bob(world: &mut World, bob: &mut Person, log: &str) {
    assert_eq!(answer(world, bob, "start").as_deref(), Some(ON));
    world.say("stop");
    assert_eq!(world.next().body, None, "her devices get no key");
    world.bot().wait_log(log);
    assert_eq!(answer(world, bob, "start").as_deref(), Some(ON));
    assert_eq!(world.api.scaled_to(), [1, 1]);
    world.alice.receive();
    assert_eq!(world.alice.withheld(), ["m.unverified"]);
    assert!(
        !world
            .olm_recipients()
            .contains(&format!("{ALICE} ALICEPHONE"))
    );
}

/// Rule 49: another identity than the configured one is refused from the very
/// first command, and its devices get no keys.
#[test]
fn another_identity_than_the_configured_one_is_refused_from_the_first_command() {
    let (mut world, mut bob) = with_another_pin_than_shown(true);
    refuses_alice_and_serves_bob(&mut world, &mut bob, "their identity is not the pinned one");
}

/// The same where the server shows no identity at all.
#[test]
fn no_identity_instead_of_the_configured_one_is_refused_from_the_first_command() {
    let (mut world, mut bob) = with_another_pin_than_shown(false);
    refuses_alice_and_serves_bob(
        &mut world,
        &mut bob,
        "from ALICEPHONE, which their identity has not signed",
    );
}

/// A pin that the configuration no longer has is gone at the next start: the
/// identity of then is pinned, and its change noticed.
#[test]
fn a_pin_taken_out_of_the_configuration_gives_way_to_first_use() {
    let (mut world, _bob) = with_another_pin_than_shown(true);
    world.say("start");
    assert_eq!(world.next().body, None);
    world.stop();
    world.env.remove("PINNED_IDENTITIES");
    world.start();
    assert_eq!(world.ask("start"), ON);
    let (_, list, _) = world.identities(&["list"]);
    let pinned = format!("pinned{}(byfirstuse)\n", world.alice.master());
    assert!(list.replace(' ', "").contains(&pinned), "{list}");
    world.alice.cross_sign();
    world.hs.wait_next_sync();
    assert_eq!(world.ask("stop"), CHANGED);
    assert_eq!(world.api.scaled_to(), [1]);
}

/// A user who may command since this start is pinned at it, not at the next change.
#[test]
fn a_member_who_may_command_since_a_restart_is_pinned_at_the_start() {
    let mut world = World::new();
    let mut bob = world.person(BOB, "BOBPHONE");
    bob.cross_sign();
    world.hs.add_room(ROOM, &[ALICE, BOT, BOB], true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    world.stop();
    world.set("ALLOWED_USERS", &format!("{ALICE},{BOB}"));
    world.start();
    world
        .bot()
        .wait_log(&format!("{BOB} is pinned on first use: {}", bob.master()));
    bob.cross_sign();
    world.hs.wait_next_sync();
    let said = answer(&mut world, &mut bob, "stop").unwrap();
    assert!(said.contains("identities forget @bob:test"), "{said}");
    world.assert_scaled_only(&[1]);
}

/// A pin written into the configuration replaces that of first use.
#[test]
fn a_changed_identity_is_pinned_anew_by_configuration() {
    let mut world = with_cross_signed_alice();
    world.alice.cross_sign();
    world.hs.wait_next_sync();
    assert_eq!(world.ask("stop"), CHANGED);
    world.stop();
    let pin = format!("{ALICE}={}", world.alice.master());
    world.set("PINNED_IDENTITIES", &pin);
    world.start();
    assert_eq!(world.ask("stop"), OFF);
}

/// `DEVICE_TRUST=tofu` does not loosen a pin of the configuration.
#[test]
fn with_tofu_a_configured_pin_still_binds() {
    let mut world = World::new();
    world.alice.cross_sign();
    let pin = format!("{ALICE}={}", world.alice.master());
    world.set("DEVICE_TRUST", "tofu");
    world.set("PINNED_IDENTITIES", &pin);
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    let mut tablet = world.person(ALICE, "ALICETABLET");
    world.hs.wait_next_sync();
    tablet.say(ROOM, "start");
    assert_eq!(world.next_body(), unverified("ALICETABLET"));
    assert_eq!(notices(&mut tablet).len(), 1);
    assert_eq!(world.ask("start"), ON);
    assert_eq!(world.api.scaled_to(), [1]);
}
