//! Megolm sessions of both directions, with whom they were shared, and which
//! ratchet index belongs to which event.

use ruma::{EventId, OwnedRoomId, RoomId, UserId};
use vodozemac::Curve25519PublicKey;

use super::{Error, Transaction, database::parsed, devices::fingerprint};
use crate::crypto::{Device, InboundGroup, OutboundGroup};

/// Whether a decrypted message is the first of its ratchet index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageIndex {
    /// Never seen before; now recorded.
    Fresh,
    /// The very event that was recorded: the server sent it again.
    SameEvent,
    /// Another event with the same ciphertext: a replay.
    Replayed,
}

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
                let pickle: Vec<u8> = row.get(3)?;
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
            "INSERT OR REPLACE INTO inbound_groups
             (room_id, session_id, owner, curve25519, ed25519, pickle, received_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
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

    /// Records which event used a ratchet index. Each index encrypts one
    /// message, so a second event with it is the first one's ciphertext again.
    pub fn see_message_index(
        &self,
        room: &RoomId,
        session_id: &str,
        index: u32,
        event: &EventId,
        origin_server_ts: u64,
    ) -> Result<MessageIndex, Error> {
        let new = self.execute(
            "INSERT OR IGNORE INTO message_indices
             (room_id, session_id, message_index, event_id, origin_server_ts)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                room.as_str(),
                session_id,
                index,
                event.as_str(),
                origin_server_ts.cast_signed(),
            ),
        )?;
        if new == 1 {
            return Ok(MessageIndex::Fresh);
        }
        let same = self.one(
            "SELECT event_id = ?4 AND origin_server_ts = ?5 FROM message_indices
             WHERE room_id = ?1 AND session_id = ?2 AND message_index = ?3",
            (
                room.as_str(),
                session_id,
                index,
                event.as_str(),
                origin_server_ts.cast_signed(),
            ),
            |row| row.get::<_, bool>(0),
        )?;
        Ok(match same {
            Some(true) => MessageIndex::SameEvent,
            _ => MessageIndex::Replayed,
        })
    }

    /// The session the bot sends with in this room.
    pub fn outbound_group(&self, room: &RoomId) -> Result<Option<OutboundGroup>, Error> {
        let pickle: Option<Vec<u8>> = self.one(
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

    /// Stores the session the bot sends with, as far as its ratchet has come.
    pub fn put_outbound_group(&self, room: &RoomId, group: &OutboundGroup) -> Result<(), Error> {
        let pickle = group
            .pickle()
            .map_err(|_| Error::Corrupt("an outbound Megolm session"))?;
        self.execute(
            "INSERT OR REPLACE INTO outbound_groups (room_id, session_id, pickle)
             VALUES (?1, ?2, ?3)",
            (room.as_str(), group.session_id(), pickle),
        )?;
        Ok(())
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
             (session_id, user_id, device_id, curve25519, message_index)
             VALUES (?1, ?2, ?3, ?4, ?5)",
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

    /// A peer opened a new Olm session: what was shared before may have been
    /// lost with the old one, so its device gets the keys in use again.
    pub fn forget_shares_with(
        &self,
        user: &UserId,
        peer: &Curve25519PublicKey,
    ) -> Result<(), Error> {
        self.execute(
            "DELETE FROM shares WHERE user_id = ?1 AND curve25519 = ?2",
            (user.as_str(), peer.as_bytes()),
        )?;
        Ok(())
    }
}
