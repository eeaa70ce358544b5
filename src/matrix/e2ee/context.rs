//! The bot's own ids, the users it obeys, and the clocks: below everything else here.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use vodozemac::Ed25519PublicKey;

use crate::crypto::DeviceTrust;

/// The users whose messages are looked at, and the rule by which their devices are
/// believed.
#[derive(Debug, Clone)]
pub struct Commanders {
    /// Full ids.
    pub users: BTreeSet<OwnedUserId>,
    /// The rule that makes a device one of its user's own.
    pub trust: DeviceTrust,
    /// Master keys that the configuration binds users to.
    pub pins: BTreeMap<OwnedUserId, Ed25519PublicKey>,
}

/// The owners of devices. Requests about the devices of the bot and of allowed users
/// are apart from everybody else's: nobody else can delay them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviceOwner {
    /// The bot, and those who may command.
    Commanders,
    /// Everybody else.
    Others,
}

/// The bot's own ids, the users it obeys, and both clocks.
pub(super) struct Context {
    /// The bot's full id.
    pub(super) user: OwnedUserId,
    /// Its device.
    pub(super) device: OwnedDeviceId,
    /// Nobody else's messages are decrypted, and nobody else's room keys kept.
    pub(super) commanders: Commanders,
    own_now: Cell<u64>,
    server_ahead: Cell<Option<i64>>,
}

impl Context {
    pub(super) fn new(user: OwnedUserId, device: OwnedDeviceId, commanders: Commanders) -> Self {
        Self {
            user,
            device,
            commanders,
            own_now: Cell::new(0),
            server_ahead: Cell::new(None),
        }
    }

    /// True if this user may command.
    pub(super) fn is_commander(&self, user: &UserId) -> bool {
        self.commanders.users.contains(user)
    }

    /// The group that a user's devices belong to.
    pub(super) fn owner_of(&self, user: &UserId) -> DeviceOwner {
        match user == self.user || self.is_commander(user) {
            true => DeviceOwner::Commanders,
            false => DeviceOwner::Others,
        }
    }

    /// The time by the bot's own clock, in milliseconds: it is independent of the wall
    /// clock, whatever that does.
    pub(super) fn own_now(&self) -> u64 {
        self.own_now.get()
    }

    pub(super) fn set_own_now(&self, own_now: u64) {
        self.own_now.set(own_now);
    }

    /// The homeserver's clock minus this machine's, in milliseconds; None if unknown.
    pub(super) fn server_ahead(&self) -> Option<i64> {
        self.server_ahead.get()
    }

    pub(super) fn set_server_ahead(&self, ahead: Option<i64>) {
        self.server_ahead.set(ahead);
    }
}
