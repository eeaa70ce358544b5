//! `m.room_key.withheld`: why a device does not share a session.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#reporting-that-decryption-keys-are-withheld>.

use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::value::RawValue;
use vodozemac::Curve25519PublicKey;

use super::MEGOLM_ALGORITHM;

/// The reasons there are; none that is not among them is repeated to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithheldCode {
    /// `m.blacklisted`: this device is blocked.
    Blacklisted,
    /// `m.unverified`: this device is not verified.
    Unverified,
    /// `m.unauthorised`: this user or device may not have the session.
    Unauthorised,
    /// `m.unavailable`: the other device does not have it either.
    Unavailable,
    /// `m.no_olm`: the other device could not open an Olm session.
    NoOlm,
}

impl WithheldCode {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Blacklisted,
        Self::Unverified,
        Self::Unauthorised,
        Self::Unavailable,
        Self::NoOlm,
    ];

    /// As the specification writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blacklisted => "m.blacklisted",
            Self::Unverified => "m.unverified",
            Self::Unauthorised => "m.unauthorised",
            Self::Unavailable => "m.unavailable",
            Self::NoOlm => "m.no_olm",
        }
    }

    /// None for a code that is not known.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }
}

/// Refusal to share a session. It comes in clear, so it is the
/// homeserver's word: good for a sentence, not for a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// The reason.
    pub code: WithheldCode,
    /// Room and id of the session; `m.no_olm` names none.
    pub session: Option<(OwnedRoomId, String)>,
    /// The identity key of the device that says so.
    pub sender_key: Curve25519PublicKey,
}

impl Withheld {
    /// Reads the content. None for what is malformed, of another algorithm, or
    /// of an unknown code.
    pub fn parse(content: &RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        struct Content {
            algorithm: String,
            code: String,
            room_id: Option<OwnedRoomId>,
            session_id: Option<String>,
            sender_key: String,
        }
        let content: Content = serde_json::from_slice(content.get().as_bytes()).ok()?;
        let code = WithheldCode::parse(&content.code)?;
        let session = content.room_id.zip(content.session_id);
        if content.algorithm != MEGOLM_ALGORITHM
            || (session.is_none() && code != WithheldCode::NoOlm)
        {
            return None;
        }
        Some(Self {
            code,
            session,
            sender_key: Curve25519PublicKey::from_base64(&content.sender_key).ok()?,
        })
    }
}
