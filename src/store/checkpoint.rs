//! Emptying the write-ahead log.
//!
//! The log has each page as it was at each commit, so it keeps ratchets that the
//! database has overwritten since: who gets hold of it opens messages of before.
//! It is folded into the database and cut to nothing where the bot starts, when
//! it has nothing to do, and after so many commits (`bot::operator` says when).

use std::{fs, time::Duration};

use rusqlite::ErrorCode;

use super::{Error, Store, database::BUSY_TIMEOUT};

impl Store {
    /// Folds the write-ahead log into the database and cuts it to nothing: some
    /// four waits for the disk. False, with nothing lost, while somebody else
    /// reads or writes; it does not wait for them.
    pub fn checkpoint(&self) -> Result<bool, Error> {
        if self.log_is_empty() {
            return Ok(true);
        }
        self.connection.busy_timeout(Duration::ZERO)?;
        let cut = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                row.get::<_, bool>(0)
            });
        self.connection.busy_timeout(BUSY_TIMEOUT)?;
        match cut {
            Ok(busy) => Ok(!busy),
            Err(error)
                if matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether there is nothing in the write-ahead log.
    fn log_is_empty(&self) -> bool {
        fs::metadata(&self.log).is_ok_and(|log| log.len() == 0)
    }
}
