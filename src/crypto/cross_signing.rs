//! The bot's own cross-signing identity: where its private keys come from, and
//! what they sign.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#cross-signing>.

use std::fmt;

use ruma::{CanonicalJsonObject, CanonicalJsonValue, UserId};
use serde_json::json;
use vodozemac::{Ed25519PublicKey, Ed25519SecretKey, Ed25519Signature};
use zeroize::Zeroizing;

use super::{
    account::{Account, object},
    canonical::{self, SignatureError},
    derive::derive,
    identity::Identity,
};

// These labels name keys that accounts already have: never change them.
const MASTER: &[u8] = b"openclaw-k8s-toggle-operator/cross-signing/1/master";
const SELF_SIGNING: &[u8] = b"openclaw-k8s-toggle-operator/cross-signing/1/self-signing";
const USER_SIGNING: &[u8] = b"openclaw-k8s-toggle-operator/cross-signing/1/user-signing";

/// The one secret an identity is made of. Wiped when dropped; on the heap, since
/// whatever is moved about on the stack leaves copies there.
pub struct Seed(Box<Zeroizing<[u8; 32]>>);

/// Error of parsing a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    /// Not base64.
    #[error("it is not base64")]
    Encoding,
    /// So many bytes instead of 32.
    #[error("it has {0} bytes instead of 32")]
    Length(usize),
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(…)")
    }
}

impl Seed {
    /// A new one, of the system's randomness.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut seed = Self::zero();
        getrandom::fill(seed.0.as_mut_slice())?;
        Ok(seed)
    }

    /// One of these bytes. None unless there are 32.
    pub fn copied(bytes: &[u8]) -> Option<Self> {
        let mut seed = Self::zero();
        if bytes.len() != seed.0.len() {
            return None;
        }
        seed.0.copy_from_slice(bytes);
        Some(seed)
    }

    /// Room for one: what is secret is written where it stays.
    fn zero() -> Self {
        Self(Box::new(Zeroizing::new([0; 32])))
    }

    /// Reads 32 bytes in base64, padded or not, with white space around it (a
    /// file ends in a newline).
    ///
    /// # Errors
    /// The text is not base64, or not of 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, SeedError> {
        let decoded = vodozemac::base64_decode(text.trim()).map_err(|_| SeedError::Encoding)?;
        let decoded = Zeroizing::new(decoded);
        Self::copied(&decoded).ok_or(SeedError::Length(decoded.len()))
    }

    /// The secret itself, for the store alone.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn secret_key(&self) -> Ed25519SecretKey {
        Ed25519SecretKey::from_slice(&self.0)
    }
}

/// The public key of a private one that other clients keep as base64 (in secret
/// storage), to compare it with what the server says.
///
/// # Errors
/// As [`Seed::from_base64`].
pub fn public_of_base64_seed(text: &str) -> Result<Ed25519PublicKey, SeedError> {
    Ok(Seed::from_base64(text)?.secret_key().public_key())
}

/// A self-signing private key: all that is needed to vouch for the bot's device.
pub struct SelfSigningKey(Ed25519SecretKey);

impl SelfSigningKey {
    /// The key whose private bytes these are.
    pub fn from_seed(seed: &Seed) -> Self {
        Self(seed.secret_key())
    }

    /// The public key.
    pub fn public(&self) -> Ed25519PublicKey {
        self.0.public_key()
    }

    /// Returns whether this is the self-signing key of `identity`.
    pub fn belongs_to(&self, identity: &Identity) -> bool {
        identity.self_signing == Some(self.public())
    }

    /// The signature of the account's device keys, for
    /// [`Account::set_cross_signature`].
    ///
    /// # Errors
    /// [`SignatureError::NotCanonical`] if the object has no canonical form.
    pub fn sign_device(&self, account: &Account) -> Result<Ed25519Signature, SignatureError> {
        let keys = account.device_keys()?;
        Ok(self.0.sign(&canonical::canonical_json(&keys)?))
    }
}

/// An identity whose private keys the bot holds: all of them follow from one
/// seed, so a lost store costs nothing while the seed is kept.
pub struct CrossSigningKeys {
    master: Ed25519SecretKey,
    self_signing: SelfSigningKey,
    user_signing: Ed25519SecretKey,
}

