//! Rows that still fit into a table, without counting it at each insertion.

use std::cell::{Cell, RefCell};

use super::caps::Cap;

/// Lower bound of the rows that fit into each limited table, by its place among
/// [`CappedTable`]s: 0 until they are counted. Lower than the truth after deletions,
/// never higher, since nobody else inserts.
#[derive(Default)]
pub(super) struct Capacities {
    pub(super) left: [Cell<i64>; CappedTable::COUNT],
    /// A transaction has changed them and is not committed.
    pub(super) unsure: Cell<bool>,
}

impl Capacities {
    /// A transaction begins. If the last one was dropped, what it made room for
    /// is there again.
    pub(super) fn begin(&self) {
        if self.unsure.replace(false) {
            self.left.iter().for_each(|left| left.set(0));
        }
    }

    /// The transaction was committed.
    pub(super) fn commit(&self) {
        self.unsure.set(false);
    }
}

/// Names a limited table.
#[derive(Debug, Clone, Copy)]
pub(super) enum CappedTable {
    Users,
    Members,
    Devices,
    OlmSessions,
    KeptOlmSessions,
    OlmPeers,
    Shares,
    Rooms,
    RoomKeys,
}

impl CappedTable {
    const COUNT: usize = 9;
}

/// State of full tables within one transaction.
#[derive(Default)]
pub(super) struct Fullness {
    /// Tables that are full and stay so: not counted again in this transaction.
    pub(super) full: [Cell<bool>; CappedTable::COUNT],
    /// Rows that went, or were not taken.
    pub(super) dropped: RefCell<Vec<(Cap, u64)>>,
}
