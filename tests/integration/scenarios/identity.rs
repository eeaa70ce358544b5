//! The bot's own cross-signing identity: made, found again, never reset unasked.

use crate::support::faults::Fault;
use crate::support::person::Person;
use crate::support::secrets::{self, Storage};
use crate::support::signing::{add_signature, is_signed, unpadded};
use crate::support::world::{ALICE, BOT, OFF, ON, PASSWORD, ROOM, World};
use serde_json::{Value, json};

const UPLOAD: &str = "POST /keys/device_signing/upload";
const SIGN: &str = "POST /keys/signatures/upload";

/// The bot's key for a usage, as the server shows it.
fn shown(world: &World, usage: &str) -> Option<Value> {
    world
        .hs
        .with(|state| state.cross_signing.get(BOT)?.get(usage).cloned())
}

/// The only key in a cross-signing object.
fn public(object: &Value) -> String {
    let keys = object["keys"].as_object().unwrap();
    keys.values().next().unwrap().as_str().unwrap().to_owned()
}

/// Whether the bot's account signed an object with this cross-signing key.
fn signed_by(object: &Value, key: &str) -> bool {
    is_signed(object, BOT, key, key)
}

/// Whether the server shows the bot's device with a signature of the bot's
/// self-signing key, and that key with one of the master key.
fn device_is_signed(world: &World) -> bool {
    let (Some(master), Some(self_signing)) = (shown(world, "master"), shown(world, "self_signing"))
    else {
        return false;
    };
    let device = world.bot_device();
    let keys = world.hs.with(|state| {
        let device = state.devices.get(&(BOT.into(), device.clone()));
        device.and_then(|device| device.keys.clone()).unwrap()
    });
    signed_by(&self_signing, &public(&master)) && signed_by(&keys, &public(&self_signing))
}

/// The account got its identity from a client that is gone.
fn an_older_life(world: &World) -> Person {
    let mut old = world.person(BOT, "OLDPHONE");
    old.cross_sign();
    world.hs.with(|state| {
        state.devices.remove(&(BOT.into(), "OLDPHONE".into()));
    });
    old
}

const SECRET: &str = "m.cross_signing.self_signing";

/// The account has an identity, and the bot has the key to its secret storage.
fn with_secret_storage() -> (World, Person, Storage) {
    let mut world = World::new();
    let old = an_older_life(&world);
    let storage = Storage::new();
    storage.publish(&world.hs, BOT);
    let (master, self_signing) = old.cross_signing.as_ref().unwrap();
    for (name, key) in [("m.cross_signing.master", master), (SECRET, self_signing)] {
        let secret = unpadded(key.to_bytes().as_slice());
        storage.store(&world.hs, BOT, name, &secret);
    }
    world.set("MATRIX_RECOVERY_KEY", &storage.recovery_key());
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    (world, old, storage)
}

/// The bot is served without a signature and says this; it resets nothing.
fn serves_unsigned_because(world: &mut World, why: &str) {
    let before = shown(world, "master");
    world.start();
    assert_eq!(world.ask("start"), ON);
    let status = world.ask("status");
    assert!(
        status.contains("My device is not signed by my account's identity: ")
            || status.contains(" is not signed by my account's identity: "),
        "{status}"
    );
    assert!(status.contains(why), "{status}");
    world.bot().wait_log(why);
    assert_eq!(shown(world, "master"), before);
    assert!(!device_is_signed(world));
    assert!(world.hs.requests(UPLOAD).is_empty());
    assert!(world.hs.requests(SIGN).is_empty());
}

/// The device of the bot's last login, and its keys as the server shows them.
fn newest_device(world: &World) -> (String, Value) {
    let logins = world.hs.requests("POST /login");
    let device = logins.last().unwrap().body["device_id"].clone();
    let device = device.as_str().unwrap().to_owned();
    let id = (BOT.to_owned(), device.clone());
    let keys = world
        .hs
        .wait("its keys", |state| state.devices[&id].keys.clone());
    (device, keys)
}

