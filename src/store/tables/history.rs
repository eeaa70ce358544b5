//! The commands of each target: by whom, and what came of them.

use ruma::{EventId, OwnedEventId, OwnedRoomId};

use super::columns::parsed;
use crate::store::{Error, Transaction, caps};
use crate::util::cut;

/// A command in the history of a target. Its words are cut at
/// [`caps::HISTORY_WORD`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The event that carried the command.
    pub event_id: OwnedEventId,
    /// The time of the wall clock at which it was done, in milliseconds since the Unix
    /// epoch.
    pub at_ms: u64,
    /// Its giver: a user's id, or the words for a timer of theirs. At most
    /// [`caps::HISTORY_ACTOR`] bytes are kept.
    pub actor: String,
    /// The room.
    pub room: OwnedRoomId,
    /// Its verb.
    pub verb: String,
    /// The number of replicas before it, where it is known.
    pub from: Option<i32>,
    /// The number of replicas that was asked for, where one was.
    pub to: Option<i32>,
    /// The word for what came of it; empty until that is known.
    pub outcome: String,
    /// The time until it had come about, in seconds.
    pub seconds: Option<u32>,
}

/// The newest commands of each target.
pub struct History<'a>(pub(in crate::store) &'a Transaction<'a>);

impl History<'_> {
    /// Writes down a command of a target, whose oldest beyond [`caps::HISTORY`] goes.
    /// Of more than [`caps::TARGETS`] targets the history of that goes whole that was
    /// commanded longest ago.
    pub fn put(&self, target: &str, entry: &HistoryEntry) -> Result<(), Error> {
        let is_known = self
            .0
            .exists("SELECT 1 FROM history WHERE target = ?1", [target])?;
        self.0.execute(
            "INSERT INTO history (target, event_id, at_ms, actor, room_id, verb, from_replicas,
                 to_replicas, outcome, seconds)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            (
                target,
                entry.event_id.as_str(),
                entry.at_ms.cast_signed(),
                cut(&entry.actor, caps::HISTORY_ACTOR),
                entry.room.as_str(),
                cut(&entry.verb, caps::HISTORY_WORD),
                entry.from,
                entry.to,
                cut(&entry.outcome, caps::HISTORY_WORD),
                entry.seconds,
            ),
        )?;
        self.0.execute(
            "DELETE FROM history WHERE target = ?1 AND id <= (
                 SELECT id FROM history WHERE target = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            (target, caps::HISTORY),
        )?;
        if is_known {
            return Ok(());
        }
        self.0.run(
            "DELETE FROM history WHERE target IN (
                 SELECT target FROM history GROUP BY target
                 ORDER BY max(id) DESC LIMIT -1 OFFSET ?1)",
            [caps::TARGETS],
        )
    }

    /// Fills in what came of a command, where it is still in the history: of the newest
    /// line about it, for a start with an end has two.
    pub fn end(
        &self,
        target: &str,
        event: &EventId,
        outcome: &str,
        seconds: Option<u32>,
    ) -> Result<(), Error> {
        self.0.run(
            "UPDATE history SET outcome = ?3, seconds = ?4 WHERE id = (
                 SELECT max(id) FROM history WHERE target = ?1 AND event_id = ?2)",
            (
                target,
                event.as_str(),
                cut(outcome, caps::HISTORY_WORD),
                seconds,
            ),
        )
    }

    /// The history of a target, the newest first.
    pub fn of(&self, target: &str) -> Result<Vec<HistoryEntry>, Error> {
        self.0.all(
            "SELECT event_id, at_ms, actor, room_id, verb, from_replicas, to_replicas, outcome,
                 seconds
             FROM history WHERE target = ?1 ORDER BY id DESC",
            [target],
            entry,
        )
    }

    /// The newest command of a target.
    pub fn last(&self, target: &str) -> Result<Option<HistoryEntry>, Error> {
        self.0.one(
            "SELECT event_id, at_ms, actor, room_id, verb, from_replicas, to_replicas, outcome,
                 seconds
             FROM history WHERE target = ?1 ORDER BY id DESC LIMIT 1",
            [target],
            entry,
        )
    }
}

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<HistoryEntry> {
    Ok(HistoryEntry {
        event_id: parsed(row, 0)?,
        at_ms: row.get::<_, i64>(1)?.cast_unsigned(),
        actor: row.get(2)?,
        room: parsed(row, 3)?,
        verb: row.get(4)?,
        from: row.get(5)?,
        to: row.get(6)?,
        outcome: row.get(7)?,
        seconds: row.get(8)?,
    })
}
