//! The keys of the bot's own device: uploaded once, kept complete, replaced when used.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::key_uploads;
use crate::support::faults::Fault;
use crate::support::person::{MEGOLM, OLM, Person};
use crate::support::scenario::Scenario;
use crate::support::signing::is_signed;
use crate::support::world::{BOT, ON, World};

/// Rule 1.
#[test]
fn the_device_keys_are_complete_and_signed() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    let keys = world
        .hs
        .with(|state| state.only_device(BOT).unwrap().1.keys.clone().unwrap());
    assert_eq!(keys["user_id"], BOT);
    assert_eq!(keys["device_id"], json!(device));
    let algorithms = keys["algorithms"].as_array().unwrap();
    assert!(
        algorithms.contains(&json!(OLM)) && algorithms.contains(&json!(MEGOLM)),
        "{keys}"
    );
    assert!(
        keys["keys"][format!("curve25519:{device}")].is_string(),
        "{keys}"
    );
    let ed25519 = keys["keys"][format!("ed25519:{device}")].as_str().unwrap();
    assert!(is_signed(&keys, BOT, &device, ed25519), "{keys}");
    assert!(world.bot().is_running());
}

/// Rule 1: a server with other keys for this very device is not to be used.
#[test]
fn a_start_with_other_keys_on_the_server_is_refused() {
    let mut world = World::encrypted();
    world.bot().terminate();
    world.bot().wait_exit(Duration::from_secs(5));
    let device = world.bot_device();
    let liar = Person::unpublished(&world.hs, BOT, &device);
    liar.publish_raw(liar.device_keys());
    let status = world.spawn().wait_exit(Duration::from_secs(10));
    assert_eq!(status.code(), Some(1));
    let log = world.bot().log().to_lowercase();
    assert!(log.contains("key"), "the log says what is wrong: {log}");
}

/// Rules 3 and 5.
#[test]
fn fifty_signed_one_time_keys_and_a_fallback_key_are_on_the_server() {
    let mut world = World::encrypted();
    world.settle();
    let device = world.bot_device();
    world.hs.with(|state| {
        let found = state.only_device(BOT).unwrap().1;
        let ed25519 = found.keys.as_ref().unwrap()["keys"][format!("ed25519:{device}")].clone();
        let ed25519 = ed25519.as_str().unwrap();
        for (id, key) in &found.one_time {
            assert!(id.starts_with("signed_curve25519:"), "{id}");
            assert!(is_signed(key, BOT, &device, ed25519), "{key}");
            assert!(key["fallback"].is_null(), "{key}");
        }
        let (_, (fallback, _)) = found.fallback.iter().next().expect("a fallback key");
        assert_eq!(fallback["fallback"], true);
        assert!(is_signed(fallback, BOT, &device, ed25519), "{fallback}");
    });
}

/// Rule 3.
#[test]
fn one_time_keys_are_made_up_to_fifty_again() {
    let mut world = World::encrypted();
    world.settle();
    let device = world.bot_device();
    let spent: BTreeSet<String> = world.hs.with(|state| {
        (0..20)
            .map(|_| state.claim(BOT, &device).unwrap().0)
            .collect()
    });
    world.settle();
    world.hs.with(|state| {
        let left = &state.only_device(BOT).unwrap().1.one_time;
        assert!(
            spent.iter().all(|id| !left.contains_key(id)),
            "a spent key came back"
        );
    });
}

/// Rule 3: a count that is missing is 0.
#[test]
fn a_missing_count_of_one_time_keys_is_zero() {
    let mut world = World::encrypted();
    world.settle();
    world.hs.with(|state| {
        state.omit_zero_counts = true;
        let id = (BOT.to_owned(), state.only_device(BOT).unwrap().0);
        state.devices.get_mut(&id).unwrap().one_time.clear();
    });
    world.settle();
}

