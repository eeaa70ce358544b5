//! The number of replicas that a target had before it was lowered.

use crate::store::{Error, Transaction, caps};

/// The number of replicas that each target had before it was lowered, for a start that
/// gives it back. It is that of an object, by its uid: the memory of one that was
/// deleted does not hold for its successor.
pub struct PreviousReplicas<'a>(pub(in crate::store) &'a Transaction<'a>);

impl PreviousReplicas<'_> {
    /// Takes note of a change of a target. One to less keeps what was there, which is
    /// never 0 and never less than what was there before an earlier one: after 3, 2, 0
    /// it is 3. One to more clears it.
    pub fn note_change(&self, target: &str, uid: &str, from: i32, to: i32) -> Result<(), Error> {
        if to > from {
            return self
                .0
                .run("DELETE FROM previous_replicas WHERE target = ?1", [target]);
        }
        if to == from || from <= 0 || uid.len() > caps::OBJECT_UID {
            return Ok(());
        }
        self.0.run(
            "INSERT INTO previous_replicas (target, uid, replicas)
             SELECT ?1, ?2, ?3
             WHERE (SELECT count(*) FROM previous_replicas WHERE target <> ?1) < ?4
             ON CONFLICT (target) DO UPDATE SET uid = ?2, replicas =
                 CASE WHEN uid = ?2 THEN max(replicas, ?3) ELSE ?3 END",
            (target, uid, from, caps::TARGETS),
        )
    }

    /// The number of replicas that a target had before it was lowered, at least 1, and the
    /// uid of the object that had them.
    pub fn get(&self, target: &str) -> Result<Option<(String, i32)>, Error> {
        self.0.one(
            "SELECT uid, replicas FROM previous_replicas WHERE target = ?1",
            [target],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }
}
