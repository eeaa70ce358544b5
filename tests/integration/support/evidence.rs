//! The proof in a homeserver's log about the keys that went through it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use vodozemac::megolm::MegolmMessage;
use vodozemac::olm::OlmMessage;

use super::homeserver::State;
use super::signing::from_unpadded;
use super::world::BOT;

/// No key of the bot was ever used or shown twice, over all its runs: every
/// request counts, whether it took effect or not.
pub fn check(state: &State) {
    one_device(state);
    one_time_keys(state);
    ratchets(state);
    transactions(state);
}

/// The part of it that holds for any number of devices too.
pub fn ratchets(state: &State) {
    megolm_indices(state);
    olm_indices(state);
}

/// One device, one identity.
fn one_device(state: &State) {
    let devices: Vec<&str> = state
        .devices
        .keys()
        .filter(|(user, _)| user == BOT)
        .map(|(_, device)| device.as_str())
        .collect();
    assert_eq!(devices.len(), 1, "devices of the bot: {devices:?}");
    for login in state.requests("POST /login") {
        assert_eq!(login.body["device_id"], devices[0], "another device");
    }
    let identities: BTreeSet<String> = state
        .requests("POST /keys/upload")
        .iter()
        .map(|upload| &upload.body["device_keys"]["keys"])
        .filter(|keys| keys.is_object())
        .map(Value::to_string)
        .collect();
    assert_eq!(identities.len(), 1, "identities: {identities:?}");
}

/// A key id never goes with another key, and no upload was refused.
fn one_time_keys(state: &State) {
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    for upload in state.requests("POST /keys/upload") {
        assert_ne!(
            upload.status,
            Some(400),
            "a refused upload: {}",
            upload.body
        );
        for kind in ["one_time_keys", "fallback_keys"] {
            for (id, key) in upload.body[kind].as_object().into_iter().flatten() {
                let id = format!("{kind} {id}");
                let before = known.entry(id).or_insert_with(|| key["key"].clone());
                assert_eq!(*before, key["key"], "two keys under one id");
            }
        }
    }
}

/// An index of a Megolm session encrypts one message.
fn megolm_indices(state: &State) {
    let mut used: BTreeMap<(String, u32), String> = BTreeMap::new();
    for sent in state.requests("PUT /send/m.room.encrypted") {
        let text = |field: &str| sent.body[field].as_str().expect("it is there").to_owned();
        let ciphertext = text("ciphertext");
        let message = MegolmMessage::from_base64(&ciphertext).expect("it is well-formed");
        let index = (text("session_id"), message.message_index());
        let before = used.entry(index).or_insert_with(|| ciphertext.clone());
        assert_eq!(*before, ciphertext, "a Megolm index used twice");
    }
}

/// So does a link of an Olm chain.
fn olm_indices(state: &State) {
    let mut used: BTreeMap<(String, [u8; 32], u64), Vec<u8>> = BTreeMap::new();
    for sent in state.requests("PUT /sendToDevice/m.room.encrypted") {
        let users = sent.body["messages"].as_object().into_iter().flatten();
        let contents = users.flat_map(|(_, devices)| devices.as_object().into_iter().flatten());
        for (device, content) in contents {
            for (_, sealed) in content["ciphertext"].as_object().into_iter().flatten() {
                let bytes = from_unpadded(sealed["body"].as_str().expect("a body"));
                let kind = usize::from(sealed["type"] == 1);
                let message = match OlmMessage::from_parts(kind, &bytes).expect("well-formed") {
                    OlmMessage::Normal(message) => message,
                    OlmMessage::PreKey(opening) => opening.message().clone(),
                };
                let link = (
                    device.clone(),
                    message.ratchet_key().to_bytes(),
                    message.chain_index(),
                );
                let ciphertext = message.ciphertext().to_vec();
                let before = used.entry(link).or_insert_with(|| ciphertext.clone());
                assert_eq!(*before, ciphertext, "a link of an Olm chain used twice");
            }
        }
    }
}

/// A transaction id stands for one body.
fn transactions(state: &State) {
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    for sent in state.log.iter().filter(|sent| sent.is("PUT /send")) {
        let before = known
            .entry(sent.path.clone())
            .or_insert_with(|| sent.body.clone());
        assert_eq!(*before, sent.body, "a transaction id with two bodies");
    }
}
