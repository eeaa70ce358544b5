//! The people who take part, always with the same keys: an input means the same in
//! every run, so a crash can be kept as a file.

use openclaw_k8s_toggle_operator::crypto::{self, MEGOLM_ALGORITHM, OLM_ALGORITHM};
use ruma::{CanonicalJsonObject, UserId};
use serde_json::{Value, json};
use vodozemac::{
    Curve25519PublicKey, Curve25519SecretKey, Ed25519SecretKey, Ed25519Signature,
    megolm::GroupSession,
    olm::{Account, Session, SessionConfig},
};

/// The bot's user and device.
pub const BOT: (&str, &str) = ("@bot:hs", "BOT");
/// May command, and has an identity that signed this device.
pub const ANNA: (&str, &str) = ("@anna:hs", "ANNA");
/// Shares the rooms and may not command.
pub const MALLORY: (&str, &str) = ("@mallory:hs", "MALLORY");

/// The key that no message of the corpus has used up.
pub const SPARE_KEY: u8 = 1;

const BOT_SEED: u8 = 0x10;
const BOT_ONE_TIME_KEYS: u8 = 0x20;
const BOT_FALLBACK_KEY: u8 = 0x30;

/// Somebody with one device.
pub struct Person {
    /// The full id.
    pub user: &'static str,
    /// The device's id.
    pub device: &'static str,
    /// The device's keys.
    pub account: Account,
    /// The identity; whether it is shown is another matter.
    pub master: Ed25519SecretKey,
    /// The key that signs the devices.
    pub self_signing: Ed25519SecretKey,
}

impl Person {
    /// The commander.
    pub fn anna() -> Self {
        Self::new(ANNA, 0x40)
    }

    /// The other member.
    pub fn mallory() -> Self {
        Self::new(MALLORY, 0x50)
    }

    fn new((user, device): (&'static str, &'static str), seed: u8) -> Self {
        let pickle = serde_json::from_value(account(seed, json!({}), Value::Null)).unwrap();
        Self {
            user,
            device,
            account: Account::from_pickle(pickle),
            master: Ed25519SecretKey::from_slice(&[seed + 2; 32]),
            self_signing: Ed25519SecretKey::from_slice(&[seed + 3; 32]),
        }
    }

    /// Signs as the device.
    pub fn sign(&self, value: &mut Value) {
        sign(value, self.user, self.device, |bytes| {
            self.account.sign(bytes)
        });
    }

    /// The device's keys, not signed.
    pub fn bare_device_keys(&self) -> Value {
        json!({
            "user_id": self.user,
            "device_id": self.device,
            "algorithms": [OLM_ALGORITHM, MEGOLM_ALGORITHM],
            "keys": {
                format!("curve25519:{}", self.device): self.account.curve25519_key().to_base64(),
                format!("ed25519:{}", self.device): self.account.ed25519_key().to_base64(),
            },
        })
    }

    /// The device's keys, signed by the device and by the identity.
    pub fn device_keys(&self) -> Value {
        let mut keys = self.bare_device_keys();
        self.sign(&mut keys);
        let id = self.self_signing.public_key().to_base64();
        sign(&mut keys, self.user, &id, |bytes| {
            self.self_signing.sign(bytes)
        });
        keys
    }

    /// The master key and the self-signing key, as `/keys/query` shows them.
    pub fn identity(&self) -> (Value, Value) {
        let key = |usage: &str, key: &Ed25519SecretKey| {
            let public = key.public_key().to_base64();
            json!({
                "user_id": self.user,
                "usage": [usage],
                "keys": { format!("ed25519:{public}"): public },
            })
        };
        let mut self_signing = key("self_signing", &self.self_signing);
        let id = self.master.public_key().to_base64();
        sign(&mut self_signing, self.user, &id, |bytes| {
            self.master.sign(bytes)
        });
        (key("master", &self.master), self_signing)
    }

    /// A signed one-time key.
    pub fn one_time_key(&self) -> Value {
        let mut key = json!({ "key": public(self.device.len() as u8).to_base64() });
        self.sign(&mut key);
        key
    }

    /// A session with the bot by one of its one-time keys.
    pub fn session(&self, one_time_key: u8) -> Session {
        let config = SessionConfig::version_1();
        self.account
            .create_outbound_session(config, public(BOT_SEED + 1), bot_one_time_key(one_time_key))
            .unwrap()
    }

    /// An honest payload for the bot.
    pub fn payload(&self, kind: &str, content: &Value) -> Value {
        json!({
            "type": kind,
            "content": content,
            "sender": self.user,
            "sender_device": self.device,
            "keys": { "ed25519": self.account.ed25519_key().to_base64() },
            "recipient": BOT.0,
            "recipient_keys": { "ed25519": bot_ed25519() },
            "sender_device_keys": self.device_keys(),
        })
    }

