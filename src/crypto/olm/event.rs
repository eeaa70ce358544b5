//! The `m.room.encrypted` to-device event before decryption.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#molmv1curve25519-aes-sha2>.

use std::collections::BTreeMap;

use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use vodozemac::{Curve25519PublicKey, olm::OlmMessage};

use super::error::OlmError;
use crate::crypto::OLM_ALGORITHM;

/// The longest ciphertext taken, in base64 characters. Synapse caps an event
/// at 64 KiB; to-device messages may be somewhat larger.
const MAX_CIPHERTEXT: usize = 256 * 1024;

/// An `m.room.encrypted` to-device message before decryption.
pub struct OlmEvent {
    /// The envelope's sender, not yet proven.
    pub sender: OwnedUserId,
    /// The sending device's identity key.
    pub sender_key: Curve25519PublicKey,
    /// SHA-256 of the ciphertext, to know a message that was seen before.
    pub hash: [u8; 32],
    pub(super) message: OlmMessage,
}

impl OlmEvent {
    /// Returns whether a new session can be made from it.
    pub fn is_pre_key(&self) -> bool {
        matches!(self.message, OlmMessage::PreKey(_))
    }

    /// Its place in its session, which is proven once it is opened.
    pub fn position(&self) -> OlmPosition {
        let message = match &self.message {
            OlmMessage::Normal(message) => message,
            OlmMessage::PreKey(opening) => opening.message(),
        };
        OlmPosition {
            chain: message.ratchet_key(),
            index: message.chain_index(),
        }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    sender: OwnedUserId,
    #[serde(borrow)]
    content: EncryptedContent<'a>,
}

#[derive(Deserialize)]
struct EncryptedContent<'a> {
    algorithm: String,
    sender_key: String,
    /// By the keys of the devices they are for; Megolm has a string here.
    #[serde(borrow)]
    ciphertext: &'a RawValue,
}

#[derive(Deserialize)]
struct Ciphertext {
    #[serde(rename = "type")]
    kind: usize,
    body: String,
}

impl OlmEvent {
    /// Reads the envelope and picks the ciphertext for `own`.
    ///
    /// # Errors
    /// The event is malformed, of another algorithm, or not for this device.
    pub fn parse(raw: &RawValue, own: Curve25519PublicKey) -> Result<Self, OlmError> {
        let envelope: Envelope<'_> =
            serde_json::from_slice(raw.get().as_bytes()).map_err(|_| OlmError::Malformed)?;
        let content = envelope.content;
        if content.algorithm != OLM_ALGORITHM {
            return Err(OlmError::Algorithm);
        }
        let ciphertexts: BTreeMap<String, &RawValue> =
            serde_json::from_slice(content.ciphertext.get().as_bytes())
                .map_err(|_| OlmError::Malformed)?;
        let sender_key = Curve25519PublicKey::from_base64(&content.sender_key)
            .map_err(|_| OlmError::Malformed)?;
        // Padded and unpadded base64 name the same key, so keys are compared decoded.
        let ciphertext = ciphertexts
            .into_iter()
            .find(|(key, _)| Curve25519PublicKey::from_base64(key).is_ok_and(|key| key == own))
            .map(|(_, ciphertext)| ciphertext)
            .ok_or(OlmError::NotForUs)?;
        let ciphertext: Ciphertext =
            serde_json::from_slice(ciphertext.get().as_bytes()).map_err(|_| OlmError::Malformed)?;
        if ciphertext.body.len() > MAX_CIPHERTEXT {
            return Err(OlmError::Malformed);
        }
        let bytes = vodozemac::base64_decode(&ciphertext.body).map_err(|_| OlmError::Malformed)?;
        let message =
            OlmMessage::from_parts(ciphertext.kind, &bytes).map_err(|_| OlmError::Malformed)?;
        let hash = Sha256::new()
            .chain_update(sender_key.as_bytes())
            .chain_update([u8::from(ciphertext.kind == 0)])
            .chain_update(&bytes)
            .finalize()
            .into();
        Ok(Self {
            sender: envelope.sender,
            sender_key,
            hash,
            message,
        })
    }
}

/// The place of a message in its session.
#[derive(Debug, Clone, Copy)]
pub struct OlmPosition {
    /// The ratchet key of its chain.
    pub chain: Curve25519PublicKey,
    /// Its number in the chain.
    pub index: u64,
}
