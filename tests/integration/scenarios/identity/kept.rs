//! The identity comes from a seed, or is another than it was; a reset is asked for.

use serde_json::json;

use super::recovery::with_secret_storage;
use super::{
    SIGN, UPLOAD, an_older_life, device_is_signed, newest_device, public, serves_unsigned_because,
    shown, signed_by,
};
use crate::support::person::Person;
use crate::support::signing::{add_signature, unpadded};
use crate::support::world::{ALICE, BOT, OFF, ON, PASSWORD, ROOM, World};

/// A seed in a file; the store stays in `CRYPTO_STORE_PATH`.
fn with_seed() -> World {
    let mut world = World::new();
    let path = world.dir.path().join("seed");
    std::fs::write(&path, format!("{}\n", unpadded(&[42; 32]))).unwrap();
    world.set("CROSS_SIGNING_SEED_FILE", path.to_str().unwrap());
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world
}

/// Rule 50: the identity comes from a Secret, so it survives the volume: no
/// reset, nobody has to verify the bot again, and no password is asked for.
#[test]
fn the_seed_file_signs_a_new_device_after_a_lost_store() {
    let mut world = with_seed();
    world.start();
    assert!(device_is_signed(&world));
    assert_eq!(world.ask("start"), ON);
    let (first, _) = newest_device(&world);
    let before = ["master", "self_signing", "user_signing"]
        .map(|usage| public(&shown(&world, usage).unwrap()));
    let uploads = world.hs.requests(UPLOAD).len();
    world.stop();
    std::fs::remove_dir_all(&world.env["CRYPTO_STORE_PATH"]).unwrap();
    world.spawn().wait_log("listening");
    let (second, keys) = newest_device(&world);
    assert_ne!(first, second);
    assert!(signed_by(&keys, &before[1]), "{keys}");
    let after = ["master", "self_signing", "user_signing"]
        .map(|usage| public(&shown(&world, usage).unwrap()));
    assert_eq!(after, before);
    assert_eq!(world.hs.requests(UPLOAD).len(), uploads);
    assert_eq!(world.ask("stop"), OFF);
}

/// The server names another identity than the seed's: it is not replaced.
#[test]
fn another_identity_than_the_seeds_is_not_reset() {
    let mut world = with_seed();
    an_older_life(&world);
    serves_unsigned_because(&mut world, "whose keys I do not hold");
}

/// The same while the bot is away: what it once held is not replaced unasked.
#[test]
fn an_identity_that_the_server_swaps_is_not_adopted() {
    let mut world = World::encrypted();
    assert!(device_is_signed(&world));
    world.stop();
    let uploads = world.hs.requests(UPLOAD).len();
    let mut liar = Person::unpublished(&world.hs, BOT, "LIAR");
    liar.cross_sign();
    world
        .hs
        .with(|state| state.devices.remove(&(BOT.into(), "LIAR".into())));
    liar.vouch_for(&newest_device(&world).0);
    world.start();
    let status = world.ask("status");
    assert!(status.contains("whose keys I do not hold"), "{status}");
    assert_eq!(world.hs.requests(UPLOAD).len(), uploads);
    let help = world.ask("help").replace(' ', "");
    assert!(!help.contains(&liar.master()), "{help}");
}

/// A master key of the server's own may vouch for the account's true self-signing
/// key, which is public. The bot holds that key, and still does not name the
/// other master key as its own (CVE-2024-40648).
#[test]
fn another_master_key_over_the_same_self_signing_key_is_not_adopted() {
    let (mut world, old, _) = with_secret_storage();
    world.start();
    assert!(device_is_signed(&world));
    let mut self_signing = shown(&world, "self_signing").unwrap();
    world.stop();
    let mut liar = Person::unpublished(&world.hs, BOT, "LIAR");
    liar.cross_sign();
    self_signing["signatures"] = json!({});
    let (master, _) = liar.cross_signing.as_ref().unwrap();
    add_signature(&mut self_signing, BOT, &liar.master(), |text| {
        master.sign(text.as_bytes())
    });
    world.hs.with(|state| {
        state.devices.remove(&(BOT.into(), "LIAR".into()));
        let shown = state.cross_signing.get_mut(BOT).unwrap();
        shown.insert("self_signing".into(), self_signing);
    });
    for _ in 0..2 {
        world.start();
        let help = world.ask("help").replace(' ', "");
        assert!(!help.contains(&liar.master()), "{help}");
        assert!(!help.contains(&old.master()), "not confirmed now: {help}");
        let status = world.ask("status");
        assert!(
            status.contains("not signed by my account's identity"),
            "{status}"
        );
        world.stop();
    }
}

/// Another session of the bot's account signs the device: the bot takes the
/// signature over, and the warning is gone.
#[test]
fn a_signature_from_another_session_of_the_account_is_adopted() {
    let mut world = World::new();
    let old = an_older_life(&world);
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    assert!(world.ask("status").contains("whose keys I do not hold"));
    let device = world.bot_device();
    let asked = world.hs.requests("/keys/query").len();
    old.vouch_for(&device);
    world.hs.wait_requests("/keys/query", asked + 1);
    world.hs.wait_next_sync();
    let status = world.ask("status");
    assert!(!status.contains("not signed"), "{status}");
    world.hs.device_changed(BOT);
    world.alice.new_session((BOT, &device));
    world.alice.rotate(ROOM);
    assert_eq!(world.ask("start"), ON);
    let self_signing = public(&shown(&world, "self_signing").unwrap());
    let told = &world.alice.received.last().unwrap()["sender_device_keys"];
    assert!(signed_by(told, &self_signing), "{told}");
    assert!(world.hs.requests(UPLOAD).is_empty());
    assert!(world.hs.requests(SIGN).is_empty());
}

/// An operator may have the identity replaced, and only an operator: the
/// homeserver asks for the password, the device is signed by the new one.
#[test]
fn identities_reset_makes_a_new_identity() {
    let mut world = World::new();
    an_older_life(&world);
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    assert!(world.ask("status").contains("identities reset"));
    let before = public(&shown(&world, "master").unwrap());
    let (code, said, complaint) = world.identities(&["reset"]);
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    assert!(
        said.contains("makes a new identity for @bot:test"),
        "{said}"
    );
    world.hs.nudge();
    world.hs.wait_requests(SIGN, 1);
    world.hs.wait_next_sync();
    let uploads = world.hs.requests(UPLOAD);
    assert_eq!(uploads.len(), 2, "once without, once with the password");
    assert_eq!(uploads[1].body["auth"]["password"], PASSWORD);
    assert_ne!(public(&shown(&world, "master").unwrap()), before);
    assert!(device_is_signed(&world));
    let status = world.ask("status");
    assert!(!status.contains("not signed"), "{status}");
    world.crash_and_restart();
    assert_eq!(world.ask("start"), ON);
    assert_eq!(
        world.hs.requests(UPLOAD).len(),
        2,
        "a restart resets nothing"
    );
}
