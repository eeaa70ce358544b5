//! Megolm, receiving: sessions others shared, and what is believed of the
//! messages they open.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#mmegolmv1aes-sha2>.

use ruma::{OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use vodozemac::{
    Curve25519PublicKey, Ed25519PublicKey,
    megolm::{self, InboundGroupSessionPickle, MegolmMessage, SessionOrdering},
};

use super::{MEGOLM_ALGORITHM, olm::OlmPayload, pickle::Pickle, room_key::RoomKey};

/// The inner event type that is acted on.
const INNER_TYPE: &str = "m.room.message";

/// A session with the identity it was received from. Only sessions that came
/// directly, in an Olm message from the device that made them, exist here:
/// forwarded, exported and backed-up keys are never taken.
pub struct InboundGroupSession {
    /// The user who sent the key, and the only one it speaks for.
    pub owner: OwnedUserId,
    /// The identity key of the device that sent it.
    pub curve25519: Curve25519PublicKey,
    /// The fingerprint that device claimed.
    pub ed25519: Ed25519PublicKey,
    inner: megolm::InboundGroupSession,
}

/// Error of accepting a room key or a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MegolmError {
    /// Fields missing or of the wrong form.
    #[error("it is malformed")]
    Malformed,
    /// Any algorithm but `m.megolm.v1.aes-sha2`.
    #[error("its algorithm is not Megolm")]
    Algorithm,
    /// A session of this id exists, and this is not it.
    #[error("another session has this id")]
    Unconnected,
    /// The same session from another sender or device.
    #[error("the session belongs to another device")]
    OtherOwner,
    /// The ratchet starts after this message.
    #[error("the key received starts after this message")]
    TooEarly,
    /// Signature, MAC or padding.
    #[error("the session does not open it")]
    Undecryptable,
    /// The plaintext is for another room.
    #[error("it was encrypted for another room")]
    WrongRoom,
    /// The event's sender is not the session's owner (CVE-2025-48937).
    #[error("its sender is not the owner of the session")]
    WrongSender,
    /// The inner type is not on the list, or it is a state event.
    #[error("its inner type is not accepted")]
    InnerType,
}

/// Decides on a key that came in `payload`, given the session stored under the
/// same room and id: the session to store, or none if the stored one is as good.
/// The binding to its first sender is never changed.
///
/// # Errors
/// Another device owns the stored session, or another session has its id.
pub fn accept_room_key(
    payload: &OlmPayload,
    key: RoomKey,
    stored: Option<InboundGroupSession>,
) -> Result<Option<InboundGroupSession>, MegolmError> {
    let mut new = InboundGroupSession {
        owner: payload.sender.clone(),
        curve25519: payload.sender_curve25519,
        ed25519: payload.sender_ed25519,
        inner: key.session,
    };
    let Some(mut stored) = stored else {
        return Ok(Some(new));
    };
    let same_device = stored.owner == new.owner
        && stored.curve25519 == new.curve25519
        && stored.ed25519 == new.ed25519;
    if !same_device {
        return Err(MegolmError::OtherOwner);
    }
    match new.inner.compare(&mut stored.inner) {
        SessionOrdering::Better => Ok(Some(new)),
        SessionOrdering::Equal | SessionOrdering::Worse => Ok(None),
        SessionOrdering::Unconnected => Err(MegolmError::Unconnected),
    }
}

/// The content of an `m.room.encrypted` room event. `sender_key` and
/// `device_id` are not read: the server could write anything there.
pub struct MegolmEvent {
    /// The id of the session, which is looked up together with the room.
    pub session_id: String,
    message: MegolmMessage,
}

impl MegolmEvent {
    /// Reads the cleartext content.
    ///
    /// # Errors
    /// The content is malformed, or of another algorithm.
    pub fn parse(content: &RawValue) -> Result<Self, MegolmError> {
        #[derive(Deserialize)]
        struct Content<'a> {
            algorithm: String,
            session_id: Option<String>,
            /// Olm has no string here.
            #[serde(borrow)]
            ciphertext: Option<&'a RawValue>,
        }
        let content: Content<'_> =
            serde_json::from_slice(content.get().as_bytes()).map_err(|_| MegolmError::Malformed)?;
        if content.algorithm != MEGOLM_ALGORITHM {
            return Err(MegolmError::Algorithm);
        }
        let (Some(session_id), Some(ciphertext)) = (content.session_id, content.ciphertext) else {
            return Err(MegolmError::Malformed);
        };
        let message = serde_json::from_slice::<String>(ciphertext.get().as_bytes())
            .ok()
            .and_then(|ciphertext| MegolmMessage::from_base64(&ciphertext).ok())
            .ok_or(MegolmError::Malformed)?;
        Ok(Self {
            session_id,
            message,
        })
    }

    /// The ratchet index the message says it was encrypted at; proven once it
    /// is opened.
    pub fn index(&self) -> u32 {
        self.message.message_index()
    }
}

impl InboundGroupSession {
    /// The session as stored by [`InboundGroupSession::pickle`], with its binding.
    ///
    /// # Errors
    /// The pickle is malformed.
    pub fn from_pickle(
        owner: OwnedUserId,
        curve25519: Curve25519PublicKey,
        ed25519: Ed25519PublicKey,
        pickle: &[u8],
    ) -> Result<Self, serde_json::Error> {
        let pickle: InboundGroupSessionPickle = serde_json::from_slice(pickle)?;
        let inner = megolm::InboundGroupSession::from_pickle(pickle);
        Ok(Self {
            owner,
            curve25519,
            ed25519,
            inner,
        })
    }

    /// The ratchet, for the store alone.
    ///
    /// # Errors
    /// The session has no JSON form.
    pub fn pickle(&self) -> Result<Pickle, serde_json::Error> {
        Pickle::of(&self.inner.pickle())
    }

    /// Gives up the ability to open messages before `index`: who steals the store
    /// cannot read what was read before.
    pub fn advance_to(&mut self, index: u32) {
        self.inner.advance_to(index);
    }

    /// Opens a message that `sender` meant for `room`, and checks what is inside.
    /// Returns its content.
    ///
    /// # Errors
    /// The message is not of this session, sender or room, or of an inner type that is not
    /// accepted.
    pub fn decrypt(
        &mut self,
        room: &RoomId,
        sender: &UserId,
        event: &MegolmEvent,
    ) -> Result<Box<RawValue>, MegolmError> {
        if self.owner != sender {
            return Err(MegolmError::WrongSender);
        }
        if event.message.message_index() < self.inner.first_known_index() {
            return Err(MegolmError::TooEarly);
        }
        let decrypted = self
            .inner
            .decrypt(&event.message)
            .map_err(|_| MegolmError::Undecryptable)?;
        #[derive(Deserialize)]
        struct Inner<'a> {
            room_id: &'a str,
            #[serde(rename = "type")]
            kind: String,
            #[serde(borrow)]
            content: &'a RawValue,
            state_key: Option<serde::de::IgnoredAny>,
        }
        let text = std::str::from_utf8(&decrypted.plaintext).map_err(|_| MegolmError::Malformed)?;
        let inner: Inner<'_> =
            serde_json::from_slice(text.as_bytes()).map_err(|_| MegolmError::Malformed)?;
        if inner.room_id != room.as_str() {
            return Err(MegolmError::WrongRoom);
        }
        if inner.state_key.is_some() || inner.kind != INNER_TYPE {
            return Err(MegolmError::InnerType);
        }
        Ok(inner.content.to_owned())
    }
}
