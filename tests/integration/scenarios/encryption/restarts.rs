//! Crashes, restarts, logouts, and a store that is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::{key_uploads, with_bob};
use crate::support::faults::Fault;
use crate::support::world::{BOT, OFF, ON, ROOM, World};

/// Rule 34: the bot dies when this request comes in, and starts again.
fn dies_at(pattern: &str, fault: Fault) {
    let (mut world, mut bob) = with_bob();
    let before = world.hs.requests(pattern).len();
    world.hs.fault(pattern, 1, fault);
    world.say("start");
    world.hs.wait(pattern, |state| {
        (state.requests(pattern).len() > before).then_some(())
    });
    world.bot().kill();
    world.hs.clear_faults();
    world.start();
    assert_eq!(world.next_body(), ON);
    assert!(world.api.scaled_to().iter().all(|replicas| *replicas == 1));
    world.say("status");
    assert_eq!(
        world.wait_for_status(),
        Vec::<String>::new(),
        "answered once"
    );
    assert_eq!(world.said(ROOM), 2);
    assert!(bob.last_answer(ROOM).unwrap().contains("Desired replicas"));
    let sent = world.hs.requests("PUT /send/m.room.encrypted");
    let answers: BTreeSet<&str> = sent.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(
        answers.len(),
        2,
        "two replies, two transaction ids: {answers:?}"
    );
}

#[test]
fn a_crash_while_claiming_keys_loses_nothing() {
    dies_at("POST /keys/claim", Fault::Hang);
}

#[test]
fn a_crash_after_claiming_keys_loses_nothing() {
    dies_at("POST /keys/claim", Fault::HangAfter);
}

#[test]
fn a_crash_while_sharing_keys_loses_nothing() {
    dies_at("PUT /sendToDevice/m.room.encrypted", Fault::Hang);
}

#[test]
fn a_crash_after_sharing_keys_loses_nothing() {
    dies_at("PUT /sendToDevice/m.room.encrypted", Fault::HangAfter);
}

#[test]
fn a_crash_before_the_reply_arrived_loses_nothing() {
    dies_at("PUT /send/m.room.encrypted", Fault::Hang);
}

#[test]
fn a_crash_after_the_reply_arrived_repeats_nothing() {
    dies_at("PUT /send/m.room.encrypted", Fault::HangAfter);
}

/// Rule 34: the server forgets to-device messages once `since` moves on, so the
/// key in them must be safe by then. The bot dies at many moments after the
/// sync that brought key and command.
#[test]
fn a_crash_at_any_moment_after_a_sync_loses_no_key_and_no_command() {
    let mut world = World::encrypted();
    assert_eq!(
        world.ask("status").lines().next(),
        Some("Deployment is off")
    );
    let mut wanted = OFF;
    for delay in [0, 1, 2, 4, 8, 16, 32] {
        wanted = if wanted == ON { OFF } else { ON };
        world.alice.rotate(ROOM);
        world.say(if wanted == ON { "start" } else { "stop" });
        world.hs.wait("the sync that brings it", |state| {
            let last = state
                .log
                .iter()
                .rev()
                .find(|entry| entry.path.ends_with("/sync"))?;
            let (_, device) = state.only_device(BOT)?;
            (device.to_device.is_empty() || last.status.is_some()).then_some(())
        });
        std::thread::sleep(Duration::from_millis(delay));
        world.crash_and_restart();
        assert_eq!(world.next_body(), wanted, "killed after {delay} ms");
    }
    world.say("status");
    assert_eq!(
        world.wait_for_status(),
        Vec::<String>::new(),
        "each was answered once"
    );
}

/// Rule 34: the deployment is asked for the same number again, and the person
/// is answered once.
#[test]
fn a_crash_while_scaling_is_made_good_after_the_restart() {
    let mut world = World::encrypted();
    world.api.fault("PATCH /", 1, Fault::HangAfter);
    world.say("start");
    world.api.wait("the PATCH", |state| {
        state
            .calls
            .iter()
            .any(|call| call.method == "PATCH" && !call.is_dry_run())
            .then_some(())
    });
    world.bot().kill();
    world.api.clear_faults();
    world.start();
    assert_eq!(world.next_body(), ON);
    assert!(world.api.scaled_to().iter().all(|replicas| *replicas == 1));
}

