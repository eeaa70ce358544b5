//! Megolm sessions of others that are done with: the one of each device that
//! brought a message last, and tombstones of those that are gone.

use ruma::{RoomId, UserId};
use vodozemac::Curve25519PublicKey;

use super::{Error, Transaction, caps};
use crate::crypto::InboundGroup;

/// Tombstones kept; beyond it the oldest go. A device that rotates as often as it
/// may, each hour, in one room, fills this in four months; one that rotates weekly
/// in half a century.
pub const DEAD_GROUPS_KEPT: i64 = caps::DEAD_GROUPS;

/// Devices in rooms whose newest session is remembered; beyond it those go whose
/// last message is the longest ago.
pub const NEWEST_GROUPS_KEPT: i64 = caps::NEWEST_GROUPS;

impl Transaction<'_> {
    /// Forgets sessions received before `before` from the device that has shared
    /// `newer` in this room, but for tombstones: it rotated since, and what they
    /// open now is not fresh. Without a newer one a session stays, whatever the
    /// clock says. Times are by the bot's own clock.
    pub fn expire_inbound_groups(
        &self,
        room: &RoomId,
        newer: &InboundGroup,
        before: u64,
        own_now: u64,
    ) -> Result<usize, Error> {
        let of_device = (
            room.as_str(),
            newer.owner.as_str(),
            newer.curve25519.as_bytes(),
            before.cast_signed(),
            own_now.cast_signed(),
        );
        let expired = self.execute(
            "INSERT OR IGNORE INTO dead_groups
             SELECT room_id, session_id, owner, curve25519, ?5 FROM inbound_groups
             WHERE room_id = ?1 AND owner = ?2 AND curve25519 = ?3 AND received_at < ?4",
            of_device,
        )?;
        if expired > 0 {
            self.forget_oldest_tombstones()?;
        }
        let (room, owner, curve25519, before, _) = of_device;
        self.execute(
            "DELETE FROM inbound_groups
             WHERE room_id = ?1 AND owner = ?2 AND curve25519 = ?3 AND received_at < ?4",
            (room, owner, curve25519, before),
        )
    }

    /// Forgets all sessions of others but for tombstones: nothing that was
    /// encrypted with them until now is taken any more.
    pub fn bury_inbound_groups(&self, own_now: u64) -> Result<(), Error> {
        self.execute(
            "INSERT OR IGNORE INTO dead_groups
             SELECT room_id, session_id, owner, curve25519, ?1 FROM inbound_groups",
            [own_now.cast_signed()],
        )?;
        self.forget_oldest_tombstones()?;
        self.execute("DELETE FROM inbound_groups", [])?;
        Ok(())
    }

    fn forget_oldest_tombstones(&self) -> Result<(), Error> {
        self.execute(
            "DELETE FROM dead_groups WHERE (room_id, session_id, owner, curve25519) IN (
                 SELECT room_id, session_id, owner, curve25519 FROM dead_groups
                 ORDER BY died_at DESC LIMIT -1 OFFSET ?1)",
            [DEAD_GROUPS_KEPT],
        )?;
        Ok(())
    }

    /// Whether a session that a device of this user had shared is done with: its
    /// key is not taken again, from whichever of their devices.
    pub fn is_dead_group(
        &self,
        room: &RoomId,
        session_id: &str,
        owner: &UserId,
    ) -> Result<bool, Error> {
        Ok(self
            .one(
                "SELECT 1 FROM dead_groups
                 WHERE room_id = ?1 AND session_id = ?2 AND owner = ?3 LIMIT 1",
                (room.as_str(), session_id, owner.as_str()),
                |_| Ok(()),
            )?
            .is_some())
    }

    /// A session of this device in this room brings a message. False where a later
    /// one has brought one before; `ordinal` is the session's place in the order
    /// in which they came.
    pub fn is_newest_group(
        &self,
        room: &RoomId,
        owner: &UserId,
        curve25519: &Curve25519PublicKey,
        ordinal: i64,
        own_now: u64,
    ) -> Result<bool, Error> {
        let device = (
            room.as_str(),
            owner.as_str(),
            curve25519.as_bytes(),
            ordinal,
            own_now.cast_signed(),
        );
        let is_newest = self.execute(
            "INSERT INTO newest_groups (room_id, owner, curve25519, ordinal, judged_at)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (room_id, owner, curve25519) DO UPDATE SET ordinal = ?4, judged_at = ?5
             WHERE ordinal <= ?4",
            device,
        )?;
        self.execute(
            "DELETE FROM newest_groups WHERE (SELECT count(*) FROM newest_groups) > ?1
             AND (room_id, owner, curve25519) IN (
                 SELECT room_id, owner, curve25519 FROM newest_groups
                 ORDER BY judged_at DESC LIMIT -1 OFFSET ?1)",
            [NEWEST_GROUPS_KEPT],
        )?;
        Ok(is_newest == 1)
    }
}
