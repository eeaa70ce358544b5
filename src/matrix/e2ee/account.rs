//! The stored Olm account, and the one that was read or stored last.
//!
//! Reading it back costs a curve operation for each of its keys, so the last one is kept
//! with its revision: that tells whether it is still the stored one, whatever was
//! committed or dropped in between.

use std::rc::Rc;

use ruma::UserId;

use super::engine::Turn;
use super::error::Error;
use crate::crypto::Account;
use crate::store;

impl Turn<'_> {
    /// The bot's own user.
    pub fn own_user(&self) -> &UserId {
        &self.engine.user
    }

    /// The stored account, to look at.
    pub(super) fn account(&self) -> Result<Rc<Account>, Error> {
        let account = match self.take_cached() {
            Some(account) => account,
            None => Rc::new(self.read_account()?),
        };
        self.keep_account(Rc::clone(&account));
        Ok(account)
    }

    /// The stored account, to change; [`Turn::save_account`] stores the change, and
    /// [`Turn::keep_account`] takes one back that was not changed.
    pub(super) fn take_account(&self) -> Result<Account, Error> {
        match self.take_cached().map(Rc::try_unwrap) {
            Some(Ok(account)) => Ok(account),
            _ => self.read_account(),
        }
    }

    /// Stores the account.
    pub(super) fn save_account(&self, account: Account) -> Result<(), Error> {
        let pickle = account.pickle().map_err(|_| Error::Account)?;
        self.tx.account().put_pickle(&pickle)?;
        self.keep_account(account);
        Ok(())
    }

    /// Keeps the account as the stored one.
    pub(super) fn keep_account(&self, account: impl Into<Rc<Account>>) {
        let revision = self.tx.account().revision();
        *self.engine.account.borrow_mut() = Some((revision, account.into()));
    }

    fn take_cached(&self) -> Option<Rc<Account>> {
        let (revision, account) = self.engine.account.take()?;
        (revision == self.tx.account().revision()).then_some(account)
    }

    fn read_account(&self) -> Result<Account, Error> {
        let (user, device) = (&self.engine.user, &self.engine.device);
        let account =
            self.tx.account().pickle()?.and_then(|pickle| {
                Account::from_pickle(user.clone(), device.clone(), &pickle).ok()
            });
        Ok(account.ok_or(store::Error::Corrupt("the account"))?)
    }
}
