//! What the engine knows beside the store: who it is and whom it listens to.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fmt,
    rc::Rc,
    sync::Arc,
};

use log::warn;
use ruma::{OwnedDeviceId, OwnedUserId};
use vodozemac::Ed25519PublicKey;

use super::devices::OwnKeysDiffer;
use super::plaintext::PlaintextReplies;
use crate::crypto::{
    Account, DeviceTrust, FallbackOnServer, Pickle, RecoveryKey, Seed, SignatureError,
};
use crate::matrix::client::{Audience, BuildError};
use crate::store::{self, Transaction};
use crate::util::{MAX_POSITION, Secret, is_carried};

/// Takes the homeserver's answers into the store and says what to ask next. It
/// has no state of its own that could contradict the store: what a rolled-back
/// transaction did not do, the engine does not remember.
pub struct Engine {
    /// The bot's full id.
    pub(crate) user: OwnedUserId,
    /// Its device.
    pub(crate) device: OwnedDeviceId,
    /// Nobody else's messages are decrypted, and nobody else's room keys kept.
    pub(crate) commanders: Commanders,
    /// What its own identity can come from.
    pub(crate) own_keys: Rc<OwnKeys>,
    /// What may be said where nothing is encrypted.
    pub(crate) plaintext_replies: PlaintextReplies,
    last_account: RefCell<Option<LastAccount>>,
    own_now: Cell<u64>,
    server_ahead: Cell<Option<i64>>,
    pub(crate) foreign: RefCell<BTreeSet<String>>,
    /// When keys began to be made because the server had too few, by the bot's own
    /// clock, and how often since.
    pub(crate) supplies: Cell<(u64, u32)>,
    /// All invites that stand are to be asked for: once in each start at most.
    pub(crate) lists_invites: Cell<bool>,
}

/// Whose messages are looked at, and how their devices are believed.
#[derive(Debug, Clone)]
pub struct Commanders {
    /// Full ids.
    pub users: BTreeSet<OwnedUserId>,
    /// What makes a device one of its user's own.
    pub trust: DeviceTrust,
    /// Master keys that the configuration binds users to.
    pub pins: BTreeMap<OwnedUserId, Ed25519PublicKey>,
}

/// What the operator gave the bot to vouch for its own device with.
#[derive(Default)]
pub struct OwnKeys {
    /// The seed of its identity, kept outside of the store.
    pub seed: Option<Rc<Seed>>,
    /// The key to the account's secret storage.
    pub recovery_key: Option<Rc<RecoveryKey>>,
    /// The account's password, where the homeserver asks for it again.
    pub password: Option<Secret>,
}

/// The account that was read or stored last.
struct LastAccount {
    /// Of the store: tells whether this is still the stored one.
    revision: u64,
    account: Rc<Account>,
}

