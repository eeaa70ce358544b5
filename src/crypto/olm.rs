//! Olm: messages from device to device.
//!
//! Specification: client-server API, "m.olm.v1.curve25519-aes-sha2".

use std::collections::BTreeMap;

use ruma::{CanonicalJsonObject, OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use vodozemac::{
    Curve25519PublicKey, Ed25519PublicKey,
    olm::{DecryptionError, OlmMessage, Session, SessionConfig, SessionPickle},
};
use zeroize::Zeroizing;

use super::{
    OLM_ALGORITHM,
    account::Account,
    canonical::{self, SignatureError},
    device::{Device, DeviceError},
    pickle::{Pickle, SecretContent},
};
use crate::util::wiped_json;

/// The longest ciphertext taken, in base64 characters. Synapse caps an event
/// at 64 KiB; to-device messages may be somewhat larger.
const MAX_CIPHERTEXT: usize = 256 * 1024;

/// Why a to-device message is thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OlmError {
    /// Fields missing or of the wrong form.
    #[error("it is malformed")]
    Malformed,
    /// Any algorithm but `m.olm.v1.curve25519-aes-sha2`.
    #[error("its algorithm is not Olm")]
    Algorithm,
    /// No ciphertext for this device's key.
    #[error("it is not for this device")]
    NotForUs,
    /// Its key was used: it came before.
    #[error("it came before")]
    Repeated,
    /// No session opens it: the other end's session and ours have parted.
    #[error("no Olm session opens it")]
    Wedged,
    /// A pre-key message that no new session can be made from.
    #[error("no Olm session can be made from it")]
    NoSession,
    /// The payload is not what the envelope says (MUST 12).
    #[error("its payload is refused ({0:?})")]
    Payload(PayloadError),
}

/// Which of the payload's claims does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadError {
    /// Not the JSON that the specification asks for.
    Malformed,
    /// `sender` is not the envelope's sender.
    Sender,
    /// `recipient` is another user.
    Recipient,
    /// `recipient_keys.ed25519` is another device: an unknown key-share.
    RecipientKey,
    /// `sender_device_keys` cannot be believed.
    SenderDevice(DeviceError),
    /// `sender_device_keys` is of another user (CVE-2026-45056) or has other keys.
    SenderDeviceMismatch,
}

/// An `m.room.encrypted` to-device message before decryption.
pub struct OlmEvent {
    /// The envelope's sender, not yet proven.
    pub sender: OwnedUserId,
    /// The sending device's identity key.
    pub sender_key: Curve25519PublicKey,
    /// SHA-256 of the ciphertext, to know a message that was seen before.
    pub hash: [u8; 32],
    message: OlmMessage,
}

