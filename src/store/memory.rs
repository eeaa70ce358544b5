//! Facts about the tables that are kept in memory, so that they are not read each time.

use std::cell::{Cell, RefCell};

use crate::util::SortedMap;

/// Kept as long as the transactions that change it are committed. No other process
/// inserts or writes the account: the lock keeps a second bot out.
#[derive(Default)]
pub(super) struct Memory {
    /// Lower bound of the rows that fit into each limited table, by the statement that
    /// counts it. Lower than the truth after deletions, never higher.
    pub(super) left: RefCell<SortedMap<&'static str, i64>>,
    /// Revision of the account's row: it tells whether an account that was read before
    /// is still the stored one.
    pub(super) account: Cell<u64>,
    /// A transaction has changed them and is not committed.
    pub(super) unsure: Cell<bool>,
}

impl Memory {
    /// A transaction begins. If the last one was dropped, what it made room for is
    /// there again, and the account of before it is the stored one.
    pub(super) fn begin(&self) {
        if self.unsure.get() {
            self.left.borrow_mut().clear();
            self.account_written();
            self.unsure.set(false);
        }
    }

    /// The account was written.
    pub(super) fn account_written(&self) {
        self.account.set(self.account.get().wrapping_add(1));
        self.unsure.set(true);
    }
}
