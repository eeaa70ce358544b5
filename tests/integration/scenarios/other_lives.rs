//! Other lives of the bot's device: copies of its store that are put back, and
//! traces of such that a homeserver makes up.

use serde_json::{Value, json};

use super::old_commands::{DAY_MS, SPENT, aging, ask_anew};
use super::replay::{copy, sealed, store};
use crate::support::evidence;
use crate::support::faults::Fault;
use crate::support::person::{Person, text_message};
use crate::support::world::{ALICE, BOT, OFF, ON, ROOM, World};

const TOLD: &str = "PUT /sendToDevice/m.room.encrypted";

/// Day 0 is put back on day 12, and the server hides what the bot has said since:
/// what was recorded runs not, and nothing is encrypted with a key used before.
#[test]
fn a_restored_copy_runs_no_recording_and_uses_no_key_twice() {
    let mut world = aging(|_| {});
    assert_eq!(world.ask("stop"), OFF);
    world.settle();
    world.stop();
    let copied = world.dir.sub("copy");
    copy(&store(&world), &copied);
    world.start();
    let recorded = sealed(&mut world, "start");
    world.hs.event(ROOM, recorded.clone());
    assert_eq!(world.next_body(), ON);
    assert_eq!(world.ask("stop"), OFF);
    world.settle();
    world.stop();
    copy(&copied, &store(&world));
    hide_own_messages(&world);
    world.jump(12 * DAY_MS);
    world.start();
    // The homeserver shows all again that the copy has not seen.
    for _ in ["start", "stop"] {
        assert_eq!(world.next_body(), SPENT);
    }
    world.hs.event(ROOM, recorded);
    assert_eq!(ask_anew(&mut world, "start"), ON);
    assert_eq!(world.api.scaled_to(), [0, 1, 0, 1]);
    world.hs.with(|state| evidence::check(state));
}

fn hide_own_messages(world: &World) {
    world.hs.rewrite("/sync", |body| {
        let Some(rooms) = body["rooms"]["join"].as_object_mut() else {
            return;
        };
        for (_, room) in rooms {
            if let Some(events) = room["timeline"]["events"].as_array_mut() {
                events.retain(|event| event["sender"] != BOT || !event["state_key"].is_null());
            }
        }
    });
}

/// With every start the bot's own sessions are new ones, so that no copy of the
/// store can use a key of another; nobody notices.
#[test]
fn every_start_sends_with_sessions_of_its_own() {
    let mut world = World::encrypted();
    let mut sessions = Vec::new();
    for (text, answer) in [("start", ON), ("stop", OFF), ("start", ON)] {
        world.say(text);
        let seen = world.next();
        assert_eq!(seen.body.as_deref(), Some(answer));
        sessions.push(seen.outer["session_id"].to_string());
        world.crash_and_restart();
    }
    sessions.dedup();
    assert_eq!(sessions.len(), 3, "{sessions:?}");
    assert_eq!(world.alice.olm_types, [1, 0, 0], "the first is Alice's own");
    world.hs.with(|state| evidence::check(state));
}

/// The environment of a bot that was given a token of this device.
fn with_token(world: &mut World) {
    world.hs.with(|state| {
        let who = (BOT.to_owned(), "GIVEN".to_owned());
        state.tokens.insert("made-for-it".to_owned(), who.clone());
        state.devices.entry(who).or_default();
    });
    world.env.remove("MATRIX_PASSWORD");
    world.set("AUTH_METHOD", "token");
    world.set("MATRIX_ACCESS_TOKEN", "made-for-it");
    world.set("MATRIX_DEVICE_ID", "GIVEN");
    world.pace(5);
}

/// An event of the bot's that it never sent.
fn forged(world: &World) -> Value {
    let mut forger = Person::unpublished(&world.hs, BOT, "GIVEN");
    let content = forger.encrypt(ROOM, &text_message("I never said this"));
    json!({"type": "m.room.encrypted", "sender": BOT, "content": content})
}

/// The homeserver shows it, and nobody can read it.
fn show(world: &mut World, forged: &Value) {
    world.hs.event(ROOM, forged.clone());
    assert_eq!(world.next().body, None);
}

