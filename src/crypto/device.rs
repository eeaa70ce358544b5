//! Other people's devices: which of the server's claims about them are
//! believed, and what is remembered of those that are gone.

use std::collections::BTreeMap;

use ruma::{CanonicalJsonObject, CanonicalJsonValue, DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use serde_json::value::RawValue;
use vodozemac::{Curve25519PublicKey, Ed25519PublicKey};

use super::{
    canonical::{self, SignatureError},
    identity::Identity,
};
use crate::util::MAX_ID;

/// A device whose keys were signed by the device itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The owner, as the signed object says.
    pub user: OwnedUserId,
    /// The id, as the signed object says.
    pub id: OwnedDeviceId,
    /// Identity key for Olm.
    pub curve25519: Curve25519PublicKey,
    /// Fingerprint key.
    pub ed25519: Ed25519PublicKey,
    /// The master key of the identity that vouches for these keys.
    pub signed_by: Option<Ed25519PublicKey>,
}

/// Error of checking device keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Not an object with `user_id`, `device_id` and `keys`.
    #[error("the device keys are malformed")]
    Malformed,
    /// The inner ids differ from the place it was found in.
    #[error("the device keys name another user or device")]
    WrongPlace,
    /// No usable `curve25519:<id>` or `ed25519:<id>`.
    #[error("an identity key is missing or unusable")]
    Keys,
    /// The self-signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The same id had another ed25519 key before.
    #[error("this device id had another fingerprint before")]
    KeyChanged,
    /// The id is one of the user's cross-signing keys (CVE-2022-39250).
    #[error("the device id is a cross-signing key")]
    IdIsAKey,
    /// A device with this id or one of these keys was seen deleted.
    #[error("it was signed out before, and stays so until \"identities forget\" names it")]
    SignedOut,
}

impl Device {
    /// Reads device keys found under `user` and `id` of a `/keys/query` answer, with
    /// `signed_by` if `identity` is the user's and vouches for these keys.
    ///
    /// # Errors
    /// The keys are malformed, of another user or device, or not signed by themselves.
    pub fn parse(
        user: &UserId,
        id: &DeviceId,
        raw: &RawValue,
        identity: Option<&Identity>,
    ) -> Result<Self, DeviceError> {
        let object = object(raw)?;
        let mut device = Self::from_object(&object)?;
        if device.user != user || device.id != id {
            return Err(DeviceError::WrongPlace);
        }
        device.signed_by = identity
            .filter(|identity| identity.has_signed(&object))
            .map(|identity| identity.master);
        Ok(device)
    }

    /// Reads device keys that say themselves whose they are
    /// (`sender_device_keys`); the caller compares the owner.
    ///
    /// # Errors
    /// The keys are malformed, or not signed by themselves.
    pub fn parse_anywhere(raw: &RawValue) -> Result<Self, DeviceError> {
        Self::from_object(&object(raw)?)
    }

    fn from_object(object: &CanonicalJsonObject) -> Result<Self, DeviceError> {
        let text = |name: &str| object.get(name).and_then(CanonicalJsonValue::as_str);
        let user = text("user_id")
            .and_then(|user| OwnedUserId::try_from(user).ok())
            .ok_or(DeviceError::Malformed)?;
        // It goes into claims and to-device messages.
        let id: OwnedDeviceId = text("device_id")
            .filter(|id| (1..=MAX_ID).contains(&id.len()))
            .ok_or(DeviceError::Malformed)?
            .into();
        let key = |algorithm: &str| {
            let keys = object.get("keys")?.as_object()?;
            keys.get(&format!("{algorithm}:{id}"))?.as_str()
        };
        let curve25519 = key("curve25519")
            .and_then(|key| Curve25519PublicKey::from_base64(key).ok())
            .ok_or(DeviceError::Keys)?;
        let ed25519 = key("ed25519")
            .and_then(canonical::ed25519_from_base64)
            .ok_or(DeviceError::Keys)?;
        canonical::verify(object, &user, &format!("ed25519:{id}"), &ed25519)?;
        Ok(Self {
            user,
            id,
            curve25519,
            ed25519,
            signed_by: None,
        })
    }
}

fn object(raw: &RawValue) -> Result<CanonicalJsonObject, DeviceError> {
    canonical::signed_object(raw).ok_or(DeviceError::Malformed)
}

/// A device as the store remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownDevice {
    /// Its keys.
    pub device: Device,
    /// A tombstone: the user's list lacked it once, or had another device under its
    /// id. It is not believed again.
    pub deleted: bool,
}

impl KnownDevice {
    /// Returns whether `device` is one that this tombstone stands for: it has the id, or
    /// one of the keys.
    fn buries(&self, device: &Device) -> bool {
        let known = &self.device;
        self.deleted
            && (known.id == device.id
                || known.ed25519 == device.ed25519
                || known.curve25519 == device.curve25519)
    }
}

/// One consequence of a `/keys/query` answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceChange {
    /// New or changed.
    Put(Box<Device>),
    /// No longer listed: signed out.
    Delete(OwnedDeviceId),
    /// Listed, and not believed; what was known of the id stays as it was.
    Refuse(OwnedDeviceId, DeviceError),
}

/// Compares what is known of a user's devices with a complete answer. Ids in
/// `cross_signing_keys` (unpadded base64) are refused as device ids. The same
/// id with another curve25519 key but the same fingerprint is a change the
/// device itself signed. With another fingerprint it is another device, and the
/// one that had the id is gone. A device that was seen deleted is refused for
/// good, whatever vouches for it: a homeserver takes a device id a second time,
/// with the old keys and the identity's old signature. With the user's
/// `identity`, devices it vouches for are marked so; a device that gains or loses
/// that is a change.
pub fn device_changes(
    user: &UserId,
    known: &[KnownDevice],
    answer: &BTreeMap<String, &RawValue>,
    cross_signing_keys: &[String],
    identity: Option<&Identity>,
) -> Vec<DeviceChange> {
    let mut changes = Vec::new();
    for (id, raw) in answer {
        let id: OwnedDeviceId = id.as_str().into();
        if cross_signing_keys.iter().any(|key| key == id.as_str()) {
            changes.push(DeviceChange::Refuse(id, DeviceError::IdIsAKey));
            continue;
        }
        let before = known.iter().find(|known| known.device.id == id);
        match Device::parse(user, &id, raw, identity) {
            Err(fault) => changes.push(DeviceChange::Refuse(id, fault)),
            Ok(device) => {
                let fault = match before {
                    Some(before) if before.device.ed25519 != device.ed25519 => {
                        Some(DeviceError::KeyChanged)
                    }
                    _ if known.iter().any(|known| known.buries(&device)) => {
                        Some(DeviceError::SignedOut)
                    }
                    _ => None,
                };
                if let Some(fault) = fault {
                    if before.is_some_and(|before| !before.deleted) {
                        changes.push(DeviceChange::Delete(id.clone()));
                    }
                    changes.push(DeviceChange::Refuse(id, fault));
                } else if before.is_none_or(|before| before.device != device) {
                    changes.push(DeviceChange::Put(Box::new(device)));
                }
            }
        }
    }
    for gone in known {
        if !gone.deleted && !answer.contains_key(gone.device.id.as_str()) {
            changes.push(DeviceChange::Delete(gone.device.id.clone()));
        }
    }
    changes
}
