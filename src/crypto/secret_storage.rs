//! Secret storage: what a user's other clients left encrypted in the account
//! data, under a key that the server has not.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#msecret_storagev1aes-hmac-sha2>.

use std::collections::BTreeMap;

use aes::Aes256;
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit, StreamCipher},
};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{derive::derive, recovery_key::RecoveryKey};

const ALGORITHM: &str = "m.secret_storage.v1.aes-hmac-sha2";

/// Error of opening a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretStorageError {
    /// Not the JSON that the specification asks for.
    #[error("what the homeserver has of it is malformed")]
    Malformed,
    /// The storage is encrypted in another way.
    #[error("the secret storage is encrypted in a way that is not known")]
    Algorithm,
    /// The storage has another key.
    #[error("the secret storage has another recovery key")]
    WrongKey,
    /// The secret is not stored, or not under this key.
    #[error("the secret is not stored under this recovery key")]
    NotStored,
    /// The secret was not encrypted with this key under this name, or was changed.
    #[error("the stored secret was changed, or has another recovery key")]
    Mac,
    /// The plaintext is not text.
    #[error("the stored secret is not text")]
    NotText,
}

#[derive(Deserialize)]
struct Description {
    algorithm: String,
    iv: Option<String>,
    mac: Option<String>,
}

#[derive(Deserialize)]
struct Secret<'a> {
    #[serde(borrow)]
    encrypted: BTreeMap<String, &'a RawValue>,
}

#[derive(Deserialize)]
struct Encrypted {
    iv: String,
    ciphertext: String,
    mac: String,
}

impl RecoveryKey {
    /// Checks that this is the key that `m.secret_storage.key.<id>` describes. A
    /// description without `iv` or `mac` fits every key; then a secret's own MAC
    /// tells.
    ///
    /// # Errors
    /// [`SecretStorageError::WrongKey`] if it is another one; the description is malformed or of
    /// another algorithm.
    pub fn opens(&self, description: &RawValue) -> Result<(), SecretStorageError> {
        let description: Description = serde_json::from_slice(description.get().as_bytes())
            .map_err(|_| SecretStorageError::Malformed)?;
        if description.algorithm != ALGORITHM {
            return Err(SecretStorageError::Algorithm);
        }
        let (Some(iv), Some(mac)) = (description.iv, description.mac) else {
            return Ok(());
        };
        let keys = self.keys("")?;
        let mut zeros = [0; 32];
        keys.apply(&iv_of(&iv)?, &mut zeros)?;
        keys.check(&zeros, &bytes_of(&mac)?)
            .map_err(|_| SecretStorageError::WrongKey)
    }

    /// The secret `name` from the account data of that type, as encrypted under
    /// the key `key_id`. The MAC is checked before anything is decrypted; it does
    /// not cover the IV, so a public key has to be compared after all.
    ///
    /// # Errors
    /// The secret is not stored under this key, was changed, or is malformed.
    pub fn decrypt(
        &self,
        name: &str,
        key_id: &str,
        content: &RawValue,
    ) -> Result<Zeroizing<String>, SecretStorageError> {
        let secret: Secret<'_> = serde_json::from_slice(content.get().as_bytes())
            .map_err(|_| SecretStorageError::Malformed)?;
        let encrypted = secret
            .encrypted
            .get(key_id)
            .ok_or(SecretStorageError::NotStored)?;
        let encrypted: Encrypted = serde_json::from_slice(encrypted.get().as_bytes())
            .map_err(|_| SecretStorageError::Malformed)?;
        let iv = iv_of(&encrypted.iv)?;
        let mut text = Zeroizing::new(bytes_of(&encrypted.ciphertext)?);
        let keys = self.keys(name)?;
        keys.check(&text, &bytes_of(&encrypted.mac)?)?;
        keys.apply(&iv, &mut text)?;
        std::str::from_utf8(&text)
            .map(|text| Zeroizing::new(text.to_owned()))
            .map_err(|_| SecretStorageError::NotText)
    }

    fn keys(&self, name: &str) -> Result<Keys, SecretStorageError> {
        derive(self.as_bytes(), name.as_bytes())
            .map(Keys)
            .ok_or(SecretStorageError::Malformed)
    }

    /// Encrypts a secret as other clients do.
    #[cfg(test)]
    pub(super) fn encrypt(&self, name: &str, mut iv: [u8; 16], text: &str) -> serde_json::Value {
        iv[8] &= 0x7f;
        let keys = self.keys(name).unwrap();
        let mut ciphertext = text.as_bytes().to_vec();
        keys.apply(&iv, &mut ciphertext).unwrap();
        let mac = keys.mac(&ciphertext).unwrap().finalize().into_bytes();
        serde_json::json!({
            "iv": vodozemac::base64_encode(iv),
            "ciphertext": vodozemac::base64_encode(ciphertext),
            "mac": vodozemac::base64_encode(mac),
        })
    }
}

/// The AES key and the MAC key of one secret.
struct Keys(Zeroizing<[u8; 64]>);

impl Keys {
    /// Encrypts or decrypts in place. The IV is used as it came: that its bit 63
    /// is 0 is the business of who encrypts.
    fn apply(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), SecretStorageError> {
        let (key, _) = self.0.split_at(32);
        let mut cipher = Ctr128BE::<Aes256>::new_from_slices(key, iv)
            .map_err(|_| SecretStorageError::Malformed)?;
        cipher
            .try_apply_keystream(data)
            .map_err(|_| SecretStorageError::Malformed)
    }

    /// Compares in constant time.
    fn check(&self, ciphertext: &[u8], mac: &[u8]) -> Result<(), SecretStorageError> {
        self.mac(ciphertext)?
            .verify_slice(mac)
            .map_err(|_| SecretStorageError::Mac)
    }

    fn mac(&self, ciphertext: &[u8]) -> Result<Hmac<Sha256>, SecretStorageError> {
        let (_, key) = self.0.split_at(32);
        let mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| SecretStorageError::Malformed)?;
        Ok(mac.chain_update(ciphertext))
    }
}

fn bytes_of(base64: &str) -> Result<Vec<u8>, SecretStorageError> {
    vodozemac::base64_decode(base64).map_err(|_| SecretStorageError::Malformed)
}

fn iv_of(base64: &str) -> Result<[u8; 16], SecretStorageError> {
    bytes_of(base64)?
        .try_into()
        .map_err(|_| SecretStorageError::Malformed)
}
