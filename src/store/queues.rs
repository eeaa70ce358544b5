//! What was asked for and is not finished, and what has to go out.

use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId};

use vodozemac::{Curve25519PublicKey, Ed25519PublicKey};

use super::{Error, Transaction, caps, database::parsed, devices::optional_fingerprint};

/// The keys that name a device beyond doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceKeys {
    /// Its identity key.
    pub curve25519: Curve25519PublicKey,
    /// Its fingerprint.
    pub ed25519: Ed25519PublicKey,
}

/// Something somebody asked for, from its receipt to its answer.
pub struct JournalEntry {
    /// The event that asked.
    pub event_id: OwnedEventId,
    /// Where.
    pub room: OwnedRoomId,
    /// Who.
    pub sender: OwnedUserId,
    /// From which device, if it came encrypted.
    pub device: Option<DeviceKeys>,
    /// What, in the words of the layer above.
    pub payload: String,
    /// When it came, by the bot's own clock, in milliseconds.
    pub received_at: u64,
    /// How old it was then, in milliseconds.
    pub age_ms: u64,
    /// The first message of the thread that it was asked in.
    pub thread: Option<OwnedEventId>,
}

/// What was asked for and is not done, as far as its answer needs it.
pub struct Unfinished {
    /// The event that asked.
    pub event_id: OwnedEventId,
    /// Where.
    pub room: OwnedRoomId,
    /// What, in the words of the layer above.
    pub payload: String,
    /// The first message of the thread that it was asked in.
    pub thread: Option<OwnedEventId>,
}

/// A message that has to reach a room.
pub struct Reply {
    /// Its row.
    pub id: i64,
    /// Where to.
    pub room: OwnedRoomId,
    /// The same for each attempt, so that the server shows it once.
    pub txn_id: String,
    /// When it was queued, by the bot's own clock in milliseconds.
    pub queued_at: u64,
    /// The event type, before encryption.
    pub kind: String,
    /// The content as JSON, before encryption.
    pub content: String,
}

/// Whether a request shows words to whoever sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InClear {
    /// It does not: keys, and what is encrypted.
    No,
    /// It shows a reply.
    Words,
    /// It shows the one sentence that may be shown where encryption is required.
    Sentence,
}

/// A request that is sent until the server takes it, byte for byte the same.
pub struct OutboxRow {
    /// Its row.
    pub id: i64,
    /// Requests of one lane are sent one after the other, in this order.
    pub lane: String,
    /// Path and query of a `PUT`, relative to the homeserver.
    pub path: String,
    /// The body.
    pub body: Vec<u8>,
    /// What it shows.
    pub in_clear: InClear,
}

