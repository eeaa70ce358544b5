//! The identity is found again by the recovery key of the account's secret storage.

use serde_json::{Value, json};

use super::{
    SIGN, UPLOAD, an_older_life, device_is_signed, newest_device, public, serves_unsigned_because,
    shown, signed_by,
};
use crate::support::person::Person;
use crate::support::secrets::{self, Storage};
use crate::support::signing::unpadded;
use crate::support::world::{ALICE, BOT, ON, ROOM, World};

const SECRET: &str = "m.cross_signing.self_signing";

/// The account has an identity, and the bot has the key to its secret storage.
pub(super) fn with_secret_storage() -> (World, Person, Storage) {
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

/// Rule 40: the recovery key opens the account's secret storage, and the
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

/// The key in the storage must be the private half of the one that the server
/// shows: otherwise the one or the other is not the account's (CVE-2024-40648).
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
