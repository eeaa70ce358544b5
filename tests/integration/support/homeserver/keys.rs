//! The endpoints of device keys, one-time keys, cross-signing and signatures.

use serde_json::{Map, Value, json};

use super::serve::{Outcome, error};
use super::state::State;
use crate::support::signing::signable;

impl State {
    pub(super) fn upload_keys(&mut self, body: &Value, user: &str, device: &str) -> Outcome {
        let keys = &body["device_keys"];
        if keys.is_object() && (keys["user_id"] != user || keys["device_id"] != device) {
            return error(400, "M_INVALID_PARAM", "keys of another device");
        }
        let mut changed = false;
        let own = self
            .devices
            .entry((user.into(), device.into()))
            .or_default();
        let fresh = body["one_time_keys"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        if let Some((id, _)) = fresh
            .iter()
            .find(|(id, key)| own.seen_one_time.get(*id).is_some_and(|seen| seen != *key))
        {
            let text = format!("One time key {id} already exists.");
            return error(400, "M_UNKNOWN", &text);
        }
        for (id, key) in fresh {
            if own.seen_one_time.insert(id.clone(), key.clone()).is_none() {
                own.one_time.insert(id, key);
            }
        }
        if let Some(fallback) = body["fallback_keys"]
            .as_object()
            .filter(|keys| !keys.is_empty())
        {
            own.fallback = fallback
                .iter()
                .map(|(id, key)| (id.clone(), (key.clone(), false)))
                .collect();
        }
        if keys.is_object() {
            // Signatures added later are kept apart from the device's own keys.
            changed = own.keys.as_ref().map(signable) != Some(signable(keys));
            if changed {
                own.keys = Some(keys.clone());
            }
        }
        let count = own.one_time.len();
        if changed {
            self.device_changed(user);
        }
        (
            200,
            json!({"one_time_key_counts": {"signed_curve25519": count}}),
        )
    }

    pub(super) fn query_keys(&self, body: &Value, asker: &str) -> Outcome {
        let mut devices = Map::new();
        let mut keys = [Map::new(), Map::new(), Map::new()];
        let kinds = ["master", "self_signing", "user_signing"];
        for (user, only) in body["device_keys"].as_object().into_iter().flatten() {
            let mut info = self.device_info(user);
            if let Some(only) = only.as_array().filter(|only| !only.is_empty()) {
                info.retain(|id, _| only.contains(&json!(id)));
            }
            devices.insert(user.clone(), Value::Object(info));
            for (kind, map) in kinds.iter().zip(&mut keys) {
                let shown = *kind != "user_signing" || user == asker;
                let found = self.cross_signing.get(user).and_then(|own| own.get(*kind));
                if let Some(key) = found.filter(|_| shown) {
                    map.insert(user.clone(), key.clone());
                }
            }
        }
        let [master, self_signing, user_signing] = keys;
        (
            200,
            json!({
                "device_keys": devices,
                "master_keys": master,
                "self_signing_keys": self_signing,
                "user_signing_keys": user_signing,
                "failures": {},
            }),
        )
    }

    pub(super) fn claim_keys(&mut self, body: &Value) -> Outcome {
        let mut out = json!({});
        for (user, devices) in body["one_time_keys"].as_object().into_iter().flatten() {
            for (device, _) in devices.as_object().into_iter().flatten() {
                if let Some((id, key)) = self.claim(user, device) {
                    out[user][device][id] = key;
                }
            }
        }
        (200, json!({"one_time_keys": out, "failures": {}}))
    }

    pub(super) fn upload_cross_signing(&mut self, body: &Value, user: &str) -> Outcome {
        let known = self.cross_signing.entry(user.into()).or_default();
        let given: Vec<(&str, &Value)> = ["master", "self_signing", "user_signing"]
            .into_iter()
            .map(|kind| (kind, &body[format!("{kind}_key")]))
            .filter(|(_, key)| key.is_object())
            .collect();
        let differs = given.iter().any(|(kind, key)| {
            known
                .get(*kind)
                .is_some_and(|old| old["keys"] != key["keys"])
        });
        if differs && body["auth"].is_null() {
            let flows = json!([{"stages": ["m.login.password"]}]);
            return (401, json!({"flows": flows, "params": {}, "session": "uia"}));
        }
        for (kind, key) in given {
            known.insert(kind.into(), key.clone());
        }
        self.device_changed(user);
        (200, json!({}))
    }

    /// Adds signatures to devices and cross-signing keys, as they are shown later.
    pub(super) fn upload_signatures(&mut self, body: &Value) -> Outcome {
        let mut failures = json!({});
        for (user, signed) in body.as_object().into_iter().flatten() {
            for (id, object) in signed.as_object().into_iter().flatten() {
                let device = (user.clone(), id.clone());
                let target = match self.devices.get_mut(&device).and_then(|d| d.keys.as_mut()) {
                    Some(keys) => Some(keys),
                    None => self
                        .cross_signing
                        .get_mut(user)
                        .and_then(|keys| keys.get_mut("master")),
                };
                let Some(target) = target else {
                    failures[user][id] = json!({"errcode": "M_NOT_FOUND", "error": "no such key"});
                    continue;
                };
                for (by, signatures) in object["signatures"].as_object().into_iter().flatten() {
                    for (key, signature) in signatures.as_object().into_iter().flatten() {
                        target["signatures"][by][key] = signature.clone();
                    }
                }
            }
            self.device_changed(user);
        }
        (200, json!({"failures": failures}))
    }
}
