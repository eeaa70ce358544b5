//! Canonical JSON and the signatures over it, independent of the program's own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};
use vodozemac::{Ed25519PublicKey, Ed25519Signature};

/// Sorted keys, no spaces, UTF-8 as it is.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort();
            let fields: Vec<String> = keys
                .into_iter()
                .map(|key| format!("{}:{}", Value::from(key.as_str()), canonical(&map[key])))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        plain => plain.to_string(),
    }
}

/// The text that a signature is made over: everything but `signatures` and `unsigned`.
pub fn signable(value: &Value) -> String {
    let mut bare = value.clone();
    if let Some(map) = bare.as_object_mut() {
        map.remove("signatures");
        map.remove("unsigned");
    }
    canonical(&bare)
}

/// Adds a signature made by `sign` under `user` and `ed25519:<key_id>`.
pub fn add_signature(
    value: &mut Value,
    user: &str,
    key_id: &str,
    sign: impl FnOnce(&str) -> Ed25519Signature,
) {
    let signature = sign(&signable(value)).to_base64();
    value["signatures"][user][format!("ed25519:{key_id}")] = json!(signature);
}

/// Does `value` carry a valid signature of that key?
pub fn is_signed(value: &Value, user: &str, key_id: &str, ed25519: &str) -> bool {
    let Some(signature) = value["signatures"][user][format!("ed25519:{key_id}")].as_str() else {
        return false;
    };
    let key = vodozemac::base64_decode(ed25519)
        .ok()
        .and_then(|bytes| Ed25519PublicKey::from_slice(bytes.as_slice().try_into().ok()?).ok());
    let (Some(key), Ok(signature)) = (key, Ed25519Signature::from_base64(signature)) else {
        return false;
    };
    key.verify(signable(value).as_bytes(), &signature).is_ok()
}

pub fn unpadded(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

pub fn from_unpadded(text: &str) -> Vec<u8> {
    STANDARD_NO_PAD
        .decode(text.trim_end_matches('='))
        .expect("the other side writes base64")
}
