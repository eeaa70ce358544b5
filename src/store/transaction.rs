//! One transaction, and the statements that are run in it.

use std::cell::{Cell, RefCell};

use rusqlite::{Row, ToSql, types::FromSql};

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
        parameters: impl Parameters,
    ) -> Result<usize, Error> {
        parameters.listed(|listed| self.change(sql, listed))
    }

    pub(super) fn run(&self, sql: &'static str, parameters: impl Parameters) -> Result<(), Error> {
        self.execute(sql, parameters).map(drop)
    }

    /// The first row.
    pub(super) fn one<T>(
        &self,
        sql: &'static str,
        parameters: impl Parameters,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        let (mut map, mut found) = (Some(map), None);
        let mut take = |row: &Row<'_>| {
            found = map.take().map(|map| map(row)).transpose()?;
            Ok(false)
        };
        parameters.listed(|listed| self.rows(sql, listed, &mut take))?;
        Ok(found)
    }

    /// The first row that is something.
    pub(super) fn first<T>(
        &self,
        sql: &'static str,
        parameters: impl Parameters,
        mut map: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<T>>,
    ) -> Result<Option<T>, Error> {
        let mut found = None;
        let mut take = |row: &Row<'_>| {
            found = map(row)?;
            Ok(found.is_none())
        };
        parameters.listed(|listed| self.rows(sql, listed, &mut take))?;
        Ok(found)
    }

    /// The first column of the first row; the default where there is none.
    pub(super) fn value<T: FromSql + Default>(
        &self,
        sql: &'static str,
        parameters: impl Parameters,
    ) -> Result<T, Error> {
        let value = self.one(sql, parameters, |row| row.get(0))?;
        Ok(value.unwrap_or_default())
    }

    /// Returns whether there is a row.
    pub(super) fn exists(
        &self,
        sql: &'static str,
        parameters: impl Parameters,
    ) -> Result<bool, Error> {
        let mut exists = false;
        let mut take = |_: &Row<'_>| {
            exists = true;
            Ok(false)
        };
        parameters.listed(|listed| self.rows(sql, listed, &mut take))?;
        Ok(exists)
    }

    pub(super) fn all<T>(
        &self,
        sql: &'static str,
        parameters: impl Parameters,
        mut map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut found = Vec::new();
        let mut take = |row: &Row<'_>| {
            found.push(map(row)?);
            Ok(true)
        };
        parameters.listed(|listed| self.rows(sql, listed, &mut take))?;
        Ok(found)
    }

    /// Runs a statement that returns no rows; returns how many have changed.
    fn change(&self, sql: &'static str, parameters: &[&dyn ToSql]) -> Result<usize, Error> {
        Ok(self.inner.prepare_cached(sql)?.execute(parameters)?)
    }

    /// Hands on one row after the other for as long as `take` returns true.
    fn rows(
        &self,
        sql: &'static str,
        parameters: &[&dyn ToSql],
        take: &mut dyn FnMut(&Row<'_>) -> rusqlite::Result<bool>,
    ) -> Result<(), Error> {
        let mut statement = self.inner.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        while let Some(row) = rows.next()? {
            if !take(row)? {
                break;
            }
        }
        Ok(())
    }
}

/// Values of the parameters of a statement, of any types. `rusqlite` compiles all of a call
/// for each combination of types that there is; from a list of references it is compiled once.
pub(super) trait Parameters {
    /// Hands them on as a list.
    fn listed<R>(&self, to: impl FnOnce(&[&dyn ToSql]) -> R) -> R;
}

/// No values. It is of one type alone, so that `[]` needs none to be named.
impl Parameters for [&dyn ToSql; 0] {
    fn listed<R>(&self, to: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
        to(self)
    }
}

macro_rules! arrays {
    ($($count:literal)*) => {$(
        impl<T: ToSql> Parameters for [T; $count] {
            fn listed<R>(&self, to: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
                to(&self.each_ref().map(|value| value as &dyn ToSql))
            }
        }
    )*};
}

macro_rules! tuples {
    ($(($($kind:ident $at:tt)*))*) => {$(
        impl<$($kind: ToSql),*> Parameters for ($($kind,)*) {
            fn listed<R>(&self, to: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
                to(&[$(&self.$at),*])
            }
        }
    )*};
}

arrays!(1 2 3);

tuples! {
    (A 0 B 1)
    (A 0 B 1 C 2)
    (A 0 B 1 C 2 D 3)
    (A 0 B 1 C 2 D 3 E 4)
    (A 0 B 1 C 2 D 3 E 4 F 5)
    (A 0 B 1 C 2 D 3 E 4 F 5 G 6)
    (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7)
    (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8)
    (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9)
    (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10)
    (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11)
    (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12)
    (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13)
    (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14)
}
