//! Up to which time the schedule of each target was acted on.

use crate::store::{Error, Transaction, caps};

/// Up to which time the schedule of each target was acted on.
pub struct Schedules<'a>(pub(in crate::store) &'a Transaction<'a>);

impl Schedules<'_> {
    /// The time of the wall clock up to which a target's schedule was acted on, in
    /// milliseconds since the Unix epoch.
    pub fn handled(&self, target: &str) -> Result<Option<u64>, Error> {
        let handled: Option<i64> = self.0.one(
            "SELECT handled_ms FROM schedules WHERE target = ?1",
            [target],
            |row| row.get(0),
        )?;
        Ok(handled.map(i64::cast_unsigned))
    }

    /// It was acted on up to this time. Of more than [`caps::TARGETS`] targets it is not
    /// remembered.
    pub fn put(&self, target: &str, handled_ms: u64) -> Result<(), Error> {
        self.0.run(
            "INSERT OR REPLACE INTO schedules (target, handled_ms) SELECT ?1, ?2
             WHERE (SELECT count(*) FROM schedules WHERE target <> ?1) < ?3",
            (target, handled_ms.cast_signed(), caps::TARGETS),
        )
    }
}
