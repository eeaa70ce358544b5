//! The Olm account of the device, and which of its states is the stored one.

use std::cell::Cell;

use crate::crypto::Pickle;
use crate::store::{Error, Transaction};

/// Counts the accounts that the store has held since it was opened. No other
/// process writes the account: the lock keeps a second bot out.
#[derive(Default)]
pub(in crate::store) struct AccountRevision {
    count: Cell<u64>,
    /// A transaction has written the account and is not committed.
    unsure: Cell<bool>,
}

impl AccountRevision {
    /// A transaction begins. If the last one was dropped, the account of before it is
    /// the stored one again.
    pub(in crate::store) fn begin(&self) {
        if self.unsure.get() {
            self.advance();
            self.unsure.set(false);
        }
    }

    /// The transaction was committed.
    pub(in crate::store) fn commit(&self) {
        self.unsure.set(false);
    }

    /// The account was written.
    pub(in crate::store) fn written(&self) {
        self.advance();
        self.unsure.set(true);
    }

    fn advance(&self) {
        self.count.set(self.count.get().wrapping_add(1));
    }
}

/// The Olm account of the device.
#[derive(Clone, Copy)]
pub struct AccountRow<'a>(pub(in crate::store) &'a Transaction<'a>);

impl AccountRow<'_> {
    /// The stored account.
    pub fn pickle(&self) -> Result<Option<Pickle>, Error> {
        self.0
            .one("SELECT pickle FROM account", [], |row| row.get(0))
    }

    /// Replaces the stored account.
    pub fn put_pickle(&self, pickle: &Pickle) -> Result<(), Error> {
        self.0.execute(
            "INSERT OR REPLACE INTO account (id, pickle) VALUES (1, ?1)",
            [pickle],
        )?;
        self.0.account.written();
        Ok(())
    }

    /// Names the stored account: as long as this is the same, so is the account.
    pub fn revision(&self) -> u64 {
        self.0.account.count.get()
    }
}
