//! The master key of the bot's own identity at the first recovery: the
//! self-signing key in the account's secret storage does not say under which
//! master key it belongs, so the master key is proven too, or not named.

use serde_json::{Value, json};

use crate::support::person::Person;
use crate::support::secrets::Storage;
use crate::support::signing::{add_signature, is_signed, unpadded};
use crate::support::world::{ALICE, BOT, ON, ROOM, World};

const MASTER: &str = "m.cross_signing.master";
const SELF_SIGNING: &str = "m.cross_signing.self_signing";

const NOT_ITS: &str = "the key in the account's secret storage is not the one of its identity.";
const UNPROVEN: &str = "I cannot tell whether the identity that the homeserver shows for my \
    account is the account's own: its secret storage holds no master key. Set up recovery for the \
    account anew in a client, and give me the MATRIX_RECOVERY_KEY it shows.";

/// The account has an identity, and the bot has the key to its secret storage,
/// where both keys lie, as every client leaves them there. It is not started.
struct Account {
    world: World,
    true_owner: Person,
    storage: Storage,
}

impl Account {
    fn new() -> Self {
        let mut world = World::new();
        let mut true_owner = world.person(BOT, "OLDPHONE");
        true_owner.cross_sign();
        forget(&world, "OLDPHONE");
        let storage = Storage::new();
        storage.publish(&world.hs, BOT);
        world.set("MATRIX_RECOVERY_KEY", &storage.recovery_key());
        world.hs.add_room(ROOM, &[ALICE, BOT], true);
        let account = Self {
            world,
            true_owner,
            storage,
        };
        account.store_keys_of(&account.true_owner);
        account
    }

    fn store_keys_of(&self, owner: &Person) {
        let (master, self_signing) = owner.cross_signing.as_ref().unwrap();
        for (name, key) in [(MASTER, master), (SELF_SIGNING, self_signing)] {
            let secret = unpadded(key.to_bytes().as_slice());
            self.storage.store(&self.world.hs, BOT, name, &secret);
        }
    }

    /// The server no longer gives the master key out.
    fn hide_master(&self, how: &str) {
        let key = (BOT.to_owned(), MASTER.to_owned());
        self.world.hs.with(|state| {
            match how {
                "404" => state.account_data.remove(&key),
                "deleted" => state.account_data.insert(key, json!({})),
                "under another key" => {
                    let content = json!({"encrypted": {"another": {}}});
                    state.account_data.insert(key, content)
                }
                other => panic!("{other}"),
            };
        });
    }

    /// A master key of the server's own above the account's true self-signing key.
    fn swap_master(&self) -> Person {
        let hs = &self.world.hs;
        let mut self_signing = hs.with(|state| state.cross_signing[BOT]["self_signing"].clone());
        let mut liar = Person::unpublished(hs, BOT, "LIAR");
        liar.cross_sign();
        forget(&self.world, "LIAR");
        self_signing["signatures"] = json!({});
        let (master, _) = liar.cross_signing.as_ref().unwrap();
        add_signature(&mut self_signing, BOT, &liar.master(), |text| {
            master.sign(text.as_bytes())
        });
        hs.with(|state| {
            let shown = state.cross_signing.get_mut(BOT).unwrap();
            shown.insert("self_signing".into(), self_signing);
        });
        liar
    }

    /// The bot answers, and this is what `status` and `help` say.
    fn said(&mut self) -> (String, String) {
        let status = self.world.ask("status");
        (status, self.world.ask("help").replace(' ', ""))
    }

    /// The bot's device, as the server shows it, is signed by the account's true
    /// self-signing key.
    fn is_signed(&self) -> bool {
        let (_, self_signing) = self.true_owner.cross_signing.as_ref().unwrap();
        let key = self_signing.public_key().to_base64();
        let device = self.world.bot_device();
        let keys = self.world.hs.with(|state| {
            let device = &state.devices[&(BOT.to_owned(), device)];
            device.keys.clone().unwrap()
        });
        is_signed(&keys, BOT, &key, &key)
    }
}

fn forget(world: &World, device: &str) {
    world
        .hs
        .with(|state| state.devices.remove(&(BOT.into(), device.into())));
}

fn assert_nothing_uploaded(world: &World) {
    let uploads = world.hs.requests("POST /keys/device_signing/upload");
    assert!(uploads.is_empty(), "{uploads:?}");
}

#[test]
fn a_master_key_that_the_secret_storage_proves_is_named() {
    let mut account = Account::new();
    account.world.start();
    assert!(account.is_signed());
    for restarted in [false, true] {
        if restarted {
            account.world.crash_and_restart();
        }
        let (status, help) = account.said();
        assert!(!status.contains('⚠'), "{status}");
        let named = format!("Identity:{}", account.true_owner.master());
        assert!(help.contains(&named), "{help}");
    }
    assert_nothing_uploaded(&account.world);
}

