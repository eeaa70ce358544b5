//! An account without an identity gets one; another's is left alone.

use serde_json::json;

use super::{SIGN, UPLOAD, an_older_life, device_is_signed, public, shown, signed_by};
use crate::support::faults::Fault;
use crate::support::scenario::Scenario;
use crate::support::signing::is_signed;
use crate::support::world::{ALICE, BOT, ON, PASSWORD, ROOM, World};

/// Rule 37: an account without an identity gets one, the device is signed by it
/// and the master key by the device, all before anything is said.
#[test]
fn a_fresh_account_gets_an_identity() {
    let mut world = World::encrypted();
    assert!(device_is_signed(&world));
    let master = shown(&world, "master").unwrap();
    let device = world.bot_device();
    let fingerprint = world.hs.with(|state| {
        state.devices[&(BOT.to_owned(), device.clone())]
            .keys
            .clone()
            .unwrap()["keys"][format!("ed25519:{device}")]
        .clone()
    });
    let by_device = master["signatures"][BOT][format!("ed25519:{device}")].clone();
    assert!(by_device.is_string(), "{master}");
    assert!(is_signed(
        &master,
        BOT,
        &device,
        fingerprint.as_str().unwrap()
    ));
    let log = world.hs.with(|state| state.log.clone());
    let first = |pattern: &str| log.iter().position(|entry| entry.is(pattern)).unwrap();
    assert!(first("POST /keys/upload") < first(UPLOAD));
    assert!(first(UPLOAD) < first(SIGN));
    assert_eq!(world.ask("start"), ON);
    // Rule 30: what the bot says of itself inside Olm carries the signature.
    let self_signing = public(&shown(&world, "self_signing").unwrap());
    let told = &world.alice.received.last().unwrap()["sender_device_keys"];
    assert!(signed_by(told, &self_signing), "{told}");
}

/// A restart finds everything in order and asks for nothing.
#[test]
fn a_signed_device_is_not_signed_again() {
    let mut world = World::encrypted();
    world.crash_and_restart();
    assert_eq!(world.ask("start"), ON);
    assert_eq!(world.hs.requests(UPLOAD).len(), 1);
    assert_eq!(world.hs.requests(SIGN).len(), 1);
}

/// Rule 38: an identity that the bot does not hold is left alone; the bot goes
/// on, and says so in the log and in `status`, once each time.
#[test]
fn an_identity_of_somebody_else_is_not_reset() {
    let mut world = World::new();
    an_older_life(&world);
    let before = shown(&world, "master");
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    world.say("status");
    let status = world.next_body();
    assert!(
        status.contains("whose keys I do not hold") && status.contains("MATRIX_RECOVERY_KEY"),
        "{status}"
    );
    world.bot().wait_log("whose keys I do not hold");
    assert_eq!(shown(&world, "master"), before);
    assert!(world.hs.requests(UPLOAD).is_empty());
    assert!(world.hs.requests(SIGN).is_empty());
}

/// `help` names the fingerprints to compare, and so does the log at the start.
#[test]
fn help_names_the_fingerprints() {
    let mut world = World::encrypted();
    let help = world.ask("help");
    let master = public(&shown(&world, "master").unwrap());
    let joined = help.replace(' ', "");
    assert!(joined.contains(&master), "{help}");
    assert!(
        help.contains(&format!("Device {}: ", world.bot_device())),
        "{help}"
    );
    let line = world.bot().wait_log("Identity: ").replace(' ', "");
    assert!(line.ends_with(&format!("Identity:{master}")), "{line}");
}

/// A homeserver without these endpoints: the bot works, and says what it lacks.
#[test]
fn a_homeserver_without_cross_signing_is_served_all_the_same() {
    let mut world = World::new();
    world
        .hs
        .fault(UPLOAD, usize::MAX, Fault::matrix(404, "M_UNRECOGNIZED"));
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    world.say("status");
    assert!(world.next_body().contains("the homeserver refuses"));
}

/// One that does not answer them holds nobody up.
#[test]
fn a_hanging_identity_upload_holds_nobody_up() {
    let mut world = Scenario::encrypted()
        .fault(UPLOAD, 1, Fault::html(502))
        .start();
    assert_eq!(world.ask("start"), ON);
    world.hs.wait_requests(SIGN, 1);
    world.hs.wait_next_sync();
    assert!(device_is_signed(&world));
}

/// Rule 39: where the homeserver asks for the password again, it gets it, once.
#[test]
fn the_password_is_given_again_where_it_is_asked_for() {
    let challenge = json!({
        "flows": [{"stages": ["m.login.sso"]}, {"stages": ["m.login.password"]}],
        "params": {}, "session": "uia1",
    });
    let world = Scenario::encrypted()
        .fault(UPLOAD, 1, Fault::json(401, &challenge))
        .start();
    let uploads = world.hs.requests(UPLOAD);
    assert_eq!(uploads.len(), 2);
    assert_eq!(uploads[1].body["auth"]["session"], "uia1");
    assert_eq!(uploads[1].body["auth"]["type"], "m.login.password");
    assert_eq!(uploads[1].body["auth"]["password"], PASSWORD);
    assert!(device_is_signed(&world));
}

/// If that is not enough, a person is needed, and told so.
#[test]
fn an_upload_that_needs_a_person_is_given_up() {
    for flows in [
        json!([{"stages": ["org.matrix.cross_signing_reset"]}]),
        json!([{"stages": ["m.login.password"]}]),
    ] {
        let mut world = World::new();
        let challenge = json!({"flows": flows, "params": {}, "session": "uia1"});
        world
            .hs
            .fault(UPLOAD, usize::MAX, Fault::json(401, &challenge));
        world.hs.add_room(ROOM, &[ALICE, BOT], true);
        world.start();
        world.say("status");
        assert!(world.next_body().contains("lets only a person"), "{flows}");
        assert!(world.hs.requests(UPLOAD).len() <= 2, "{flows}");
    }
}

/// Rule 37: `failures` in a 200 are failures.
#[test]
fn a_signature_that_is_not_kept_is_said() {
    let mut world = World::new();
    let device = "anything";
    let failures = json!({"failures": {BOT: {device: {"errcode": "M_INVALID_SIGNATURE"}}}});
    world
        .hs
        .fault(SIGN, usize::MAX, Fault::json(200, &failures));
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    world.say("status");
    assert!(world.next_body().contains("did not keep the signature"));
    assert_eq!(world.hs.requests(SIGN).len(), 1);
}
