//! Rooms the bot is or was in, and their encryption.

use ruma::{OwnedRoomId, RoomId};

use super::columns::parsed;
use crate::crypto::{MEGOLM_ALGORITHM, Rotation};
use crate::store::{Cap, Error, Transaction, caps, limits};

/// The people of a room are told at most this often, in milliseconds, that there
/// is too much to do.
const BUSY_INTERVAL_MS: u64 = 10 * 60_000;

/// Encryption of what is sent to a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// The server has not been asked yet.
    Unknown,
    /// Never was encrypted, as far as the server tells.
    Plaintext,
    /// Megolm.
    Megolm(Rotation),
    /// Encrypted with something this program does not know: nothing is sent.
    Unsupported,
}

/// Rooms and their encryption.
pub struct Rooms<'a>(pub(in crate::store) &'a Transaction<'a>);

impl Rooms<'_> {
    /// Returns whether this room is known, or another one fits.
    pub fn has_room_for(&self, room: &RoomId) -> Result<bool, Error> {
        let known = self
            .0
            .exists("SELECT 1 FROM rooms WHERE room_id = ?1", [room.as_str()])?;
        if known || self.0.fits(&limits::ROOMS)? {
            return Ok(true);
        }
        self.0.note_dropped(Cap::Rooms, 1);
        Ok(false)
    }

    /// The bot is in this room. True when that is news.
    pub fn enter(&self, room: &RoomId) -> Result<bool, Error> {
        let known = self.is_joined(room)?;
        if !known {
            self.0.execute(
                "INSERT INTO rooms (room_id, joined) VALUES (?1, 1)
                 ON CONFLICT (room_id) DO UPDATE SET joined = 1",
                [room.as_str()],
            )?;
        }
        self.0.invites().forget(room)?;
        // The key may have come first.
        self.0.execute(
            "UPDATE rooms SET algorithm = ?2 WHERE room_id = ?1 AND algorithm IS NULL
             AND EXISTS (SELECT 1 FROM inbound_groups WHERE room_id = ?1)",
            (room.as_str(), MEGOLM_ALGORITHM),
        )?;
        Ok(!known)
    }

    /// People of this room hold it encrypted, whatever the server says of it. True
    /// if nothing was known of that. A room that the bot was never in is remembered
    /// while there is room; beyond that the key that came for it tells, as long as
    /// it is kept.
    pub fn prove_encrypted(&self, room: &RoomId) -> Result<bool, Error> {
        self.0.execute(
            "INSERT OR IGNORE INTO rooms (room_id, joined)
             SELECT ?1, 0 WHERE (SELECT count(*) FROM rooms) < ?2",
            (room.as_str(), caps::ROOMS),
        )?;
        Ok(self.0.execute(
            "UPDATE rooms SET algorithm = ?2 WHERE room_id = ?1 AND algorithm IS NULL",
            (room.as_str(), MEGOLM_ALGORITHM),
        )? == 1)
    }

    /// The bot is no longer in this room. That it was encrypted is not
    /// forgotten; what was to be said there is.
    pub fn leave(&self, room: &RoomId) -> Result<(), Error> {
        self.0.execute(
            "UPDATE rooms SET joined = 0, members_complete = 0, encryption_checked = 0
             WHERE room_id = ?1",
            [room.as_str()],
        )?;
        self.0.outbound_sessions().discard(room)?;
        for sql in [
            "DELETE FROM members WHERE room_id = ?1",
            "DELETE FROM held WHERE room_id = ?1",
            "DELETE FROM gaps WHERE room_id = ?1",
            "DELETE FROM invites WHERE room_id = ?1",
            "DELETE FROM replies WHERE room_id = ?1",
            "DELETE FROM outbox WHERE lane = ?1",
        ] {
            self.0.execute(sql, [room.as_str()])?;
        }
        self.0.recount(&limits::MEMBERS);
        Ok(())
    }

    /// Returns whether the bot is in this room.
    pub fn is_joined(&self, room: &RoomId) -> Result<bool, Error> {
        self.0.value(
            "SELECT joined FROM rooms WHERE room_id = ?1",
            [room.as_str()],
        )
    }

    /// The encryption of this room.
    pub fn encryption(&self, room: &RoomId) -> Result<Encryption, Error> {
        let row = self.0.one(
            "SELECT algorithm, encryption_checked, rotation_period_ms, rotation_period_msgs
             FROM rooms WHERE room_id = ?1",
            [room.as_str()],
            |row| {
                let algorithm: Option<String> = row.get(0)?;
                let period: Option<i64> = row.get(2)?;
                let messages: Option<i64> = row.get(3)?;
                let unsigned = |value: Option<i64>| value.and_then(|value| value.try_into().ok());
                Ok(match algorithm.as_deref() {
                    None if row.get(1)? => Encryption::Plaintext,
                    None => Encryption::Unknown,
                    Some(MEGOLM_ALGORITHM) => {
                        Encryption::Megolm(Rotation::new(unsigned(period), unsigned(messages)))
                    }
                    Some(_) => Encryption::Unsupported,
                })
            },
        )?;
        Ok(row.unwrap_or(Encryption::Unknown))
    }

    /// An `m.room.encryption` was seen. The first one makes the room encrypted
    /// for good; later ones may change how often keys rotate, and an algorithm
    /// once known is never replaced by an unknown one.
    pub fn set_encrypted(
        &self,
        room: &RoomId,
        algorithm: &str,
        period_ms: Option<u64>,
        messages: Option<u64>,
    ) -> Result<(), Error> {
        let algorithm = match algorithm.len() {
            0..=caps::STATE_WORD => algorithm,
            _ => "",
        };
        let signed = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok());
        self.0.run(
            "INSERT INTO rooms (room_id, joined, algorithm, rotation_period_ms,
                                rotation_period_msgs, encryption_checked)
             VALUES (?1, 0, ?2, ?3, ?4, 1)
             ON CONFLICT (room_id) DO UPDATE SET
                 algorithm = CASE WHEN algorithm IS ?5 THEN algorithm ELSE ?2 END,
                 rotation_period_ms = ?3, rotation_period_msgs = ?4, encryption_checked = 1",
            (
                room.as_str(),
                algorithm,
                signed(period_ms),
                signed(messages),
                MEGOLM_ALGORITHM,
            ),
        )
    }

    /// The server was asked and says that the room is not encrypted.
    pub fn set_not_encrypted(&self, room: &RoomId) -> Result<(), Error> {
        self.0.run(
            "UPDATE rooms SET encryption_checked = 1 WHERE room_id = ?1",
            [room.as_str()],
        )
    }

    /// The room's `history_visibility`. True when it changed from one value to
    /// another.
    pub fn set_history_visibility(&self, room: &RoomId, value: &str) -> Result<bool, Error> {
        let value = match value.len() {
            0..=caps::STATE_WORD => value,
            _ => "",
        };
        let before: Option<String> = self.0.value(
            "SELECT history_visibility FROM rooms WHERE room_id = ?1",
            [room.as_str()],
        )?;
        self.0.execute(
            "UPDATE rooms SET history_visibility = ?2 WHERE room_id = ?1",
            (room.as_str(), value),
        )?;
        Ok(before.is_some_and(|before| before != value))
    }

    /// Rooms the bot is in of which nobody has asked whether they are encrypted.
    pub fn without_encryption(&self) -> Result<Vec<OwnedRoomId>, Error> {
        self.0.all(
            "SELECT room_id FROM rooms WHERE joined = 1 AND encryption_checked = 0",
            [],
            |row| parsed(row, 0),
        )
    }

    /// Returns whether the people of a room are to be told that there is too much to do:
    /// not if they were a while ago. `own_now` is by the bot's own clock.
    pub fn may_tell_busy(&self, room: &RoomId, own_now: u64) -> Result<bool, Error> {
        Ok(self.0.execute(
            "UPDATE rooms SET busy_told_at = ?2
             WHERE room_id = ?1 AND busy_told_at NOT BETWEEN ?3 AND ?2",
            (
                room.as_str(),
                own_now.cast_signed(),
                own_now.saturating_sub(BUSY_INTERVAL_MS).cast_signed() + 1,
            ),
        )? == 1)
    }
}
