//! The bot's own device: identity keys, and the supply of one-time and
//! fallback keys that others start Olm sessions with.

use ruma::{CanonicalJsonObject, CanonicalJsonValue, DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use vodozemac::{Curve25519PublicKey, Ed25519PublicKey, Ed25519Signature, olm};

use super::{
    MEGOLM_ALGORITHM, OLM_ALGORITHM, canonical, canonical::SignatureError, pickle::Pickle,
    stored_account::without_old_keys,
};

/// One-time keys that the server should hold for others to claim.
pub const ONE_TIME_KEYS_ON_SERVER: u64 = 50;

/// The account of one device, with what has to outlive the process. All times
/// are milliseconds by the bot's own clock, which never goes back.
pub struct Account {
    pub(super) inner: olm::Account,
    user: OwnedUserId,
    device: OwnedDeviceId,
    pub(super) state: KeyState,
}

#[derive(Serialize, Deserialize, Default)]
pub(super) struct KeyState {
    device_keys_uploaded: bool,
    pub(super) fallback_key_made_at: u64,
    pub(super) forget_previous_fallback_at: Option<u64>,
    #[serde(default)]
    pub(super) previous_fallback_made_at: Option<u64>,
    /// True if the times are by the bot's own clock; those of earlier versions
    /// were by the wall clock.
    #[serde(default)]
    pub(super) by_own_clock: bool,
    /// In the ids of one-time and fallback keys, once all of them were replaced.
    #[serde(default)]
    pub(super) supply: String,
    #[serde(default)]
    cross_signature: Option<CrossSignature>,
}

/// That an identity vouches for this device; both in unpadded base64.
#[derive(Serialize, Deserialize)]
struct CrossSignature {
    self_signing: String,
    signature: String,
}

#[derive(Serialize, Deserialize)]
struct Stored<S> {
    account: olm::AccountPickle,
    state: S,
}

/// The body of `POST /_matrix/client/v3/keys/upload`.
#[derive(Serialize, Debug, Clone, PartialEq, Default)]
pub struct KeyUpload {
    /// The signed identity of the device, until the server has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_keys: Option<CanonicalJsonObject>,
    /// `signed_curve25519:<id>` → signed key.
    #[serde(skip_serializing_if = "CanonicalJsonObject::is_empty")]
    pub one_time_keys: CanonicalJsonObject,
    /// `signed_curve25519:<id>` → signed key with `"fallback": true`.
    #[serde(skip_serializing_if = "CanonicalJsonObject::is_empty")]
    pub fallback_keys: CanonicalJsonObject,
}

impl Account {
    /// A new identity for a device the server has not seen.
    pub fn new(user: OwnedUserId, device: OwnedDeviceId) -> Self {
        Self {
            inner: olm::Account::new(),
            user,
            device,
            state: KeyState {
                by_own_clock: true,
                ..KeyState::default()
            },
        }
    }

    /// The account as it was stored by [`Account::pickle`].
    ///
    /// # Errors
    /// The pickle is malformed.
    pub fn from_pickle(
        user: OwnedUserId,
        device: OwnedDeviceId,
        pickle: &[u8],
    ) -> Result<Self, serde_json::Error> {
        let Stored { account, state } = serde_json::from_slice(pickle)?;
        Ok(Self {
            inner: olm::Account::from_pickle(account),
            user,
            device,
            state,
        })
    }

    /// Everything secret and public of this account, for the store alone.
    ///
    /// # Errors
    /// The account has no JSON form.
    pub fn pickle(&self) -> Result<Pickle, serde_json::Error> {
        Pickle::of(&Stored {
            account: self.inner.pickle(),
            state: &self.state,
        })
    }

    /// The user.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// The device.
    pub fn device(&self) -> &DeviceId {
        &self.device
    }

    /// The device's identity key for Olm.
    pub fn curve25519(&self) -> Curve25519PublicKey {
        self.inner.curve25519_key()
    }

    /// The device's fingerprint key.
    pub fn ed25519(&self) -> Ed25519PublicKey {
        self.inner.ed25519_key()
    }

    /// The device's public keys, signed by itself and by the self-signing key if
    /// there is a [`Account::set_cross_signature`]: what is uploaded, and what Olm
    /// payloads carry as `sender_device_keys` (MSC4147).
    ///
    /// # Errors
    /// [`SignatureError::NotCanonical`] if the object has no canonical form.
    pub fn device_keys(&self) -> Result<CanonicalJsonObject, SignatureError> {
        let mut keys = object(json!({
            "user_id": self.user,
            "device_id": self.device,
            "algorithms": [OLM_ALGORITHM, MEGOLM_ALGORITHM],
            "keys": {
                format!("curve25519:{}", self.device): self.curve25519().to_base64(),
                format!("ed25519:{}", self.device): self.ed25519().to_base64(),
            },
        }))?;
        self.sign(&mut keys)?;
        if let Some(cross) = &self.state.cross_signature {
            let key_id = format!("ed25519:{}", cross.self_signing);
            canonical::insert(&mut keys, &self.user, &key_id, cross.signature.clone());
        }
        Ok(keys)
    }

    /// Keeps the signature of a self-signing key over [`Account::device_keys`] in
    /// place of the one before; one that does not match is refused.
    ///
    /// # Errors
    /// [`SignatureError::Wrong`] if the signature does not match.
    pub fn set_cross_signature(
        &mut self,
        self_signing: &Ed25519PublicKey,
        signature: &Ed25519Signature,
    ) -> Result<(), SignatureError> {
        let signed = canonical::canonical_json(&self.device_keys()?)?;
        self_signing
            .verify(&signed, signature)
            .map_err(|_| SignatureError::Wrong)?;
        self.state.cross_signature = Some(CrossSignature {
            self_signing: self_signing.to_base64(),
            signature: signature.to_base64(),
        });
        Ok(())
    }

    /// The self-signing key that vouches for this device.
    pub fn cross_signed_by(&self) -> Option<Ed25519PublicKey> {
        let cross = self.state.cross_signature.as_ref()?;
        canonical::ed25519_from_base64(&cross.self_signing)
    }

    /// Takes in what the server says it holds (a count that a `/v3/sync` does
    /// not name is 0) and makes new keys where it holds too few. While made
    /// keys wait for their upload no others are made: `mark_as_uploaded` would
    /// otherwise declare keys published that the server never saw.
    ///
    /// True when the account changed and must be stored *before* the upload.
    pub fn replenish(
        &mut self,
        one_time_keys: u64,
        fallback: FallbackOnServer,
        own_now: u64,
    ) -> bool {
        if !self.needs_replenishing(one_time_keys, fallback) {
            return false;
        }
        let missing = ONE_TIME_KEYS_ON_SERVER.saturating_sub(one_time_keys);
        self.inner
            .generate_one_time_keys(usize::try_from(missing).unwrap_or_default());
        if let Some(kept) = without_old_keys(&self.inner) {
            self.inner = kept;
        }
        if fallback == FallbackOnServer::UsedOrMissing {
            self.replace_fallback(own_now);
        }
        true
    }

    /// Returns whether [`Account::replenish`] would change anything.
    pub fn needs_replenishing(&self, one_time_keys: u64, fallback: FallbackOnServer) -> bool {
        !self.has_unpublished_keys()
            && (one_time_keys < ONE_TIME_KEYS_ON_SERVER
                || fallback == FallbackOnServer::UsedOrMissing)
    }

    /// The keys that the server has not been given yet, if any. The same keys come
    /// again until [`Account::mark_as_uploaded`].
    ///
    /// # Errors
    /// [`SignatureError::NotCanonical`] if the object has no canonical form.
    pub fn upload(&self) -> Result<Option<KeyUpload>, SignatureError> {
        let mut upload = KeyUpload::default();
        if !self.state.device_keys_uploaded {
            upload.device_keys = Some(self.device_keys()?);
        }
        let signed = |key| {
            let mut key = object(key)?;
            self.sign(&mut key)?;
            Ok::<_, SignatureError>(CanonicalJsonValue::Object(key))
        };
        for (id, key) in self.inner.one_time_keys() {
            let key = signed(json!({ "key": key.to_base64() }))?;
            upload.one_time_keys.insert(self.key_name(id), key);
        }
        for (id, key) in self.inner.fallback_key() {
            let key = signed(json!({ "key": key.to_base64(), "fallback": true }))?;
            upload.fallback_keys.insert(self.key_name(id), key);
        }
        Ok((upload != KeyUpload::default()).then_some(upload))
    }

    /// The server has taken the last [`Account::upload`]; `with_device_keys` says
    /// whether they were part of it.
    pub fn mark_as_uploaded(&mut self, with_device_keys: bool) {
        self.inner.mark_keys_as_published();
        self.state.device_keys_uploaded |= with_device_keys;
    }

    /// The id of the fallback key that waits for its upload.
    pub fn unpublished_fallback(&self) -> Option<String> {
        let id = self.inner.fallback_key().into_keys().next()?;
        Some(self.key_name(id))
    }

    /// The server lost the device keys: they are part of the next upload again.
    pub fn device_keys_are_missing(&mut self) {
        self.state.device_keys_uploaded = false;
    }

    /// Returns whether the server has been given the device keys.
    pub fn device_keys_uploaded(&self) -> bool {
        self.state.device_keys_uploaded
    }

    fn key_name(&self, id: vodozemac::KeyId) -> String {
        format!("signed_curve25519:{}{}", self.state.supply, id.to_base64())
    }

    fn has_unpublished_keys(&self) -> bool {
        !self.inner.one_time_keys().is_empty() || !self.inner.fallback_key().is_empty()
    }

    pub(super) fn sign(&self, object: &mut CanonicalJsonObject) -> Result<(), SignatureError> {
        let key_id = format!("ed25519:{}", self.device);
        canonical::sign(object, &self.user, &key_id, |bytes| self.inner.sign(bytes))
    }
}

/// State of the fallback key by `device_unused_fallback_key_types` of a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FallbackOnServer {
    /// The field is absent: the server knows no fallback keys, or does not say.
    NotSupported,
    /// `signed_curve25519` is listed.
    Unused,
    /// It is not listed.
    UsedOrMissing,
}

pub(super) fn object(value: serde_json::Value) -> Result<CanonicalJsonObject, SignatureError> {
    match CanonicalJsonValue::try_from(value) {
        Ok(CanonicalJsonValue::Object(object)) => Ok(object),
        _ => Err(SignatureError::NotCanonical),
    }
}
