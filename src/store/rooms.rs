//! Rooms: membership, encryption.

use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};

use super::{Error, Transaction, caps, caps::Cap, database::parsed, gauge::Gauge, prune};
use crate::crypto::{MEGOLM_ALGORITHM, Rotation};

/// With so many rooms known, none is remembered before the bot is in it.
const MAX_ROOMS_AHEAD: i64 = 1_000;

/// How a room is to be spoken in.
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

/// What a member event says of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// In the room.
    Joined,
    /// Left, banned, invited or knocking.
    NotJoined,
}

impl Transaction<'_> {
    /// Whether this room is known, or another one fits.
    pub fn has_room_for_room(&self, room: &RoomId) -> Result<bool, Error> {
        let known = self.one(
            "SELECT 1 FROM rooms WHERE room_id = ?1",
            [room.as_str()],
            |_| Ok(()),
        )?;
        if known.is_some() || self.fits(Gauge::Rooms, &prune::ROOMS)? {
            return Ok(true);
        }
        self.note_dropped(Cap::Rooms, 1);
        Ok(false)
    }

    /// The bot is in this room. True when that is news.
    pub fn enter_room(&self, room: &RoomId) -> Result<bool, Error> {
        let known = self.is_joined(room)?;
        self.execute(
            "INSERT INTO rooms (room_id, joined) VALUES (?1, 1)
             ON CONFLICT (room_id) DO UPDATE SET joined = 1",
            [room.as_str()],
        )?;
        self.execute("DELETE FROM invites WHERE room_id = ?1", [room.as_str()])?;
        // The key may have come first.
        self.execute(
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
        self.execute(
            "INSERT OR IGNORE INTO rooms (room_id, joined)
             SELECT ?1, 0 WHERE (SELECT count(*) FROM rooms) < ?2",
            (room.as_str(), MAX_ROOMS_AHEAD),
        )?;
        let changed = self.execute(
            "UPDATE rooms SET algorithm = ?2 WHERE room_id = ?1 AND algorithm IS NULL",
            (room.as_str(), MEGOLM_ALGORITHM),
        )?;
        Ok(changed == 1)
    }

    /// The bot is no longer in this room. That it was encrypted is not
    /// forgotten; what was to be said there is.
    pub fn leave_room(&self, room: &RoomId) -> Result<(), Error> {
        self.execute(
            "UPDATE rooms SET joined = 0, members_complete = 0, encryption_checked = 0
             WHERE room_id = ?1",
            [room.as_str()],
        )?;
        self.discard_outbound_group(room)?;
        self.execute("DELETE FROM members WHERE room_id = ?1", [room.as_str()])?;
        self.recount(Gauge::Members);
        self.execute("DELETE FROM held WHERE room_id = ?1", [room.as_str()])?;
        self.execute("DELETE FROM gaps WHERE room_id = ?1", [room.as_str()])?;
        self.execute("DELETE FROM invites WHERE room_id = ?1", [room.as_str()])?;
        self.execute("DELETE FROM replies WHERE room_id = ?1", [room.as_str()])?;
        self.execute("DELETE FROM outbox WHERE lane = ?1", [room.as_str()])?;
        Ok(())
    }

    /// Whether a user is in this room, as far as its members are known.
    pub fn is_member(&self, room: &RoomId, user: &UserId) -> Result<bool, Error> {
        Ok(self
            .one(
                "SELECT 1 FROM members WHERE room_id = ?1 AND user_id = ?2",
                (room.as_str(), user.as_str()),
                |_| Ok(()),
            )?
            .is_some())
    }

    /// Whether the bot is in this room.
    pub fn is_joined(&self, room: &RoomId) -> Result<bool, Error> {
        Ok(self
            .one(
                "SELECT joined FROM rooms WHERE room_id = ?1",
                [room.as_str()],
                |row| row.get(0),
            )?
            .unwrap_or(false))
    }

    /// How to speak in this room.
    pub fn encryption(&self, room: &RoomId) -> Result<Encryption, Error> {
        let row = self.one(
            "SELECT algorithm, encryption_checked, rotation_period_ms, rotation_period_msgs
             FROM rooms WHERE room_id = ?1",
            [room.as_str()],
            |row| {
                let algorithm: Option<String> = row.get(0)?;
                let checked: bool = row.get(1)?;
                let period: Option<i64> = row.get(2)?;
                let messages: Option<i64> = row.get(3)?;
                Ok((algorithm, checked, period, messages))
            },
        )?;
        Ok(match row {
            None | Some((None, false, ..)) => Encryption::Unknown,
            Some((None, true, ..)) => Encryption::Plaintext,
            Some((Some(algorithm), _, period, messages)) if algorithm == MEGOLM_ALGORITHM => {
                let unsigned = |value: Option<i64>| value.and_then(|value| value.try_into().ok());
                Encryption::Megolm(Rotation::new(unsigned(period), unsigned(messages)))
            }
            Some((Some(_), ..)) => Encryption::Unsupported,
        })
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
        self.execute(
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
        )?;
        Ok(())
    }

    /// The server was asked and says that the room is not encrypted.
    pub fn set_not_encrypted(&self, room: &RoomId) -> Result<(), Error> {
        self.execute(
            "UPDATE rooms SET encryption_checked = 1 WHERE room_id = ?1",
            [room.as_str()],
        )?;
        Ok(())
    }

    /// The room's `history_visibility`. True when it changed from one value to
    /// another.
    pub fn set_history_visibility(&self, room: &RoomId, value: &str) -> Result<bool, Error> {
        let value = match value.len() {
            0..=caps::STATE_WORD => value,
            _ => "",
        };
        let before: Option<String> = self
            .one(
                "SELECT history_visibility FROM rooms WHERE room_id = ?1",
                [room.as_str()],
                |row| row.get(0),
            )?
            .flatten();
        self.execute(
            "UPDATE rooms SET history_visibility = ?2 WHERE room_id = ?1",
            (room.as_str(), value),
        )?;
        Ok(before.is_some_and(|before| before != value))
    }

    /// Takes in one member event. True when a user who was in the room no
    /// longer is.
    pub fn set_member(
        &self,
        room: &RoomId,
        user: &UserId,
        membership: Membership,
    ) -> Result<bool, Error> {
        let changed = match membership {
            Membership::Joined if !self.has_room_for_member(room, user)? => 0,
            Membership::Joined => self.execute(
                "INSERT OR IGNORE INTO members (room_id, user_id) VALUES (?1, ?2)",
                (room.as_str(), user.as_str()),
            )?,
            Membership::NotJoined => self.execute(
                "DELETE FROM members WHERE room_id = ?1 AND user_id = ?2",
                (room.as_str(), user.as_str()),
            )?,
        };
        let left = membership == Membership::NotJoined;
        if left && changed == 1 {
            self.recount(Gauge::Members);
        }
        // A lazily loaded member that is known says nothing new.
        if changed == 1 || left {
            self.execute(
                "UPDATE rooms SET members_generation = members_generation + 1 WHERE room_id = ?1",
                [room.as_str()],
            )?;
        }
        Ok(left && changed == 1)
    }

    /// Whether a user can be stored as a member: a user who may command always,
    /// a stranger if there are not too many of them.
    fn has_room_for_member(&self, room: &RoomId, user: &UserId) -> Result<bool, Error> {
        if self.is_member(room, user)? || self.is_kept(user)? {
            return Ok(true);
        }
        let is_full = self.one(
            "SELECT 1 FROM members WHERE room_id = ?1 LIMIT 1 OFFSET ?2",
            (room.as_str(), caps::MEMBERS_OF_ROOM - 1),
            |_| Ok(()),
        )?;
        if is_full.is_none() && self.fits(Gauge::Members, &prune::MEMBERS)? {
            return Ok(true);
        }
        self.note_dropped(Cap::Members, 1);
        Ok(false)
    }

    /// Replaces the members by the complete list that was asked for at
    /// `generation`. When a member event came in meanwhile the list may be older
    /// than the event: it is taken, and asked for again.
    pub fn set_members(
        &self,
        room: &RoomId,
        members: &[OwnedUserId],
        generation: i64,
    ) -> Result<(), Error> {
        self.execute("DELETE FROM members WHERE room_id = ?1", [room.as_str()])?;
        self.recount(Gauge::Members);
        for user in members {
            if !self.has_room_for_member(room, user)? {
                continue;
            }
            self.execute(
                "INSERT OR IGNORE INTO members (room_id, user_id) VALUES (?1, ?2)",
                (room.as_str(), user.as_str()),
            )?;
        }
        self.execute(
            "UPDATE rooms SET members_complete = 1
             WHERE room_id = ?1 AND members_generation = ?2",
            (room.as_str(), generation),
        )?;
        Ok(())
    }

    /// The members known are not all there are.
    pub fn set_members_incomplete(&self, room: &RoomId) -> Result<(), Error> {
        self.execute(
            "UPDATE rooms SET members_complete = 0, members_generation = members_generation + 1
             WHERE room_id = ?1",
            [room.as_str()],
        )?;
        Ok(())
    }

    /// Whether all members are known.
    pub fn members_complete(&self, room: &RoomId) -> Result<bool, Error> {
        Ok(self
            .one(
                "SELECT members_complete FROM rooms WHERE room_id = ?1",
                [room.as_str()],
                |row| row.get(0),
            )?
            .unwrap_or(false))
    }

    /// Follows the devices of everyone in this room.
    pub fn track_members(&self, room: &RoomId) -> Result<(), Error> {
        let untracked: Vec<OwnedUserId> = self.all(
            "SELECT user_id FROM members WHERE room_id = ?1
             AND user_id NOT IN (SELECT user_id FROM users)",
            [room.as_str()],
            |row| parsed(row, 0),
        )?;
        untracked.iter().try_for_each(|user| self.track_user(user))
    }

    /// Rooms the bot is in that are encrypted and whose members are not all
    /// known, with the generation to ask for.
    pub fn rooms_without_members(&self) -> Result<Vec<(OwnedRoomId, i64)>, Error> {
        self.all(
            "SELECT room_id, members_generation FROM rooms
             WHERE joined = 1 AND algorithm IS NOT NULL AND members_complete = 0",
            [],
            |row| Ok((parsed(row, 0)?, row.get(1)?)),
        )
    }

    /// Whether this user is in an encrypted room the bot is in.
    pub fn shares_encrypted_room(&self, user: &UserId) -> Result<bool, Error> {
        Ok(self
            .one(
                "SELECT 1 FROM members JOIN rooms USING (room_id)
                 WHERE user_id = ?1 AND joined = 1 AND algorithm IS NOT NULL LIMIT 1",
                [user.as_str()],
                |_| Ok(()),
            )?
            .is_some())
    }

    /// Rooms the bot is in of which nobody has asked whether they are encrypted.
    pub fn rooms_without_encryption(&self) -> Result<Vec<OwnedRoomId>, Error> {
        self.all(
            "SELECT room_id FROM rooms WHERE joined = 1 AND encryption_checked = 0",
            [],
            |row| parsed(row, 0),
        )
    }
}
