//! Messages that have to reach a room.

use ruma::{OwnedEventId, OwnedRoomId, RoomId};

use super::anchors::Anchor;
use super::columns::{optional_id, parsed};
use crate::store::{Cap, Error, Transaction, caps};

/// A message that has to reach a room.
pub struct Reply {
    /// Its row.
    pub id: i64,
    /// The room.
    pub room: OwnedRoomId,
    /// The same for each attempt, so that the server shows it once.
    pub txn_id: String,
    /// Time at which it was queued, by the bot's own clock in milliseconds.
    pub queued_at: u64,
    /// The event type, before encryption.
    pub kind: String,
    /// The content as JSON, before encryption. Of an edit the new one, without its
    /// relation.
    pub content: String,
    /// The message that it replaces, where it is an edit.
    pub replaces: Option<OwnedEventId>,
}

/// Messages that have to reach a room.
pub struct Replies<'a>(pub(in crate::store) &'a Transaction<'a>);

impl Replies<'_> {
    /// Queues a message for a room, at this time by the bot's own clock in
    /// milliseconds. False when it answers no command that ran, and too many such
    /// wait: it is left unsaid.
    pub fn put(
        &self,
        room: &RoomId,
        txn_id: &str,
        kind: &str,
        content: &str,
        queued_at: u64,
        is_answer: bool,
    ) -> Result<bool, Error> {
        if !is_answer && !self.has_room_for_remark(room, content)? {
            self.0.note_dropped(Cap::Chatter, 1);
            return Ok(false);
        }
        let queued_at = queued_at.cast_signed();
        self.0.execute(
            "INSERT INTO replies (room_id, txn_id, kind, content, queued_at, chatter)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (room.as_str(), txn_id, kind, content, queued_at, !is_answer),
        )?;
        if is_answer {
            self.make_way_for_answer(room)?;
        }
        Ok(true)
    }

    fn has_room_for_remark(&self, room: &RoomId, content: &str) -> Result<bool, Error> {
        let counted = self.0.one(
            "SELECT count(*) FILTER (WHERE room_id = ?1), count(*) FROM replies WHERE chatter",
            [room.as_str()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let (of_room, all): (i64, i64) = counted.unwrap_or_default();
        Ok(of_room < caps::CHATTER_OF_ROOM
            && all < caps::CHATTER
            && content.len() <= caps::CHATTER_BYTES)
    }

    /// An answer to a command waits: what else waits to be said in its room is
    /// left unsaid, but for the first of it.
    fn make_way_for_answer(&self, room: &RoomId) -> Result<usize, Error> {
        self.0.drop_rows(
            Cap::Chatter,
            "DELETE FROM replies WHERE id IN (
                 SELECT id FROM replies WHERE room_id = ?1 AND chatter
                 AND id NOT IN (SELECT reply_id FROM outbox WHERE reply_id IS NOT NULL)
                 ORDER BY id LIMIT -1 OFFSET ?2)",
            (room.as_str(), caps::CHATTER_BEFORE_ANSWER),
        )
    }

    /// Returns whether there is something to be said that is no request yet.
    pub fn has_unprepared(&self) -> Result<bool, Error> {
        self.0.exists(
            "SELECT 1 FROM replies
                 WHERE id NOT IN (SELECT reply_id FROM outbox WHERE reply_id IS NOT NULL) LIMIT 1",
            [],
        )
    }

    /// Rooms with messages that are not in the outbox yet.
    pub fn rooms(&self) -> Result<Vec<OwnedRoomId>, Error> {
        self.0.all(
            "SELECT DISTINCT room_id FROM replies
             WHERE id NOT IN (SELECT reply_id FROM outbox WHERE reply_id IS NOT NULL)",
            [],
            |row| parsed(row, 0),
        )
    }

    /// A room's messages that are not in the outbox yet, in their order, and as many
    /// as may be there beside what is: none while it is full, and no edits of messages
    /// that have not left.
    pub fn unprepared(&self, room: &RoomId) -> Result<Vec<Reply>, Error> {
        self.0.all(
            "SELECT r.id, r.room_id, r.txn_id, r.kind, r.content, r.queued_at, a.event_id
             FROM replies AS r
             LEFT JOIN anchors AS a ON a.anchor = r.edits AND a.room_id = r.room_id
             WHERE r.room_id = ?1 AND (r.edits IS NULL OR a.event_id IS NOT NULL)
             AND r.id NOT IN (SELECT reply_id FROM outbox WHERE reply_id IS NOT NULL)
             AND (SELECT coalesce(sum(octet_length(body)), 0) FROM outbox WHERE lane = ?1) < ?3
             AND (SELECT coalesce(sum(octet_length(body)), 0) FROM outbox) < ?4
             ORDER BY r.id LIMIT max(0, ?2 - (SELECT count(*) FROM outbox
                 WHERE lane = ?1 AND reply_id IS NOT NULL))",
            (
                room.as_str(),
                caps::LANE_MESSAGES,
                caps::LANE_BYTES,
                caps::OUTBOX_BYTES,
            ),
            |row| {
                Ok(Reply {
                    id: row.get(0)?,
                    room: parsed(row, 1)?,
                    txn_id: row.get(2)?,
                    kind: row.get(3)?,
                    content: row.get(4)?,
                    queued_at: row.get::<_, i64>(5)?.cast_unsigned(),
                    replaces: optional_id(row, 6)?,
                })
            },
        )
    }

    /// Gives a queued message a name, by which it is edited later.
    pub fn name(&self, txn_id: &str, anchor: &Anchor) -> Result<(), Error> {
        self.0.run(
            "UPDATE replies SET anchor = ?2 WHERE txn_id = ?1",
            (txn_id, anchor.as_str()),
        )
    }

    /// Returns whether a message of this name is known, or waits to be said, in this room.
    pub fn may_be_edited(&self, anchor: &Anchor, room: &RoomId) -> Result<bool, Error> {
        self.0.exists(
            "SELECT 1 FROM anchors WHERE anchor = ?1 AND room_id = ?2
             UNION ALL SELECT 1 FROM replies WHERE anchor = ?1 AND room_id = ?2",
            (anchor.as_str(), room.as_str()),
        )
    }

    /// Queues other words for a message, as [`Replies::put`] does, or puts them in the
    /// place of those that wait. False when too much else waits: they are left unsaid.
    pub fn put_edit(
        &self,
        anchor: &Anchor,
        room: &RoomId,
        txn_id: &str,
        kind: &str,
        content: &str,
        queued_at: u64,
    ) -> Result<bool, Error> {
        if content.len() <= caps::CHATTER_BYTES {
            let overwritten = self.0.execute(
                "UPDATE replies SET txn_id = ?3, content = ?4 WHERE edits = ?1 AND room_id = ?2
                 AND id NOT IN (SELECT reply_id FROM outbox WHERE reply_id IS NOT NULL)",
                (anchor.as_str(), room.as_str(), txn_id, content),
            )?;
            if overwritten > 0 {
                return Ok(true);
            }
        }
        let is_queued = self.put(room, txn_id, kind, content, queued_at, false)?;
        if is_queued {
            self.0.run(
                "UPDATE replies SET edits = ?2 WHERE txn_id = ?1",
                (txn_id, anchor.as_str()),
            )?;
        }
        Ok(is_queued)
    }

    /// Drops the edits of a message that are not in the outbox yet.
    pub fn drop_edits(&self, anchor: &Anchor) -> Result<(), Error> {
        self.0.run(
            "DELETE FROM replies WHERE edits = ?1
             AND id NOT IN (SELECT reply_id FROM outbox WHERE reply_id IS NOT NULL)",
            [anchor.as_str()],
        )
    }

    /// Drops the edits of messages that are neither known nor wait to be said: they were
    /// given up, left unsaid, or are too old.
    pub fn drop_lost_edits(&self) -> Result<(), Error> {
        self.0.run(
            "DELETE FROM replies WHERE edits IS NOT NULL
             AND id NOT IN (SELECT reply_id FROM outbox WHERE reply_id IS NOT NULL)
             AND NOT EXISTS (SELECT 1 FROM anchors AS a
                 WHERE a.anchor = replies.edits AND a.room_id = replies.room_id)
             AND NOT EXISTS (SELECT 1 FROM replies AS r
                 WHERE r.anchor = replies.edits AND r.room_id = replies.room_id)",
            [],
        )
    }

    /// The message that a request of the outbox carries, as its row and its content.
    pub fn sent_by(&self, outbox_row: i64) -> Result<Option<(i64, String)>, Error> {
        self.0.one(
            "SELECT id, content FROM replies
             WHERE id = (SELECT reply_id FROM outbox WHERE id = ?1)",
            [outbox_row],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// Gives a message another content, and another transaction to be sent in.
    pub fn change(&self, id: i64, txn_id: &str, content: &str) -> Result<(), Error> {
        self.0.run(
            "UPDATE replies SET txn_id = ?2, content = ?3 WHERE id = ?1",
            (id, txn_id, content),
        )
    }

    /// Drops all that waits to be said in a room.
    pub fn drop_room(&self, room: &RoomId) -> Result<usize, Error> {
        self.0
            .execute("DELETE FROM replies WHERE room_id = ?1", [room.as_str()])
    }

    /// Drops one reply.
    pub fn drop_one(&self, id: i64) -> Result<(), Error> {
        self.0.run("DELETE FROM replies WHERE id = ?1", [id])
    }
}
