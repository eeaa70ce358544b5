//! Gaps in rooms' timelines: what the server left out of a sync and is read back.

use ruma::{OwnedRoomId, RoomId};

use super::columns::parsed;
use crate::store::{Error, Transaction};

/// Places kept free before what a gap's sync shows, for what the gap brings: more
/// than all of its pages hold.
const PLACES: i64 = 10_000;

/// A gap that is being read, from its end back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The room.
    pub room: OwnedRoomId,
    /// The next page lies before this.
    pub token: String,
    /// The position of the last sync without the gap: what lies before is known.
    pub until: String,
    /// Pages that were read.
    pub pages: u32,
    /// Events that were kept of them.
    pub events: u32,
    /// The place of the next event: before all that was read.
    pub position: i64,
}

/// Gaps in rooms' timelines.
pub struct Gaps<'a>(pub(in crate::store) &'a Transaction<'a>);

impl Gaps<'_> {
    /// The server left something out before `token`. A gap of this room that is
    /// not read to its end yet becomes part of this one, and its time goes on.
    pub fn open(&self, room: &RoomId, token: &str, until: &str, own_now: u64) -> Result<(), Error> {
        self.0.run(
            "INSERT INTO gaps (room_id, token, until, began_at, top, position)
             SELECT ?1, ?2, ?3, ?4, top, top FROM (SELECT ?5 + max(
                 (SELECT coalesce(max(position), 0) FROM held),
                 (SELECT coalesce(max(top), 0) FROM gaps WHERE token <> '')) AS top)
             WHERE true
             ON CONFLICT (room_id) DO UPDATE SET
                 until = CASE WHEN token = '' THEN excluded.until ELSE until END,
                 began_at = CASE WHEN token = '' THEN excluded.began_at ELSE began_at END,
                 pages = CASE WHEN token = '' THEN 0 ELSE pages END,
                 events = CASE WHEN token = '' THEN 0 ELSE events END,
                 position = excluded.position,
                 top = excluded.top,
                 token = excluded.token",
            (room.as_str(), token, until, own_now.cast_signed(), PLACES),
        )
    }

    /// The gap of this room that is being read.
    pub fn find(&self, room: &RoomId) -> Result<Option<Gap>, Error> {
        self.0.one(
            "SELECT room_id, token, until, pages, events, position FROM gaps
             WHERE room_id = ?1 AND token <> ''",
            [room.as_str()],
            read,
        )
    }

    /// Gaps that are being read, the oldest first.
    pub fn oldest(&self, limit: u32) -> Result<Vec<Gap>, Error> {
        self.0.all(
            "SELECT room_id, token, until, pages, events, position FROM gaps
             WHERE token <> '' ORDER BY began_at, room_id LIMIT ?1",
            [limit],
            read,
        )
    }

    /// Writes down how far a gap was read.
    pub fn put(&self, gap: &Gap) -> Result<(), Error> {
        self.0.run(
            "UPDATE gaps SET token = ?2, pages = ?3, events = ?4, position = ?5
             WHERE room_id = ?1",
            (
                gap.room.as_str(),
                gap.token.as_str(),
                gap.pages,
                gap.events,
                gap.position,
            ),
        )
    }

    /// The gap of a room is read no further, and what waits for it can be judged.
    pub fn close(&self, room: &RoomId) -> Result<(), Error> {
        self.0.execute(
            "UPDATE gaps SET token = '' WHERE room_id = ?1",
            [room.as_str()],
        )?;
        self.0.undecrypted().release_without_gap()
    }

    /// Rooms whose gap has been read since before this, by the bot's own clock.
    pub fn begun_before(&self, own_time: u64) -> Result<Vec<OwnedRoomId>, Error> {
        self.0.all(
            "SELECT room_id FROM gaps WHERE token <> '' AND began_at <= ?1",
            [own_time.cast_signed()],
            |row| parsed(row, 0),
        )
    }

    /// Time at which the oldest gap that is being read was met, by the bot's own clock.
    pub fn oldest_began_at(&self) -> Result<Option<u64>, Error> {
        let began: Option<i64> = self
            .0
            .value("SELECT min(began_at) FROM gaps WHERE token <> ''", [])?;
        Ok(began.map(i64::cast_unsigned))
    }

    /// Gaps that were left by the last process have all their time again.
    pub fn begin_again(&self, own_now: u64) -> Result<(), Error> {
        self.0.run(
            "UPDATE gaps SET began_at = ?1 WHERE token <> ''",
            [own_now.cast_signed()],
        )
    }

    /// Something in this room was not read, and its people are to be told.
    pub fn put_missed(&self, room: &RoomId) -> Result<(), Error> {
        self.0.run(
            "INSERT INTO gaps (room_id, token, until, began_at, missed) VALUES (?1, '', '', 0, 1)
             ON CONFLICT (room_id) DO UPDATE SET missed = 1",
            [room.as_str()],
        )
    }

    /// Rooms whose people are to be told, and when they were last, by the bot's own
    /// clock.
    pub fn missed(&self) -> Result<Vec<(OwnedRoomId, u64)>, Error> {
        self.0.all(
            "SELECT room_id, told FROM gaps WHERE missed = 1 ORDER BY room_id",
            [],
            |row| Ok((parsed(row, 0)?, row.get::<_, i64>(1)?.cast_unsigned())),
        )
    }

    /// People were told, or had been a moment ago.
    pub fn finish_missed(&self, room: &RoomId, told_at: u64) -> Result<(), Error> {
        self.0.run(
            "UPDATE gaps SET missed = 0, told = ?2 WHERE room_id = ?1",
            (room.as_str(), told_at.cast_signed()),
        )
    }
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Gap> {
    Ok(Gap {
        room: parsed(row, 0)?,
        token: row.get(1)?,
        until: row.get(2)?,
        pages: row.get(3)?,
        events: row.get(4)?,
        position: row.get(5)?,
    })
}
