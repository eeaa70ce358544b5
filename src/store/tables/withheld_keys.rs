//! Megolm sessions whose owners said that they would not share them (`m.room_key.withheld`,
//! <https://spec.matrix.org/v1.11/client-server-api/#reporting-that-decryption-keys-are-withheld>).

use ruma::{RoomId, UserId};

use crate::crypto::WithheldCode;
use crate::store::{Error, Transaction, caps};

/// Megolm sessions whose owners said that they would not share them.
pub struct WithheldKeys<'a>(pub(in crate::store) &'a Transaction<'a>);

impl WithheldKeys<'_> {
    /// Remembers that `sender` refused a session.
    pub fn put(
        &self,
        room: &RoomId,
        session_id: &str,
        sender: &UserId,
        code: WithheldCode,
        now: u64,
    ) -> Result<(), Error> {
        // No session has such a name.
        if session_id.len() > caps::SESSION_ID {
            return Ok(());
        }
        self.0.execute(
            "INSERT OR REPLACE INTO refused_keys (room_id, session_id, sender, code, received_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                room.as_str(),
                session_id,
                sender.as_str(),
                code.as_str(),
                now.cast_signed(),
            ),
        )?;
        self.0.run(
            "DELETE FROM refused_keys WHERE (room_id, session_id, sender) IN (
                 SELECT room_id, session_id, sender FROM refused_keys
                 ORDER BY received_at DESC LIMIT -1 OFFSET ?1)",
            [caps::WITHHELD_KEYS],
        )
    }

    /// The reason `sender` gave for not sharing this session, if any.
    pub fn find(
        &self,
        room: &RoomId,
        session_id: &str,
        sender: &UserId,
    ) -> Result<Option<WithheldCode>, Error> {
        let code: Option<String> = self.0.value(
            "SELECT code FROM refused_keys
             WHERE room_id = ?1 AND session_id = ?2 AND sender = ?3",
            (room.as_str(), session_id, sender.as_str()),
        )?;
        Ok(code.as_deref().and_then(WithheldCode::parse))
    }
}
