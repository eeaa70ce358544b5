//! Times at which targets are to be stopped.

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};

use super::columns::{optional_id, parsed};
use crate::store::{Error, Transaction, caps};
use crate::util::cut;

/// A time at which a target is to be stopped, if it is still as it was. Times are those
/// of the wall clock, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTimer {
    /// The target.
    pub target: String,
    /// The uid of its object.
    pub uid: String,
    /// The number of replicas that it has to have then.
    pub expected: i32,
    /// The time at which it is stopped.
    pub deadline_ms: u64,
    /// The time at which the timer was set.
    pub set_at_ms: u64,
    /// The user who set it.
    pub set_by: OwnedUserId,
    /// The room in which it was set.
    pub room: OwnedRoomId,
    /// The first message of the thread in which it was set.
    pub thread: Option<OwnedEventId>,
    /// The event of the command that set it.
    pub command: OwnedEventId,
    /// The time at which it was said that the target will be stopped.
    pub warned_at_ms: Option<u64>,
}

/// At most one timer a target.
pub struct Timers<'a>(pub(in crate::store) &'a Transaction<'a>);

impl Timers<'_> {
    /// Sets a timer, in place of the target's other one. False where there are
    /// [`caps::TARGETS`] of other targets: it is not set.
    pub fn put(&self, timer: &StoredTimer) -> Result<bool, Error> {
        Ok(self.0.execute(
            "INSERT OR REPLACE INTO timers (target, uid, expected, deadline_ms,
                 set_at_ms, set_by, room_id, thread, command, warned_at_ms)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10
             WHERE (SELECT count(*) FROM timers WHERE target <> ?1) < ?11",
            (
                timer.target.as_str(),
                cut(&timer.uid, caps::OBJECT_UID),
                timer.expected,
                timer.deadline_ms.cast_signed(),
                timer.set_at_ms.cast_signed(),
                timer.set_by.as_str(),
                timer.room.as_str(),
                timer.thread.as_ref().map(|root| root.as_str()),
                timer.command.as_str(),
                timer.warned_at_ms.map(u64::cast_signed),
                caps::TARGETS,
            ),
        )? > 0)
    }

    /// The timer of a target.
    pub fn get(&self, target: &str) -> Result<Option<StoredTimer>, Error> {
        self.0.one(
            "SELECT target, uid, expected, deadline_ms, set_at_ms, set_by, room_id,
                 thread, command, warned_at_ms
             FROM timers WHERE target = ?1",
            [target],
            timer,
        )
    }

    /// All timers, the next one first.
    pub fn all(&self) -> Result<Vec<StoredTimer>, Error> {
        self.0.all(
            "SELECT target, uid, expected, deadline_ms, set_at_ms, set_by, room_id,
                 thread, command, warned_at_ms
             FROM timers ORDER BY deadline_ms, target",
            [],
            timer,
        )
    }

    /// Ends the timer of a target. False where there is none.
    pub fn remove(&self, target: &str) -> Result<bool, Error> {
        let removed = self
            .0
            .execute("DELETE FROM timers WHERE target = ?1", [target])?;
        Ok(removed > 0)
    }

    /// It counts for nothing any more that it was said before this time that a target will
    /// be stopped.
    pub fn warn_anew(&self, before_ms: u64) -> Result<(), Error> {
        self.0.run(
            "UPDATE timers SET warned_at_ms = NULL WHERE warned_at_ms < ?1",
            [before_ms.cast_signed()],
        )
    }

    /// It was said at this time that the target will be stopped.
    pub fn mark_warned(&self, target: &str, at_ms: u64) -> Result<(), Error> {
        self.0.run(
            "UPDATE timers SET warned_at_ms = ?2 WHERE target = ?1",
            (target, at_ms.cast_signed()),
        )
    }
}

fn timer(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredTimer> {
    Ok(StoredTimer {
        target: row.get(0)?,
        uid: row.get(1)?,
        expected: row.get(2)?,
        deadline_ms: row.get::<_, i64>(3)?.cast_unsigned(),
        set_at_ms: row.get::<_, i64>(4)?.cast_unsigned(),
        set_by: parsed(row, 5)?,
        room: parsed(row, 6)?,
        thread: optional_id(row, 7)?,
        command: parsed(row, 8)?,
        warned_at_ms: row.get::<_, Option<i64>>(9)?.map(i64::cast_unsigned),
    })
}
