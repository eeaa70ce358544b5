//! The decrypted payload, and which of its claims are checked.

use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::value::RawValue;
use vodozemac::{Curve25519PublicKey, Ed25519PublicKey};

use super::{error::PayloadError, event::OlmEvent};
use crate::crypto::{account::Account, canonical, device::Device, pickle::SecretContent};

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

/// Checks the claims of a decrypted payload against its envelope and this device.
pub(super) fn check_payload(
    account: &Account,
    event: &OlmEvent,
    plaintext: &[u8],
) -> Result<OlmPayload, PayloadError> {
    let text = std::str::from_utf8(plaintext).map_err(|_| PayloadError::Malformed)?;
    let payload: Payload<'_> =
        serde_json::from_slice(text.as_bytes()).map_err(|_| PayloadError::Malformed)?;
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
