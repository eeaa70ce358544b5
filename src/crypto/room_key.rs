//! The content of `m.room_key`.

use std::borrow::Cow;

use ruma::OwnedRoomId;
use serde::Deserialize;
use vodozemac::megolm::{self, SessionConfig, SessionKey};
use zeroize::Zeroizing;

use super::MEGOLM_ALGORITHM;

/// A Megolm session somebody shared with this device.
pub struct RoomKey {
    /// The room it is for.
    pub room: OwnedRoomId,
    /// The id that the key material itself yields.
    pub session_id: String,
    pub(super) session: megolm::InboundGroupSession,
}

/// Error of parsing a room key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RoomKeyError {
    /// Fields missing or of the wrong form.
    #[error("the room key is malformed")]
    Malformed,
    /// Not `m.megolm.v1.aes-sha2`.
    #[error("the room key is for an unknown algorithm")]
    Algorithm,
    /// `session_id` is not that of the key.
    #[error("the room key's session id is not that of its key")]
    SessionId,
}

#[derive(Deserialize)]
struct Content<'a> {
    algorithm: String,
    room_id: OwnedRoomId,
    session_id: String,
    // Borrowed unless its slashes are escaped, as some clients do.
    #[serde(borrow)]
    session_key: Cow<'a, str>,
}

impl RoomKey {
    /// Reads the decrypted content of an `m.room_key`.
    ///
    /// # Errors
    /// The content is malformed, of another algorithm, or its `session_id` is not its key's.
    pub fn parse(content: &str) -> Result<Self, RoomKeyError> {
        let content: Content<'_> =
            serde_json::from_slice(content.as_bytes()).map_err(|_| RoomKeyError::Malformed)?;
        if content.algorithm != MEGOLM_ALGORITHM {
            return Err(RoomKeyError::Algorithm);
        }
        // SessionKey checks the signature that proves possession of the
        // session's signing key.
        let key = SessionKey::from_base64(&content.session_key);
        if let Cow::Owned(copy) = content.session_key {
            drop(Zeroizing::new(copy));
        }
        let key = key.map_err(|_| RoomKeyError::Malformed)?;
        let session = megolm::InboundGroupSession::new(&key, SessionConfig::version_1());
        if session.session_id() != content.session_id {
            return Err(RoomKeyError::SessionId);
        }
        Ok(Self {
            room: content.room_id,
            session_id: content.session_id,
            session,
        })
    }
}
