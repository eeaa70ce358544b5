//! The revision of the account's row: it tells whether an account that was read before
//! is still the stored one.

use std::cell::Cell;

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

    /// The number of the revision.
    pub(in crate::store) fn count(&self) -> u64 {
        self.count.get()
    }

    fn advance(&self) {
        self.count.set(self.count.get().wrapping_add(1));
    }
}
