//! Signed JSON: canonical form, signatures made and checked.
//!
//! Specification: <https://spec.matrix.org/v1.11/appendices/#signing-json>.

use ruma::{CanonicalJsonObject, CanonicalJsonValue, UserId};
use serde_json::value::RawValue;
use vodozemac::{Ed25519PublicKey, Ed25519Signature};

/// Error of checking a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It has no canonical form (a float, an integer beyond ±2^53).
    #[error("it has no canonical JSON form")]
    NotCanonical,
    /// No signature under that user and key.
    #[error("the signature is missing")]
    Missing,
    /// There is one, and it does not match.
    #[error("the signature is wrong")]
    Wrong,
}

/// The largest object read into a tree, in bytes of JSON text: that of a device or
/// of a key. The tree of a dense text is some thirty times as large.
const MAX_OBJECT: usize = 16 * 1024;

/// Reads an object that somebody signed; none if it is malformed, not canonical or
/// longer than any honest one.
pub fn signed_object(raw: &RawValue) -> Option<CanonicalJsonObject> {
    Some(raw.get())
        .filter(|text| text.len() <= MAX_OBJECT)
        .and_then(|text| serde_json::from_slice(text.as_bytes()).ok())
}

/// The bytes that are signed: canonical JSON without `signatures` and
/// `unsigned`.
///
/// # Errors
/// [`SignatureError::NotCanonical`] if the object has no canonical form.
pub fn canonical_json(object: &CanonicalJsonObject) -> Result<Vec<u8>, SignatureError> {
    let mut signed = object.clone();
    signed.remove("signatures");
    signed.remove("unsigned");
    serde_json::to_vec(&signed).map_err(|_| SignatureError::NotCanonical)
}

/// Adds `signatures.<user>.<key_id>`, keeping the signatures that are there.
///
/// # Errors
/// [`SignatureError::NotCanonical`] if the object has no canonical form.
pub fn sign(
    object: &mut CanonicalJsonObject,
    user: &UserId,
    key_id: &str,
    signer: impl FnOnce(&[u8]) -> Ed25519Signature,
) -> Result<(), SignatureError> {
    let signature = signer(&canonical_json(object)?).to_base64();
    insert(object, user, key_id, signature);
    Ok(())
}

/// Adds a signature that was made before, in base64.
pub(super) fn insert(
    object: &mut CanonicalJsonObject,
    user: &UserId,
    key_id: &str,
    signature: String,
) {
    let mut signatures = take_object(object, "signatures");
    let mut own = take_object(&mut signatures, user.as_str());
    own.insert(key_id.to_owned(), CanonicalJsonValue::String(signature));
    signatures.insert(user.to_string(), CanonicalJsonValue::Object(own));
    object.insert(
        "signatures".to_owned(),
        CanonicalJsonValue::Object(signatures),
    );
}

/// Checks `signatures.<user>.<key_id>` over every field that came in, also
/// those this program does not know.
///
/// # Errors
/// The signature is missing or wrong, or the object has no canonical form.
pub fn verify(
    object: &CanonicalJsonObject,
    user: &UserId,
    key_id: &str,
    key: &Ed25519PublicKey,
) -> Result<(), SignatureError> {
    let signature = signatures_of(object, user)
        .and_then(|keys| keys.get(key_id)?.as_str())
        .ok_or(SignatureError::Missing)?;
    let signature = Ed25519Signature::from_base64(signature).map_err(|_| SignatureError::Wrong)?;
    key.verify(&canonical_json(object)?, &signature)
        .map_err(|_| SignatureError::Wrong)
}

/// Checks a cross-signing key's signature, which is found by the key itself:
/// `signatures.<user>.ed25519:<key>`, in padded or unpadded base64.
///
/// # Errors
/// As [`verify`].
pub fn verify_by(
    object: &CanonicalJsonObject,
    user: &UserId,
    key: &Ed25519PublicKey,
) -> Result<(), SignatureError> {
    let name = signatures_of(object, user)
        .and_then(|keys| keys.keys().find(|name| names_key(name, key)))
        .ok_or(SignatureError::Missing)?;
    verify(object, user, name, key)
}

fn signatures_of<'a>(
    object: &'a CanonicalJsonObject,
    user: &UserId,
) -> Option<&'a CanonicalJsonObject> {
    let users = object.get("signatures")?.as_object()?;
    users.get(user.as_str())?.as_object()
}

/// A public key in padded or unpadded base64. vodozemac's own `from_base64`
/// (0.11.1) panics when the text has the right length and the bytes have not.
pub fn ed25519_from_base64(text: &str) -> Option<Ed25519PublicKey> {
    let bytes = vodozemac::base64_decode(text).ok()?;
    Ed25519PublicKey::from_slice(bytes.as_slice().try_into().ok()?).ok()
}

/// Returns whether `name` is `ed25519:<key>`.
pub fn names_key(name: &str, key: &Ed25519PublicKey) -> bool {
    name.strip_prefix("ed25519:")
        .and_then(ed25519_from_base64)
        .is_some_and(|named| named == *key)
}

fn take_object(parent: &mut CanonicalJsonObject, name: &str) -> CanonicalJsonObject {
    match parent.remove(name) {
        Some(CanonicalJsonValue::Object(inner)) => inner,
        _ => CanonicalJsonObject::new(),
    }
}
