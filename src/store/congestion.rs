//! Rooms in which more is asked than can be answered: homeservers take one message
//! in some seconds.

use ruma::{RoomId, UserId};

use super::{Error, Transaction, caps, caps::Cap};

/// The people of a room are told at most this often, in milliseconds, that there
/// is too much to do.
const BUSY_INTERVAL_MS: u64 = 10 * 60_000;

/// Who may take how much of what commands there can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// It changes something.
    Scaling,
    /// It asks for something: it leaves half of the room to what changes something.
    Question,
}

impl Transaction<'_> {
    /// Whether a command that was just journalled can be done: not too many wait
    /// before it, of its sender, to be answered in its room, or in all.
    pub fn takes_command(
        &self,
        sender: &UserId,
        room: &RoomId,
        urgency: Urgency,
    ) -> Result<bool, Error> {
        let (of_sender, of_room, all): (i64, i64, i64) = self
            .one(
                "SELECT
                     (SELECT count(*) FROM journal WHERE done = 0 AND sender = ?1),
                     (SELECT count(*) FROM journal WHERE done = 0 AND room_id = ?2)
                         + (SELECT count(*) FROM replies WHERE NOT chatter AND room_id = ?2),
                     (SELECT count(*) FROM journal WHERE done = 0)
                         + (SELECT count(*) FROM replies WHERE NOT chatter)",
                (sender.as_str(), room.as_str()),
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )?
            .unwrap_or_default();
        let part = match urgency {
            Urgency::Scaling => 1,
            Urgency::Question => 2,
        };
        Ok(of_sender <= caps::COMMANDS_OF_SENDER / part
            && of_room <= caps::COMMANDS_OF_ROOM / part
            && all <= caps::COMMANDS / part)
    }

    /// Whether the people of a room are to be told that there is too much to do:
    /// not if they were a while ago. `own_now` is by the bot's own clock.
    pub fn may_tell_busy(&self, room: &RoomId, own_now: u64) -> Result<bool, Error> {
        let changed = self.execute(
            "UPDATE rooms SET busy_told_at = ?2
             WHERE room_id = ?1 AND busy_told_at NOT BETWEEN ?3 AND ?2",
            (
                room.as_str(),
                own_now.cast_signed(),
                own_now.saturating_sub(BUSY_INTERVAL_MS).cast_signed() + 1,
            ),
        )?;
        Ok(changed == 1)
    }

    /// Queues a message that answers no command that ran. False when too many such
    /// wait: it is left unsaid.
    pub fn put_remark(
        &self,
        room: &RoomId,
        txn_id: &str,
        kind: &str,
        content: &str,
        queued_at: u64,
    ) -> Result<bool, Error> {
        let (of_room, all): (i64, i64) = self
            .one(
                "SELECT count(*) FILTER (WHERE room_id = ?1), count(*) FROM replies WHERE chatter",
                [room.as_str()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?
            .unwrap_or_default();
        if of_room >= caps::CHATTER_OF_ROOM
            || all >= caps::CHATTER
            || content.len() > caps::CHATTER_BYTES
        {
            self.note_dropped(Cap::Chatter, 1);
            return Ok(false);
        }
        self.execute(
            "INSERT INTO replies (room_id, txn_id, kind, content, queued_at, chatter)
             VALUES (?1, ?2, ?3, ?4, ?5, 1)",
            (
                room.as_str(),
                txn_id,
                kind,
                content,
                queued_at.cast_signed(),
            ),
        )?;
        Ok(true)
    }

    /// An answer to a command waits: what else waits to be said in its room is
    /// left unsaid, but for the first of it.
    pub(super) fn make_way_for_answer(&self, room: &RoomId) -> Result<(), Error> {
        let gone = self.execute(
            "DELETE FROM replies WHERE id IN (
                 SELECT id FROM replies WHERE room_id = ?1 AND chatter
                 AND id NOT IN (SELECT reply_id FROM outbox WHERE reply_id IS NOT NULL)
                 ORDER BY id LIMIT -1 OFFSET ?2)",
            (room.as_str(), caps::CHATTER_BEFORE_ANSWER),
        )?;
        self.note_dropped(Cap::Chatter, gone);
        Ok(())
    }

    /// Whether there is something to be said that is no request yet.
    pub fn has_unprepared_replies(&self) -> Result<bool, Error> {
        Ok(self
            .one(
                "SELECT 1 FROM replies
                 WHERE id NOT IN (SELECT reply_id FROM outbox WHERE reply_id IS NOT NULL) LIMIT 1",
                [],
                |_| Ok(()),
            )?
            .is_some())
    }

    /// Whether another to-device request that belongs to no room can be queued.
    pub fn has_room_for_to_device(&self, lane: &str) -> Result<bool, Error> {
        let waiting: Option<i64> = self.one(
            "SELECT count(*) FROM outbox WHERE lane = ?1 AND reply_id IS NULL",
            [lane],
            |row| row.get(0),
        )?;
        let has_room = waiting.unwrap_or_default() < caps::TO_DEVICE_REQUESTS;
        if !has_room {
            self.note_dropped(Cap::ToDevice, 1);
        }
        Ok(has_room)
    }

    /// How many commands of this kind are not done.
    pub fn count_unfinished(&self, payload: &str) -> Result<i64, Error> {
        Ok(self
            .one(
                "SELECT count(*) FROM journal WHERE done = 0 AND payload = ?1",
                [payload],
                |row| row.get(0),
            )?
            .unwrap_or_default())
    }
}