impl OlmEvent {
    /// Whether a new session can be made from it.
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
    pub fn parse(raw: &RawValue, own: Curve25519PublicKey) -> Result<Self, OlmError> {
        let envelope: Envelope<'_> =
            serde_json::from_str(raw.get()).map_err(|_| OlmError::Malformed)?;
        let content = envelope.content;
        if content.algorithm != OLM_ALGORITHM {
            return Err(OlmError::Algorithm);
        }
        let ciphertexts: BTreeMap<String, &RawValue> =
            serde_json::from_str(content.ciphertext.get()).map_err(|_| OlmError::Malformed)?;
        let sender_key = Curve25519PublicKey::from_base64(&content.sender_key)
            .map_err(|_| OlmError::Malformed)?;
        // Padded and unpadded base64 name the same key, so keys are compared decoded.
        let ciphertext = ciphertexts
            .into_iter()
            .find(|(key, _)| Curve25519PublicKey::from_base64(key).is_ok_and(|key| key == own))
            .map(|(_, ciphertext)| ciphertext)
            .ok_or(OlmError::NotForUs)?;
        let ciphertext: Ciphertext =
            serde_json::from_str(ciphertext.get()).map_err(|_| OlmError::Malformed)?;
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

/// One Olm session with one peer device, as stored.
pub struct OlmSession {
    inner: Session,
}

impl OlmSession {
    /// The session as stored by [`OlmSession::pickle`].
    pub fn from_pickle(pickle: &[u8]) -> Result<Self, serde_json::Error> {
        let pickle: SessionPickle = serde_json::from_slice(pickle)?;
        Ok(Self {
            inner: Session::from_pickle(pickle),
        })
    }

    /// The ratchet, for the store alone.
    pub fn pickle(&self) -> Result<Pickle, serde_json::Error> {
        Pickle::of(&self.inner.pickle())
    }

    /// The id both ends compute.
    pub fn id(&self) -> String {
        self.inner.session_id()
    }

    /// Encrypts any text, so that a test can lie in every field.
    #[cfg(test)]
    pub(super) fn encrypt_for_test(&mut self, plaintext: &str) -> (usize, String) {
        let (kind, body) = self.inner.encrypt(plaintext).unwrap().to_parts();
        (kind, vodozemac::base64_encode(body))
    }
}

/// A decrypted payload whose claims were checked.
#[derive(Debug)]
pub struct OlmPayload {
    /// The user both envelope and payload name.
    pub sender: OwnedUserId,
    /// The identity key the message was encrypted with.
    pub sender_curve25519: Curve25519PublicKey,
    /// The fingerprint the payload claims; proven when a signed device with
    /// this curve25519 *and* this ed25519 key is in the sender's list.
    pub sender_ed25519: Ed25519PublicKey,
    /// The inner event type.
    pub kind: String,
    /// The inner content.
    pub content: SecretContent,
}

/// What became of a message that some session opened: the ratchet has moved
/// and must be stored, whatever the payload is worth.
pub struct Decrypted {
    /// The session that opened it.
    pub session: OlmSession,
    /// The session is new: the account gave up a one-time key for it.
    pub new_session: bool,
    /// The payload, if its claims hold.
    pub payload: Result<OlmPayload, OlmError>,
}

/// Opens `event` with one of `sessions` (all of its sender key's, freshly
/// loaded: a failed attempt leaves them unusable) or with a new one.
///
/// A pre-key message of a known session is never answered by a second session:
/// when that session does not open it, the message is a replay or damaged.
pub fn decrypt(
    account: &mut Account,
    sessions: Vec<OlmSession>,
    event: &OlmEvent,
) -> Result<Decrypted, OlmError> {
    let (session, new_session, plaintext) = match &event.message {
        OlmMessage::PreKey(pre_key) => {
            let id = pre_key.session_id();
            match sessions.into_iter().find(|session| session.id() == id) {
                Some(mut session) => {
                    let plaintext = session
                        .inner
                        .decrypt(&event.message)
                        .map_err(|error| fault(&error))?;
                    (session, false, plaintext)
                }
                None => {
                    let created = account
                        .olm_mut()
                        .create_inbound_session(
                            SessionConfig::version_1(),
                            event.sender_key,
                            pre_key,
                        )
                        .map_err(|_| OlmError::NoSession)?;
                    (
                        OlmSession {
                            inner: created.session,
                        },
                        true,
                        created.plaintext,
                    )
                }
            }
        }
        OlmMessage::Normal(_) => {
            let mut why = OlmError::Wedged;
            let opened = sessions.into_iter().find_map(|mut session| {
                match session.inner.decrypt(&event.message) {
                    Ok(plaintext) => Some((session, plaintext)),
                    Err(error) => {
                        if fault(&error) == OlmError::Repeated {
                            why = OlmError::Repeated;
                        }
                        None
                    }
                }
            });
            let (session, plaintext) = opened.ok_or(why)?;
            (session, false, plaintext)
        }
    };
    let plaintext = Zeroizing::new(plaintext);
    let payload = check_payload(account, event, &plaintext).map_err(OlmError::Payload);
    Ok(Decrypted {
        session,
        new_session,
        payload,
    })
}

fn fault(error: &DecryptionError) -> OlmError {
    match error {
        // Only the session that a message belongs to has its chain.
        DecryptionError::MissingMessageKey(_) => OlmError::Repeated,
        _ => OlmError::Wedged,
    }
}

#[derive(Deserialize)]
struct Payload<'a> {
    sender: OwnedUserId,
    recipient: OwnedUserId,
    recipient_keys: SigningKey,
    keys: SigningKey,
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    content: &'a RawValue,
    #[serde(borrow, alias = "org.matrix.msc4147.device_keys")]
    sender_device_keys: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SigningKey {
    ed25519: String,
}

impl SigningKey {
    fn decode(&self) -> Result<Ed25519PublicKey, PayloadError> {
        canonical::ed25519_from_base64(&self.ed25519).ok_or(PayloadError::Malformed)
    }
}

fn check_payload(
    account: &Account,
    event: &OlmEvent,
    plaintext: &[u8],
) -> Result<OlmPayload, PayloadError> {
    let text = std::str::from_utf8(plaintext).map_err(|_| PayloadError::Malformed)?;
    let payload: Payload<'_> = serde_json::from_str(text).map_err(|_| PayloadError::Malformed)?;
    if payload.sender != event.sender {
        return Err(PayloadError::Sender);
    }
    if payload.recipient != *account.user() {
        return Err(PayloadError::Recipient);
    }
    if payload.recipient_keys.decode()? != account.ed25519() {
        return Err(PayloadError::RecipientKey);
    }
    let sender_ed25519 = payload.keys.decode()?;
    if let Some(raw) = payload.sender_device_keys {
        let device = Device::parse_anywhere(raw).map_err(PayloadError::SenderDevice)?;
        let matches = device.user == event.sender
            && device.curve25519 == event.sender_key
            && device.ed25519 == sender_ed25519;
        if !matches {
            return Err(PayloadError::SenderDeviceMismatch);
        }
    }
    Ok(OlmPayload {
        sender: payload.sender,
        sender_curve25519: event.sender_key,
        sender_ed25519,
        kind: payload.kind,
        content: SecretContent::copied(payload.content),
    })
}

/// The device a message is for.
pub struct Peer<'a> {
    /// The owner.
    pub user: &'a UserId,
    /// Its identity key for Olm.
    pub curve25519: Curve25519PublicKey,
    /// Its fingerprint key.
    pub ed25519: Ed25519PublicKey,
}

impl<'a> From<&'a Device> for Peer<'a> {
    fn from(device: &'a Device) -> Self {
        Self {
            user: &device.user,
            curve25519: device.curve25519,
            ed25519: device.ed25519,
        }
    }
}

