//! The error of the store once it is open.

use std::io;

use rusqlite::ErrorCode;

use super::volume::Trouble;

/// Error of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite: disk full, IO, a constraint.
    #[error("{}", refusal(.0))]
    Sqlite(#[from] rusqlite::Error),
    /// A row that this program wrote cannot be read back.
    #[error("the store is damaged: {0} cannot be read")]
    Corrupt(&'static str),
    /// The write-ahead log cannot be overwritten. What was committed is safe.
    #[error("the write-ahead log cannot be overwritten: {0}")]
    Log(io::Error),
}

fn refusal(error: &rusqlite::Error) -> String {
    match Trouble::of(error) {
        Some(trouble) => format!("the store cannot be written: {error}; {trouble}"),
        None => format!("the store refuses: {error}"),
    }
}

impl Error {
    /// Returns whether another process is writing just now, which says nothing about
    /// the disk.
    pub fn is_busy(&self) -> bool {
        self.code() == Some(ErrorCode::DatabaseBusy)
    }

    /// Returns whether another process has the database just now, for reading or writing.
    pub(super) fn is_locked(&self) -> bool {
        self.is_busy() || self.code() == Some(ErrorCode::DatabaseLocked)
    }

    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        }
    }
}
