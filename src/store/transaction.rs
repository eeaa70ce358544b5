//! One transaction, and the statements that are run in it.

use std::cell::{Cell, RefCell};

use rusqlite::{OptionalExtension, types::FromSql};

use super::{caps::Cap, crash, error::Error, memory::Memory};
use crate::util::SortedSet;

/// Everything between two commits. Dropped without [`Transaction::commit`], it
/// never happened.
pub struct Transaction<'a> {
    pub(super) inner: rusqlite::Transaction<'a>,
    pub(super) memory: &'a Memory,
    /// Tables that are full and stay so, by the statements that count them: not counted
    /// again.
    pub(super) full: RefCell<SortedSet<&'static str>>,
    /// Rows that went because of a cap, or were not taken.
    pub(super) dropped: RefCell<Vec<(Cap, u64)>>,
    pub(super) changes_before: u64,
    /// Rows changed by [`Transaction::defer`].
    pub(super) deferrable: Cell<u64>,
}

impl Transaction<'_> {
    /// Makes everything since [`Store::begin`](super::Store::begin) durable: one fsync.
    ///
    /// # Errors
    /// The database refuses: nothing is durable.
    pub fn commit(self) -> Result<(), Error> {
        crash::around(|| self.inner.commit())?;
        self.memory.unsure.set(false);
        Ok(())
    }

    /// Returns whether there is anything that has to be committed now. A commit of
    /// nothing writes nothing, and so says nothing about the disk.
    pub fn has_changes(&self) -> bool {
        self.inner.total_changes() != self.changes_before + self.deferrable.get()
    }

    /// Returns whether it made changes that can wait for the next commit.
    pub fn has_deferred(&self) -> bool {
        self.deferrable.get() > 0
    }

    /// Makes a change that alone is no reason to commit: whoever makes it does so again
    /// in each transaction until one is committed, and loses nothing if none is.
    ///
    /// # Errors
    /// Those of `change`.
    pub fn defer<T>(&self, change: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let before = self.inner.total_changes();
        let done = change()?;
        let changes = self.inner.total_changes() - before;
        self.deferrable.set(self.deferrable.get() + changes);
        Ok(done)
    }

    /// Returns how many rows changed.
    pub(super) fn execute(
        &self,
        sql: &'static str,
        parameters: impl rusqlite::Params,
    ) -> Result<usize, Error> {
        Ok(self.inner.prepare_cached(sql)?.execute(parameters)?)
    }

    pub(super) fn run(
        &self,
        sql: &'static str,
        parameters: impl rusqlite::Params,
    ) -> Result<(), Error> {
        self.execute(sql, parameters).map(drop)
    }

    /// The first row.
    pub(super) fn one<T>(
        &self,
        sql: &'static str,
        parameters: impl rusqlite::Params,
        map: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        let mut statement = self.inner.prepare_cached(sql)?;
        Ok(statement.query_row(parameters, map).optional()?)
    }

    /// The first row that is something.
    pub(super) fn first<T>(
        &self,
        sql: &'static str,
        parameters: impl rusqlite::Params,
        mut map: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<Option<T>>,
    ) -> Result<Option<T>, Error> {
        let mut statement = self.inner.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        while let Some(row) = rows.next()? {
            if let Some(found) = map(row)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The first column of the first row; the default where there is none.
    pub(super) fn value<T: FromSql + Default>(
        &self,
        sql: &'static str,
        parameters: impl rusqlite::Params,
    ) -> Result<T, Error> {
        let value = self.one(sql, parameters, |row| row.get(0))?;
        Ok(value.unwrap_or_default())
    }

    /// Returns whether there is a row.
    pub(super) fn exists(
        &self,
        sql: &'static str,
        parameters: impl rusqlite::Params,
    ) -> Result<bool, Error> {
        Ok(self.inner.prepare_cached(sql)?.exists(parameters)?)
    }

    pub(super) fn all<T>(
        &self,
        sql: &'static str,
        parameters: impl rusqlite::Params,
        map: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.inner.prepare_cached(sql)?;
        let rows = statement.query_map(parameters, map)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
