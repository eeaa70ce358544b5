//! The stored Olm account, and the one that was read or stored last.

use std::{cell::RefCell, rc::Rc};

use ruma::{OwnedDeviceId, OwnedUserId};

use super::error::Error;
use crate::crypto::{Account, Pickle};
use crate::store::{self, Transaction};

/// Reads and writes the account of this store's device. Reading it back costs a curve
/// operation for each of its keys, so the last one is kept with its revision: that
/// tells whether it is still the stored one, whatever was committed or dropped in
/// between.
pub(super) struct AccountCache {
    user: OwnedUserId,
    device: OwnedDeviceId,
    last: RefCell<Option<Cached>>,
}

struct Cached {
    /// The store's revision of the account.
    revision: u64,
    account: Rc<Account>,
}

impl AccountCache {
    pub(super) fn new(user: OwnedUserId, device: OwnedDeviceId) -> Self {
        Self {
            user,
            device,
            last: RefCell::new(None),
        }
    }

    /// A new account for this device, not stored yet.
    pub(super) fn create(&self) -> Account {
        Account::new(self.user.clone(), self.device.clone())
    }

    /// The stored account, to look at.
    pub(super) fn load(&self, tx: &Transaction<'_>) -> Result<Rc<Account>, Error> {
        if let Some(last) = &*self.last.borrow()
            && last.revision == tx.account().revision()
        {
            return Ok(Rc::clone(&last.account));
        }
        let account = Rc::new(self.read(tx)?);
        self.keep(tx, Rc::clone(&account));
        Ok(account)
    }

    /// The stored account, to change; [`AccountCache::save`] stores the change, and
    /// [`AccountCache::put_back`] returns one that was not changed.
    pub(super) fn take(&self, tx: &Transaction<'_>) -> Result<Account, Error> {
        let last = self.last.borrow_mut().take();
        if let Some(last) = last
            && last.revision == tx.account().revision()
            && let Ok(account) = Rc::try_unwrap(last.account)
        {
            return Ok(account);
        }
        self.read(tx)
    }

    /// Keeps an account that [`AccountCache::take`] gave and nobody changed.
    pub(super) fn put_back(&self, tx: &Transaction<'_>, account: Account) {
        self.keep(tx, Rc::new(account));
    }

    /// Stores the account.
    pub(super) fn save(&self, tx: &Transaction<'_>, account: Account) -> Result<(), Error> {
        let pickle = account.pickle().map_err(|_| Error::Account)?;
        tx.account().put_pickle(&pickle)?;
        self.put_back(tx, account);
        Ok(())
    }

    fn keep(&self, tx: &Transaction<'_>, account: Rc<Account>) {
        *self.last.borrow_mut() = Some(Cached {
            revision: tx.account().revision(),
            account,
        });
    }

    fn read(&self, tx: &Transaction<'_>) -> Result<Account, Error> {
        let corrupt = store::Error::Corrupt("the account");
        let pickle: Option<Pickle> = tx.account().pickle()?;
        let account = pickle.and_then(|pickle| {
            Account::from_pickle(self.user.clone(), self.device.clone(), &pickle).ok()
        });
        Ok(account.ok_or(corrupt)?)
    }
}
