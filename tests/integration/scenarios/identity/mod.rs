//! The bot's own cross-signing identity: made, found again, never reset unasked.

mod kept;
mod made;
mod recovery;

use serde_json::Value;

use crate::support::person::Person;
use crate::support::signing::is_signed;
use crate::support::world::{BOT, ON, World};

pub(super) const UPLOAD: &str = "POST /keys/device_signing/upload";

pub(super) const SIGN: &str = "POST /keys/signatures/upload";

/// The bot's key for a usage, as the server shows it.
pub(super) fn shown(world: &World, usage: &str) -> Option<Value> {
    world
        .hs
        .with(|state| state.cross_signing.get(BOT)?.get(usage).cloned())
}

/// The only key in a cross-signing object.
pub(super) fn public(object: &Value) -> String {
    let keys = object["keys"].as_object().unwrap();
    keys.values().next().unwrap().as_str().unwrap().to_owned()
}

/// True if the bot's account signed an object with this cross-signing key.
pub(super) fn signed_by(object: &Value, key: &str) -> bool {
    is_signed(object, BOT, key, key)
}

/// True if the server shows the bot's device with a signature of the bot's
/// self-signing key, and that key with one of the master key.
pub(super) fn device_is_signed(world: &World) -> bool {
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
pub(super) fn an_older_life(world: &World) -> Person {
    let mut old = world.person(BOT, "OLDPHONE");
    old.cross_sign();
    world.hs.with(|state| {
        state.devices.remove(&(BOT.into(), "OLDPHONE".into()));
    });
    old
}

/// The bot is served without a signature and says this; it resets nothing.
pub(super) fn serves_unsigned_because(world: &mut World, why: &str) {
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
pub(super) fn newest_device(world: &World) -> (String, Value) {
    let logins = world.hs.requests("POST /login");
    let device = logins.last().unwrap().body["device_id"].clone();
    let device = device.as_str().unwrap().to_owned();
    let id = (BOT.to_owned(), device.clone());
    let keys = world
        .hs
        .wait("its keys", |state| state.devices[&id].keys.clone());
    (device, keys)
}
