//! Whether the stored account is still the one that was read or written last.

use std::cell::Cell;

use super::Transaction;

/// Counts the accounts that the store has held since it was opened. No other
/// process writes the account: the lock keeps a second bot out.
#[derive(Default)]
pub(super) struct AccountRevision {
    count: Cell<u64>,
    /// A transaction has written the account and is not committed.
    unsure: Cell<bool>,
}

impl AccountRevision {
    /// A transaction begins. If the last one was dropped, the account of before it is
    /// the stored one again.
    pub(super) fn begin(&self) {
        if self.unsure.get() {
            self.advance();
            self.unsure.set(false);
        }
    }

    /// The transaction was committed.
    pub(super) fn commit(&self) {
        self.unsure.set(false);
    }

    /// The account was written.
    pub(super) fn written(&self) {
        self.advance();
        self.unsure.set(true);
    }

    fn advance(&self) {
        self.count.set(self.count.get().wrapping_add(1));
    }
}

impl Transaction<'_> {
    /// Names the stored account: as long as this is the same, so is the account.
    pub fn account_revision(&self) -> u64 {
        self.account.count.get()
    }
}
