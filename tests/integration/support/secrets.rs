//! The secret storage of an account, as another client fills it: written from
//! the specification, without the program's own code.

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::homeserver::Homeserver;

/// The id of the storage's key.
const ID: &str = "abcDEF";

/// A storage and its key.
pub struct Storage([u8; 32]);

impl Storage {
    /// One with a random key.
    pub fn new() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the system has randomness");
        Self(key)
    }

    /// The recovery key as a person writes it down.
    pub fn recovery_key(&self) -> String {
        let mut bytes = vec![0x8b, 0x01];
        bytes.extend(self.0);
        bytes.push(bytes.iter().fold(0, |parity, byte| parity ^ byte));
        let text = bs58::encode(bytes).into_string();
        let groups: Vec<&str> = (0..text.len())
            .step_by(4)
            .map(|at| &text[at..text.len().min(at + 4)])
            .collect();
        groups.join(" ")
    }

    /// Makes it the account's storage.
    pub fn publish(&self, hs: &Homeserver, user: &str) {
        let zeros = self.encrypt("", &[0; 32]);
        let description = json!({
            "algorithm": "m.secret_storage.v1.aes-hmac-sha2",
            "iv": zeros["iv"],
            "mac": zeros["mac"],
        });
        put(hs, user, "m.secret_storage.default_key", json!({"key": ID}));
        put(hs, user, &format!("m.secret_storage.key.{ID}"), description);
    }

    /// Stores a secret of the account.
    pub fn store(&self, hs: &Homeserver, user: &str, name: &str, secret: &str) {
        let encrypted = self.encrypt(name, secret.as_bytes());
        put(hs, user, name, json!({"encrypted": {ID: encrypted}}));
    }

    fn encrypt(&self, name: &str, secret: &[u8]) -> Value {
        let mut keys = [0; 64];
        Hkdf::<Sha256>::new(Some(&[0; 32]), &self.0)
            .expand(name.as_bytes(), &mut keys)
            .expect("64 bytes are not too many");
        let mut iv = [0; 16];
        getrandom::fill(&mut iv).expect("the system has randomness");
        iv[8] &= 0x7f;
        let mut text = secret.to_vec();
        Ctr128BE::<Aes256>::new_from_slices(&keys[..32], &iv)
            .expect("the lengths are right")
            .apply_keystream(&mut text);
        let mac = Hmac::<Sha256>::new_from_slice(&keys[32..])
            .expect("any length is right")
            .chain_update(&text)
            .finalize()
            .into_bytes();
        json!({
            "iv": STANDARD.encode(iv),
            "ciphertext": STANDARD.encode(&text),
            "mac": STANDARD.encode(mac),
        })
    }
}

fn put(hs: &Homeserver, user: &str, kind: &str, content: Value) {
    hs.with(|state| {
        state
            .account_data
            .insert((user.into(), kind.into()), content)
    });
}

/// Changes a stored secret behind everybody's back.
pub fn change(hs: &Homeserver, user: &str, name: &str, edit: impl FnOnce(&mut Value)) {
    hs.with(|state| {
        let key = (user.to_owned(), name.to_owned());
        let content = state.account_data.get_mut(&key).expect("it is stored");
        edit(&mut content["encrypted"][ID]);
    });
}
