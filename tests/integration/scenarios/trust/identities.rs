//! A person's identity: held to once it was seen, until an operator says otherwise.

use super::{CHANGED, answer, show_identity, shown_identity, unverified, with_cross_signed_alice};
use crate::support::person::Person;
use crate::support::world::{ALICE, BOT, MALLORY, OFF, ON, ROOM, World};

/// A user without an identity is trusted on first use, with every device. From
/// the first identity on, only what it has signed counts.
#[test]
fn a_user_who_gets_an_identity_is_held_to_it() {
    let mut world = World::encrypted();
    let mut tablet = world.person(ALICE, "ALICETABLET");
    world.hs.wait_next_sync();
    tablet.say(ROOM, "start");
    assert_eq!(world.next_body(), ON);
    world.alice.cross_sign();
    let master = world.alice.master();
    world
        .bot()
        .wait_log(&format!("is pinned on first use: {master}"));
    tablet.say(ROOM, "stop");
    assert_eq!(world.next_body(), unverified("ALICETABLET"));
    assert_eq!(world.api.scaled_to(), [1]);
    assert_eq!(world.ask("stop"), OFF);
}

/// Identity swap (rules 9 and 49): another master key with a self-signing key
/// and a device of its own speaks for nobody, before and after a restart, and
/// neither does any other device. The pinned identity shown again is believed.
#[test]
fn commands_are_refused_once_the_pinned_identity_changed() {
    let mut world = with_cross_signed_alice();
    let honest = shown_identity(&world, ALICE);
    let mut added = Person::unpublished(&world.hs, ALICE, "ADDED");
    added.cross_sign();
    added.publish_one_time_keys(5, |_| {});
    world.hs.wait_next_sync();
    assert_eq!(
        answer(&mut world, &mut added, "stop").as_deref(),
        Some(CHANGED)
    );
    world.say("stop");
    world.next();
    world.bot().wait_log("identities forget @alice:test");
    assert_eq!(world.api.scaled_to(), [1]);
    world.crash_and_restart();
    assert_eq!(
        answer(&mut world, &mut added, "stop").as_deref(),
        Some(CHANGED)
    );
    let (_, list, _) = world.identities(&["list"]);
    assert!(list.contains("CHANGED, commands are refused"), "{list}");
    assert_eq!(world.api.scaled_to(), [1]);

    show_identity(&world, ALICE, honest);
    assert_eq!(world.ask("stop"), OFF);
    added.say(ROOM, "start");
    assert_eq!(world.next_body(), unverified("ADDED"));
    world.assert_scaled_only(&[1, 0]);
}

/// The server withholds the identity: that frees nobody from it.
#[test]
fn an_identity_that_the_server_hides_still_binds() {
    let mut world = with_cross_signed_alice();
    for hidden in ["master_keys", "self_signing_keys"] {
        world.hs.rewrite("/keys/query", move |body| {
            if let Some(keys) = body[hidden].as_object_mut() {
                keys.remove(ALICE);
            }
        });
        let mut added = world.person(ALICE, &format!("ADDED{hidden}"));
        world.hs.wait_next_sync();
        for restarted in [false, true] {
            if restarted {
                world.crash_and_restart();
            }
            assert_eq!(answer(&mut world, &mut added, "stop"), None, "{hidden}");
        }
        world.say("stop");
        world.next();
        assert_eq!(world.api.scaled_to(), [1], "{hidden}");
        world.hs.clear_rewrites();
        world.hs.device_changed(ALICE);
        world.hs.wait_next_sync();
        world.assert_scaled_only(&[1]);
    }
    assert_eq!(world.ask("stop"), OFF);
}

/// A person who reset their identity reads why they are refused, and the
/// operator pins the new one beside the running bot.
#[test]
fn identities_forget_pins_the_new_identity_beside_the_running_bot() {
    let mut world = with_cross_signed_alice();
    let first = world.alice.master();
    world.alice.cross_sign();
    world.hs.wait_next_sync();
    assert_eq!(world.ask("stop"), CHANGED);
    assert_eq!(world.api.scaled_to(), [1]);
    let second = world.alice.master();
    let (code, list, complaint) = world.identities(&["list"]);
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    let compact = list.replace(' ', "");
    assert!(compact.contains(&format!("current{second}")), "{list}");
    assert!(
        compact.contains(&format!("pinned{first}(byfirstuse):CHANGED")),
        "{list}"
    );
    assert!(list.contains("@bot:test (the bot)"), "{list}");

    let (code, said, complaint) = world.identities(&["forget", ALICE]);
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    assert!(said.contains("is no longer pinned to"), "{said}");
    world.hs.wait_next_sync();
    world
        .bot()
        .wait_log(&format!("is pinned on first use: {second}"));
    assert_eq!(world.ask("stop"), OFF);
    let (_, list, _) = world.identities(&["list"]);
    let compact = list.replace(' ', "");
    assert!(
        compact.contains(&format!("pinned{second}(byfirstuse)\n")),
        "{list}"
    );
    world.crash_and_restart();
    assert_eq!(world.ask("start"), ON);
}

/// If `identities forget` cannot do something, it says so, and changes nothing.
#[test]
fn identities_forget_of_a_stranger_or_of_a_configured_pin_is_refused() {
    let mut world = World::new();
    world.alice.cross_sign();
    let pin = format!("{ALICE}={}", world.alice.master());
    world.set("PINNED_IDENTITIES", &pin);
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    for (user, why) in [
        (
            MALLORY,
            "no identity of @mallory:test is pinned; \"identities list\" shows who is known\n",
        ),
        (
            ALICE,
            "the identity of @alice:test is pinned by PINNED_IDENTITIES: change it there, and \
             restart the bot\n",
        ),
    ] {
        let said = world.identities(&["forget", user]);
        assert_eq!(said, (Some(1), String::new(), why.to_owned()));
    }
    let (_, list, _) = world.identities(&["list"]);
    assert!(list.contains("(by configuration)\n"), "{list}");
    assert_eq!(world.ask("start"), ON);
}
