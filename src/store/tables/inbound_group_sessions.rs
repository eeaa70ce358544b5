//! Megolm sessions that others have shared, and how far their ratchets have come.

use ruma::{RoomId, UserId};
use vodozemac::Curve25519PublicKey;

use super::columns::{fingerprint, parsed};
use crate::crypto::{InboundGroupSession, Pickle};
use crate::store::{Cap, Error, Transaction, caps, limits};

/// A session that a device has shared, as it is stored.
pub struct StoredInboundSession {
    /// The session.
    pub session: InboundGroupSession,
    /// Time of the first receipt of its key, by the bot's own clock, in milliseconds.
    pub received_at: u64,
    /// Its place in the order in which sessions came.
    pub ordinal: i64,
}

/// Megolm sessions that others have shared.
pub struct InboundGroupSessions<'a>(pub(in crate::store) &'a Transaction<'a>);

impl InboundGroupSessions<'_> {
    /// The session of this id in this room that this device has shared.
    pub fn find(
        &self,
        room: &RoomId,
        session_id: &str,
        owner: &UserId,
        curve25519: &Curve25519PublicKey,
    ) -> Result<Option<InboundGroupSession>, Error> {
        let stored = self.shared_by(room, session_id, Some(owner))?;
        let mut sessions = stored.into_iter().map(|stored| stored.session);
        Ok(sessions.find(|session| session.curve25519 == *curve25519))
    }

    /// The sessions of this id in this room that a user's devices have shared, or
    /// everybody's, the one received first before the others. There is one maker of a
    /// session, but whoever has its key can claim to be that.
    pub fn shared_by(
        &self,
        room: &RoomId,
        session_id: &str,
        owner: Option<&UserId>,
    ) -> Result<Vec<StoredInboundSession>, Error> {
        let rows = self.0.all(
            "SELECT owner, curve25519, ed25519, pickle, received_at, ordinal FROM inbound_groups
             WHERE room_id = ?1 AND session_id = ?2 AND (?3 IS NULL OR owner = ?3)
             ORDER BY ordinal",
            (room.as_str(), session_id, owner.map(UserId::as_str)),
            |row| {
                let (owner, ed25519) = (parsed(row, 0)?, fingerprint(row, 2)?);
                let curve25519 = Curve25519PublicKey::from_bytes(row.get(1)?);
                let pickle: Pickle = row.get(3)?;
                let received_at = row.get::<_, i64>(4)?.cast_unsigned();
                let ordinal = row.get(5)?;
                let session = InboundGroupSession::from_pickle(owner, curve25519, ed25519, &pickle);
                Ok(session.map(|session| StoredInboundSession {
                    session,
                    received_at,
                    ordinal,
                }))
            },
        )?;
        rows.into_iter().collect::<Result<_, _>>().map_err(corrupt)
    }

    /// Stores a session that a device has shared. When that was, by the bot's own
    /// clock, and after which others of the device in this room, does not change
    /// when its key comes again; what was judged under any claim to it stays judged.
    pub fn put(
        &self,
        room: &RoomId,
        session_id: &str,
        session: &InboundGroupSession,
        received_at: u64,
    ) -> Result<(), Error> {
        self.make_room_for(room, session_id, session)?;
        self.0.run(
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
                session.owner.as_str(),
                session.curve25519.as_bytes(),
                session.ed25519.as_bytes(),
                session.pickle().map_err(corrupt)?,
                received_at.cast_signed(),
            ),
        )
    }

    /// A session of this device fits: the oldest go for it, and leave tombstones.
    fn make_room_for(
        &self,
        room: &RoomId,
        session_id: &str,
        session: &InboundGroupSession,
    ) -> Result<(), Error> {
        let (room, owner) = (room.as_str(), session.owner.as_str());
        let curve25519 = session.curve25519.as_bytes();
        let known = self.0.exists(
            "SELECT 1 FROM inbound_groups WHERE room_id = ?1 AND owner = ?2 AND curve25519 = ?3
             AND session_id = ?4",
            (room, owner, curve25519, session_id),
        )?;
        if known {
            return Ok(());
        }
        let buried = self.0.execute(
            "INSERT OR IGNORE INTO dead_groups (room_id, session_id, owner, curve25519, died_at)
             SELECT room_id, session_id, owner, curve25519, (SELECT own_time FROM own_clock)
             FROM inbound_groups WHERE room_id = ?1 AND owner = ?2 AND curve25519 = ?3
             ORDER BY ordinal DESC LIMIT -1 OFFSET ?4",
            (room, owner, curve25519, caps::ROOM_KEYS_OF_DEVICE - 1),
        )?;
        if buried > 0 {
            self.0.note_dropped(Cap::RoomKeys, self.forget_buried()?);
        }
        self.0.fits(&limits::ROOM_KEYS).map(drop)
    }

    /// The lowest ratchet index of this session that may still bring a message,
    /// one more than the last there is at most. A key that is received again does
    /// not lower it.
    pub fn next_message_index(&self, room: &RoomId, session_id: &str) -> Result<u64, Error> {
        let next: i64 = self.0.value(
            "SELECT coalesce(max(next_index), 0) FROM inbound_groups
             WHERE room_id = ?1 AND session_id = ?2",
            (room.as_str(), session_id),
        )?;
        Ok(next.cast_unsigned())
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
        for StoredInboundSession { mut session, .. } in self.shared_by(room, session_id, None)? {
            session.advance_to(index.saturating_add(1));
            self.0.execute(
                "UPDATE inbound_groups SET pickle = ?5, next_index = max(next_index, ?6)
                 WHERE room_id = ?1 AND session_id = ?2 AND owner = ?3 AND curve25519 = ?4",
                (
                    room.as_str(),
                    session_id,
                    session.owner.as_str(),
                    session.curve25519.as_bytes(),
                    session.pickle().map_err(corrupt)?,
                    i64::from(index) + 1,
                ),
            )?;
        }
        Ok(())
    }

    /// Forgets sessions received before `before` from the device that has shared
    /// `newer` in this room, but for tombstones: it rotated since, and what they
    /// open now is not fresh. Without a newer one a session stays, whatever the
    /// clock says. Times are by the bot's own clock.
    pub fn expire(
        &self,
        room: &RoomId,
        newer: &InboundGroupSession,
        before: u64,
        own_now: u64,
    ) -> Result<usize, Error> {
        let (room, owner) = (room.as_str(), newer.owner.as_str());
        let (curve25519, before) = (newer.curve25519.as_bytes(), before.cast_signed());
        let expired = self.0.execute(
            "INSERT OR IGNORE INTO dead_groups
             SELECT room_id, session_id, owner, curve25519, ?5 FROM inbound_groups
             WHERE room_id = ?1 AND owner = ?2 AND curve25519 = ?3 AND received_at < ?4",
            (room, owner, curve25519, before, own_now.cast_signed()),
        )?;
        if expired > 0 {
            self.forget_oldest_tombstones()?;
        }
        self.0.execute(
            "DELETE FROM inbound_groups
             WHERE room_id = ?1 AND owner = ?2 AND curve25519 = ?3 AND received_at < ?4",
            (room, owner, curve25519, before),
        )
    }

    /// Forgets all sessions of others but for tombstones: nothing that was
    /// encrypted with them until now is taken any more.
    pub fn bury_all(&self, own_now: u64) -> Result<(), Error> {
        self.0.execute(
            "INSERT OR IGNORE INTO dead_groups
             SELECT room_id, session_id, owner, curve25519, ?1 FROM inbound_groups",
            [own_now.cast_signed()],
        )?;
        self.forget_oldest_tombstones()?;
        self.0.run("DELETE FROM inbound_groups", [])
    }

    fn forget_oldest_tombstones(&self) -> Result<(), Error> {
        self.0.run(
            "DELETE FROM dead_groups WHERE (SELECT count(*) FROM dead_groups) > ?1
             AND (room_id, session_id, owner, curve25519) IN (
                 SELECT room_id, session_id, owner, curve25519 FROM dead_groups AS g
                 ORDER BY EXISTS (SELECT 1 FROM devices AS d WHERE d.user_id = g.owner
                     AND d.curve25519 = g.curve25519) DESC, died_at DESC LIMIT -1 OFFSET ?1)",
            [caps::DEAD_GROUPS],
        )
    }

    /// Returns whether a session that a device of this user had shared is done with: its
    /// key is not taken again, from whichever of their devices.
    pub fn is_buried(
        &self,
        room: &RoomId,
        session_id: &str,
        owner: &UserId,
    ) -> Result<bool, Error> {
        self.0.exists(
            "SELECT 1 FROM dead_groups
                 WHERE room_id = ?1 AND session_id = ?2 AND owner = ?3 LIMIT 1",
            (room.as_str(), session_id, owner.as_str()),
        )
    }

    /// A session of this device in this room brings a message. False where a later
    /// one has brought one before; `ordinal` is the session's place in the order
    /// in which they came.
    pub fn note_newest(
        &self,
        room: &RoomId,
        owner: &UserId,
        curve25519: &Curve25519PublicKey,
        ordinal: i64,
        own_now: u64,
    ) -> Result<bool, Error> {
        let (room, owner) = (room.as_str(), owner.as_str());
        let (curve25519, judged_at) = (curve25519.as_bytes(), own_now.cast_signed());
        let is_newest = self.0.execute(
            "INSERT INTO newest_groups (room_id, owner, curve25519, ordinal, judged_at)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (room_id, owner, curve25519) DO UPDATE SET ordinal = ?4, judged_at = ?5
             WHERE ordinal <= ?4",
            (room, owner, curve25519, ordinal, judged_at),
        )?;
        self.0.execute(
            "DELETE FROM newest_groups WHERE (SELECT count(*) FROM newest_groups) > ?1
             AND (room_id, owner, curve25519) IN (
                 SELECT room_id, owner, curve25519 FROM newest_groups AS g
                 ORDER BY EXISTS (SELECT 1 FROM devices AS d WHERE d.user_id = g.owner
                     AND d.curve25519 = g.curve25519) DESC, judged_at DESC LIMIT -1 OFFSET ?1)",
            [caps::NEWEST_GROUPS],
        )?;
        Ok(is_newest == 1)
    }

    /// Forgets the Megolm sessions that have a tombstone, and the oldest tombstones.
    pub(in crate::store) fn forget_buried(&self) -> Result<usize, Error> {
        let gone = self.0.execute(
            "DELETE FROM inbound_groups WHERE rowid IN (
                 SELECT g.rowid FROM dead_groups JOIN inbound_groups AS g
                 USING (room_id, session_id, owner, curve25519))",
            [],
        )?;
        self.forget_oldest_tombstones()?;
        Ok(gone)
    }
}

fn corrupt(_: serde_json::Error) -> Error {
    Error::Corrupt("an inbound Megolm session")
}
