//! Other people's cross-signing identities: which of the server's claims about
//! them are believed.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#cross-signing>.

use std::collections::BTreeMap;

use ruma::{CanonicalJsonObject, CanonicalJsonValue, OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use vodozemac::Ed25519PublicKey;

use super::canonical;
use crate::util::sorted_by;

/// A user's identity: the master key, and the self-signing key if the master
/// key vouches for it. That the master key is the user's is not proven here;
/// a pin does that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    user: OwnedUserId,
    /// The key that stands for the user.
    pub master: Ed25519PublicKey,
    /// The key that signs the user's devices.
    pub self_signing: Option<Ed25519PublicKey>,
}

/// Error of checking a cross-signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not an object with `user_id`, `usage` and `keys`.
    #[error("the cross-signing key is malformed")]
    Malformed,
    /// It is another user's.
    #[error("the cross-signing key names another user")]
    WrongUser,
    /// It is a key for something else.
    #[error("the cross-signing key is for another usage")]
    Usage,
    /// Not exactly one usable key, under its own name.
    #[error("the cross-signing key is not one key under its own name")]
    Keys,
}

impl Identity {
    /// Reads `master_keys.<user>` and `self_signing_keys.<user>` of a
    /// `/keys/query` answer. A self-signing key that is malformed, or not signed
    /// by the master key, is as good as none: then no device is signed.
    ///
    /// # Errors
    /// The master key is malformed, or of another user or usage.
    pub fn parse(
        user: &UserId,
        master: &RawValue,
        self_signing: Option<&RawValue>,
    ) -> Result<Self, IdentityError> {
        let (_, master) = cross_signing_key(user, "master", master)?;
        let self_signing = self_signing
            .and_then(|raw| cross_signing_key(user, "self_signing", raw).ok())
            .filter(|(object, _)| canonical::verify_by(object, user, &master).is_ok())
            .map(|(_, key)| key);
        Ok(Self {
            user: user.to_owned(),
            master,
            self_signing,
        })
    }

    /// The user whose identity it is.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// Returns whether this identity vouches for `device_keys`, over every field that
    /// came in. The device's signature of itself is not looked at.
    pub fn has_signed(&self, device_keys: &CanonicalJsonObject) -> bool {
        let owner = device_keys.get("user_id").and_then(|user| user.as_str());
        let signed_by = |key| canonical::verify_by(device_keys, &self.user, &key).is_ok();
        owner == Some(self.user.as_str()) && self.self_signing.is_some_and(signed_by)
    }
}

/// Every name under which the keys of a cross-signing object could be taken for
/// a device's: none may be a device id (CVE-2022-39250). Malformed objects
/// count too.
pub fn identity_key_ids(raw: &RawValue) -> Vec<String> {
    #[derive(Deserialize)]
    struct Keys<'a> {
        #[serde(borrow, default)]
        keys: BTreeMap<String, &'a RawValue>,
    }
    let Ok(Keys { keys }) = serde_json::from_slice(raw.get().as_bytes()) else {
        return Vec::new();
    };
    let mut ids = Vec::new();
    for (name, key) in keys {
        if let Some((_, id)) = name.split_once(':') {
            ids.push(id.to_owned());
        }
        if let Ok(key) = serde_json::from_slice::<String>(key.get().as_bytes()) {
            ids.extend(canonical::ed25519_from_base64(&key).map(|key| key.to_base64()));
            ids.push(key);
        }
    }
    let mut ids = sorted_by(ids, Ord::cmp);
    ids.dedup();
    ids
}

/// A cross-signing key of `user` for `usage`, its signatures not yet checked.
fn cross_signing_key(
    user: &UserId,
    usage: &str,
    raw: &RawValue,
) -> Result<(CanonicalJsonObject, Ed25519PublicKey), IdentityError> {
    let object = canonical::signed_object(raw).ok_or(IdentityError::Malformed)?;
    let owner = object.get("user_id").and_then(CanonicalJsonValue::as_str);
    if owner.ok_or(IdentityError::Malformed)? != user.as_str() {
        return Err(IdentityError::WrongUser);
    }
    let usages = object
        .get("usage")
        .and_then(CanonicalJsonValue::as_array)
        .ok_or(IdentityError::Malformed)?;
    if !usages.iter().any(|name| name.as_str() == Some(usage)) {
        return Err(IdentityError::Usage);
    }
    let keys = object
        .get("keys")
        .and_then(CanonicalJsonValue::as_object)
        .ok_or(IdentityError::Malformed)?;
    let mut keys = keys.iter();
    let (Some((name, key)), None) = (keys.next(), keys.next()) else {
        return Err(IdentityError::Keys);
    };
    let key = key
        .as_str()
        .and_then(canonical::ed25519_from_base64)
        .filter(|key| canonical::names_key(name, key))
        .ok_or(IdentityError::Keys)?;
    Ok((object, key))
}
