//! Megolm sessions of both directions, with whom they were shared, and how far
//! their ratchets have come.

use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use vodozemac::{Curve25519PublicKey, Ed25519PublicKey};

use super::{
    Error, Transaction, caps, caps::Cap, database::parsed, devices::fingerprint, gauge::Gauge,
    prune,
};
use crate::crypto::{Device, InboundGroup, OutboundGroup, Pickle};

/// A session that a device has shared, as it is stored.
pub struct StoredGroup {
    /// The session.
    pub group: InboundGroup,
    /// When its key came first, by the bot's own clock, in milliseconds.
    pub received_at: u64,
    /// Its place in the order in which sessions came.
    pub ordinal: i64,
}

impl Transaction<'_> {
    /// The session of this id in this room that this device has shared.
    pub fn inbound_group(
        &self,
        room: &RoomId,
        session_id: &str,
        owner: &UserId,
        curve25519: &Curve25519PublicKey,
    ) -> Result<Option<InboundGroup>, Error> {
        let stored = self.inbound_groups(room, session_id, owner)?;
        let mut groups = stored.into_iter().map(|stored| stored.group);
        Ok(groups.find(|group| group.curve25519 == *curve25519))
    }

    /// The sessions of this id in this room that a user's devices have shared, the
    /// one received first before the others. There is one maker of a session, but
    /// whoever has its key can claim to be that.
    pub fn inbound_groups(
        &self,
        room: &RoomId,
        session_id: &str,
        owner: &UserId,
    ) -> Result<Vec<StoredGroup>, Error> {
        let rows = self.all(
            "SELECT curve25519, ed25519, pickle, received_at, ordinal FROM inbound_groups
             WHERE room_id = ?1 AND session_id = ?2 AND owner = ?3 ORDER BY ordinal",
            (room.as_str(), session_id, owner.as_str()),
            |row| {
                let curve25519 = Curve25519PublicKey::from_bytes(row.get(0)?);
                let pickle: Vec<u8> = row.get(2)?;
                let received_at = row.get::<_, i64>(3)?.cast_unsigned();
                let ed25519 = fingerprint(row, 1)?;
                Ok((curve25519, ed25519, pickle, received_at, row.get(4)?))
            },
        )?;
        rows.into_iter()
            .map(|(curve25519, ed25519, pickle, received_at, ordinal)| {
                let group = read(owner.to_owned(), curve25519, ed25519, &pickle)?;
                Ok(StoredGroup {
                    group,
                    received_at,
                    ordinal,
                })
            })
            .collect()
    }

    /// Stores a session that a device has shared. When that was, by the bot's own
    /// clock, and after which others of the device in this room, does not change
    /// when its key comes again; what was judged under any claim to it stays judged.
    pub fn put_inbound_group(
        &self,
        room: &RoomId,
        session_id: &str,
        group: &InboundGroup,
        received_at: u64,
    ) -> Result<(), Error> {
        self.make_room_for_key(room, session_id, group)?;
        self.execute(
            "INSERT INTO inbound_groups
             (room_id, session_id, owner, curve25519, ed25519, pickle, received_at, next_index,
              ordinal)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7,
                 (SELECT coalesce(max(next_index), 0) FROM inbound_groups
                  WHERE room_id = ?1 AND session_id = ?2),
                 coalesce((SELECT min(ordinal) - 1 FROM inbound_groups
                           WHERE room_id = ?1 AND owner = ?3 AND curve25519 = ?4
                               AND received_at > ?7),
                          1 + max((SELECT coalesce(max(ordinal), 0) FROM inbound_groups),
                                  (SELECT coalesce(max(ordinal), 0) FROM newest_groups))))
             ON CONFLICT (room_id, session_id, owner, curve25519) DO UPDATE SET pickle = ?6",
            (
                room.as_str(),
                session_id,
                group.owner.as_str(),
                group.curve25519.as_bytes(),
                group.ed25519.as_bytes(),
                pickled(group)?,
                received_at.cast_signed(),
            ),
        )?;
        Ok(())
    }

    /// A session of this device fits: the oldest go for it, and leave tombstones.
    fn make_room_for_key(
        &self,
        room: &RoomId,
        session_id: &str,
        group: &InboundGroup,
    ) -> Result<(), Error> {
        let of_device = (
            room.as_str(),
            group.owner.as_str(),
            group.curve25519.as_bytes(),
        );
        let known = self.one(
            "SELECT 1 FROM inbound_groups WHERE room_id = ?1 AND owner = ?2 AND curve25519 = ?3
             AND session_id = ?4",
            (of_device.0, of_device.1, of_device.2, session_id),
            |_| Ok(()),
        )?;
        if known.is_some() {
            return Ok(());
        }
        let buried = self.execute(
            "INSERT OR IGNORE INTO dead_groups (room_id, session_id, owner, curve25519, died_at)
             SELECT room_id, session_id, owner, curve25519, (SELECT own_time FROM own_clock)
             FROM inbound_groups WHERE room_id = ?1 AND owner = ?2 AND curve25519 = ?3
             ORDER BY ordinal DESC LIMIT -1 OFFSET ?4",
            (
                of_device.0,
                of_device.1,
                of_device.2,
                caps::ROOM_KEYS_OF_DEVICE - 1,
            ),
        )?;
        if buried > 0 {
            let gone = self.forget_dead_groups()?;
            self.forget_oldest_tombstones()?;
            self.note_dropped(Cap::RoomKeys, gone);
        }
        self.fits(Gauge::RoomKeys, &prune::ROOM_KEYS)?;
        Ok(())
    }

    /// The lowest ratchet index of this session that may still bring a message,
    /// one more than the last there is at most. A key that is received again does
    /// not lower it.
    pub fn next_message_index(&self, room: &RoomId, session_id: &str) -> Result<u64, Error> {
        let next: Option<i64> = self
            .one(
                "SELECT max(next_index) FROM inbound_groups
                 WHERE room_id = ?1 AND session_id = ?2",
                (room.as_str(), session_id),
                |row| row.get(0),
            )?
            .flatten();
        Ok(next.unwrap_or_default().cast_unsigned())
    }

    /// The message at `index` was judged for good: neither it nor an earlier one
    /// of this session will be taken again, whoever claims the session. Each index
    /// encrypts one message, so this one number is all there is to remember.
    pub fn use_up_message_index(
        &self,
        room: &RoomId,
        session_id: &str,
        index: u32,
    ) -> Result<(), Error> {
        let rows = self.all(
            "SELECT owner, curve25519, ed25519, pickle FROM inbound_groups
             WHERE room_id = ?1 AND session_id = ?2",
            (room.as_str(), session_id),
            |row| {
                let curve25519 = Curve25519PublicKey::from_bytes(row.get(1)?);
                let pickle: Pickle = row.get(3)?;
                Ok((parsed(row, 0)?, curve25519, fingerprint(row, 2)?, pickle))
            },
        )?;
        let next = i64::from(index) + 1;
        for (owner, curve25519, ed25519, pickle) in rows {
            let mut group = read(owner, curve25519, ed25519, &pickle)?;
            group.advance_to(index.saturating_add(1));
            self.execute(
                "UPDATE inbound_groups SET pickle = ?5, next_index = max(next_index, ?6)
                 WHERE room_id = ?1 AND session_id = ?2 AND owner = ?3 AND curve25519 = ?4",
                (
                    room.as_str(),
                    session_id,
                    group.owner.as_str(),
                    group.curve25519.as_bytes(),
                    pickled(&group)?,
                    next,
                ),
            )?;
        }
        Ok(())
    }

    /// The session the bot sends with in this room: one that was made since the last
    /// start. An older one may have gone on elsewhere, if this store is a copy put
    /// back: its next index may have been used.
    pub fn outbound_group(&self, room: &RoomId) -> Result<Option<OutboundGroup>, Error> {
        let pickle: Option<Pickle> = self.one(
            "SELECT pickle FROM outbound_groups
             WHERE room_id = ?1 AND life = (SELECT life FROM own_clock)",
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
            "INSERT INTO outbound_groups (room_id, session_id, pickle, first_pickle, life)
             VALUES (?1, ?2, ?3, ?4, (SELECT life FROM own_clock))
             ON CONFLICT (room_id) DO UPDATE SET session_id = ?2, pickle = ?3,
                 life = excluded.life,
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
            self.forget_oldest_sent_groups()?;
        }
        Ok(())
    }

    fn forget_oldest_sent_groups(&self) -> Result<(), Error> {
        self.execute(
            "DELETE FROM sent_groups WHERE rowid <= (SELECT max(rowid) FROM sent_groups) - ?1",
            [caps::SENT_GROUPS],
        )?;
        Ok(())
    }

    /// Remembers a session that the homeserver shows as this device's, and that
    /// this store never made: what it says of it is no news any more.
    pub fn put_foreign_group(&self, session_id: &str) -> Result<(), Error> {
        self.execute(
            "INSERT INTO sent_groups (session_id, next_index) VALUES (?1, ?2)
             ON CONFLICT (session_id) DO UPDATE SET next_index = ?2",
            (session_id, i64::from(u32::MAX) + 1),
        )?;
        self.forget_oldest_sent_groups()
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

    /// The next message in any room starts a new session.
    pub fn discard_outbound_groups(&self) -> Result<(), Error> {
        self.inner
            .execute_batch("DELETE FROM shares; DELETE FROM outbound_groups;")?;
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

    /// A row of this session fits: other sessions of the bot's go for it, the
    /// oldest first.
    fn make_room_for_share(&self, session_id: &str) -> Result<(), Error> {
        while !self.fits(Gauge::Shares, &prune::SHARES)? && self.discard_oldest_group(session_id)? {
        }
        Ok(())
    }

    /// Records that a device was given a session, from which index on.
    pub fn put_share(&self, session_id: &str, device: &Device, index: u32) -> Result<(), Error> {
        self.make_room_for_share(session_id)?;
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
        self.make_room_for_share(session_id)?;
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

fn read(
    owner: OwnedUserId,
    curve25519: Curve25519PublicKey,
    ed25519: Ed25519PublicKey,
    pickle: &[u8],
) -> Result<InboundGroup, Error> {
    InboundGroup::from_pickle(owner, curve25519, ed25519, pickle)
        .map_err(|_| Error::Corrupt("an inbound Megolm session"))
}

fn pickled(group: &InboundGroup) -> Result<Pickle, Error> {
    group
        .pickle()
        .map_err(|_| Error::Corrupt("an inbound Megolm session"))
}