/// A new session towards `peer` from a one-time key that was checked by
/// [`super::one_time_key`]. `None` when the keys do not contribute (a zero
/// point).
pub fn outbound_session(
    account: &Account,
    peer: Curve25519PublicKey,
    one_time_key: Curve25519PublicKey,
) -> Option<OlmSession> {
    let inner = account
        .olm()
        .create_outbound_session(SessionConfig::version_1(), peer, one_time_key)
        .ok()?;
    Some(OlmSession { inner })
}

/// Encrypts an event for one device: the `content` of the to-device
/// `m.room.encrypted`. The session has advanced and must be stored with it.
pub fn encrypt_to_device(
    account: &Account,
    own_device_keys: &CanonicalJsonObject,
    session: &mut OlmSession,
    peer: &Peer<'_>,
    kind: &str,
    content: &RawValue,
) -> Result<Box<RawValue>, EncryptError> {
    #[derive(Serialize)]
    struct Plain<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
        content: &'a RawValue,
        sender: &'a UserId,
        sender_device: &'a ruma::DeviceId,
        recipient: &'a UserId,
        recipient_keys: Keys,
        keys: Keys,
        sender_device_keys: &'a CanonicalJsonObject,
    }
    #[derive(Serialize)]
    struct Keys {
        ed25519: String,
    }
    let plain = Plain {
        kind,
        content,
        sender: account.user(),
        // matrix-nio's schema for m.dummy asks for it.
        sender_device: account.device(),
        recipient: peer.user,
        recipient_keys: Keys {
            ed25519: peer.ed25519.to_base64(),
        },
        keys: Keys {
            ed25519: account.ed25519().to_base64(),
        },
        sender_device_keys: own_device_keys,
    };
    let plain = wiped_json(&plain).map_err(|_| EncryptError::Serialize)?;
    let message = session
        .inner
        .encrypt(&*plain)
        .map_err(|_| EncryptError::Session)?;
    let (kind, body) = message.to_parts();
    let content = serde_json::json!({
        "algorithm": OLM_ALGORITHM,
        "sender_key": account.curve25519().to_base64(),
        "ciphertext": {
            peer.curve25519.to_base64(): { "type": kind, "body": vodozemac::base64_encode(body) },
        },
    });
    serde_json::value::to_raw_value(&content).map_err(|_| EncryptError::Serialize)
}

/// Why nothing was encrypted for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncryptError {
    /// The session's ratchet refuses (a non-contributory key).
    Session,
    /// The payload has no JSON form.
    Serialize,
}

impl From<SignatureError> for EncryptError {
    fn from(_: SignatureError) -> Self {
        Self::Serialize
    }
}
