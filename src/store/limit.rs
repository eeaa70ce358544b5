//! A cap that is held where rows are inserted.

use super::{
    caps::Cap,
    error::Error,
    transaction::{Parameters, Transaction},
};

/// A cap that is held where rows are inserted.
pub(super) struct Limit {
    /// The metric that counts rows that go, or are not taken.
    pub(super) cap: Cap,
    /// Rows that can be there.
    pub(super) rows: i64,
    /// Counts them: a walk over the table.
    pub(super) count: &'static str,
    /// Makes room for so many rows (`?1`), as far as anything may go.
    pub(super) prune: &'static str,
}

impl Transaction<'_> {
    /// Returns whether one more row fits, which the caller then inserts. What may go
    /// makes room, a tenth of the table at once.
    pub(super) fn fits(&self, limit: &'static Limit) -> Result<bool, Error> {
        let known = self.memory.left.borrow().get(limit.count).copied();
        let mut left = known.unwrap_or_default();
        if left <= 0 && !self.full.borrow().contains(limit.count) {
            left = self.left(limit)?;
            if left <= 0 {
                self.prune(limit, limit.rows / 10 - left + 1)?;
                left = self.left(limit)?;
            }
            if left <= 0 {
                self.full.borrow_mut().insert(limit.count);
            }
        }
        let mut all = self.memory.left.borrow_mut();
        all.insert(limit.count, left - 1);
        if left > 0 {
            self.memory.unsure.set(true);
        }
        Ok(left > 0)
    }

    /// Counts the rows that fit; below 0 if there are too many.
    pub(super) fn left(&self, limit: &Limit) -> Result<i64, Error> {
        Ok(limit.rows - self.value::<i64>(limit.count, [])?)
    }

    /// Makes room for so many rows, as far as anything may go.
    pub(super) fn prune(&self, limit: &Limit, rows: i64) -> Result<(), Error> {
        let mut gone = self.execute(limit.prune, [rows])?;
        match limit.cap {
            Cap::TrackedUsers if gone > 0 => self.forget_orphans()?,
            Cap::RoomKeys => gone = self.inbound_sessions().forget_buried()?,
            _ => {}
        }
        self.note_dropped(limit.cap, gone);
        Ok(())
    }

    /// Something went from this table otherwise: if it was full it is counted again.
    pub(super) fn recount(&self, limit: &'static Limit) {
        self.full.borrow_mut().remove(limit.count);
    }

    /// Deletes rows because of a cap; returns how many.
    pub(super) fn drop_rows(
        &self,
        cap: Cap,
        sql: &'static str,
        parameters: impl Parameters,
    ) -> Result<usize, Error> {
        let gone = self.execute(sql, parameters)?;
        self.note_dropped(cap, gone);
        Ok(gone)
    }

    /// Notes that something was dropped, or not taken, because of a cap.
    pub fn note_dropped(&self, cap: Cap, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        if count == 0 {
            return;
        }
        let mut dropped = self.dropped.borrow_mut();
        match dropped.iter_mut().find(|(known, _)| *known == cap) {
            Some((_, sum)) => *sum = sum.saturating_add(count),
            None => dropped.push((cap, count)),
        }
    }

    /// Rows that were dropped in this transaction, or not taken.
    pub fn dropped(&self) -> Vec<(Cap, u64)> {
        self.dropped.borrow().clone()
    }
}
