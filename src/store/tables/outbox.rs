//! Requests that are sent until the server takes them.

use ruma::{EventId, RoomId};

use crate::store::{Cap, Error, Transaction, caps};

/// The part of a request that is not encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InClear {
    /// None: keys, and encrypted messages.
    No = 0,
    /// A reply.
    Words = 1,
    /// The one sentence that may be sent unencrypted where encryption is required.
    Sentence = 2,
}

impl InClear {
    fn of_number(number: i64) -> Self {
        match number {
            0 => Self::No,
            2 => Self::Sentence,
            _ => Self::Words,
        }
    }
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
    /// The part that is not encrypted.
    pub in_clear: InClear,
}

/// Requests that are sent until the server takes them.
pub struct Outbox<'a>(pub(in crate::store) &'a Transaction<'a>);

impl Outbox<'_> {
    /// Returns whether another to-device request that belongs to no room can be queued.
    pub fn has_room_for_to_device(&self, lane: &str) -> Result<bool, Error> {
        let is_full = self.0.exists(
            "SELECT 1 FROM outbox WHERE lane = ?1 AND reply_id IS NULL LIMIT 1 OFFSET ?2",
            (lane, caps::TO_DEVICE_REQUESTS - 1),
        )?;
        self.0.note_dropped(Cap::ToDevice, usize::from(is_full));
        Ok(!is_full)
    }

    /// Queues a request, with the reply it carries, if it does.
    pub fn put(
        &self,
        lane: &str,
        path: &str,
        body: &[u8],
        reply: Option<i64>,
        in_clear: InClear,
    ) -> Result<(), Error> {
        self.0.run(
            "INSERT INTO outbox (lane, path, body, reply_id, in_clear)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (lane, path, body, reply, in_clear as i64),
        )
    }

    /// The lanes in which words wait.
    pub fn lanes_in_clear(&self) -> Result<Vec<String>, Error> {
        self.0.all(
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
        self.0.execute(
            "DELETE FROM outbox WHERE lane = ?1 AND (in_clear = ?2 OR (?3 AND in_clear <> 0))
             AND NOT (?4 AND id = (SELECT min(id) FROM outbox WHERE lane = ?1))",
            (lane, InClear::Words as i64, sentence, under_way),
        )
    }

    /// The first request of each lane, as row and lane, in the order they were
    /// queued. Their bodies can be large: [`Outbox::find`] reads one.
    pub fn heads(&self) -> Result<Vec<(i64, String)>, Error> {
        self.0.all(
            "SELECT min(id), lane FROM outbox GROUP BY lane ORDER BY 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// Returns whether the outbox has more requests than so many.
    pub fn has_more_than(&self, count: usize) -> Result<bool, Error> {
        self.0.exists(
            "SELECT 1 FROM outbox LIMIT 1 OFFSET ?1",
            [count.cast_signed()],
        )
    }

    /// The name of the message that a request carries, if it has one.
    pub fn anchor_of(&self, id: i64) -> Result<Option<String>, Error> {
        let anchor = self.0.one(
            "SELECT anchor FROM replies WHERE id = (SELECT reply_id FROM outbox WHERE id = ?1)",
            [id],
            |row| row.get(0),
        )?;
        Ok(anchor.flatten())
    }

    /// One request of the outbox.
    pub fn find(&self, id: i64) -> Result<Option<OutboxRow>, Error> {
        self.0.one(
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
    pub fn give_up(&self, id: i64, lane: &str) -> Result<(), Error> {
        let carries_keys = self
            .0
            .value("SELECT reply_id IS NULL FROM outbox WHERE id = ?1", [id])?;
        if let (true, Ok(room)) = (carries_keys, <&RoomId>::try_from(lane)) {
            self.0.outbound_sessions().discard(room)?;
        }
        self.finish(id)
    }

    /// Puts another request in the place of this one, which the server has refused.
    pub fn change(&self, id: i64, path: &str, body: &[u8]) -> Result<(), Error> {
        self.0.run(
            "UPDATE outbox SET path = ?2, body = ?3 WHERE id = ?1",
            (id, path, body),
        )
    }

    /// The server has taken it: its message became this event, if it is one and the
    /// server says so.
    pub fn delivered(&self, id: i64, event_id: Option<&EventId>) -> Result<(), Error> {
        if let Some(event_id) = event_id {
            self.0.anchors().keep(id, event_id)?;
        }
        self.finish(id)
    }

    /// The server has taken it (or never will): it is not sent again, and the
    /// message it carried is delivered.
    pub fn finish(&self, id: i64) -> Result<(), Error> {
        self.0.execute(
            "DELETE FROM replies WHERE id = (SELECT reply_id FROM outbox WHERE id = ?1)",
            [id],
        )?;
        self.0.run("DELETE FROM outbox WHERE id = ?1", [id])
    }
}
