//! Messages that have to reach a room.

use ruma::{OwnedRoomId, RoomId};

use super::columns::parsed;
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
    /// The content as JSON, before encryption.
    pub content: String,
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
    /// as may be there beside what is: none while it is full.
    pub fn unprepared(&self, room: &RoomId) -> Result<Vec<Reply>, Error> {
        self.0.all(
            "SELECT id, room_id, txn_id, kind, content, queued_at FROM replies
             WHERE room_id = ?1
             AND id NOT IN (SELECT reply_id FROM outbox WHERE reply_id IS NOT NULL)
             AND (SELECT coalesce(sum(octet_length(body)), 0) FROM outbox WHERE lane = ?1) < ?3
             AND (SELECT coalesce(sum(octet_length(body)), 0) FROM outbox) < ?4
             ORDER BY id LIMIT max(0, ?2 - (SELECT count(*) FROM outbox
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
                })
            },
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