/// MUST 37: an account without an identity gets one, the device is signed by it
/// and the master key by the device, all before anything is said.
#[test]
fn a_fresh_account_gets_an_identity() {
    let mut world = World::new();
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
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
    // MUST 30: what the bot says of itself inside Olm carries the signature.
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

/// MUST 38: an identity that the bot does not hold is left alone; the bot goes
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
    let mut world = World::new();
    world.hs.fault(UPLOAD, 1, Fault::html(502));
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    world.hs.wait_requests(SIGN, 1);
    world.hs.wait_next_sync();
    assert!(device_is_signed(&world));
}

/// SHOULD 39: where the homeserver asks for the password again, it gets it, once.
#[test]
fn the_password_is_given_again_where_it_is_asked_for() {
    let mut world = World::new();
    let challenge = json!({
        "flows": [{"stages": ["m.login.sso"]}, {"stages": ["m.login.password"]}],
        "params": {}, "session": "uia1",
    });
    world.hs.fault(UPLOAD, 1, Fault::json(401, &challenge));
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    let uploads = world.hs.requests(UPLOAD);
    assert_eq!(uploads.len(), 2);
    assert_eq!(uploads[1].body["auth"]["session"], "uia1");
    assert_eq!(uploads[1].body["auth"]["type"], "m.login.password");
    assert_eq!(uploads[1].body["auth"]["password"], PASSWORD);
    assert!(device_is_signed(&world));
}

/// Where that is not enough, a person is needed, and told so.
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

/// MUST 37: `failures` in a 200 are failures.
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

/// SHOULD 40: the recovery key opens the account's secret storage, and the
/// self-signing key in it signs the device.
#[test]
fn the_recovery_key_signs_the_device() {
    let (mut world, old, storage) = with_secret_storage();
    world.start();
    assert!(device_is_signed(&world));
    assert_eq!(public(&shown(&world, "master").unwrap()), old.master());
    assert!(world.hs.requests(UPLOAD).is_empty());
    assert_eq!(world.ask("start"), ON);
    assert!(!world.ask("status").contains("not signed"));
    let help = world.ask("help").replace(' ', "");
    assert!(help.contains(&old.master()), "{help}");
    let told = &world.alice.received.last().unwrap()["sender_device_keys"];
    let self_signing = public(&shown(&world, "self_signing").unwrap());
    assert!(signed_by(told, &self_signing), "{told}");
    let log = world.bot().log();
    assert!(!log.contains(&storage.recovery_key()), "it is in the log");
    // The next start needs neither the key nor another signature.
    world.stop();
    world.env.remove("MATRIX_RECOVERY_KEY");
    world.start();
    assert!(!world.ask("status").contains("not signed"));
    assert_eq!(world.hs.requests(SIGN).len(), 1);
}

/// The same from a file, as a mounted Secret is one; and with a lost store.
#[test]
fn the_recovery_key_in_a_file_signs_a_new_device_after_a_lost_store() {
    let (mut world, _, storage) = with_secret_storage();
    let path = world.dir.path().join("recovery-key");
    std::fs::write(&path, format!("{}\n", storage.recovery_key())).unwrap();
    world.env.remove("MATRIX_RECOVERY_KEY");
    world.set("MATRIX_RECOVERY_KEY_FILE", path.to_str().unwrap());
    world.start();
    assert!(device_is_signed(&world));
    let master = shown(&world, "master");
    world.stop();
    std::fs::remove_dir_all(&world.env["CRYPTO_STORE_PATH"]).unwrap();
    world.spawn().wait_log("listening");
    let (_, keys) = newest_device(&world);
    let self_signing = public(&shown(&world, "self_signing").unwrap());
    assert!(signed_by(&keys, &self_signing), "{keys}");
    let public_of = |key: Option<Value>| public(&key.unwrap());
    assert_eq!(public_of(shown(&world, "master")), public_of(master));
    assert!(world.hs.requests(UPLOAD).is_empty());
    assert_eq!(world.ask("start"), ON);
}

