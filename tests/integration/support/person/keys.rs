//! The keys of the device and of its user: made, signed, published, withdrawn.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vodozemac::Ed25519SecretKey;

use super::{MEGOLM, OLM, Person};
use crate::support::homeserver::State;
use crate::support::signing::add_signature;

impl Person {
    pub fn ed25519(&self) -> String {
        self.account.ed25519_key().to_base64()
    }

    pub fn curve25519(&self) -> String {
        self.account.curve25519_key().to_base64()
    }

    pub fn sign(&self, value: &mut Value) {
        add_signature(value, &self.user, &self.device, |text| {
            self.account.sign(text)
        });
    }

    /// The device keys without a signature.
    pub fn bare_device_keys(&self) -> Value {
        json!({
            "user_id": self.user,
            "device_id": self.device,
            "algorithms": [OLM, MEGOLM],
            "keys": {
                format!("curve25519:{}", self.device): self.curve25519(),
                format!("ed25519:{}", self.device): self.ed25519(),
            },
        })
    }

    /// The device keys, signed by the device and, if there is one, by the
    /// self-signing key.
    pub fn device_keys(&self) -> Value {
        let mut keys = self.bare_device_keys();
        self.sign(&mut keys);
        self.self_sign(&mut keys);
        keys
    }

    pub(super) fn self_sign(&self, keys: &mut Value) {
        if let Some((_, self_signing)) = &self.cross_signing {
            let id = self_signing.public_key().to_base64();
            add_signature(keys, &self.user, &id, |text| {
                self_signing.sign(text.as_bytes())
            });
        }
    }

    /// Publishes the device keys after an edit that comes *before* signing.
    pub fn publish(&mut self, edit: impl FnOnce(&mut Value)) {
        let mut keys = self.bare_device_keys();
        edit(&mut keys);
        self.sign(&mut keys);
        self.self_sign(&mut keys);
        self.publish_raw(keys);
    }

    /// Publishes whatever is given as this device's keys.
    pub fn publish_raw(&self, keys: Value) {
        self.hs
            .with(|state| state.put_device(&self.user, &self.device, keys));
    }

    /// Publishes signed one-time keys after an edit of each.
    pub fn publish_one_time_keys(&mut self, count: usize, edit: impl Fn(&mut Value)) {
        let keys = self.fresh_one_time_keys(count);
        self.hs.with(|state| {
            let device = state
                .devices
                .entry((self.user.clone(), self.device.clone()))
                .or_default();
            for (id, mut key) in keys {
                edit(&mut key);
                device.one_time.insert(id, key);
            }
        });
    }

    /// New one-time keys in the form of `/keys/upload`.
    pub fn fresh_one_time_keys(&mut self, count: usize) -> BTreeMap<String, Value> {
        self.account.generate_one_time_keys(count);
        let keys = self
            .account
            .one_time_keys()
            .into_iter()
            .map(|(id, key)| {
                let mut key = json!({"key": key.to_base64()});
                self.sign(&mut key);
                (format!("signed_curve25519:{}", id.to_base64()), key)
            })
            .collect();
        self.account.mark_keys_as_published();
        keys
    }

    /// Leaves the server without a key to claim for this device.
    pub fn withdraw_one_time_keys(&self) {
        self.hs.with(|state| {
            let id = (self.user.clone(), self.device.clone());
            let device = state.devices.entry(id).or_default();
            device.one_time.clear();
            device.fallback.clear();
        });
    }

    /// Gives the person fresh cross-signing keys and signs this device.
    pub fn cross_sign(&mut self) {
        let (master, self_signing) = (Ed25519SecretKey::new(), Ed25519SecretKey::new());
        let key = |usage: &str, key: &Ed25519SecretKey| {
            let public = key.public_key().to_base64();
            json!({
                "user_id": self.user,
                "usage": [usage],
                "keys": {format!("ed25519:{public}"): public},
            })
        };
        let mut shown_master = key("master", &master);
        self.sign(&mut shown_master);
        let mut shown_self_signing = key("self_signing", &self_signing);
        let by = master.public_key().to_base64();
        add_signature(&mut shown_self_signing, &self.user, &by, |text| {
            master.sign(text.as_bytes())
        });
        self.cross_signing = Some((master, self_signing));
        self.hs.with(|state| {
            let own = state.cross_signing.entry(self.user.clone()).or_default();
            own.insert("master".into(), shown_master);
            own.insert("self_signing".into(), shown_self_signing);
        });
        self.publish_raw(self.device_keys());
    }

    /// The public half of the master key, in base64.
    pub fn master(&self) -> String {
        let (master, _) = self.cross_signing.as_ref().expect("there is an identity");
        master.public_key().to_base64()
    }

    /// Signs another device of this user, as after a verification between both.
    pub fn vouch_for(&self, device: &str) {
        self.hs.with(|state| {
            let id = (self.user.clone(), device.to_owned());
            let found = state.devices.get_mut(&id).expect("the device is there");
            self.self_sign(found.keys.as_mut().expect("it has keys"));
            state.device_changed(&self.user);
        });
    }

    /// The server shows a device of this user without any signature but its own.
    pub fn lose_signatures(&self, device: &str) {
        self.hs.with(|state| {
            let id = (self.user.clone(), device.to_owned());
            let found = state.devices.get_mut(&id).expect("the device is there");
            let keys = found.keys.as_mut().expect("it has keys");
            let own = format!("ed25519:{device}");
            keys["signatures"][&self.user]
                .as_object_mut()
                .expect("it is signed")
                .retain(|key, _| *key == own);
            state.device_changed(&self.user);
        });
    }

    /// The keys that the server shows for a device: (curve25519, ed25519).
    pub(super) fn keys_of(&self, user: &str, device: &str) -> Option<(String, String)> {
        self.hs.with(|state| shown_keys(state, user, device))
    }
}

pub(super) fn shown_keys(state: &State, user: &str, device: &str) -> Option<(String, String)> {
    let keys = state
        .devices
        .get(&(user.to_owned(), device.to_owned()))?
        .keys
        .as_ref()?;
    let key = |kind: &str| {
        Some(
            keys["keys"][format!("{kind}:{device}")]
                .as_str()?
                .to_owned(),
        )
    };
    Some((key("curve25519")?, key("ed25519")?))
}
