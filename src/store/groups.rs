//! Megolm sessions of both directions, with whom they were shared, and how far
//! their ratchets have come.

use ruma::{OwnedRoomId, RoomId, UserId};
use vodozemac::Curve25519PublicKey;

use super::{Error, Transaction, database::parsed, devices::fingerprint};
use crate::crypto::{Device, InboundGroup, OutboundGroup, Pickle};

/// Sessions of the bot's own that are remembered after their use: more than any
/// homeserver shows again.
const SENT_GROUPS_KEPT: i64 = 5_000;

impl Transaction<'_> {
    /// The session of this id in this room.
    pub fn inbound_group(
        &self,
        room: &RoomId,
        session_id: &str,
    ) -> Result<Option<InboundGroup>, Error> {
        let row = self.one(
            "SELECT owner, curve25519, ed25519, pickle FROM inbound_groups
             WHERE room_id = ?1 AND session_id = ?2",
            (room.as_str(), session_id),
            |row| {
                let curve25519 = Curve25519PublicKey::from_bytes(row.get(1)?);
                let pickle: Pickle = row.get(3)?;
                Ok((parsed(row, 0)?, curve25519, fingerprint(row, 2)?, pickle))
            },
        )?;
        row.map(|(owner, curve25519, ed25519, pickle)| {
            InboundGroup::from_pickle(owner, curve25519, ed25519, &pickle)
                .map_err(|_| Error::Corrupt("an inbound Megolm session"))
        })
        .transpose()
    }

    /// Stores a session somebody shared.
    pub fn put_inbound_group(
        &self,
        room: &RoomId,
        session_id: &str,
        group: &InboundGroup,
        now: u64,
    ) -> Result<(), Error> {
        let pickle = group
            .pickle()
            .map_err(|_| Error::Corrupt("an inbound Megolm session"))?;
        self.execute(
            "INSERT INTO inbound_groups
             (room_id, session_id, owner, curve25519, ed25519, pickle, received_at, ordinal)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7,
                 (SELECT coalesce(max(ordinal), 0) + 1 FROM inbound_groups))
             ON CONFLICT (room_id, session_id, owner, curve25519) DO UPDATE SET pickle = ?6",
            (
                room.as_str(),
                session_id,
                group.owner.as_str(),
                group.curve25519.as_bytes(),
                group.ed25519.as_bytes(),
                pickle,
                now.cast_signed(),
            ),
        )?;
        Ok(())
    }

    /// The lowest ratchet index of this session that may still bring a message.
    /// A key that is received again does not lower it.
    pub fn next_message_index(&self, room: &RoomId, session_id: &str) -> Result<u32, Error> {
        Ok(self
            .one(
                "SELECT next_index FROM inbound_groups WHERE room_id = ?1 AND session_id = ?2",
                (room.as_str(), session_id),
                |row| row.get(0),
            )?
            .unwrap_or_default())
    }

    /// The message at `index` was judged for good: neither it nor an earlier one
    /// of this session will be taken again. Each index encrypts one message, so
    /// this one number is all there is to remember.
    pub fn use_up_message_index(
        &self,
        room: &RoomId,
        session_id: &str,
        mut group: InboundGroup,
        index: u32,
    ) -> Result<(), Error> {
        let next = index.saturating_add(1);
        group.advance_to(next);
        let pickle = group
            .pickle()
            .map_err(|_| Error::Corrupt("an inbound Megolm session"))?;
        self.execute(
            "UPDATE inbound_groups SET pickle = ?3, next_index = max(next_index, ?4)
             WHERE room_id = ?1 AND session_id = ?2",
            (room.as_str(), session_id, pickle, next),
        )?;
        Ok(())
    }

    /// Forgets sessions received before `before` from the device that has shared
    /// `newer` in this room: it rotated since, and what they open now is not
    /// fresh. Without a newer one a session stays, whatever the clock says.
    pub fn expire_inbound_groups(
        &self,
        room: &RoomId,
        newer: &InboundGroup,
        before: u64,
    ) -> Result<usize, Error> {
        self.execute(
            "DELETE FROM inbound_groups
             WHERE room_id = ?1 AND owner = ?2 AND curve25519 = ?3 AND received_at < ?4",
            (
                room.as_str(),
                newer.owner.as_str(),
                newer.curve25519.as_bytes(),
                before.cast_signed(),
            ),
        )
    }

    /// The session the bot sends with in this room.
    pub fn outbound_group(&self, room: &RoomId) -> Result<Option<OutboundGroup>, Error> {
        let pickle: Option<Pickle> = self.one(
            "SELECT pickle FROM outbound_groups WHERE room_id = ?1",
            [room.as_str()],
            |row| row.get(0),
        )?;
        pickle
            .map(|pickle| {
                OutboundGroup::from_pickle(OwnedRoomId::from(room), &pickle)
                    .map_err(|_| Error::Corrupt("an outbound Megolm session"))
            })
            .transpose()
    }

    /// Stores the session the bot sends with, as far as its ratchet has come, and
    /// that far is where a message of the bot's own can come from. The first
    /// state of a session is kept beside it: a device that was given the key and
    /// lost it can be given the same again.
    pub fn put_outbound_group(&self, room: &RoomId, group: &OutboundGroup) -> Result<(), Error> {
        let pickle = group
            .pickle()
            .map_err(|_| Error::Corrupt("an outbound Megolm session"))?;
        let first = (group.index() == 0).then_some(&pickle);
        self.execute(
            "INSERT INTO outbound_groups (room_id, session_id, pickle, first_pickle)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (room_id) DO UPDATE SET session_id = ?2, pickle = ?3,
                 first_pickle = CASE WHEN session_id = ?2 THEN coalesce(?4, first_pickle)
                                     ELSE ?4 END",
            (room.as_str(), group.session_id(), &pickle, first),
        )?;
        self.execute(
            "INSERT INTO sent_groups (session_id, next_index) VALUES (?1, ?2)
             ON CONFLICT (session_id) DO UPDATE SET next_index = ?2",
            (group.session_id(), group.index()),
        )?;
        if group.index() == 0 {
            self.execute(
                "DELETE FROM sent_groups
                 WHERE rowid <= (SELECT max(rowid) FROM sent_groups) - ?1",
                [SENT_GROUPS_KEPT],
            )?;
        }
        Ok(())
    }

    /// Whether a message of this device at this index of this session was
    /// encrypted by this very store. One that was not is the trace of a life
    /// that the store does not remember: it was restored from an older copy.
    pub fn has_sent(&self, session_id: &str, index: u32) -> Result<bool, Error> {
        Ok(self
            .one(
                "SELECT ?2 < next_index FROM sent_groups WHERE session_id = ?1",
                (session_id, index),
                |row| row.get(0),
            )?
            .unwrap_or(false))
    }

    /// The next message in this room starts a new session.
    pub fn discard_outbound_group(&self, room: &RoomId) -> Result<(), Error> {
        self.execute(
            "DELETE FROM shares WHERE session_id IN (
                 SELECT session_id FROM outbound_groups WHERE room_id = ?1)",
            [room.as_str()],
        )?;
        self.execute(
            "DELETE FROM outbound_groups WHERE room_id = ?1",
            [room.as_str()],
        )?;
        Ok(())
    }

    /// Records that a device was given a session, from which index on.
    pub fn put_share(&self, session_id: &str, device: &Device, index: u32) -> Result<(), Error> {
        self.execute(
            "INSERT OR REPLACE INTO shares
             (session_id, user_id, device_id, curve25519, message_index, withheld)
             VALUES (?1, ?2, ?3, ?4, ?5, 0)",
            (
                session_id,
                device.user.as_str(),
                device.id.as_str(),
                device.curve25519.as_bytes(),
                index,
            ),
        )?;
        Ok(())
    }

    /// Records that a device was told that it is not given a session.
    pub fn put_withheld(&self, session_id: &str, device: &Device) -> Result<(), Error> {
        self.execute(
            "INSERT OR REPLACE INTO shares
             (session_id, user_id, device_id, curve25519, message_index, withheld)
             VALUES (?1, ?2, ?3, ?4, 0, 1)",
            (
                session_id,
                device.user.as_str(),
                device.id.as_str(),
                device.curve25519.as_bytes(),
            ),
        )?;
        Ok(())
    }

    /// A device that lost a session is given it once more. False when it was.
    pub fn mark_given_again(&self, session_id: &str, device: &Device) -> Result<bool, Error> {
        let changed = self.execute(
            "UPDATE shares SET given_again = 1 WHERE session_id = ?1 AND user_id = ?2
             AND device_id = ?3 AND curve25519 = ?4 AND NOT withheld AND NOT given_again",
            (
                session_id,
                device.user.as_str(),
                device.id.as_str(),
                device.curve25519.as_bytes(),
            ),
        )?;
        Ok(changed == 1)
    }

    /// From which index on a device was given the session in use in a room, with
    /// the first state of that session, if it still is in use.
    pub fn share(
        &self,
        room: &RoomId,
        session_id: &str,
        device: &Device,
    ) -> Result<Option<(OutboundGroup, u32)>, Error> {
        let row: Option<(Pickle, u32)> = self.one(
            "SELECT o.first_pickle, s.message_index
             FROM outbound_groups AS o JOIN shares AS s USING (session_id)
             WHERE o.room_id = ?1 AND o.session_id = ?2 AND o.first_pickle IS NOT NULL
                 AND s.user_id = ?3 AND s.device_id = ?4 AND s.curve25519 = ?5
                 AND NOT s.withheld",
            (
                room.as_str(),
                session_id,
                device.user.as_str(),
                device.id.as_str(),
                device.curve25519.as_bytes(),
            ),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        row.map(|(pickle, index)| {
            OutboundGroup::from_pickle(OwnedRoomId::from(room), &pickle)
                .map(|group| (group, index))
                .map_err(|_| Error::Corrupt("an outbound Megolm session"))
        })
        .transpose()
    }

    /// A peer opened a new Olm session: what was shared before may have been
    /// lost with the old one, so its device gets the keys in use again.
    pub fn forget_shares_with(
        &self,
        user: &UserId,
        peer: &Curve25519PublicKey,
    ) -> Result<(), Error> {
        self.execute(
            "DELETE FROM shares WHERE user_id = ?1 AND curve25519 = ?2 AND NOT withheld",
            (user.as_str(), peer.as_bytes()),
        )?;
        Ok(())
    }
}