#[test]
fn a_wrong_recovery_key_is_said_and_signs_nothing() {
    let (mut world, _, _) = with_secret_storage();
    world.set("MATRIX_RECOVERY_KEY", &Storage::new().recovery_key());
    serves_unsigned_because(
        &mut world,
        "MATRIX_RECOVERY_KEY does not open the account's secret storage: the secret storage has \
         another recovery key. Give me the account's current recovery key.",
    );
}

/// A server cannot slip another key in: the MAC is over the secret.
#[test]
fn a_secret_that_was_changed_is_said_and_signs_nothing() {
    for field in ["ciphertext", "mac"] {
        let (mut world, _, _) = with_secret_storage();
        secrets::change(&world.hs, BOT, SECRET, |secret| {
            let text = secret[field].as_str().unwrap();
            let other = if text.starts_with('A') { "B" } else { "A" };
            secret[field] = json!(format!("{other}{}", &text[1..]));
        });
        serves_unsigned_because(&mut world, "the stored secret was changed");
    }
}

/// The MAC does not cover the IV: what comes out is held against the key that
/// the server shows.
#[test]
fn a_secret_whose_iv_was_changed_is_said_and_signs_nothing() {
    let (mut world, _, _) = with_secret_storage();
    secrets::change(&world.hs, BOT, SECRET, |secret| {
        secret["iv"] = json!("AAAAAAAAAAAAAAAAAAAAAA==");
    });
    serves_unsigned_because(&mut world, "My device");
}

#[test]
fn a_secret_that_is_not_stored_is_said_and_signs_nothing() {
    let (mut world, _, _) = with_secret_storage();
    world
        .hs
        .with(|state| state.account_data.remove(&(BOT.into(), SECRET.into())));
    serves_unsigned_because(
        &mut world,
        "MATRIX_RECOVERY_KEY is set, but the account's secret storage holds no self-signing key.",
    );
}

#[test]
fn an_account_without_secret_storage_is_said_and_nothing_is_signed() {
    let (mut world, _, _) = with_secret_storage();
    world.hs.with(|state| state.account_data.clear());
    serves_unsigned_because(
        &mut world,
        "MATRIX_RECOVERY_KEY is set, but the account's secret storage holds no self-signing key.",
    );
}

/// What lies in the storage must be the private half of what the server shows:
/// otherwise the one or the other is not the account's (CVE-2024-40648).
#[test]
fn a_stored_key_of_another_identity_signs_nothing() {
    let (mut world, _, storage) = with_secret_storage();
    storage.store(&world.hs, BOT, SECRET, &unpadded(&[7; 32]));
    serves_unsigned_because(
        &mut world,
        "the key in the account's secret storage is not the one of its identity.",
    );
}

#[test]
fn a_stored_key_of_31_or_33_bytes_signs_nothing() {
    for length in [0, 31, 33] {
        let (mut world, _, storage) = with_secret_storage();
        storage.store(&world.hs, BOT, SECRET, &unpadded(&vec![7; length]));
        serves_unsigned_because(&mut world, &format!("it has {length} bytes instead of 32"));
    }
}

/// A seed in a file; the store stays in `CRYPTO_STORE_PATH`.
fn with_seed() -> World {
    let mut world = World::new();
    let path = world.dir.path().join("seed");
    std::fs::write(&path, format!("{}\n", unpadded(&[42; 32]))).unwrap();
    world.set("CROSS_SIGNING_SEED_FILE", path.to_str().unwrap());
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world
}

/// BEYOND 50: the identity comes from a Secret, so it survives the volume: no
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
    old.vouch_for(&device);
    world.hs.wait_next_sync();
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
