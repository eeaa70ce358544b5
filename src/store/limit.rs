//! A cap that is held where rows are inserted.

use super::{capacity::CappedTable, caps::Cap, error::Error, transaction::Transaction};

/// A cap that is held where rows are inserted.
pub(super) struct Limit {
    /// The limited table.
    pub(super) table: CappedTable,
    /// The metric that counts rows that go, or are not taken.
    pub(super) cap: Cap,
    /// Rows that can be there.
    pub(super) rows: i64,
    /// Counts them: a walk over the table.
    pub(super) count: &'static str,
    /// Makes room for so many rows, as far as anything may go; returns how many
    /// went.
    pub(super) prune: fn(&Transaction<'_>, i64) -> Result<usize, Error>,
}

impl Transaction<'_> {
    /// Returns whether one more row fits, which the caller then inserts. What may go
    /// makes room, a tenth of the table at once.
    pub(super) fn fits(&self, limit: &'static Limit) -> Result<bool, Error> {
        let at = limit.table as usize;
        let (Some(left), Some(full)) = (self.capacities.left.get(at), self.fullness.full.get(at))
        else {
            return Ok(false);
        };
        self.capacities.unsure.set(true);
        if left.get() <= 0 && !full.get() {
            let mut fitting = limit.rows - self.value::<i64>(limit.count, [])?;
            if fitting <= 0 {
                let gone = (limit.prune)(self, limit.rows / 10 - fitting + 1)?;
                self.note_dropped(limit.cap, gone);
                fitting = limit.rows - self.value::<i64>(limit.count, [])?;
            }
            left.set(fitting);
            full.set(fitting <= 0);
        }
        if left.get() <= 0 {
            return Ok(false);
        }
        left.set(left.get() - 1);
        Ok(true)
    }

    /// Something went from this table otherwise: if it was full it is counted again.
    pub(super) fn recount(&self, limit: &'static Limit) {
        if let Some(full) = self.fullness.full.get(limit.table as usize) {
            full.set(false);
        }
    }

    /// Notes that something was dropped, or not taken, because of a cap.
    pub fn note_dropped(&self, cap: Cap, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        if count == 0 {
            return;
        }
        let mut dropped = self.fullness.dropped.borrow_mut();
        match dropped.iter_mut().find(|(known, _)| *known == cap) {
            Some((_, sum)) => *sum = sum.saturating_add(count),
            None => dropped.push((cap, count)),
        }
    }

    /// Rows that were dropped in this transaction, or not taken.
    pub fn dropped(&self) -> Vec<(Cap, u64)> {
        self.fullness.dropped.borrow().clone()
    }
}
