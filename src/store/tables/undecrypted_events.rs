//! Events that cannot be classified yet: their key, an answer of the server or an
//! earlier part of the timeline is missing.

use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId};

use super::columns::parsed;
use crate::store::{Error, Transaction, caps};

/// Reason for which an event waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// Its Megolm session has not arrived.
    NoKey = 0,
    /// The server has to be asked something first: for the sender's devices, or
    /// whether the room is encrypted.
    Unclassified = 1,
    /// A gap in its room's timeline is being read: what was said before comes
    /// first.
    Gap = 2,
}

impl WaitReason {
    fn of_number(number: i64) -> Self {
        match number {
            0 => Self::NoKey,
            2 => Self::Gap,
            _ => Self::Unclassified,
        }
    }
}

/// An event that cannot be judged yet.
pub struct UndecryptedEvent {
    /// Its id.
    pub event_id: OwnedEventId,
    /// The room it was sent to.
    pub room: OwnedRoomId,
    /// The sender, by the server's word.
    pub sender: OwnedUserId,
    /// The whole event as it came.
    pub event: String,
    /// Time of receipt, in milliseconds since the Unix epoch.
    pub received_at: u64,
    /// Its age at that time, in milliseconds.
    pub age_ms: u64,
    /// The reason for which it waits.
    pub reason: WaitReason,
}

/// State of a known event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventStatus {
    /// It was judged.
    Classified,
    /// It waits.
    Waiting(WaitReason),
}

/// Events that cannot be classified yet.
pub struct UndecryptedEvents<'a>(pub(in crate::store) &'a Transaction<'a>);

impl UndecryptedEvents<'_> {
    /// Keeps an event until it can be judged: behind all that wait, or at this
    /// place among them. One that waits already stays as it is. Gives how many were
    /// given up for it.
    pub fn put(&self, held: &UndecryptedEvent, position: Option<i64>) -> Result<usize, Error> {
        self.0.execute(
            "INSERT OR IGNORE INTO held
             (event_id, room_id, sender, event, received_at, age_ms, reason, position)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7,
                 coalesce(?8, 1 + max(
                     (SELECT coalesce(max(position), 0) FROM held),
                     (SELECT coalesce(max(top), 0) FROM gaps WHERE token <> ''))))",
            (
                held.event_id.as_str(),
                held.room.as_str(),
                held.sender.as_str(),
                held.event.as_str(),
                held.received_at.cast_signed(),
                held.age_ms.cast_signed(),
                held.reason as i64,
                position,
            ),
        )?;
        self.0.execute(
            "DELETE FROM held WHERE rowid IN (
                 SELECT rowid FROM held ORDER BY position DESC, rowid DESC LIMIT -1 OFFSET ?1)",
            [caps::UNDECRYPTED_EVENTS],
        )
    }

    /// Events that wait and may be judged, as rows, in the order they were said:
    /// all but those of gaps. Their bodies can be large: [`UndecryptedEvents::find`]
    /// reads one.
    pub fn rows(&self) -> Result<Vec<i64>, Error> {
        self.0.all(
            "SELECT rowid FROM held WHERE reason <> ?1 ORDER BY position, rowid",
            [WaitReason::Gap as i64],
            |row| row.get(0),
        )
    }

    /// One event that waits.
    pub fn find(&self, id: i64) -> Result<Option<UndecryptedEvent>, Error> {
        self.0.one(
            "SELECT event_id, room_id, sender, event, received_at, age_ms, reason FROM held
             WHERE rowid = ?1",
            [id],
            |row| {
                Ok(UndecryptedEvent {
                    event_id: parsed(row, 0)?,
                    room: parsed(row, 1)?,
                    sender: parsed(row, 2)?,
                    event: row.get(3)?,
                    received_at: row.get::<_, i64>(4)?.cast_unsigned(),
                    age_ms: row.get::<_, i64>(5)?.cast_unsigned(),
                    reason: WaitReason::of_number(row.get(6)?),
                })
            },
        )
    }

    /// Counts the events that wait.
    pub fn count(&self) -> Result<i64, Error> {
        self.0.value("SELECT count(*) FROM held", [])
    }

    /// Time of receipt of the first event that waits for this, in milliseconds since the Unix
    /// epoch.
    pub fn oldest_received_at(&self, reason: WaitReason) -> Result<Option<u64>, Error> {
        let since: Option<i64> = self.0.value(
            "SELECT min(received_at) FROM held WHERE reason = ?1",
            [reason as i64],
        )?;
        Ok(since.map(i64::cast_unsigned))
    }

    /// An event goes on waiting, for something else.
    pub fn set_reason(&self, event: &EventId, reason: WaitReason) -> Result<(), Error> {
        self.0.run(
            "UPDATE held SET reason = ?2 WHERE event_id = ?1",
            (event.as_str(), reason as i64),
        )
    }

    /// An event that waits was said before what has a later position.
    pub fn set_position(&self, event: &EventId, position: i64) -> Result<(), Error> {
        self.0.run(
            "UPDATE held SET position = ?2 WHERE event_id = ?1",
            (event.as_str(), position),
        )
    }

    /// Events that wait for a gap that is read no more can be classified.
    pub fn release_without_gap(&self) -> Result<(), Error> {
        self.0.run(
            "UPDATE held SET reason = ?1 WHERE reason = ?2
             AND room_id NOT IN (SELECT room_id FROM gaps WHERE token <> '')",
            (WaitReason::Unclassified as i64, WaitReason::Gap as i64),
        )
    }

    /// The event has been judged.
    pub fn remove(&self, event: &EventId) -> Result<(), Error> {
        self.0
            .run("DELETE FROM held WHERE event_id = ?1", [event.as_str()])
    }

    /// Returns whether this event was taken into the journal before, or waits.
    pub fn status(&self, event: &EventId) -> Result<Option<EventStatus>, Error> {
        self.0.one(
            "SELECT -1 FROM journal WHERE event_id = ?1
             UNION ALL SELECT reason FROM held WHERE event_id = ?1",
            [event.as_str()],
            |row| {
                Ok(match row.get(0)? {
                    -1 => EventStatus::Classified,
                    reason => EventStatus::Waiting(WaitReason::of_number(reason)),
                })
            },
        )
    }
}
