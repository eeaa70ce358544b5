//! Errors of Olm.

use crate::crypto::device::DeviceError;

/// Error of decrypting a to-device message, which is dropped.
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
    /// The payload contradicts the envelope.
    #[error("its payload is refused ({0:?})")]
    Payload(PayloadError),
}

/// The claim of the payload that does not hold.
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
