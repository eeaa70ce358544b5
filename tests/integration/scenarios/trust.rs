//! Who commands: identities, pins, device trust, rooms. Each scenario runs the
//! real binary; a person who can mend a refusal is told how.

use std::collections::BTreeSet;

use crate::support::person::{MEGOLM, Person, text_message};
use crate::support::world::{ALICE, BOT, MALLORY, OFF, ON, ROOM, World};
use serde_json::{Value, json};

const BOB: &str = "@bob:test";

/// Alice has cross-signing keys, and the bot has seen them.
fn with_cross_signed_alice() -> World {
    let mut world = World::new();
    world.alice.cross_sign();
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    world
}

fn unverified(device: &str) -> String {
    format!(
        "Your session {device} is not verified by your own identity, so I did not run your \
         command. If it is yours, verify it from another of your sessions (in Element: Settings, \
         Sessions, Verify session), and send it again; if you do not know it, sign it out."
    )
}

const CHANGED: &str = "Your cryptographic identity is not the one I know you by, so I take no \
    commands from you. If you have reset it yourself, ask my operator to pin the new one: in \
    PINNED_IDENTITIES, or by \"openclaw-k8s-toggle-operator identities forget @alice:test\".";

/// What `person` reads of the answer to what it says.
fn answer(world: &mut World, person: &mut Person, text: &str) -> Option<String> {
    person.say(ROOM, text);
    world.next();
    person.read(ROOM, BOT).pop().and_then(|seen| seen.body)
}

/// The identity of a user as the server shows it.
fn shown_identity(world: &World, user: &str) -> serde_json::Map<String, Value> {
    world.hs.with(|state| state.cross_signing[user].clone())
}

/// From now on the server shows this one.
fn show_identity(world: &World, user: &str, identity: serde_json::Map<String, Value>) {
    world.hs.with(|state| {
        state.cross_signing.insert(user.into(), identity);
        state.device_changed(user);
    });
    world.hs.wait_next_sync();
}

/// The `m.unverified` notices that a device got: room and session.
fn notices(person: &mut Person) -> Vec<(Value, String)> {
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

/// A device that the server slipped into the account (rules 9, 21, 29): it signs
/// for itself, and the account's identity does not. It commands nothing and is
/// told once a session that it gets no key; once it is signed, it is served.
#[test]
fn a_device_not_signed_by_the_pinned_identity_commands_nothing() {
    let mut world = World::new();
    world.alice.cross_sign();
    world.hs.add_room(ROOM, &[ALICE, BOT], false);
    let content = json!({"algorithm": MEGOLM, "rotation_period_msgs": 2});
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

/// Who could read with a signature cannot read on without it (rule 27).
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

/// What `identities forget` cannot do it says, and changes nothing.
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

/// Who may command since this start is pinned at it, not at the next change.
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

/// `DEVICE_TRUST=tofu`: any device of an allowed user, with a warning.
#[test]
fn with_tofu_an_unsigned_device_commands_and_the_log_warns() {
    let mut world = World::new();
    world.alice.cross_sign();
    world.set("DEVICE_TRUST", "tofu");
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
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

/// `REQUIRE_ENCRYPTION=true`: rooms without encryption rest on the homeserver's
/// word (rule 54).
#[test]
fn where_encryption_is_required_a_plaintext_room_commands_nothing() {
    let mut world = World::new();
    world.set("REQUIRE_ENCRYPTION", "true");
    world.hs.add_room(ROOM, &[ALICE, BOT], false);
    world.hs.add_room("!safe:test", &[ALICE, BOT], true);
    world.start();
    assert_eq!(
        world.ask_plain("start"),
        "I only take commands in encrypted rooms: please switch on encryption in this room's \
         settings, or write to me in an encrypted one."
    );
    world.hs.message(ROOM, MALLORY, text_message("start"));
    world.alice.say("!safe:test", "start");
    assert_eq!(world.next_in("!safe:test").body.as_deref(), Some(ON));
    assert_eq!(world.api.scaled_to(), [1]);
    assert_eq!(world.said(ROOM), 1, "a stranger is told nothing");
}

const ROOM_REFUSED: &str = "I do not take commands in this room: please use one of the rooms that \
    my operator has named (ALLOWED_ROOMS).";

/// `ALLOWED_ROOMS`: rooms that are not named are neither joined nor heard.
#[test]
fn rooms_that_are_not_allowed_are_neither_joined_nor_heard() {
    let mut world = World::new();
    world.set("ALLOWED_ROOMS", ROOM);
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.hs.add_room("!other:test", &[ALICE, BOT], true);
    world.hs.add_room("!plain:test", &[ALICE, BOT], false);
    world.start();
    world.alice.say("!other:test", "start");
    assert_eq!(
        world.next_in("!other:test").body.as_deref(),
        Some(ROOM_REFUSED)
    );
    world
        .hs
        .message("!plain:test", ALICE, text_message("start"));
    assert_eq!(
        world.next_in("!plain:test").body.as_deref(),
        Some(ROOM_REFUSED)
    );
    world.hs.add_room("!lure:test", &[ALICE], true);
    world.hs.invite("!lure:test", ALICE, BOT);
    world
        .bot()
        .wait_log("invited to !lure:test by @alice:test, and the room is not in ALLOWED_ROOMS");
    world.hs.wait_next_sync();
    assert!(world.hs.requests("POST /join").is_empty());
    world.assert_nothing_done();
    assert_eq!(world.ask("start"), ON);
}