/// Rule 5: a fallback key that was used is replaced.
#[test]
fn a_used_fallback_key_is_replaced_and_still_opens_a_session() {
    let mut world = World::encrypted();
    world.settle();
    let (device, first) = world.hs.with(|state| {
        let (device, found) = state.only_device(BOT).unwrap();
        (device, found.fallback.keys().next().unwrap().clone())
    });
    world.hs.with(|state| {
        let id = (BOT.to_owned(), device.clone());
        state.devices.get_mut(&id).unwrap().one_time.clear();
    });
    // With the queue of one-time keys empty, this claims the fallback key.
    world.alice.new_session((BOT, &device));
    world.hs.nudge();
    world.hs.wait("another fallback key", |state| {
        let found = state.only_device(BOT)?.1;
        (*found.fallback.keys().next()? != first).then_some(())
    });
    assert_eq!(world.ask("start"), ON);
}

/// Rule 4: keys are committed before they are uploaded, so a crash in between
/// sends the same ones again. `fault` is what the answer to the upload suffers.
fn crash_in_key_upload(fault: Fault) {
    let mut world = World::encrypted();
    world.settle();
    let device = world.bot_device();
    world
        .hs
        .with(|state| (0..10).for_each(|_| drop(state.claim(BOT, &device))));
    let before = world.hs.requests("POST /keys/upload").len();
    world.hs.fault("POST /keys/upload", 1, fault);
    world.hs.nudge();
    world.hs.wait("the upload", |state| {
        (state.requests("POST /keys/upload").len() > before).then_some(())
    });
    world.bot().kill();
    let cut_short = key_uploads(&world).pop().unwrap();
    world.hs.clear_faults();
    world.start();
    world.settle();
    let again = key_uploads(&world)
        .into_iter()
        .find(|upload| upload.at > cut_short.at)
        .unwrap();
    assert_eq!(again.body["one_time_keys"], cut_short.body["one_time_keys"]);
    assert!(
        world
            .hs
            .requests("POST /keys/upload")
            .iter()
            .all(|u| u.status != Some(400))
    );
    assert_eq!(world.ask("start"), ON);
}

#[test]
fn keys_whose_upload_never_arrived_are_sent_again() {
    crash_in_key_upload(Fault::Hang);
}

/// The server has them already: there must be no second set under the same ids.
/// After the restart it counts them, so nothing may need sending at all.
#[test]
fn keys_whose_upload_was_not_answered_do_not_collide() {
    let mut world = World::encrypted();
    world.settle();
    let device = world.bot_device();
    world
        .hs
        .with(|state| (0..10).for_each(|_| drop(state.claim(BOT, &device))));
    let before = world.hs.requests("POST /keys/upload").len();
    world.hs.fault("POST /keys/upload", 1, Fault::HangAfter);
    world.hs.nudge();
    world.hs.wait("the upload", |state| {
        let full = state.only_device(BOT)?.1.one_time.len() == 50;
        (full && state.requests("POST /keys/upload").len() > before).then_some(())
    });
    world.crash_and_restart();
    world.hs.clear_faults();
    world
        .hs
        .with(|state| (0..10).for_each(|_| drop(state.claim(BOT, &device))));
    world.settle();
    assert!(
        world
            .hs
            .requests("POST /keys/upload")
            .iter()
            .all(|u| u.status != Some(400))
    );
    assert_eq!(world.ask("start"), ON);
}

/// Rule 4, on the very first upload: the identity itself.
#[test]
fn the_first_upload_cut_short_is_sent_again_with_the_same_identity() {
    let mut world = Scenario::encrypted()
        .fault("POST /keys/upload", 1, Fault::Hang)
        .build();
    world.spawn();
    world.hs.wait_requests("POST /keys/upload", 1);
    world.bot().kill();
    world.hs.clear_faults();
    world.start();
    let uploads = world.hs.requests("POST /keys/upload");
    let identities: Vec<&Value> = uploads
        .iter()
        .map(|u| &u.body["device_keys"])
        .filter(|keys| keys.is_object())
        .collect();
    assert!(identities.len() >= 2, "{identities:?}");
    assert!(
        identities
            .iter()
            .all(|keys| keys["keys"] == identities[0]["keys"]),
        "{identities:?}"
    );
    assert_eq!(world.ask("start"), ON);
}
