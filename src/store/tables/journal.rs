//! Commands from their receipt to their answer.

use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use vodozemac::{Curve25519PublicKey, Ed25519PublicKey};

use super::columns::{optional_fingerprint, optional_id, parsed};
use crate::store::{Error, Transaction, caps};
use crate::util::cut;

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
    /// The number of the part of the command that this is, from 0; 0 of a command that
    /// has no parts.
    pub part: i64,
    /// The target that it is about, whose commands are done one after the other; empty
    /// for what is about none, which is a lane of its own.
    pub target: String,
}

/// A part of a command, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartResult {
    /// The target.
    pub target: String,
    /// The result in one line; None while it is not done.
    pub result: Option<String>,
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
        let share = match urgency {
            Urgency::Scaling => 1,
            Urgency::Question => 2,
        };
        let has_room = self.0.one(
            "SELECT
                 (SELECT count(*) FROM journal WHERE done = 0 AND sender = ?1),
                 (SELECT count(*) FROM journal WHERE done = 0 AND room_id = ?2)
                     + (SELECT count(*) FROM replies WHERE NOT chatter AND room_id = ?2),
                 (SELECT count(*) FROM journal WHERE done = 0)
                     + (SELECT count(*) FROM replies WHERE NOT chatter),
                 (SELECT count(*) FROM journal_parts)",
            (sender.as_str(), room.as_str()),
            |row| {
                Ok(row.get::<_, i64>(0)? <= caps::COMMANDS_OF_SENDER / share
                    && row.get::<_, i64>(1)? <= caps::COMMANDS_OF_ROOM / share
                    && row.get::<_, i64>(2)? <= caps::COMMANDS / share
                    && row.get::<_, i64>(3)? <= caps::COMMAND_PARTS)
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
             (event_id, room_id, sender, payload, received_at, age_ms, curve25519, ed25519, thread,
                 target)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
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
                entry.target.as_str(),
            ),
        )? == 1)
    }

    /// Writes down what was asked for, in parts: of each its payload and its target. The
    /// payload of `entry` is the word for the whole. Each part waits in its target's lane
    /// behind what was asked before. False when it was written down before.
    pub fn record_parts(
        &self,
        entry: &JournalEntry,
        parts: &[(&str, &str)],
    ) -> Result<bool, Error> {
        if !self.record(entry)? {
            return Ok(false);
        }
        for (part, (payload, target)) in (0_i64..).zip(parts) {
            self.0.execute(
                "INSERT INTO journal_parts (event_id, part, target, payload) VALUES (?1, ?2, ?3, ?4)",
                (entry.event_id.as_str(), part, target, payload),
            )?;
        }
        Ok(true)
    }

    /// The oldest of what was asked for and is not done, other than this (none: "").
    pub fn next_unfinished(&self, but: &str) -> Result<Option<JournalEntry>, Error> {
        self.0.one(
            "SELECT event_id, room_id, sender, payload, received_at, age_ms, curve25519, ed25519,
                 thread, 0, target
             FROM journal WHERE done = 0 AND payload <> ?1 ORDER BY rowid LIMIT 1",
            [but],
            entry,
        )
    }

    /// The oldest command, or part of one, that is not done and whose lane is not one of
    /// `busy`: the first of its lane.
    pub fn next_due(&self, busy: &[String]) -> Result<Option<JournalEntry>, Error> {
        self.0.first(
            "SELECT j.event_id, j.room_id, j.sender, coalesce(p.payload, j.payload), j.received_at,
                 j.age_ms, j.curve25519, j.ed25519, j.thread, coalesce(p.part, 0),
                 coalesce(p.target, j.target)
             FROM journal AS j LEFT JOIN journal_parts AS p ON p.event_id = j.event_id
             WHERE j.done = 0 AND p.result IS NULL ORDER BY j.rowid, p.part",
            [],
            |row| {
                let target: String = row.get(10)?;
                match busy.contains(&target) {
                    true => Ok(None),
                    false => entry(row).map(Some),
                }
            },
        )
    }

    /// Returns true if something that was asked of this target since then, by the bot's own
    /// clock in milliseconds, is not done.
    pub fn waits_for(&self, target: &str, since: u64) -> Result<bool, Error> {
        self.0.exists(
            "SELECT 1 FROM journal AS j LEFT JOIN journal_parts AS p ON p.event_id = j.event_id
             WHERE j.done = 0 AND p.result IS NULL AND coalesce(p.target, j.target) = ?1
             AND j.received_at >= ?2",
            (target, since.cast_signed()),
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
                    thread: optional_id(row, 3)?,
                })
            },
        )
    }

    /// A command, or this part of one, is done, and this is its result in one line. With
    /// the last part the whole command is finished, as by [`Journal::finish`]: the results
    /// of all its parts are returned then, in their order, for the one answer to it.
    pub fn finish_part(
        &self,
        entry: &JournalEntry,
        result: &str,
    ) -> Result<Option<Vec<PartResult>>, Error> {
        let result = cut(result, caps::PART_RESULT);
        self.0.execute(
            "UPDATE journal_parts SET result = ?3, payload = '' WHERE event_id = ?1 AND part = ?2",
            (entry.event_id.as_str(), entry.part, result),
        )?;
        let mut results = self.results(&entry.event_id)?;
        if results.iter().any(|part| part.result.is_none()) {
            return Ok(None);
        }
        if results.is_empty() {
            results.push(PartResult {
                target: entry.target.clone(),
                result: Some(result.to_owned()),
            });
        }
        self.finish(&entry.event_id)?;
        Ok(Some(results))
    }

    /// Returns whether a message was written down before.
    pub fn is_known(&self, event: &EventId) -> Result<bool, Error> {
        self.0.exists(
            "SELECT 1 FROM journal WHERE event_id = ?1",
            [event.as_str()],
        )
    }

    /// Replaces the payload of a command that has no parts and is not done: it goes on as
    /// another one.
    pub fn rewrite(&self, event: &EventId, payload: &str) -> Result<(), Error> {
        self.0.run(
            "UPDATE journal SET payload = ?2 WHERE event_id = ?1 AND done = 0",
            (event.as_str(), payload),
        )
    }

    /// The parts of a command that is not finished, in their order; none of one without.
    pub(in crate::store) fn results(&self, event: &EventId) -> Result<Vec<PartResult>, Error> {
        self.0.all(
            "SELECT target, result FROM journal_parts WHERE event_id = ?1 ORDER BY part",
            [event.as_str()],
            |row| {
                Ok(PartResult {
                    target: row.get(0)?,
                    result: row.get(1)?,
                })
            },
        )
    }

    /// It is done, with all its parts; its answer is in the replies of the same
    /// transaction. What was asked is wiped, that it was asked is kept for a while.
    pub fn finish(&self, event: &EventId) -> Result<(), Error> {
        self.0.execute(
            "DELETE FROM journal_parts WHERE event_id = ?1",
            [event.as_str()],
        )?;
        self.0.execute(
            "UPDATE journal SET done = 1, payload = '', target = '', thread = NULL
             WHERE event_id = ?1",
            [event.as_str()],
        )?;
        self.0.run(
            "DELETE FROM journal
             WHERE done = 1 AND rowid <= (SELECT max(rowid) FROM journal) - ?1",
            [caps::JOURNAL],
        )
    }
}

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<JournalEntry> {
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
        thread: optional_id(row, 8)?,
        part: row.get(9)?,
        target: row.get(10)?,
    })
}