/// The number of times that the bot has told Alice's device something over Olm.
fn reached(world: &World) -> usize {
    world.hs.requests(TOLD).len()
}

/// It opens a new channel of itself.
fn wait_to_be_reached(world: &mut World, before: usize) {
    world.hs.wait_requests(TOLD, before + 1);
    world.hs.wait_next_sync();
    world.alice.receive();
}

fn times_given_up(world: &mut World) -> usize {
    world.bot().log().matches("keys are given up").count()
}

/// Such an event is the homeserver's word. It costs the keys, and nothing else:
/// not the program, not the device, and the second time not even the keys.
#[test]
fn a_forged_event_of_the_bot_does_not_end_a_bot_with_a_token() {
    let mut world = World::new();
    with_token(&mut world);
    world.alice.cross_sign();
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    let recorded = sealed(&mut world, "start");
    let event = forged(&world);
    show(&mut world, &event);
    world.bot().wait_log("keys are given up");
    world.hs.event(ROOM, recorded);
    assert_eq!(world.next_body(), SPENT);
    assert_eq!(ask_anew(&mut world, "stop"), OFF);
    show(&mut world, &event);
    assert_eq!(world.ask("start"), ON);
    assert_eq!(times_given_up(&mut world), 1);
    world.crash_and_restart();
    show(&mut world, &event);
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(times_given_up(&mut world), 0);
    let another = forged(&world);
    let before = reached(&world);
    show(&mut world, &another);
    wait_to_be_reached(&mut world, before);
    assert_eq!(ask_anew(&mut world, "start"), ON);
    assert_eq!(world.api.scaled_to(), [1, 0, 1, 0, 1]);
    assert_eq!(world.bot_device(), "GIVEN");
    world.hs.with(|state| evidence::check(state));
}

/// A real copy, with a token that no new device is to be had for.
#[test]
fn a_restored_copy_with_a_token_goes_on_with_new_keys() {
    let mut world = World::new();
    with_token(&mut world);
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    world.settle();
    world.stop();
    let copied = world.dir.sub("copy");
    copy(&store(&world), &copied);
    world.start();
    assert_eq!(world.ask("stop"), OFF);
    world.alice.new_session((BOT, "GIVEN"));
    assert_eq!(ask_anew(&mut world, "start"), ON);
    world.settle();
    world.stop();
    copy(&copied, &store(&world));
    let before = reached(&world);
    world.spawn().wait_log("keys are given up");
    world.wait_listening();
    wait_to_be_reached(&mut world, before);
    world.alice.rotate(ROOM);
    world.assert_scaled_only(&[1, 0, 1]);
    assert_eq!(ask_anew(&mut world, "stop"), OFF);
    assert_eq!(world.bot_device(), "GIVEN");
    world.hs.with(|state| evidence::ratchets(state));
}

/// Nor does a server that has other keys under the ids of the bot's.
#[test]
fn a_refused_upload_does_not_end_a_bot_with_a_token() {
    let mut world = World::new();
    with_token(&mut world);
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    world.settle();
    let before = world.hs.requests("POST /keys/upload").len();
    // As Dendrite says it: without a code.
    let words =
        "device GIVEN: algorithm / key ID signed_curve25519:AAAAAA one-time key already exists";
    let refusal = json!({BOT: {"GIVEN": {"Error": words}}});
    world
        .hs
        .fault("POST /keys/upload", 1, Fault::json(400, &refusal));
    world
        .hs
        .with(|state| (0..10).for_each(|_| drop(state.claim(BOT, "GIVEN"))));
    world.hs.nudge();
    world.bot().wait_log("keys are given up");
    world.hs.wait("another upload", |state| {
        let uploads = state.requests("POST /keys/upload");
        let taken = uploads
            .iter()
            .skip(before)
            .any(|upload| upload.status == Some(200));
        taken.then_some(())
    });
    world.hs.wait_idle(BOT, || 0);
    world.alice.receive();
    assert_eq!(ask_anew(&mut world, "stop"), OFF);
    assert_eq!(world.bot_device(), "GIVEN");
}