/// Why an answer could not be taken in. The transaction must be dropped.
#[derive(Debug)]
pub enum Error {
    /// The store refuses or is damaged.
    Store(store::Error),
    /// The answer is not what the specification asks for.
    Malformed(&'static str),
    /// Part of the answer would have to go into a later request, and cannot.
    NotCarried {
        /// Which part.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The longest that can, in bytes.
        max: usize,
    },
    /// A request could not be built.
    Build(BuildError),
    /// The bot's own keys have no signed form, which a sound account has.
    Account,
    /// The server holds other keys for this very device.
    OwnKeys(OwnKeysDiffer),
    /// The homeserver shows messages of this device, under these sessions, that this
    /// store does not remember.
    RolledBack(BTreeSet<String>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Malformed(what) => write!(f, "the homeserver's answer is malformed: {what}"),
            Self::NotCarried { what, bytes, max } => write!(
                f,
                "the {what} fits into no request: it has {bytes} bytes, and up to {max} of \
                 printable ASCII can be sent back"
            ),
            Self::Build(error) => error.fmt(f),
            Self::Account => f.write_str("the stored account cannot sign"),
            Self::OwnKeys(error) => error.fmt(f),
            Self::RolledBack(_) => f.write_str(
                "the store in CRYPTO_STORE_PATH is an older copy: this device has sent messages \
                 that it does not remember",
            ),
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<BuildError> for Error {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

impl From<SignatureError> for Error {
    fn from(_: SignatureError) -> Self {
        Self::Account
    }
}

impl Engine {
    /// For the device of this store.
    pub fn new(
        user: OwnedUserId,
        device: OwnedDeviceId,
        commanders: Commanders,
        own_keys: Rc<OwnKeys>,
        plaintext_replies: PlaintextReplies,
    ) -> Self {
        Self {
            user,
            device,
            commanders,
            own_keys,
            plaintext_replies,
            last_account: RefCell::new(None),
            own_now: Cell::new(0),
            server_ahead: Cell::new(None),
            foreign: RefCell::default(),
            supplies: Cell::new((0, 0)),
            lists_invites: Cell::new(false),
        }
    }

    /// Tells the time by the bot's own clock, in milliseconds: at the beginning of
    /// each transaction.
    pub fn set_own_now(&self, own_now: u64) {
        self.own_now.set(own_now);
        self.foreign.take();
    }

    /// Tells by how much the homeserver's clock is ahead of this machine's, in
    /// milliseconds; None where that is not known.
    pub fn set_server_ahead(&self, ahead: Option<i64>) {
        self.server_ahead.set(ahead);
    }

    /// By how much the homeserver's clock is ahead.
    pub(crate) fn server_ahead(&self) -> Option<i64> {
        self.server_ahead.get()
    }

    /// The time by the bot's own clock, in milliseconds: what ages by it does so
    /// whatever the wall clock does.
    pub fn own_now(&self) -> u64 {
        self.own_now.get()
    }

    /// Makes the account where there is none, and asks for a fresh look at the
    /// server's idea of the bot's own devices. Once at each start.
    pub fn prepare_account(&self, tx: &Transaction<'_>, now: u64) -> Result<(), Error> {
        // What this store would send with may have been used by a copy of it: with
        // another life all of that is made anew.
        tx.own_clock().begin_life()?;
        let commanders = self.commanders.users.iter().map(|user| &**user);
        tx.put_commanders(&self.user, commanders)?;
        tx.enforce_caps()?;
        tx.device_lists().track(&self.user)?;
        tx.device_lists().mark_outdated(&self.user)?;
        for user in &self.commanders.users {
            tx.device_lists().track(user)?;
        }
        self.pin_configured(tx, now)?;
        self.begin_own_identity(tx)?;
        tx.gaps().begin_again(self.own_now())?;
        if tx
            .session()
            .next_batch()?
            .is_some_and(|since| !is_carried(&since, MAX_POSITION))
        {
            warn!("how far the bot has read fits into no request: reading anew from now");
            tx.session().forget_next_batch()?;
        }
        self.lists_invites.set(!tx.invites().are_listed()?);
        if tx.account().pickle()?.is_none() {
            // With a first supply of keys: one upload brings them all.
            let mut account = Account::new(self.user.clone(), self.device.clone());
            account.replenish(0, FallbackOnServer::UsedOrMissing, self.own_now());
            self.save_account(tx, account)?;
            self.sign_beforehand(tx)?;
        }
        self.age_keys(tx)
    }

    /// Whether the server has been given this device's keys.
    pub fn keys_uploaded(&self, tx: &Transaction<'_>) -> Result<bool, Error> {
        Ok(self.account(tx)?.device_keys_uploaded())
    }

    /// Whether the server has this device's keys, they were compared with the
    /// store's since the start, and the device is vouched for as far as it can
    /// be: others can now talk to it.
    pub fn bootstrap_done(&self, tx: &Transaction<'_>) -> Result<bool, Error> {
        Ok(self.keys_uploaded(tx)?
            && !tx.device_lists().is_outdated(&self.user)?
            && self.cross_signing_done(tx)?)
    }

    /// The stored account, to look at. Reading it back costs a curve operation
    /// for each of its keys, so the last one read is kept, with its revision: that
    /// tells whether it is still the stored one, whatever was committed or dropped
    /// in between.
    pub(crate) fn account(&self, tx: &Transaction<'_>) -> Result<Rc<Account>, Error> {
        if let Some(last) = &*self.last_account.borrow()
            && last.revision == tx.account().revision()
        {
            return Ok(Rc::clone(&last.account));
        }
        let account = Rc::new(self.read_account(&stored_account(tx)?)?);
        self.keep_account(tx, Rc::clone(&account));
        Ok(account)
    }

    /// The stored account, to change; [`Engine::save_account`] stores the change,
    /// and [`Engine::return_account`] gives back one that was not changed.
    pub(crate) fn account_mut(&self, tx: &Transaction<'_>) -> Result<Account, Error> {
        let last = self.last_account.borrow_mut().take();
        if let Some(last) = last
            && last.revision == tx.account().revision()
            && let Ok(account) = Rc::try_unwrap(last.account)
        {
            return Ok(account);
        }
        self.read_account(&stored_account(tx)?)
    }

    /// Keeps an account that [`Engine::account_mut`] gave and nobody changed.
    pub(crate) fn return_account(&self, tx: &Transaction<'_>, account: Account) {
        self.keep_account(tx, Rc::new(account));
    }

    fn keep_account(&self, tx: &Transaction<'_>, account: Rc<Account>) {
        *self.last_account.borrow_mut() = Some(LastAccount {
            revision: tx.account().revision(),
            account,
        });
    }

    /// Who is listened to, for the requests that are under way.
    pub fn audience(&self) -> Arc<Audience> {
        Arc::new(Audience {
            own: self.user.clone(),
            commanders: self.commanders.users.clone(),
        })
    }

    pub(crate) fn save_account(&self, tx: &Transaction<'_>, account: Account) -> Result<(), Error> {
        let pickle = account.pickle().map_err(|_| Error::Account)?;
        tx.account().put_pickle(&pickle)?;
        self.keep_account(tx, Rc::new(account));
        Ok(())
    }

    fn read_account(&self, pickle: &[u8]) -> Result<Account, Error> {
        Account::from_pickle(self.user.clone(), self.device.clone(), pickle)
            .map_err(|_| store::Error::Corrupt("the account").into())
    }
}

fn stored_account(tx: &Transaction<'_>) -> Result<Pickle, Error> {
    let pickle = tx.account().pickle()?;
    Ok(pickle.ok_or(store::Error::Corrupt("the account"))?)
}