impl CrossSigningKeys {
    /// The three keys of a seed. `None` never happens: HKDF refuses only
    /// thousands of bytes.
    pub fn from_seed(seed: &Seed) -> Option<Self> {
        let key_for = |label| {
            derive::<32>(seed.as_bytes(), label).map(|key| Ed25519SecretKey::from_slice(&key))
        };
        Some(Self {
            master: key_for(MASTER)?,
            self_signing: SelfSigningKey(key_for(SELF_SIGNING)?),
            user_signing: key_for(USER_SIGNING)?,
        })
    }

    /// The public key that stands for the bot.
    pub fn master(&self) -> Ed25519PublicKey {
        self.master.public_key()
    }

    /// The key that signs the bot's device.
    pub fn self_signing(&self) -> &SelfSigningKey {
        &self.self_signing
    }

    /// The key that would sign other users; clients expect that there is one.
    pub fn user_signing(&self) -> Ed25519PublicKey {
        self.user_signing.public_key()
    }

    /// The body of `POST /_matrix/client/v3/keys/device_signing/upload`: the same
    /// bytes each time, so that a retry changes nothing (MSC3967).
    ///
    /// # Errors
    /// [`SignatureError::NotCanonical`] if the object has no canonical form.
    pub fn device_signing_upload(
        &self,
        user: &UserId,
    ) -> Result<CanonicalJsonObject, SignatureError> {
        let signed = |usage, key: Ed25519PublicKey| {
            let mut public = key_object(user, usage, &key)?;
            let id = key_id(&self.master());
            canonical::sign(&mut public, user, &id, |bytes| self.master.sign(bytes))?;
            Ok(public)
        };
        object(json!({
            "master_key": self.master_key(user)?,
            "self_signing_key": signed("self_signing", self.self_signing.public())?,
            "user_signing_key": signed("user_signing", self.user_signing())?,
        }))
    }

    /// The master key as it is uploaded, for [`signatures_upload`].
    ///
    /// # Errors
    /// [`SignatureError::NotCanonical`] if the object has no canonical form.
    pub fn master_key(&self, user: &UserId) -> Result<CanonicalJsonObject, SignatureError> {
        key_object(user, "master", &self.master())
    }
}

/// The body of `POST /_matrix/client/v3/keys/signatures/upload`: the device with
/// the signatures of itself and of the self-signing key, and `master` signed by
/// the device.
///
/// That signature says that the device believes in the master key: give only
/// one whose private key is known, or was found in secret storage. A server
/// could put another master key above a true self-signing key.
///
/// # Errors
/// [`SignatureError::Missing`] while the account has no cross-signature.
pub fn signatures_upload(
    account: &Account,
    master: Option<&CanonicalJsonObject>,
) -> Result<CanonicalJsonObject, SignatureError> {
    if account.cross_signed_by().is_none() {
        return Err(SignatureError::Missing);
    }
    let mut signed = CanonicalJsonObject::new();
    signed.insert(account.device().to_string(), account.device_keys()?.into());
    if let Some(master) = master {
        let mut master = master.clone();
        // Others' signatures are on the server already, and Synapse refuses the
        // whole upload for one of a device that is gone.
        master.remove("signatures");
        master.remove("unsigned");
        account.sign(&mut master)?;
        let name = master_name(&master).ok_or(SignatureError::NotCanonical)?;
        signed.insert(name, master.into());
    }
    let body = [(account.user().to_string(), signed.into())];
    Ok(body.into())
}

/// A key as people compare it: unpadded base64 in groups of four, as Element
/// shows it.
pub fn fingerprint(key: &Ed25519PublicKey) -> String {
    let mut text = key.to_base64();
    for at in (4..text.len()).step_by(4).rev() {
        text.insert(at, ' ');
    }
    text
}

fn key_id(key: &Ed25519PublicKey) -> String {
    format!("ed25519:{}", key.to_base64())
}

fn key_object(
    user: &UserId,
    usage: &str,
    key: &Ed25519PublicKey,
) -> Result<CanonicalJsonObject, SignatureError> {
    object(json!({
        "user_id": user,
        "usage": [usage],
        "keys": { key_id(key): key.to_base64() },
    }))
}

/// The id of the only key of a cross-signing object.
fn master_name(object: &CanonicalJsonObject) -> Option<String> {
    let keys = object.get("keys").and_then(CanonicalJsonValue::as_object)?;
    let (_, id) = keys.keys().next()?.split_once(':')?;
    Some(id.to_owned())
}