fn thread(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<OwnedEventId>> {
    let root: Option<String> = row.get(column)?;
    Ok(root.and_then(|root| root.try_into().ok()))
}

impl InClear {
    fn number(self) -> i64 {
        match self {
            Self::No => 0,
            Self::Words => 1,
            Self::Sentence => 2,
        }
    }

    fn of_number(number: i64) -> Self {
        match number {
            0 => Self::No,
            2 => Self::Sentence,
            _ => Self::Words,
        }
    }
}

impl Transaction<'_> {
    /// Writes down what was asked for. False when it was before.
    pub fn journal(&self, entry: &JournalEntry) -> Result<bool, Error> {
        let new = self.execute(
            "INSERT OR IGNORE INTO journal
             (event_id, room_id, sender, payload, received_at, age_ms, curve25519, ed25519, thread)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            (
                entry.event_id.as_str(),
                entry.room.as_str(),
                entry.sender.as_str(),
                entry.payload.as_str(),
                entry.received_at.cast_signed(),
                entry.age_ms.cast_signed(),
                entry.device.as_ref().map(|keys| keys.curve25519.as_bytes()),
                entry.device.as_ref().map(|keys| keys.ed25519.as_bytes()),
                entry.thread.as_ref().map(|root| root.as_str()),
            ),
        )?;
        Ok(new == 1)
    }

    /// The oldest of what was asked for and is not done.
    pub fn next_unfinished(&self) -> Result<Option<JournalEntry>, Error> {
        self.next_unfinished_but("")
    }

    /// The oldest of what was asked for and is not done, other than this.
    pub fn next_unfinished_but(&self, payload: &str) -> Result<Option<JournalEntry>, Error> {
        self.one(
            "SELECT event_id, room_id, sender, payload, received_at, age_ms, curve25519, ed25519,
                 thread
             FROM journal WHERE done = 0 AND payload <> ?1 ORDER BY rowid LIMIT 1",
            [payload],
            |row| {
                let curve25519: Option<[u8; 32]> = row.get(6)?;
                let ed25519 = optional_fingerprint(row, 7)?;
                Ok(JournalEntry {
                    event_id: parsed(row, 0)?,
                    room: parsed(row, 1)?,
                    sender: parsed(row, 2)?,
                    device: curve25519
                        .zip(ed25519)
                        .map(|(curve25519, ed25519)| DeviceKeys {
                            curve25519: Curve25519PublicKey::from_bytes(curve25519),
                            ed25519,
                        }),
                    payload: row.get(3)?,
                    received_at: row.get::<_, i64>(4)?.cast_unsigned(),
                    age_ms: row.get::<_, i64>(5)?.cast_unsigned(),
                    thread: thread(row, 8)?,
                })
            },
        )
    }

    /// All of what was asked for and is not done, in order.
    pub fn unfinished(&self) -> Result<Vec<Unfinished>, Error> {
        self.all(
            "SELECT event_id, room_id, payload, thread FROM journal WHERE done = 0 ORDER BY rowid",
            [],
            |row| {
                Ok(Unfinished {
                    event_id: parsed(row, 0)?,
                    room: parsed(row, 1)?,
                    payload: row.get(2)?,
                    thread: thread(row, 3)?,
                })
            },
        )
    }

    /// It is done; its answer is in the replies of the same transaction. What
    /// was asked is wiped, that it was asked is kept for a while.
    pub fn finish(&self, event: &EventId) -> Result<(), Error> {
        self.execute(
            "UPDATE journal SET done = 1, payload = '', thread = NULL WHERE event_id = ?1",
            [event.as_str()],
        )?;
        self.execute(
            "DELETE FROM journal
             WHERE done = 1 AND rowid <= (SELECT max(rowid) FROM journal) - ?1",
            [caps::JOURNAL],
        )?;
        Ok(())
    }

    /// Drops what waits, what was asked for and is not done, and what was to be
    /// said.
    pub fn forget_unfinished(&self) -> Result<(), Error> {
        self.inner.execute_batch(
            "DELETE FROM held; DELETE FROM gaps; DELETE FROM journal WHERE done = 0;
             DELETE FROM replies;",
        )?;
        Ok(())
    }

    /// Queues a message for a room, at this time by the bot's own clock in
    /// milliseconds.
    pub fn put_reply(
        &self,
        room: &RoomId,
        txn_id: &str,
        kind: &str,
        content: &str,
        queued_at: u64,
    ) -> Result<(), Error> {
        self.execute(
            "INSERT INTO replies (room_id, txn_id, kind, content, queued_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                room.as_str(),
                txn_id,
                kind,
                content,
                queued_at.cast_signed(),
            ),
        )?;
        self.make_way_for_answer(room)
    }

    /// Rooms with messages that are not in the outbox yet.
    pub fn rooms_with_replies(&self) -> Result<Vec<OwnedRoomId>, Error> {
        self.all(
            "SELECT DISTINCT room_id FROM replies
             WHERE id NOT IN (SELECT reply_id FROM outbox WHERE reply_id IS NOT NULL)",
            [],
            |row| parsed(row, 0),
        )
    }

    /// A room's messages that are not in the outbox yet, in their order, and as many
    /// as may be there beside what is: none while it is full.
    pub fn replies(&self, room: &RoomId) -> Result<Vec<Reply>, Error> {
        self.all(
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
    pub fn drop_replies(&self, room: &RoomId) -> Result<usize, Error> {
        self.execute("DELETE FROM replies WHERE room_id = ?1", [room.as_str()])
    }

    /// Drops one reply.
    pub fn drop_reply(&self, id: i64) -> Result<(), Error> {
        self.execute("DELETE FROM replies WHERE id = ?1", [id])?;
        Ok(())
    }

    /// Queues a request that shows no words; with the reply it carries, if it does.
    pub fn put_outbox(
        &self,
        lane: &str,
        path: &str,
        body: &[u8],
        reply: Option<i64>,
    ) -> Result<(), Error> {
        self.execute(
            "INSERT INTO outbox (lane, path, body, reply_id) VALUES (?1, ?2, ?3, ?4)",
            (lane, path, body, reply),
        )?;
        Ok(())
    }

    /// Queues a request that shows words, for the reply it stands for.
    pub fn put_outbox_in_clear(
        &self,
        lane: &str,
        path: &str,
        body: &[u8],
        reply: i64,
        words: InClear,
    ) -> Result<(), Error> {
        self.execute(
            "INSERT INTO outbox (lane, path, body, reply_id, in_clear)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (lane, path, body, reply, words.number()),
        )?;
        Ok(())
    }

    /// The lanes in which words wait.
    pub fn lanes_in_clear(&self) -> Result<Vec<String>, Error> {
        self.all(
            "SELECT DISTINCT lane FROM outbox WHERE in_clear <> 0",
            [],
            |row| row.get(0),
        )
    }

    /// Takes the requests of a lane back that show words, `sentence` those too that
    /// show no others than that; but for the lane's head if it is `under_way`. Their
    /// replies wait again. Gives how many there were.
    pub fn withdraw_in_clear(
        &self,
        lane: &str,
        sentence: bool,
        under_way: bool,
    ) -> Result<usize, Error> {
        self.execute(
            "DELETE FROM outbox WHERE lane = ?1 AND (in_clear = ?2 OR (?3 AND in_clear <> 0))
             AND NOT (?4 AND id = (SELECT min(id) FROM outbox WHERE lane = ?1))",
            (lane, InClear::Words.number(), sentence, under_way),
        )
    }

    /// The first request of each lane, as row and lane, in the order they were
    /// queued. Their bodies can be large: [`Transaction::outbox_row`] reads one.
    pub fn outbox_heads(&self) -> Result<Vec<(i64, String)>, Error> {
        self.all(
            "SELECT min(id), lane FROM outbox GROUP BY lane ORDER BY 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// Whether the outbox has more requests than so many.
    pub fn has_more_to_send_than(&self, count: usize) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM outbox LIMIT 1 OFFSET ?1";
        let more = self.one(sql, [count.cast_signed()], |_| Ok(()))?;
        Ok(more.is_some())
    }

    /// One request of the outbox.
    pub fn outbox_row(&self, id: i64) -> Result<Option<OutboxRow>, Error> {
        self.one(
            "SELECT id, lane, path, body, in_clear FROM outbox WHERE id = ?1",
            [id],
            |row| {
                Ok(OutboxRow {
                    id: row.get(0)?,
                    lane: row.get(1)?,
                    path: row.get(2)?,
                    body: row.get(3)?,
                    in_clear: InClear::of_number(row.get(4)?),
                })
            },
        )
    }

    /// The server will never take this request of a room's lane. If it carried
    /// keys, they did not arrive: the next message in the room has new ones.
    pub fn give_up_outbox(&self, id: i64, lane: &str) -> Result<(), Error> {
        let carries_keys = self
            .one(
                "SELECT reply_id IS NULL FROM outbox WHERE id = ?1",
                [id],
                |row| row.get(0),
            )?
            .unwrap_or(false);
        if let (true, Ok(room)) = (carries_keys, <&RoomId>::try_from(lane)) {
            self.discard_outbound_group(room)?;
        }
        self.finish_outbox(id)
    }

    /// The server has taken it (or never will): it is not sent again, and the
    /// message it carried is delivered.
    pub fn finish_outbox(&self, id: i64) -> Result<(), Error> {
        self.execute(
            "DELETE FROM replies WHERE id = (SELECT reply_id FROM outbox WHERE id = ?1)",
            [id],
        )?;
        self.execute("DELETE FROM outbox WHERE id = ?1", [id])?;
        Ok(())
    }
}
