//! Columns into the types they stand for, and back.
//!
//! Secrets are one copy, which is wiped. SQLite's own memory holds pages of the
//! store as they are on the disk; it is not wiped.

use ruma::OwnedEventId;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Type, ValueRef};
use vodozemac::{Curve25519PublicKey, Ed25519PublicKey};

use crate::crypto::{Device, Pickle, Seed};

/// SQL: true if something is put off at this time. Nothing is for more than an hour:
/// what seems to be was put off by a clock that has gone back since.
macro_rules! put_off {
    ($until:literal, $now:literal) => {
        concat!(
            "(",
            $until,
            " BETWEEN ",
            $now,
            " + 1 AND ",
            $now,
            " + 3600000)"
        )
    };
}
pub(super) use put_off;

/// Reads a text column into an identifier that parses itself.
pub(super) fn parsed<T>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: TryFrom<String>,
    T::Error: std::error::Error + Send + Sync + 'static,
{
    T::try_from(row.get(column)?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}

/// Reads a column of an event's id that may be NULL. One that is no id is none: a person's
/// message named it.
pub(super) fn optional_id(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<OwnedEventId>> {
    let id: Option<String> = row.get(column)?;
    Ok(id.and_then(|id| id.try_into().ok()))
}

pub(super) fn device(row: &rusqlite::Row<'_>) -> rusqlite::Result<Device> {
    Ok(Device {
        user: parsed(row, 0)?,
        id: row.get::<_, String>(1)?.into(),
        curve25519: Curve25519PublicKey::from_bytes(row.get(2)?),
        ed25519: fingerprint(row, 3)?,
        signed_by: optional_fingerprint(row, 4)?,
    })
}

pub(super) fn optional_fingerprint(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<Ed25519PublicKey>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => fingerprint(row, column).map(Some),
    }
}

pub(super) fn fingerprint(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<Ed25519PublicKey> {
    Ed25519PublicKey::from_slice(&row.get(column)?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, Box::new(error))
    })
}

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