/// A master key of the server's own (CVE-2024-40648), at the very first sight of
/// the account.
#[test]
fn a_master_key_that_the_server_swaps_at_the_first_recovery_is_not_believed() {
    let mut account = Account::new();
    let liar = account.swap_master();
    account.world.start();
    for restarted in [false, true] {
        if restarted {
            account.world.crash_and_restart();
        }
        let (status, help) = account.said();
        assert!(status.contains(NOT_ITS), "{status}");
        assert!(!help.contains(&liar.master()), "{help}");
        assert!(!help.contains("Identity:"), "{help}");
    }
    assert_nothing_uploaded(&account.world);
    // The server shows the true one after all.
    account.world.stop();
    let true_master = json!({
        "user_id": BOT, "usage": ["master"],
        "keys": {
            format!("ed25519:{}", account.true_owner.master()): account.true_owner.master(),
        },
    });
    let mut self_signing = account
        .world
        .hs
        .with(|state| state.cross_signing[BOT]["self_signing"].clone());
    self_signing["signatures"] = json!({});
    let (master, _) = account.true_owner.cross_signing.as_ref().unwrap();
    add_signature(
        &mut self_signing,
        BOT,
        &account.true_owner.master(),
        |text| master.sign(text.as_bytes()),
    );
    account.world.hs.with(|state| {
        let shown = state.cross_signing.get_mut(BOT).unwrap();
        shown.insert("master".into(), true_master);
        shown.insert("self_signing".into(), self_signing);
    });
    account.world.start();
    let (status, help) = account.said();
    assert!(!status.contains('⚠'), "{status}");
    assert!(help.contains(&account.true_owner.master()), "{help}");
}

/// The same from a server that has no master key to give: nothing is proven, so
/// nothing is named. The device is signed all the same, by a key that is proven.
#[test]
fn a_master_key_that_the_secret_storage_lacks_is_not_named() {
    std::thread::scope(|scope| {
        for how in ["404", "deleted", "under another key"] {
            for swapped in [false, true] {
                scope.spawn(move || {
                    let mut account = Account::new();
                    account.hide_master(how);
                    let shown = match swapped {
                        true => account.swap_master().master(),
                        false => account.true_owner.master(),
                    };
                    account.world.start();
                    for restarted in [false, true] {
                        if restarted {
                            account.world.crash_and_restart();
                        }
                        let (status, help) = account.said();
                        assert!(status.contains(UNPROVEN), "{how}: {status}");
                        assert!(!help.contains(&shown), "{how}: {help}");
                        assert!(!help.contains("Identity:"), "{how}: {help}");
                        assert!(account.is_signed(), "{how}");
                    }
                    account.world.bot().wait_log(UNPROVEN);
                    assert_nothing_uploaded(&account.world);
                });
            }
        }
    });
}

/// The server shows an identity of its own, which has signed the bot's device as
/// another session of the account would have.
#[test]
fn an_identity_of_the_servers_own_that_signs_the_device_is_not_believed() {
    for hidden in [false, true] {
        let mut account = Account::new();
        if hidden {
            account.world.hs.with(|state| state.account_data.clear());
        }
        let mut liar = Person::unpublished(&account.world.hs, BOT, "LIAR");
        liar.cross_sign();
        forget(&account.world, "LIAR");
        let identity = liar.cross_signing.take();
        let master = identity.as_ref().unwrap().0.public_key().to_base64();
        let (_, self_signing) = identity.unwrap();
        account.world.hs.rewrite("/keys/query", move |body| {
            let devices = body["device_keys"][BOT].as_object_mut();
            for (_, keys) in devices.into_iter().flatten() {
                let by = self_signing.public_key().to_base64();
                add_signature(keys, BOT, &by, |text| self_signing.sign(text.as_bytes()));
            }
        });
        account.world.start();
        let (status, help) = account.said();
        assert!(status.contains("My device is not signed"), "{status}");
        assert!(!help.contains(&master), "{help}");
        assert_nothing_uploaded(&account.world);
    }
}

/// A master key that was changed on the server, or is another key, proves nothing.
#[test]
fn a_stored_master_key_of_another_identity_names_nothing() {
    let mut account = Account::new();
    let secret = unpadded(&[7; 32]);
    account
        .storage
        .store(&account.world.hs, BOT, MASTER, &secret);
    account.world.start();
    let (status, help) = account.said();
    assert!(status.contains(NOT_ITS), "{status}");
    assert!(!help.contains("Identity:"), "{help}");

    let mut account = Account::new();
    let other: Value = account.world.hs.with(|state| {
        let key = (BOT.to_owned(), SELF_SIGNING.to_owned());
        state.account_data[&key].clone()
    });
    account.world.hs.with(|state| {
        let key = (BOT.to_owned(), MASTER.to_owned());
        state.account_data.insert(key, other)
    });
    account.world.start();
    let (status, help) = account.said();
    assert!(status.contains("the stored secret was changed"), "{status}");
    assert!(!help.contains("Identity:"), "{help}");
    // Whenever the account's devices are looked at again, too.
    account.world.hs.device_changed(BOT);
    account.world.hs.wait_next_sync();
    account.world.hs.wait_next_sync();
    let (status, _) = account.said();
    assert!(status.contains("the stored secret was changed"), "{status}");
}

/// With its identity unproven the bot still makes no other: the server hides the
/// one there is.
#[test]
fn an_unproven_identity_that_the_server_hides_is_not_replaced() {
    let mut account = Account::new();
    account.hide_master("404");
    account.world.start();
    assert_eq!(account.world.ask("start"), ON);
    account.world.stop();
    account
        .world
        .hs
        .with(|state| state.cross_signing.remove(BOT));
    account.world.start();
    let (status, _) = account.said();
    assert!(status.contains("no longer shows the identity"), "{status}");
    assert_nothing_uploaded(&account.world);
}