/// Rule 35.
#[test]
fn a_restart_keeps_the_device_and_does_not_log_in_again() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    assert_eq!(world.ask("start"), ON);
    world.bot().terminate();
    assert_eq!(
        world.bot().wait_exit(Duration::from_secs(5)).code(),
        Some(0)
    );
    world.start();
    assert_eq!(world.bot_device(), device);
    assert_eq!(world.ask("stop"), OFF);
    let logins = world.hs.requests("POST /login");
    assert_eq!(logins.len(), 1, "{logins:?}");
    assert!(logins[0].body["device_id"].is_string(), "{logins:?}");
    assert!(world.hs.requests("POST /logout").is_empty());
}

/// Rule 35: the device stays; only the token is new.
#[test]
fn a_soft_logout_logs_in_again_with_the_same_device() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    assert_eq!(world.ask("start"), ON);
    world.hs.revoke(BOT, Some(true));
    world.hs.nudge();
    let logins = world.hs.wait_requests("POST /login", 2);
    assert_eq!(logins[1].body["device_id"], json!(device));
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(world.bot_device(), device);
}

/// Rules 35 and 36: the device is gone for good, and its keys with it.
#[test]
fn a_hard_logout_takes_a_new_device_with_new_keys() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    let keys = world
        .hs
        .with(|state| state.only_device(BOT).unwrap().1.keys.clone().unwrap());
    assert_eq!(world.ask("start"), ON);
    world.hs.revoke(BOT, Some(false));
    world.hs.nudge();
    world.hs.wait("a sync of a new device", |state| {
        let (new, found) = state.only_device(BOT)?;
        let follows = state.log.iter().any(|entry| {
            entry.path.ends_with("/sync")
                && entry.target.contains("since=")
                && entry.device.as_deref() == Some(new.as_str())
        });
        (new != device && follows && !found.one_time.is_empty()).then_some(())
    });
    let new = world.bot_device();
    let new_keys = world
        .hs
        .with(|state| state.only_device(BOT).unwrap().1.keys.clone().unwrap());
    assert_ne!(
        new_keys["keys"][format!("ed25519:{new}")],
        keys["keys"][format!("ed25519:{device}")]
    );
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(
        world.api.scaled_to(),
        [1, 0],
        "nothing of before is done again"
    );
}

/// Rule 36: an empty store never goes with a device id that had keys.
#[test]
fn a_lost_store_takes_a_new_device() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    world.bot().kill();
    let fresh = world.dir.sub("another-store").display().to_string();
    world.set("CRYPTO_STORE_PATH", &fresh);
    world.spawn().wait_log("listening");
    world.hs.wait("another device", |state| {
        let others = state
            .devices
            .iter()
            .any(|((user, id), found)| user == BOT && *id != device && found.keys.is_some());
        others.then_some(())
    });
}

/// Rule 36: nothing is ever uploaded for the device that the lost store was.
#[test]
fn a_deleted_store_leaves_the_keys_of_its_device_alone() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    let keys_of = |world: &World, id: &str| {
        let id = (BOT.to_owned(), id.to_owned());
        world.hs.with(|state| state.devices[&id].keys.clone())
    };
    let before = keys_of(&world, &device);
    assert!(before.is_some());
    world.settle();
    world.bot().kill();
    let uploads = key_uploads(&world).len();
    std::fs::remove_dir_all(&world.env["CRYPTO_STORE_PATH"]).unwrap();
    world.spawn().wait_log("listening");
    let logins = world.hs.requests("POST /login");
    assert_eq!(logins.len(), 2, "{logins:?}");
    let new = logins[1].body["device_id"].as_str().unwrap();
    assert_ne!(new, device);
    assert_eq!(world.ask("start"), ON);
    let later = key_uploads(&world).split_off(uploads);
    assert!(!later.is_empty());
    for upload in later {
        assert_eq!(upload.device.as_deref(), Some(new), "{upload:?}");
        if let Some(keys) = upload.body.get("device_keys") {
            assert_eq!(keys["device_id"], json!(new));
        }
    }
    assert_eq!(keys_of(&world, &device), before);
    let identity =
        |keys: Option<Value>, id: &str| keys.unwrap()["keys"][format!("ed25519:{id}")].clone();
    assert_ne!(
        identity(keys_of(&world, new), new),
        identity(before, &device)
    );
}

/// Rule 36.
#[test]
fn a_second_process_on_the_same_store_is_refused() {
    let mut world = World::encrypted();
    let mut second = crate::support::bot::Bot::spawn(&world.env);
    assert_eq!(second.wait_exit(Duration::from_secs(10)).code(), Some(1));
    assert_eq!(world.hs.requests("POST /login").len(), 1);
    assert_eq!(world.ask("start"), ON, "the first one goes on");
}
