//! One-time keys of others, as `/keys/claim` hands them out.

use ruma::CanonicalJsonValue;
use serde_json::value::RawValue;
use vodozemac::Curve25519PublicKey;

use super::{
    canonical::{self, SignatureError},
    device::Device,
};

/// Error of checking a claimed key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Not under a `signed_curve25519:` name, or not an object with a `key`.
    #[error("the one-time key is malformed")]
    Malformed,
    /// Not signed by the device it is said to belong to.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// Reads one claimed key and checks that `device` signed it: an unsigned key
/// would let the server be the other end of the session.
///
/// # Errors
/// The key is malformed, or its signature missing or wrong.
pub fn one_time_key(
    device: &Device,
    name: &str,
    raw: &RawValue,
) -> Result<Curve25519PublicKey, ClaimError> {
    if !name.starts_with("signed_curve25519:") {
        return Err(ClaimError::Malformed);
    }
    let object = canonical::signed_object(raw).ok_or(ClaimError::Malformed)?;
    let key_id = format!("ed25519:{}", device.id);
    canonical::verify(&object, &device.user, &key_id, &device.ed25519)?;
    object
        .get("key")
        .and_then(CanonicalJsonValue::as_str)
        .and_then(|key| Curve25519PublicKey::from_base64(key).ok())
        .ok_or(ClaimError::Malformed)
}
