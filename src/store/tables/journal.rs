//! Commands from their receipt to their answer.

use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use vodozemac::{Curve25519PublicKey, Ed25519PublicKey};

use super::columns::{optional_fingerprint, parsed};
use crate::store::{Error, Transaction, caps};

/// The keys that name a device beyond doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceKeys {
    /// Its identity key.
    pub curve25519: Curve25519PublicKey,
    /// Its fingerprint.
    pub ed25519: Ed25519PublicKey,
}

/// A command, from its receipt to its answer.
pub struct JournalEntry {
    /// The event that carried it.
    pub event_id: OwnedEventId,
    /// The room.
    pub room: OwnedRoomId,
    /// The sender.
    pub sender: OwnedUserId,
    /// From which device, if it came encrypted.
    pub device: Option<DeviceKeys>,
    /// The command, in the words of the layer above.
    pub payload: String,
    /// Time of receipt by the bot's own clock, in milliseconds.
    pub received_at: u64,
    /// Its age at that time, in milliseconds.
    pub age_ms: u64,
    /// The first message of the thread that it was asked in.
    pub thread: Option<OwnedEventId>,
}

/// A command that is not done, as far as its answer needs it.
pub struct Unfinished {
    /// The event that carried it.
    pub event_id: OwnedEventId,
    /// The room.
    pub room: OwnedRoomId,
    /// The command, in the words of the layer above.
    pub payload: String,
    /// The first message of the thread that it was asked in.
    pub thread: Option<OwnedEventId>,
}

/// Share of the command limits that a command may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// It changes something.
    Scaling,
    /// It asks for something: it leaves half of the room to what changes something.
    Question,
}

/// Commands from their receipt to their answer.
pub struct Journal<'a>(pub(in crate::store) &'a Transaction<'a>);

impl Journal<'_> {
    /// Returns whether a command that was just journalled can be done: not too many wait
    /// before it, of its sender, to be answered in its room, or in all.
    pub fn has_room_for(
        &self,
        sender: &UserId,
        room: &RoomId,
        urgency: Urgency,
    ) -> Result<bool, Error> {
        let part = match urgency {
            Urgency::Scaling => 1,
            Urgency::Question => 2,
        };
        let has_room = self.0.one(
            "SELECT
                 (SELECT count(*) FROM journal WHERE done = 0 AND sender = ?1),
                 (SELECT count(*) FROM journal WHERE done = 0 AND room_id = ?2)
                     + (SELECT count(*) FROM replies WHERE NOT chatter AND room_id = ?2),
                 (SELECT count(*) FROM journal WHERE done = 0)
                     + (SELECT count(*) FROM replies WHERE NOT chatter)",
            (sender.as_str(), room.as_str()),
            |row| {
                Ok(row.get::<_, i64>(0)? <= caps::COMMANDS_OF_SENDER / part
                    && row.get::<_, i64>(1)? <= caps::COMMANDS_OF_ROOM / part
                    && row.get::<_, i64>(2)? <= caps::COMMANDS / part)
            },
        )?;
        Ok(has_room.unwrap_or(true))
    }

    /// Counts the commands of this kind that are not done.
    pub fn count_unfinished(&self, payload: &str) -> Result<i64, Error> {
        self.0.value(
            "SELECT count(*) FROM journal WHERE done = 0 AND payload = ?1",
            [payload],
        )
    }

    /// Writes down what was asked for. False when it was before.
    pub fn record(&self, entry: &JournalEntry) -> Result<bool, Error> {
        Ok(self.0.execute(
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
        )? == 1)
    }

    /// The oldest of what was asked for and is not done, other than this (none: "").
    pub fn next_unfinished(&self, but: &str) -> Result<Option<JournalEntry>, Error> {
        self.0.one(
            "SELECT event_id, room_id, sender, payload, received_at, age_ms, curve25519, ed25519,
                 thread
             FROM journal WHERE done = 0 AND payload <> ?1 ORDER BY rowid LIMIT 1",
            [but],
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
        self.0.all(
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
        self.0.execute(
            "UPDATE journal SET done = 1, payload = '', thread = NULL WHERE event_id = ?1",
            [event.as_str()],
        )?;
        self.0.run(
            "DELETE FROM journal
             WHERE done = 1 AND rowid <= (SELECT max(rowid) FROM journal) - ?1",
            [caps::JOURNAL],
        )
    }
}

fn thread(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<OwnedEventId>> {
    let root: Option<String> = row.get(column)?;
    Ok(root.and_then(|root| root.try_into().ok()))
}
