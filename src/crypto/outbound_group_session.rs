//! Megolm, sending: the bot's own session of a room, and when it is replaced.

use ruma::{OwnedRoomId, RoomId};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use vodozemac::megolm::{self, GroupSession, GroupSessionPickle, SessionConfig};

use zeroize::Zeroizing;

use super::{
    MEGOLM_ALGORITHM,
    account::Account,
    pickle::{Pickle, SecretContent},
};

/// No room can ask for a new session more often than this: each one costs a
/// message to every device.
const MIN_PERIOD_MS: u64 = 3_600_000;
const DEFAULT_PERIOD_MS: u64 = 604_800_000;
const DEFAULT_MESSAGES: u64 = 100;
const MAX_MESSAGES: u64 = 10_000;

/// Limits of a session's age and use: `m.room.encryption`'s
/// `rotation_period_ms` and `rotation_period_msgs`, clamped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Maximum age of a session, in milliseconds.
    pub period_ms: u64,
    messages: u64,
}

impl Rotation {
    /// From the room's settings; what is missing has the specification's
    /// default (a week, 100 messages), what is extreme is clamped to at least
    /// an hour and 1 to 10,000 messages.
    pub fn new(period_ms: Option<u64>, messages: Option<u64>) -> Self {
        Self {
            period_ms: period_ms.unwrap_or(DEFAULT_PERIOD_MS).max(MIN_PERIOD_MS),
            messages: messages.unwrap_or(DEFAULT_MESSAGES).clamp(1, MAX_MESSAGES),
        }
    }
}

/// The session this device sends with in one room.
pub struct OutboundGroupSession {
    room: OwnedRoomId,
    made_at: u64,
    inner: GroupSession,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    made_at: u64,
    session: GroupSessionPickle,
}

#[derive(Serialize)]
struct Key<'a> {
    algorithm: &'a str,
    room_id: &'a RoomId,
    session_id: &'a str,
    session_key: &'a str,
}

impl OutboundGroupSession {
    /// A new session, `now` in milliseconds since the Unix epoch.
    pub fn new(room: OwnedRoomId, now: u64) -> Self {
        Self {
            room,
            made_at: now,
            inner: GroupSession::new(SessionConfig::version_1()),
        }
    }

    /// The session as stored by [`OutboundGroupSession::pickle`].
    ///
    /// # Errors
    /// The pickle is malformed.
    pub fn from_pickle(room: OwnedRoomId, pickle: &[u8]) -> Result<Self, serde_json::Error> {
        let Stored { made_at, session } = serde_json::from_slice(pickle)?;
        Ok(Self {
            room,
            made_at,
            inner: GroupSession::from_pickle(session),
        })
    }

    /// The ratchet, for the store alone.
    ///
    /// # Errors
    /// The session has no JSON form.
    pub fn pickle(&self) -> Result<Pickle, serde_json::Error> {
        Pickle::of(&Stored {
            made_at: self.made_at,
            session: self.inner.pickle(),
        })
    }

    /// The id others look it up by.
    pub fn session_id(&self) -> String {
        self.inner.session_id()
    }

    /// The index the next message gets, and from which on a device that is
    /// given the key now can read.
    pub fn index(&self) -> u32 {
        self.inner.message_index()
    }

    /// Returns whether age or use ask for a new session. A clock that went back makes
    /// no session immortal: one from the future is expired too.
    pub fn is_expired(&self, rotation: Rotation, now: u64) -> bool {
        let age = now.checked_sub(self.made_at);
        age.is_none_or(|age| age >= rotation.period_ms)
            || u64::from(self.inner.message_index()) >= rotation.messages
    }

    /// The content of the `m.room_key` for devices that get the key now.
    ///
    /// # Errors
    /// The content has no JSON form.
    pub fn room_key(&self) -> Result<SecretContent, serde_json::Error> {
        SecretContent::of(&Key {
            algorithm: MEGOLM_ALGORITHM,
            room_id: &self.room,
            session_id: &self.inner.session_id(),
            session_key: &Zeroizing::new(self.inner.session_key().to_base64()),
        })
    }

    /// The content of the `m.forwarded_room_key` that gives the session from
    /// `index` on to a device that was given it before. None where this ratchet
    /// has passed that index.
    pub fn exported_key(&self, account: &Account, index: u32) -> Option<SecretContent> {
        #[derive(Serialize)]
        struct Exported<'a> {
            #[serde(flatten)]
            key: Key<'a>,
            sender_key: String,
            sender_claimed_ed25519_key: String,
            forwarding_curve25519_key_chain: [&'a str; 0],
        }
        let key = self.inner.session_key();
        let mut session = megolm::InboundGroupSession::new(&key, SessionConfig::version_1());
        let exported = session.export_at(index)?;
        SecretContent::of(&Exported {
            key: Key {
                algorithm: MEGOLM_ALGORITHM,
                room_id: &self.room,
                session_id: &self.inner.session_id(),
                session_key: &Zeroizing::new(exported.to_base64()),
            },
            sender_key: account.curve25519().to_base64(),
            sender_claimed_ed25519_key: account.ed25519().to_base64(),
            forwarding_curve25519_key_chain: [],
        })
        .ok()
    }

    /// Encrypts one event: the content of the `m.room.encrypted` to send. The
    /// ratchet has advanced and must be stored before the content leaves.
    ///
    /// # Errors
    /// The event has no JSON form.
    pub fn encrypt(
        &mut self,
        account: &Account,
        kind: &str,
        content: &RawValue,
    ) -> Result<Box<RawValue>, serde_json::Error> {
        #[derive(Serialize)]
        struct Plain<'a> {
            room_id: &'a RoomId,
            #[serde(rename = "type")]
            kind: &'a str,
            content: &'a RawValue,
        }
        let plain = serde_json::to_vec(&Plain {
            room_id: &self.room,
            kind,
            content,
        })?;
        let ciphertext = self.inner.encrypt(plain).to_base64();
        // sender_key and device_id are deprecated, and matrix-nio requires both.
        to_raw_value(&serde_json::json!({
            "algorithm": MEGOLM_ALGORITHM,
            "ciphertext": ciphertext,
            "device_id": account.device(),
            "sender_key": account.curve25519().to_base64(),
            "session_id": self.inner.session_id(),
        }))
    }
}
