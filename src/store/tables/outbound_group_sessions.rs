//! The bot's own Megolm sessions, and how far they were used.

use ruma::{OwnedRoomId, RoomId};

use super::columns::parsed;
use crate::crypto::{OutboundGroupSession, Pickle};
use crate::store::{Cap, Error, Transaction, caps, limits};

/// The bot's own Megolm sessions, one a room.
pub struct OutboundGroupSessions<'a>(pub(in crate::store) &'a Transaction<'a>);

impl OutboundGroupSessions<'_> {
    /// The session the bot sends with in this room: one that was made since the last
    /// start. An older one may have gone on elsewhere, if this store is a copy put
    /// back: its next index may have been used.
    pub fn find(&self, room: &RoomId) -> Result<Option<OutboundGroupSession>, Error> {
        let pickle: Option<Pickle> = self.0.value(
            "SELECT pickle FROM outbound_groups
             WHERE room_id = ?1 AND life = (SELECT life FROM own_clock)",
            [room.as_str()],
        )?;
        pickle.map(|pickle| read(room, &pickle)).transpose()
    }

    /// Stores the session the bot sends with, as far as its ratchet has come, and
    /// that far is where a message of the bot's own can come from. The first
    /// state of a session is kept beside it: a device that was given the key and
    /// lost it can be given the same again.
    pub fn put(&self, room: &RoomId, session: &OutboundGroupSession) -> Result<(), Error> {
        let pickle = session.pickle().map_err(corrupt)?;
        let first = (session.index() == 0).then_some(&pickle);
        self.0.execute(
            "INSERT INTO outbound_groups (room_id, session_id, pickle, first_pickle, life)
             VALUES (?1, ?2, ?3, ?4, (SELECT life FROM own_clock))
             ON CONFLICT (room_id) DO UPDATE SET session_id = ?2, pickle = ?3,
                 life = excluded.life,
                 first_pickle = CASE WHEN session_id = ?2 THEN coalesce(?4, first_pickle)
                                     ELSE ?4 END",
            (room.as_str(), session.session_id(), &pickle, first),
        )?;
        self.0.execute(
            "INSERT INTO sent_groups (session_id, next_index) VALUES (?1, ?2)
             ON CONFLICT (session_id) DO UPDATE SET next_index = ?2",
            (session.session_id(), session.index()),
        )?;
        match session.index() {
            0 => self.forget_oldest_sent(),
            _ => Ok(()),
        }
    }

    fn forget_oldest_sent(&self) -> Result<(), Error> {
        self.0.run(
            "DELETE FROM sent_groups WHERE rowid <= (SELECT max(rowid) FROM sent_groups) - ?1",
            [caps::SENT_GROUPS],
        )
    }

    /// Remembers a session that the homeserver shows as this device's, and that
    /// this store never made: what it says of it is no news any more.
    pub fn put_foreign(&self, session_id: &str) -> Result<(), Error> {
        self.0.execute(
            "INSERT INTO sent_groups (session_id, next_index) VALUES (?1, ?2)
             ON CONFLICT (session_id) DO UPDATE SET next_index = ?2",
            (session_id, i64::from(u32::MAX) + 1),
        )?;
        self.forget_oldest_sent()
    }

    /// Returns whether a message of this device at this index of this session was
    /// encrypted by this very store. One that was not is the trace of a life
    /// that the store does not remember: it was restored from an older copy.
    pub fn has_sent(&self, session_id: &str, index: u32) -> Result<bool, Error> {
        self.0.value(
            "SELECT ?2 < next_index FROM sent_groups WHERE session_id = ?1",
            (session_id, index),
        )
    }

    /// The next message in this room starts a new session.
    pub fn discard(&self, room: &RoomId) -> Result<(), Error> {
        self.0.execute(
            "DELETE FROM shares WHERE session_id IN (
                 SELECT session_id FROM outbound_groups WHERE room_id = ?1)",
            [room.as_str()],
        )?;
        self.0.run(
            "DELETE FROM outbound_groups WHERE room_id = ?1",
            [room.as_str()],
        )
    }

    /// Gives up the outbound session that has been in use for longest, but for
    /// this one. False when there is no other.
    pub(in crate::store) fn discard_oldest_but(&self, but: &str) -> Result<bool, Error> {
        let oldest: Option<OwnedRoomId> = self.0.one(
            "SELECT room_id FROM outbound_groups AS o WHERE session_id <> ?1
             AND EXISTS (SELECT 1 FROM shares AS s WHERE s.session_id = o.session_id)
             ORDER BY (SELECT n.rowid FROM sent_groups AS n WHERE n.session_id = o.session_id)
             LIMIT 1",
            [but],
            |row| parsed(row, 0),
        )?;
        let Some(room) = oldest else {
            return Ok(false);
        };
        self.discard(&room)?;
        self.0.note_dropped(Cap::Shares, 1);
        self.0.recount(&limits::SHARES);
        Ok(true)
    }
}

pub(super) fn read(room: &RoomId, pickle: &Pickle) -> Result<OutboundGroupSession, Error> {
    OutboundGroupSession::from_pickle(room.to_owned(), pickle).map_err(corrupt)
}

fn corrupt(_: serde_json::Error) -> Error {
    Error::Corrupt("an outbound Megolm session")
}
