//! Emptying the write-ahead log.
//!
//! The log has each page as it was at each commit, so it keeps ratchets that the
//! database has overwritten since: who gets hold of it opens messages of before.
//! It is folded into the database and overwritten with zeros where the bot starts,
//! when it has nothing to do, and after so many commits (`bot::storage` says when).
//!
//! Its first half mebibyte stays: a commit that overwrites what the file already has
//! waits for its data alone, one that makes the file grow for the file system's
//! journal as well.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, TransactionBehavior};

use super::{Error, Store, database::BUSY_TIMEOUT};

/// The length that the emptied log has, in bytes: some ten commits.
const KEPT: u64 = 512 * 1024;

/// The log's header, in bytes, without which nothing that follows it is read
/// (<https://sqlite.org/fileformat2.html#the_write_ahead_log>).
const HEADER: usize = 32;

impl Store {
    /// Folds the write-ahead log into the database and overwrites it with zeros: some
    /// five waits for the disk. False, with nothing lost, while somebody else reads or
    /// writes; it does not wait for them.
    ///
    /// # Errors
    /// The database or the log cannot be written.
    pub fn checkpoint(&mut self) -> Result<bool, Error> {
        if is_blank(&self.log).unwrap_or(false) {
            return Ok(true);
        }
        self.connection.busy_timeout(Duration::ZERO)?;
        let emptied = self.fold_and_blank();
        self.connection.busy_timeout(BUSY_TIMEOUT)?;
        match emptied {
            Err(error) if error.is_locked() => Ok(false),
            emptied => emptied,
        }
    }

    fn fold_and_blank(&mut self) -> Result<bool, Error> {
        let before = commits_of_others(&self.connection)?;
        let sql = "PRAGMA wal_checkpoint(RESTART)";
        let is_busy: bool = self.connection.query_row(sql, [], |row| row.get(0))?;
        if is_busy {
            return Ok(false);
        }
        // Now everything is in the database, durably, and the next commit begins the
        // log anew: unless another process has done so already.
        let log = self.log.clone();
        let others = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        if commits_of_others(&others)? != before {
            return Ok(false);
        }
        let blanked = blank(&log);
        others.rollback()?;
        blanked.map_err(Error::Log)?;
        Ok(true)
    }
}

/// A number that changes with each commit of another process.
fn commits_of_others(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0))
}

/// Returns whether there is nothing in the write-ahead log.
fn is_blank(log: &Path) -> io::Result<bool> {
    let mut log = File::open(log)?;
    let mut piece = [0; 16 * 1024];
    loop {
        let read = log.read(&mut piece)?;
        if read == 0 {
            return Ok(true);
        }
        if piece.iter().take(read).any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
}

/// Overwrites the log, whose frames are all in the database. The header goes first,
/// and durably: with it, and without what follows, older pages would come back.
fn blank(log: &Path) -> io::Result<()> {
    let mut log = OpenOptions::new().write(true).open(log)?;
    let length = log.metadata()?.len();
    log.write_all(&[0; HEADER])?;
    log.sync_data()?;
    log.seek(SeekFrom::Start(0))?;
    io::copy(&mut io::repeat(0).take(length), &mut log)?;
    if length > KEPT {
        log.set_len(KEPT)?;
    }
    log.sync_data()
}
