//! Changes that were made and are followed until they have come about.

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};

use super::columns::{optional_id, parsed};
use crate::store::{Error, Transaction, caps};
use crate::util::cut;

/// A change of a target that is followed until it has come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedChange {
    /// The target.
    pub target: String,
    /// The event of the command that made it.
    pub command: OwnedEventId,
    /// The room in which it was asked for.
    pub room: OwnedRoomId,
    /// The user who asked for it.
    pub sender: OwnedUserId,
    /// The first message of the thread in which it was asked for.
    pub thread: Option<OwnedEventId>,
    /// The verb of the command.
    pub verb: String,
    /// The uid of the target's object.
    pub uid: String,
    /// The generation of the object that the change made.
    pub generation: i64,
    /// The number of replicas that was asked for.
    pub replicas: i32,
    /// The time of the wall clock at which it was made, in milliseconds since the Unix
    /// epoch.
    pub started_ms: u64,
    /// The number of edits of the message about it.
    pub edits: u32,
    /// The part that was told of its end, in the words of the layer above.
    pub stage: String,
    /// The number of replicas before.
    pub previous: i32,
    /// The label selector of its pods; empty if it is not known or too long.
    pub selector: String,
}

/// At most one change a target that is followed.
pub struct Followed<'a>(pub(in crate::store) &'a Transaction<'a>);

impl Followed<'_> {
    /// Follows a change, in place of the target's earlier one. False where changes of
    /// [`caps::TARGETS`] other targets are followed: this one is not.
    pub fn put(&self, change: &FollowedChange) -> Result<bool, Error> {
        Ok(self.0.execute(
            "INSERT OR REPLACE INTO followed (target, command, room_id, sender, thread, verb, uid,
                 generation, replicas, started_ms, edits, stage, previous, selector)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14
             WHERE (SELECT count(*) FROM followed WHERE target <> ?1) < ?15",
            (
                change.target.as_str(),
                change.command.as_str(),
                change.room.as_str(),
                change.sender.as_str(),
                change.thread.as_ref().map(|root| root.as_str()),
                cut(&change.verb, caps::HISTORY_WORD),
                cut(&change.uid, caps::OBJECT_UID),
                change.generation,
                change.replicas,
                change.started_ms.cast_signed(),
                change.edits,
                cut(&change.stage, caps::HISTORY_WORD),
                change.previous,
                within(&change.selector, caps::SELECTOR),
                caps::TARGETS,
            ),
        )? > 0)
    }

    /// The change of a target that is followed.
    pub fn get(&self, target: &str) -> Result<Option<FollowedChange>, Error> {
        self.0.one(
            "SELECT target, command, room_id, sender, thread, verb, uid, generation, replicas,
                 started_ms, edits, stage, previous, selector
             FROM followed WHERE target = ?1",
            [target],
            change,
        )
    }

    /// All changes that are followed, the oldest first.
    pub fn all(&self) -> Result<Vec<FollowedChange>, Error> {
        self.0.all(
            "SELECT target, command, room_id, sender, thread, verb, uid, generation, replicas,
                 started_ms, edits, stage, previous, selector
             FROM followed ORDER BY started_ms, target",
            [],
            change,
        )
    }

    /// The change of a target is followed no longer. False where none was.
    pub fn remove(&self, target: &str) -> Result<bool, Error> {
        let removed = self
            .0
            .execute("DELETE FROM followed WHERE target = ?1", [target])?;
        Ok(removed > 0)
    }
}

/// A text if it is no longer than that, else none: cut, it would mean something else.
fn within(text: &str, max_bytes: usize) -> &str {
    if text.len() <= max_bytes { text } else { "" }
}

fn change(row: &rusqlite::Row<'_>) -> rusqlite::Result<FollowedChange> {
    Ok(FollowedChange {
        target: row.get(0)?,
        command: parsed(row, 1)?,
        room: parsed(row, 2)?,
        sender: parsed(row, 3)?,
        thread: optional_id(row, 4)?,
        verb: row.get(5)?,
        uid: row.get(6)?,
        generation: row.get(7)?,
        replicas: row.get(8)?,
        started_ms: row.get::<_, i64>(9)?.cast_unsigned(),
        edits: row.get(10)?,
        stage: row.get(11)?,
        previous: row.get(12)?,
        selector: row.get(13)?,
    })
}
