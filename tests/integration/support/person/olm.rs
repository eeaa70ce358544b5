//! Olm: payloads for a device, the sessions they go out on, and their delivery.

use serde_json::{Value, json};
use vodozemac::Curve25519PublicKey;
use vodozemac::olm::SessionConfig;

use super::keys::shown_keys;
use super::{OLM, Person};
use crate::support::signing::{is_signed, unpadded};

impl Person {
    /// An honest Olm payload for a device.
    pub fn payload(&self, to: (&str, &str), kind: &str, content: &Value) -> Value {
        let (_, ed25519) = self.keys_of(to.0, to.1).expect("the recipient has keys");
        let mut payload = json!({
            "type": kind,
            "content": content,
            "sender": self.user,
            "sender_device": self.device,
            "keys": {"ed25519": self.ed25519()},
            "recipient": to.0,
            "recipient_keys": {"ed25519": ed25519},
        });
        if self.sends_own_keys {
            payload["sender_device_keys"] = self.device_keys();
        }
        payload
    }

    /// Starts an Olm session with a key claimed from the server; waits for one.
    pub fn new_session(&mut self, to: (&str, &str)) {
        let what = format!("a one-time key of {} {}", to.0, to.1);
        let (curve, ed25519, key_id, key) = self.hs.wait(&what, |state| {
            let (curve, ed25519) = shown_keys(state, to.0, to.1)?;
            let (id, key) = state.claim(to.0, to.1)?;
            Some((curve, ed25519, id, key))
        });
        assert!(key_id.starts_with("signed_curve25519:"), "{key_id}");
        assert!(
            is_signed(&key, to.0, to.1, &ed25519),
            "the one-time key of {to:?} is not signed by its device: {key}"
        );
        let one_time = Curve25519PublicKey::from_base64(key["key"].as_str().expect("a key"))
            .expect("a good key");
        let identity = Curve25519PublicKey::from_base64(&curve).expect("a good key");
        let session = self
            .account
            .create_outbound_session(SessionConfig::version_1(), identity, one_time)
            .expect("two good keys make a session");
        self.sessions.entry(curve).or_default().push(session);
    }

    /// Forgets all Olm sessions but the newest with each device.
    pub fn keep_newest_session(&mut self) {
        for sessions in self.sessions.values_mut() {
            let older = sessions.len().saturating_sub(1);
            sessions.drain(..older);
        }
    }

    /// Encrypts a payload to a device on the newest session, made if need be,
    /// as the content of a to-device event.
    pub fn olm(&mut self, to: (&str, &str), payload: &Value) -> Value {
        let what = format!("device keys of {} {}", to.0, to.1);
        let (curve, _) = self.hs.wait(&what, |state| shown_keys(state, to.0, to.1));
        if !self.sessions.contains_key(&curve) {
            self.new_session(to);
        }
        let session = self
            .sessions
            .get_mut(&curve)
            .and_then(|sessions| sessions.last_mut())
            .expect("made above");
        let (kind, bytes) = session
            .encrypt(payload.to_string())
            .expect("the session works")
            .to_parts();
        self.sent_olm_types
            .push(u64::try_from(kind).expect("0 or 1"));
        json!({
            "algorithm": OLM,
            "sender_key": self.curve25519(),
            "ciphertext": {curve: {"type": kind, "body": unpadded(&bytes)}},
        })
    }

    /// Puts a to-device event of this person into a device's queue.
    pub fn deliver(&self, to: (&str, &str), kind: &str, content: Value) {
        let event = json!({"type": kind, "sender": self.user, "content": content});
        self.hs.to_device(to.0, to.1, event);
    }
}
