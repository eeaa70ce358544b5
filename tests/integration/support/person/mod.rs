//! A person with one device, on vodozemac and nothing of the program under
//! test. Honest unless a test edits what it says.

mod keys;
mod olm;
mod reading;
mod speaking;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use vodozemac::Ed25519SecretKey;
use vodozemac::megolm::{GroupSession, InboundGroupSession};
use vodozemac::olm::{Account, Session};

use crate::support::homeserver::Homeserver;

pub const OLM: &str = "m.olm.v1.curve25519-aes-sha2";

pub const MEGOLM: &str = "m.megolm.v1.aes-sha2";

/// A group session of this device and who has its key.
pub struct Outbound {
    pub session: GroupSession,
    shared: BTreeSet<(String, String)>,
}

/// A room event of somebody else, as this person reads it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The event type as the server shows it.
    pub kind: String,
    /// None if it could not be decrypted or is not a message.
    pub body: Option<String>,
    /// The content that the server sees.
    pub outer: Value,
    /// The decrypted payload, or null.
    pub inner: Value,
}

pub struct Person {
    pub user: String,
    pub device: String,
    pub hs: Homeserver,
    pub account: Account,
    /// Master and self-signing key, once the person has them.
    pub cross_signing: Option<(Ed25519SecretKey, Ed25519SecretKey)>,
    /// Add `sender_device_keys` to what goes out over Olm (MSC4147).
    pub sends_own_keys: bool,
    /// Decrypted to-device payloads, in order.
    pub received: Vec<Value>,
    /// To-device events that were not encrypted, in order.
    pub plain: Vec<Value>,
    /// The Olm message types that came in: 0 is a pre-key message.
    pub olm_types: Vec<u64>,
    /// The Olm message types that went out.
    pub sent_olm_types: Vec<u64>,
    sessions: BTreeMap<String, Vec<Session>>,
    outbound: BTreeMap<String, Outbound>,
    inbound: BTreeMap<(String, String), InboundGroupSession>,
}

impl Person {
    /// A device with published keys, 20 one-time keys, and no fallback key.
    pub fn new(hs: &Homeserver, user: &str, device: &str) -> Self {
        let mut person = Self::unpublished(hs, user, device);
        person.publish(|_| {});
        person.publish_one_time_keys(20, |_| {});
        person
    }

    /// A device that the server does not know yet.
    pub fn unpublished(hs: &Homeserver, user: &str, device: &str) -> Self {
        Self {
            user: user.to_owned(),
            device: device.to_owned(),
            hs: hs.clone(),
            account: Account::new(),
            cross_signing: None,
            sends_own_keys: true,
            received: Vec::new(),
            plain: Vec::new(),
            olm_types: Vec::new(),
            sent_olm_types: Vec::new(),
            sessions: BTreeMap::new(),
            outbound: BTreeMap::new(),
            inbound: BTreeMap::new(),
        }
    }
}

pub fn text_message(text: &str) -> Value {
    json!({"msgtype": "m.text", "body": text})
}
