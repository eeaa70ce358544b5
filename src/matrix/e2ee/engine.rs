//! The engine: what the configuration tells it, what it keeps from one transaction to
//! the next, and [`Turn`], by which every other file works in one transaction.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use vodozemac::Ed25519PublicKey;

use crate::crypto::{Account, DeviceTrust, RecoveryKey, Seed};
use crate::matrix::client::Audience;
use crate::store::Transaction;
use crate::util::{Secret, SortedMap, SortedSet};

/// The users whose messages are looked at, and the rule by which their devices are
/// believed. Nobody else's messages are decrypted, and nobody else's room keys kept.
#[derive(Debug, Clone)]
pub struct Commanders {
    /// Full ids.
    pub users: SortedSet<OwnedUserId>,
    /// The rule that makes a device one of its user's own.
    pub trust: DeviceTrust,
    /// Master keys that the configuration binds users to.
    pub pins: SortedMap<OwnedUserId, Ed25519PublicKey>,
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

/// The secrets that the operator gave the bot to cross-sign its own device.
#[derive(Default)]
pub struct OwnKeys {
    /// The seed of its identity, kept outside of the store.
    pub seed: Option<Rc<Seed>>,
    /// The key to the account's secret storage.
    pub recovery_key: Option<Rc<RecoveryKey>>,
    /// The account's password, where the homeserver asks for it again.
    pub password: Option<Secret>,
}

/// The replies that may leave in rooms that are not encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaintextReplies {
    /// Every reply.
    Any,
    /// This sentence, whatever the reply is.
    Only(&'static str),
}

/// Takes the homeserver's answers into the store and says what to ask next. It
/// has no state of its own that could contradict the store: what a rolled-back
/// transaction did not do, the engine does not remember.
pub struct Engine {
    /// The bot's full id.
    pub(super) user: OwnedUserId,
    /// Its device.
    pub(super) device: OwnedDeviceId,
    pub(super) commanders: Commanders,
    pub(super) own_keys: Rc<OwnKeys>,
    pub(super) plaintext: PlaintextReplies,
    /// The account that was read or stored last, and its revision in the store.
    pub(super) account: RefCell<Option<(u64, Rc<Account>)>>,
    /// Sessions of this device that the homeserver has shown in this transaction and that
    /// this store does not remember.
    pub(super) unknown_sessions: RefCell<Vec<String>>,
    /// The time, by the bot's own clock, from which supplies of keys are counted, and how
    /// often keys were made since because the server had too few.
    pub(super) keys_made: Cell<(u64, u32)>,
    /// All invites that stand are to be asked for: in each start at most once.
    pub(super) invites_are_due: Cell<bool>,
    own_now: Cell<u64>,
    /// The homeserver's clock minus this machine's, in milliseconds; None if unknown.
    pub(super) server_ahead: Cell<Option<i64>>,
}

/// The engine in one transaction.
///
/// Times are in milliseconds. A method fails where the store does, or where an answer is
/// malformed; the transaction must be dropped then.
#[derive(Clone, Copy)]
pub struct Turn<'a> {
    /// The engine, which outlasts the transaction.
    pub(super) engine: &'a Engine,
    /// The transaction.
    pub tx: &'a Transaction<'a>,
    /// The time since the Unix epoch.
    pub now: u64,
    /// The time by the bot's own clock: what ages by it does so whatever the wall clock
    /// does.
    pub own_now: u64,
}

impl Engine {
    /// An engine for the device of this store.
    pub fn new(
        user: OwnedUserId,
        device: OwnedDeviceId,
        commanders: Commanders,
        own_keys: Rc<OwnKeys>,
        plaintext: PlaintextReplies,
    ) -> Self {
        Self {
            user,
            device,
            commanders,
            own_keys,
            plaintext,
            account: RefCell::default(),
            unknown_sessions: RefCell::default(),
            keys_made: Cell::default(),
            invites_are_due: Cell::default(),
            own_now: Cell::default(),
            server_ahead: Cell::default(),
        }
    }

    /// Begins a transaction, at this time by the bot's own clock. The homeserver's clock
    /// is `server_ahead` milliseconds ahead of this machine's; None where that is not
    /// known.
    pub fn begin(&self, own_now: u64, server_ahead: Option<i64>) {
        self.own_now.set(own_now);
        self.server_ahead.set(server_ahead);
        self.unknown_sessions.take();
    }

    /// The engine in this transaction; `now` is the time since the Unix epoch.
    pub fn on<'a>(&'a self, tx: &'a Transaction<'a>, now: u64) -> Turn<'a> {
        Turn {
            engine: self,
            tx,
            now,
            own_now: self.own_now.get(),
        }
    }

    /// The time of the last transaction by the bot's own clock.
    pub fn own_now(&self) -> u64 {
        self.own_now.get()
    }

    /// The users whose items are kept of answers.
    pub fn audience(&self) -> Arc<Audience> {
        Arc::new(Audience {
            own: self.user.clone(),
            commanders: self.commanders.users.clone(),
        })
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
}
