//! Devices of a person: only those that the person's own identity signed.

use std::collections::BTreeSet;

use serde_json::json;

use super::{answer, notices, show_identity, shown_identity, unverified, with_cross_signed_alice};
use crate::support::person::{MEGOLM, Person};
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, OFF, ON, ROOM};

/// A device that the server slipped into the account (rules 9, 21, 29): it signs
/// for itself, and the account's identity does not. It commands nothing and is
/// told once a session that it gets no key; once it is signed, it is served.
#[test]
fn a_device_not_signed_by_the_pinned_identity_commands_nothing() {
    let content = json!({"algorithm": MEGOLM, "rotation_period_msgs": 2});
    let mut world = Scenario::plain()
        .user(ALICE, |alice| alice.cross_signed())
        .build();
    world
        .hs
        .state_event(ROOM, ALICE, "m.room.encryption", "", content);
    world.start();
    assert_eq!(world.ask("start"), ON);
    let mut added = world.person(ALICE, "ADDED");
    world.hs.wait_next_sync();
    added.say(ROOM, "stop");
    let mut sessions = BTreeSet::new();
    let refusal = world.next();
    assert_eq!(refusal.body, Some(unverified("ADDED")));
    sessions.insert(refusal.outer["session_id"].as_str().unwrap().to_owned());
    for _ in 0..3 {
        world.say("status");
        let session = world.next().outer["session_id"]
            .as_str()
            .unwrap()
            .to_owned();
        sessions.insert(session);
    }
    assert_eq!(world.api.scaled_to(), [1]);
    assert!(sessions.len() > 1, "the session rotated meanwhile");
    let told = notices(&mut added);
    assert_eq!(told.len(), sessions.len(), "once a session: {told:?}");
    assert!(told.iter().all(|(room, _)| room == ROOM), "{told:?}");
    assert_eq!(
        told.into_iter().map(|(_, id)| id).collect::<BTreeSet<_>>(),
        sessions
    );
    assert!(!world.olm_recipients().contains(&format!("{ALICE} ADDED")));
    assert!(added.read(ROOM, BOT).iter().all(|seen| seen.body.is_none()));

    world.alice.vouch_for("ADDED");
    world.hs.wait_next_sync();
    assert_eq!(answer(&mut world, &mut added, "stop").as_deref(), Some(OFF));
    assert_eq!(world.api.scaled_to(), [1, 0]);
}

/// The same with a device that signs for itself under a self-signing key that
/// the pinned master key does not vouch for.
#[test]
fn a_self_signing_key_without_the_masters_signature_vouches_for_nothing() {
    let mut world = with_cross_signed_alice();
    let honest = shown_identity(&world, ALICE);
    let mut added = Person::unpublished(&world.hs, ALICE, "ADDED");
    added.cross_sign();
    added.publish_one_time_keys(5, |_| {});
    let mut mixed = shown_identity(&world, ALICE);
    mixed.insert("master".into(), honest["master"].clone());
    show_identity(&world, ALICE, mixed);
    added.say(ROOM, "stop");
    world.next();
    added.receive();
    assert!(added.keys_received(ROOM).is_empty());
    assert_eq!(added.withheld(), ["m.unverified"]);
    show_identity(&world, ALICE, honest);
    world.assert_scaled_only(&[1]);
}

/// A device that could read with a signature cannot read on without it (rule 27).
#[test]
fn a_device_whose_signature_disappears_cannot_read_on() {
    let mut world = with_cross_signed_alice();
    let mut tablet = world.person(ALICE, "ALICETABLET");
    world.alice.vouch_for("ALICETABLET");
    world.hs.wait_next_sync();
    world.say("status");
    let first = world.next();
    assert!(tablet.read(ROOM, BOT).pop().unwrap().body.is_some());
    world.alice.lose_signatures("ALICETABLET");
    world.hs.wait_next_sync();
    world.say("stop");
    let second = world.next();
    assert_eq!(second.body.as_deref(), Some(OFF));
    assert_ne!(first.outer["session_id"], second.outer["session_id"]);
    assert_eq!(tablet.read(ROOM, BOT).pop().unwrap().body, None);
    assert_eq!(notices(&mut tablet).len(), 1);
    tablet.say(ROOM, "start");
    assert_eq!(world.next_body(), unverified("ALICETABLET"));
    world.assert_scaled_only(&[1, 0]);
}

/// `DEVICE_TRUST=tofu`: any device of an allowed user, with a warning.
#[test]
fn with_tofu_an_unsigned_device_commands_and_the_log_warns() {
    let mut world = Scenario::encrypted()
        .user(ALICE, |alice| alice.cross_signed())
        .set("DEVICE_TRUST", "tofu")
        .start();
    let mut tablet = world.person(ALICE, "ALICETABLET");
    world.hs.wait_next_sync();
    assert_eq!(
        answer(&mut world, &mut tablet, "start").as_deref(),
        Some(ON)
    );
    let warning = world
        .bot()
        .wait_log("DEVICE_TRUST=tofu: whoever can add a device");
    assert!(warning.contains("WARN"), "{warning}");
    world.alice.cross_sign();
    world.hs.wait_next_sync();
    assert_eq!(
        answer(&mut world, &mut tablet, "stop").as_deref(),
        Some(OFF)
    );
}

/// A command that is journalled when its device loses its standing is judged
/// anew before it is run (rule 21).
#[test]
fn trust_is_asked_again_when_a_command_is_run() {
    let mut world = with_cross_signed_alice();
    world
        .api
        .fault("PATCH /", 1, crate::support::faults::Fault::Hang);
    world.say("stop");
    world.api.wait("the PATCH", |state| {
        state
            .calls
            .iter()
            .filter(|call| call.method == "PATCH" && !call.is_dry_run())
            .nth(1)
            .map(drop)
    });
    // Waits behind the first one, which hangs.
    let mut tablet = world.person(ALICE, "ALICETABLET");
    world.alice.vouch_for("ALICETABLET");
    world.hs.wait_next_sync();
    let start = tablet.say(ROOM, "start");
    world.bot().wait_log(&format!("start (encrypted, {start})"));
    world.alice.lose_signatures("ALICETABLET");
    world.hs.wait_next_sync();
    world.api.clear_faults();
    world.next();
    assert_eq!(
        world.next_body(),
        "You may no longer give me commands, so I did not run it."
    );
    let ons = world.api.scaled_to().into_iter().filter(|to| *to == 1);
    assert_eq!(ons.count(), 1, "only the first one, in good order");
    world.say("status");
    world.wait_for_status();
}
