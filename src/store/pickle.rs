//! Secrets on their way out of and into SQLite: one copy, which is wiped.
//!
//! SQLite's own memory holds pages of the store as they are on the disk; it is
//! not wiped.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::crypto::{Pickle, Seed};

impl FromSql for Pickle {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_blob().map(Self::copied)
    }
}

impl ToSql for Pickle {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self)))
    }
}

impl FromSql for Seed {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let blob = value.as_blob()?;
        let wrong = FromSqlError::InvalidBlobSize {
            expected_size: 32,
            blob_size: blob.len(),
        };
        Self::copied(blob).ok_or(wrong)
    }
}

impl ToSql for Seed {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.as_bytes())))
    }
}
