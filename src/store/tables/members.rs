//! Rooms' members, as far as they are known.

use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};

use super::columns::parsed;
use crate::store::{Cap, Error, Transaction, caps, limits};

/// A user's membership, as a member event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// In the room.
    Joined,
    /// Left, banned, invited or knocking.
    NotJoined,
}

/// Rooms' members.
pub struct Members<'a>(pub(in crate::store) &'a Transaction<'a>);

impl Members<'_> {
    /// Returns whether a user is in this room, as far as its members are known.
    pub fn contains(&self, room: &RoomId, user: &UserId) -> Result<bool, Error> {
        self.0.exists(
            "SELECT 1 FROM members WHERE room_id = ?1 AND user_id = ?2",
            (room.as_str(), user.as_str()),
        )
    }

    /// Returns whether a room has at least so many members, the bot among them.
    pub fn are_at_least(&self, room: &RoomId, count: i64) -> Result<bool, Error> {
        self.0.exists(
            "SELECT 1 FROM members WHERE room_id = ?1 LIMIT 1 OFFSET ?2",
            (room.as_str(), count - 1),
        )
    }

    /// Takes in one member event. True when a user who was in the room no
    /// longer is.
    pub fn set(&self, room: &RoomId, user: &UserId, membership: Membership) -> Result<bool, Error> {
        let changed = match membership {
            Membership::Joined => self.add(room, user)?,
            Membership::NotJoined => self.0.execute(
                "DELETE FROM members WHERE room_id = ?1 AND user_id = ?2",
                (room.as_str(), user.as_str()),
            )?,
        };
        let left = membership == Membership::NotJoined;
        if left && changed == 1 {
            self.0.recount(&limits::MEMBERS);
        }
        // A lazily loaded member that is known says nothing new.
        if changed == 1 || left {
            self.0.execute(
                "UPDATE rooms SET members_generation = members_generation + 1 WHERE room_id = ?1",
                [room.as_str()],
            )?;
        }
        Ok(left && changed == 1)
    }

    /// Stores a member: a user who may command always, a stranger if there are not too
    /// many of them. Returns how many members there are more.
    fn add(&self, room: &RoomId, user: &UserId) -> Result<usize, Error> {
        if self.contains(room, user)? {
            return Ok(0);
        }
        if !self.0.is_kept(user)? {
            let is_full = self.0.exists(
                "SELECT 1 FROM members WHERE room_id = ?1 LIMIT 1 OFFSET ?2",
                (room.as_str(), caps::MEMBERS_OF_ROOM - 1),
            )?;
            if is_full || !self.0.fits(&limits::MEMBERS)? {
                self.0.note_dropped(Cap::Members, 1);
                return Ok(0);
            }
        }
        self.0.execute(
            "INSERT INTO members (room_id, user_id) VALUES (?1, ?2)",
            (room.as_str(), user.as_str()),
        )
    }

    /// Replaces the members by the complete list that was asked for at
    /// `generation`. When a member event came in meanwhile the list may be older
    /// than the event: it is taken, and asked for again.
    pub fn replace(
        &self,
        room: &RoomId,
        members: &[OwnedUserId],
        generation: i64,
    ) -> Result<(), Error> {
        self.0
            .execute("DELETE FROM members WHERE room_id = ?1", [room.as_str()])?;
        self.0.recount(&limits::MEMBERS);
        for user in members {
            self.add(room, user)?;
        }
        self.0.run(
            "UPDATE rooms SET members_complete = 1
             WHERE room_id = ?1 AND members_generation = ?2",
            (room.as_str(), generation),
        )
    }

    /// The members known are not all there are.
    pub fn set_incomplete(&self, room: &RoomId) -> Result<(), Error> {
        self.0.run(
            "UPDATE rooms SET members_complete = 0, members_generation = members_generation + 1
             WHERE room_id = ?1",
            [room.as_str()],
        )
    }

    /// Returns whether all members are known.
    pub fn are_complete(&self, room: &RoomId) -> Result<bool, Error> {
        self.0.value(
            "SELECT members_complete FROM rooms WHERE room_id = ?1",
            [room.as_str()],
        )
    }

    /// Follows the devices of everyone in this room.
    pub fn track_devices(&self, room: &RoomId) -> Result<(), Error> {
        let untracked: Vec<OwnedUserId> = self.0.all(
            "SELECT user_id FROM members WHERE room_id = ?1
             AND user_id NOT IN (SELECT user_id FROM users)",
            [room.as_str()],
            |row| parsed(row, 0),
        )?;
        untracked
            .iter()
            .try_for_each(|user| self.0.device_lists().track(user))
    }

    /// Rooms the bot is in that are encrypted and whose members are not all
    /// known, with the generation to ask for.
    pub fn incomplete_rooms(&self) -> Result<Vec<(OwnedRoomId, i64)>, Error> {
        self.0.all(
            "SELECT room_id, members_generation FROM rooms
             WHERE joined = 1 AND algorithm IS NOT NULL AND members_complete = 0",
            [],
            |row| Ok((parsed(row, 0)?, row.get(1)?)),
        )
    }

    /// Returns whether this user is in an encrypted room the bot is in.
    pub fn shares_encrypted_room(&self, user: &UserId) -> Result<bool, Error> {
        self.0.exists(
            "SELECT 1 FROM members JOIN rooms USING (room_id)
                 WHERE user_id = ?1 AND joined = 1 AND algorithm IS NOT NULL LIMIT 1",
            [user.as_str()],
        )
    }
}