    /// A to-device event with this plaintext.
    pub fn olm_event(&self, session: &mut Session, plaintext: &[u8]) -> Value {
        let (kind, body) = session.encrypt(plaintext).unwrap().to_parts();
        json!({
            "type": "m.room.encrypted",
            "sender": self.user,
            "content": {
                "algorithm": OLM_ALGORITHM,
                "sender_key": self.account.curve25519_key().to_base64(),
                "ciphertext": {
                    public(BOT_SEED + 1).to_base64(): {
                        "type": kind,
                        "body": vodozemac::base64_encode(body),
                    },
                },
            },
        })
    }

    /// A timeline event with this plaintext.
    pub fn megolm_event(&self, group: &mut GroupSession, id: &str, plaintext: &[u8]) -> Value {
        let session_id = group.session_id();
        let ciphertext = group.encrypt(plaintext).to_base64();
        let content = json!({
            "algorithm": MEGOLM_ALGORITHM,
            "ciphertext": ciphertext,
            "session_id": session_id,
            "sender_key": self.account.curve25519_key().to_base64(),
            "device_id": self.device,
        });
        event(self.user, id, "m.room.encrypted", &content)
    }
}

/// A timeline event of now.
pub fn event(sender: &str, id: &str, kind: &str, content: &Value) -> Value {
    json!({
        "type": kind,
        "sender": sender,
        "event_id": id,
        "origin_server_ts": crate::NOW,
        "content": content,
    })
}

/// Anna's group session number `which`, at its start.
pub fn group(which: u8) -> GroupSession {
    let pickle = json!({
        "ratchet": { "inner": vec![which; 128], "counter": 0 },
        "signing_key": { "Normal": key_bytes(which) },
        "config": { "version": "V1" },
    });
    GroupSession::from_pickle(serde_json::from_value(pickle).unwrap())
}

/// The content of an honest `m.room_key`.
pub fn room_key(room: &str, group: &GroupSession) -> Value {
    json!({
        "algorithm": MEGOLM_ALGORITHM,
        "room_id": room,
        "session_id": group.session_id(),
        "session_key": group.session_key().to_base64(),
    })
}

/// The account as the program has stored it: it has told the server all.
pub fn bot_account() -> Vec<u8> {
    let keys = json!({ "0": key_bytes(BOT_ONE_TIME_KEYS), "1": key_bytes(BOT_ONE_TIME_KEYS + 1) });
    let fallback = json!({ "key_id": 2, "key": key_bytes(BOT_FALLBACK_KEY), "published": true });
    let pickle = json!({
        "account": account(BOT_SEED, keys, fallback),
        "state": {
            "device_keys_uploaded": true,
            "fallback_key_made_at": crate::NOW,
            "forget_previous_fallback_at": null,
        },
    });
    serde_json::to_vec(&pickle).unwrap()
}

/// The bot's device keys, signed by the device.
pub fn bot_device_keys() -> CanonicalJsonObject {
    let account =
        crypto::Account::from_pickle(BOT.0.try_into().unwrap(), BOT.1.into(), &bot_account());
    account.unwrap().device_keys().unwrap()
}

/// The bot's fingerprint key.
pub fn bot_ed25519() -> String {
    Ed25519SecretKey::from_slice(&[BOT_SEED; 32])
        .public_key()
        .to_base64()
}

/// A one-time key of the bot.
pub fn bot_one_time_key(which: u8) -> Curve25519PublicKey {
    public(BOT_ONE_TIME_KEYS + which)
}

/// Signs under `ed25519:<id>`; what has no canonical form stays as it is.
pub fn sign(
    value: &mut Value,
    user: &str,
    id: &str,
    signer: impl FnOnce(&[u8]) -> Ed25519Signature,
) {
    let Ok(ruma::CanonicalJsonValue::Object(mut object)) = value.clone().try_into() else {
        return;
    };
    let user: &UserId = user.try_into().unwrap();
    if crypto::sign(&mut object, user, &format!("ed25519:{id}"), signer).is_ok() {
        *value = serde_json::to_value(object).unwrap();
    }
}

fn public(seed: u8) -> Curve25519PublicKey {
    Curve25519PublicKey::from(&Curve25519SecretKey::from_slice(&[seed; 32]))
}

fn account(seed: u8, one_time_keys: Value, fallback: Value) -> Value {
    json!({
        "signing_key": { "Normal": key_bytes(seed) },
        "diffie_hellman_key": key_bytes(seed + 1),
        "one_time_keys": { "next_key_id": 2, "public_keys": {}, "private_keys": one_time_keys },
        "fallback_keys": { "key_id": 3, "fallback_key": fallback, "previous_fallback_key": null },
    })
}

/// A private key. `json!` reads no repeat expressions.
fn key_bytes(seed: u8) -> [u8; 32] {
    [seed; 32]
}
