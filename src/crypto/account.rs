//! The bot's own device: identity keys, and the supply of one-time and
//! fallback keys that others start Olm sessions with.

use std::time::Duration;

use ruma::{CanonicalJsonObject, CanonicalJsonValue, DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use vodozemac::{Curve25519PublicKey, Ed25519PublicKey, Ed25519Signature, olm};
use zeroize::Zeroizing;

use super::{
    MEGOLM_ALGORITHM, OLM_ALGORITHM, canonical, canonical::SignatureFault,
    one_time_keys::without_old_keys, pickle::Pickle,
};

/// How many one-time keys the server should hold for others to claim.
pub const ONE_TIME_KEYS_ON_SERVER: u64 = 50;

/// A fallback key is replaced at this age even if nobody used it.
const FALLBACK_KEY_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long the key before the current fallback key still opens messages that
/// were on their way when it was replaced.
const FALLBACK_KEY_GRACE: Duration = Duration::from_secs(3600);

/// The account of one device, with what has to outlive the process. All times
/// are milliseconds by the bot's own clock, which never goes back.
pub struct Account {
    inner: olm::Account,
    user: OwnedUserId,
    device: OwnedDeviceId,
    state: KeyState,
}

#[derive(Serialize, Deserialize, Default)]
struct KeyState {
    device_keys_uploaded: bool,
    fallback_key_made_at: u64,
    forget_previous_fallback_at: Option<u64>,
    #[serde(default)]
    previous_fallback_made_at: Option<u64>,
    /// Whether the times are by the bot's own clock; those of earlier versions
    /// were by the wall clock.
    #[serde(default)]
    by_own_clock: bool,
    /// In the ids of one-time and fallback keys, once all of them were replaced.
    #[serde(default)]
    supply: String,
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
struct Stored {
    account: olm::AccountPickle,
    state: KeyState,
}

/// The body of `POST /_matrix/client/v3/keys/upload`.
#[derive(Serialize, Debug, Clone, PartialEq)]
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
    pub fn pickle(&self) -> Result<Pickle, serde_json::Error> {
        #[derive(Serialize)]
        struct Borrowed<'a> {
            account: olm::AccountPickle,
            state: &'a KeyState,
        }
        Pickle::of(&Borrowed {
            account: self.inner.pickle(),
            state: &self.state,
        })
    }

    /// Whose device this is.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// Which device this is.
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

    pub(super) fn olm(&self) -> &olm::Account {
        &self.inner
    }

    pub(super) fn olm_mut(&mut self) -> &mut olm::Account {
        &mut self.inner
    }

    /// The device's public keys, signed by itself and by the self-signing key if
    /// there is a [`Account::set_cross_signature`]: what is uploaded, and what Olm
    /// payloads carry as `sender_device_keys` (MSC4147).
    pub fn device_keys(&self) -> Result<CanonicalJsonObject, SignatureFault> {
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
    pub fn set_cross_signature(
        &mut self,
        self_signing: &Ed25519PublicKey,
        signature: &Ed25519Signature,
    ) -> Result<(), SignatureFault> {
        let signed = canonical::canonical_json(&self.device_keys()?)?;
        self_signing
            .verify(&signed, signature)
            .map_err(|_| SignatureFault::Wrong)?;
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

    /// Whether [`Account::replenish`] would change anything.
    pub fn needs_replenishing(&self, one_time_keys: u64, fallback: FallbackOnServer) -> bool {
        !self.has_unpublished_keys()
            && (one_time_keys < ONE_TIME_KEYS_ON_SERVER
                || fallback == FallbackOnServer::UsedOrMissing)
    }

    /// Replaces a fallback key that is old and forgets the one before when its time
    /// has come, whatever the server says or fails to do: a key that is kept as
    /// long as somebody else likes can be played recordings against as long.
    ///
    /// True when the account changed and must be stored.
    pub fn age(&mut self, own_now: u64) -> bool {
        if !self.needs_aging(own_now) {
            return false;
        }
        if !self.state.by_own_clock {
            // What was sent by the keys of an earlier version was remembered for a
            // while only.
            self.state.by_own_clock = true;
            self.replace_fallback_at_once(own_now);
            return true;
        }
        if self.may_forget_previous_fallback(own_now) {
            self.forget_previous_fallback();
        }
        if self.is_fallback_old(own_now) {
            self.replace_fallback(own_now);
        }
        true
    }

    /// Whether [`Account::age`] would change anything.
    pub fn needs_aging(&self, own_now: u64) -> bool {
        !self.state.by_own_clock
            || self.may_forget_previous_fallback(own_now)
            || self.is_fallback_old(own_now)
    }

    /// Makes a fallback key and forgets all earlier ones: no message opens by them
    /// any more.
    pub fn replace_fallback_at_once(&mut self, own_now: u64) {
        self.replace_fallback(own_now);
        self.forget_previous_fallback();
    }

    /// When the oldest fallback key was made whose private half is still there. A
    /// pre-key message that came before opens nothing any more.
    pub fn oldest_fallback_made_at(&self) -> u64 {
        match self.state.forget_previous_fallback_at {
            Some(_) => self.state.previous_fallback_made_at.unwrap_or_default(),
            None => self.state.fallback_key_made_at,
        }
    }

    fn replace_fallback(&mut self, own_now: u64) {
        let first = self.state.fallback_key_made_at == 0;
        self.inner.generate_fallback_key();
        if !first {
            let grace = u64::try_from(FALLBACK_KEY_GRACE.as_millis()).unwrap_or(u64::MAX);
            self.state.forget_previous_fallback_at = Some(own_now.saturating_add(grace));
            self.state.previous_fallback_made_at = Some(self.state.fallback_key_made_at);
        }
        self.state.fallback_key_made_at = own_now;
    }

    fn forget_previous_fallback(&mut self) {
        self.inner.forget_fallback_key();
        self.state.forget_previous_fallback_at = None;
        self.state.previous_fallback_made_at = None;
    }

    fn may_forget_previous_fallback(&self, own_now: u64) -> bool {
        self.state
            .forget_previous_fallback_at
            .is_some_and(|at| at <= own_now)
    }

    fn is_fallback_old(&self, own_now: u64) -> bool {
        let age = own_now.saturating_sub(self.state.fallback_key_made_at);
        u128::from(age) >= FALLBACK_KEY_MAX_AGE.as_millis()
    }

    /// Replaces all one-time and fallback keys: whatever was encrypted by them opens
    /// nothing any more. The device stays the same. The new keys have ids that no
    /// other life of this device can have used.
    pub fn replace_all_keys(&mut self, own_now: u64) -> Result<(), ReplaceError> {
        #[derive(Serialize, Deserialize)]
        struct Parts<'a> {
            #[serde(borrow)]
            signing_key: &'a RawValue,
            #[serde(borrow)]
            diffie_hellman_key: &'a RawValue,
            #[serde(borrow)]
            one_time_keys: &'a RawValue,
            #[serde(borrow)]
            fallback_keys: &'a RawValue,
        }
        let text =
            |account: &olm::Account| serde_json::to_string(&account.pickle()).map(Zeroizing::new);
        let (own, fresh) = (text(&self.inner)?, text(&olm::Account::new())?);
        let own: Parts<'_> = serde_json::from_str(&own)?;
        let fresh: Parts<'_> = serde_json::from_str(&fresh)?;
        let parts = Parts {
            one_time_keys: fresh.one_time_keys,
            fallback_keys: fresh.fallback_keys,
            ..own
        };
        let replaced = Zeroizing::new(serde_json::to_string(&parts)?);
        let mut supply = [0_u8; 8];
        getrandom::fill(&mut supply).map_err(|_| ReplaceError)?;
        self.inner = olm::Account::from_pickle(serde_json::from_str(&replaced)?);
        self.state.supply = supply.iter().map(|byte| format!("{byte:02x}")).collect();
        self.state.fallback_key_made_at = 0;
        self.forget_previous_fallback();
        self.replenish(0, FallbackOnServer::UsedOrMissing, own_now);
        Ok(())
    }

    /// What the server still has to be told, if anything. The same keys come
    /// again until [`Account::mark_as_uploaded`].
    pub fn upload(&self) -> Result<Option<KeyUpload>, SignatureFault> {
        let device_keys = if self.state.device_keys_uploaded {
            None
        } else {
            Some(self.device_keys()?)
        };
        let mut upload = KeyUpload {
            device_keys,
            one_time_keys: CanonicalJsonObject::new(),
            fallback_keys: CanonicalJsonObject::new(),
        };
        for (id, key) in self.inner.one_time_keys() {
            let mut signed = object(json!({ "key": key.to_base64() }))?;
            self.sign(&mut signed)?;
            upload
                .one_time_keys
                .insert(self.key_name(id), CanonicalJsonValue::Object(signed));
        }
        for (id, key) in self.inner.fallback_key() {
            let mut signed = object(json!({ "key": key.to_base64(), "fallback": true }))?;
            self.sign(&mut signed)?;
            upload
                .fallback_keys
                .insert(self.key_name(id), CanonicalJsonValue::Object(signed));
        }
        let nothing = upload.device_keys.is_none()
            && upload.one_time_keys.is_empty()
            && upload.fallback_keys.is_empty();
        Ok((!nothing).then_some(upload))
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

    /// Whether the server has been given the device keys.
    pub fn device_keys_uploaded(&self) -> bool {
        self.state.device_keys_uploaded
    }

    fn key_name(&self, id: vodozemac::KeyId) -> String {
        format!("signed_curve25519:{}{}", self.state.supply, id.to_base64())
    }

    fn has_unpublished_keys(&self) -> bool {
        !self.inner.one_time_keys().is_empty() || !self.inner.fallback_key().is_empty()
    }

    pub(super) fn sign(&self, object: &mut CanonicalJsonObject) -> Result<(), SignatureFault> {
        let key_id = format!("ed25519:{}", self.device);
        canonical::sign(object, &self.user, &key_id, |bytes| self.inner.sign(bytes))
    }
}

/// What `device_unused_fallback_key_types` of a sync says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FallbackOnServer {
    /// The field is absent: the server knows no fallback keys, or does not say.
    NotSupported,
    /// `signed_curve25519` is listed.
    Unused,
    /// It is not listed.
    UsedOrMissing,
}

/// Why keys could not be replaced: there is no randomness, or the account has no
/// stored form.
#[derive(Debug)]
pub struct ReplaceError;

impl From<serde_json::Error> for ReplaceError {
    fn from(_: serde_json::Error) -> Self {
        Self
    }
}

pub(super) fn object(value: serde_json::Value) -> Result<CanonicalJsonObject, SignatureFault> {
    match CanonicalJsonValue::try_from(value) {
        Ok(CanonicalJsonValue::Object(object)) => Ok(object),
        _ => Err(SignatureFault::NotCanonical),
    }
}
