//! Recovery keys and secret storage, against what another implementation made.

use ruma::user_id;
use serde_json::{Value, json};

use super::raw;
use crate::crypto::*;

/// The recovery key, the storage and the account of matrix-rust-sdk's own tests.
const KEY: &str = "EsTj 3yST y93F SLpB jJsz eAXc 2XzA ygD3 w69H fGaN TKBj jXEd";
const KEY_ID: &str = "bmur2d9ypPUH1msSwCxQOJkuKRmJI55e";
const MASTER: &str = "m.cross_signing.master";
const SELF_SIGNING: &str = "m.cross_signing.self_signing";

fn key() -> RecoveryKey {
    RecoveryKey::parse(KEY).unwrap()
}

fn description() -> Value {
    json!({
        "algorithm": "m.secret_storage.v1.aes-hmac-sha2",
        "iv": "xv5b6/p3ExEw++wTyfSHEg==",
        "mac": "ujBBbXahnTAMkmPUX2/0+VTfUh63pGyVRuBcDMgmJC8=",
    })
}

fn stored_master() -> Value {
    json!({ "encrypted": { KEY_ID: {
        "ciphertext": "lCRSSA1lChONEXj/8RyogsgAa8ouQwYDnLr4XBCheRikrZykLRzPCx3doCE=",
        "iv": "bdfCwu+ECYgZ/jWTkGrQ/A==",
        "mac": "NXeV1dZaOe2JLvQ6Hh6tFto7AgFFdaQnY0l9pruwdtE=",
    } } })
}

fn stored_self_signing() -> Value {
    json!({ "encrypted": { KEY_ID: {
        "ciphertext": "+B9WD02IvtQ8S4OaquhuYEZAx20xvz0oTN7r2VM9VOBxmlOyi+KkkWOvLAo=",
        "iv": "3BCaKGCaSMkg1x9WnTqUmw==",
        "mac": "xQEDxQbPH0bYeZUFC3wYJh0lsLkP2amcFGdaZ3VdfQg=",
    } } })
}

fn opened(name: &str, content: &Value) -> Result<String, SecretStorageError> {
    key()
        .decrypt(name, KEY_ID, &raw(content))
        .map(|text| text.to_string())
}

/// A recovery key of any bytes.
fn spelt(bytes: &[u8]) -> String {
    bs58::encode(bytes).into_string()
}

/// The bytes of a sound key.
fn sound() -> Vec<u8> {
    let mut bytes = vec![0x8b, 0x01];
    bytes.extend([7; 32]);
    bytes.push(bytes.iter().fold(0, |parity, byte| parity ^ byte));
    bytes
}

fn fault(text: &str) -> Option<RecoveryKeyError> {
    RecoveryKey::parse(text).err()
}

#[test]
fn a_recovery_key_may_be_spaced_as_one_likes() {
    let compact = KEY.replace(' ', "");
    for text in [KEY, &compact, &format!("\n {compact}\t\r\n")] {
        let key = RecoveryKey::parse(text).unwrap();
        assert_eq!(key.opens(&raw(&description())), Ok(()));
        assert_eq!(format!("{key:?}"), "RecoveryKey(…)");
    }
}

#[test]
fn each_fault_of_a_recovery_key_has_its_sentence() {
    assert_eq!(fault(&spelt(&sound())), None);
    for character in ["0", "O", "I", "l", "-", "é"] {
        let text = KEY.replace('d', character);
        assert_eq!(fault(&text), Some(RecoveryKeyError::Alphabet), "{text}");
    }
    let compact = KEY.replace(' ', "");
    for (text, length) in [
        (String::new(), 0),
        (compact[..47].to_owned(), 47),
        (format!("{compact}d"), 49),
        ("a".repeat(100_000), 100_000),
    ] {
        assert_eq!(
            fault(&text),
            Some(RecoveryKeyError::Length(length)),
            "{length}"
        );
    }
    let mut other = sound();
    other[1] = 2;
    assert_eq!(fault(&spelt(&other)), Some(RecoveryKeyError::Prefix));
    assert_eq!(fault(&"1".repeat(48)), Some(RecoveryKeyError::Prefix));
    assert_eq!(fault(&"z".repeat(48)), Some(RecoveryKeyError::Prefix));
    for at in 2..35 {
        let mut mistyped = sound();
        mistyped[at] ^= 4;
        assert_eq!(fault(&spelt(&mistyped)), Some(RecoveryKeyError::Parity));
    }
    let mistyped = KEY.replace("3yST", "3ySU");
    assert_eq!(fault(&mistyped), Some(RecoveryKeyError::Parity));
    assert_eq!(
        RecoveryKeyError::Parity.to_string(),
        "a character was mistyped"
    );
}

#[test]
fn a_storage_says_whether_a_key_is_its_own() {
    let with = |field: &str, value: Value| {
        let mut description = description();
        description[field] = value;
        key().opens(&raw(&description))
    };
    let other = RecoveryKey::parse(&spelt(&sound())).unwrap();
    assert_eq!(
        other.opens(&raw(&description())),
        Err(SecretStorageError::WrongKey)
    );
    assert_eq!(
        with("iv", json!("xv5b6/p3ExEw++wTyfSHEg")),
        Ok(()),
        "unpadded"
    );
    assert_eq!(
        with("mac", json!("ujBB")),
        Err(SecretStorageError::WrongKey)
    );
    assert_eq!(
        with("iv", json!("xv5b")),
        Err(SecretStorageError::Malformed)
    );
    assert_eq!(with("mac", json!("?")), Err(SecretStorageError::Malformed));
    assert_eq!(with("mac", json!(7)), Err(SecretStorageError::Malformed));
    assert_eq!(
        with("algorithm", json!("m.other")),
        Err(SecretStorageError::Algorithm)
    );
    assert_eq!(with("mac", Value::Null), Ok(()), "nothing to check with");
}

#[test]
fn the_secrets_of_another_client_are_the_keys_of_its_account() {
    assert_eq!(
        opened(MASTER, &stored_master()).as_deref(),
        Ok("VcY1+LNyV6aSMne8mvi4lc/q+JiCHe+m6+hKLtgLP30=")
    );
    let user = user_id!("@example:morpheus.localhost");
    let master = json!({
        "keys": {
            "ed25519:fKJdf5b3ga1hshUT5obkBteMNTtLkfy8qh4h5/XLNew":
                "fKJdf5b3ga1hshUT5obkBteMNTtLkfy8qh4h5/XLNew",
        },
        "signatures": { user: {
            "ed25519:QLEYYETKXR": "2UCY7IS+5NFdzGGPgyovI2+uHM13pbrsAJIUp0daUCzJdl6hvp5rK/6L5AgyxiVAhbK/XT4lDDJeSymeJAs7Cg",
        } },
        "usage": ["master"],
        "user_id": user,
    });
    let self_signing = json!({
        "keys": {
            "ed25519:vsEoa0HHxc8hmlWgoohTQBGWcCRh1BFoTzI8HNIxg5Q":
                "vsEoa0HHxc8hmlWgoohTQBGWcCRh1BFoTzI8HNIxg5Q",
        },
        "signatures": { user: {
            "ed25519:fKJdf5b3ga1hshUT5obkBteMNTtLkfy8qh4h5/XLNew": "YFvSUX40E81EO8jibgn+kklMFkqfGTDPcENsq6UEepMY9UUOp9iredNCA/NR2INlfq4gkQhMJk2QRGZ31pQZCg",
        } },
        "usage": ["self_signing"],
        "user_id": user,
    });
    let identity = Identity::parse(user, &raw(&master), Some(&raw(&self_signing))).unwrap();
    let secret = opened(SELF_SIGNING, &stored_self_signing()).unwrap();
    let recovered = SelfSigningKey::from_seed(&Seed::from_base64(&secret).unwrap());
    assert!(recovered.belongs_to(&identity));
    let secret = opened(MASTER, &stored_master()).unwrap();
    assert_eq!(public_of_base64_seed(&secret), Ok(identity.master));
}

#[test]
fn a_changed_secret_is_refused() {
    let with = |field: &str, value: Value| {
        let mut content = stored_master();
        content["encrypted"][KEY_ID][field] = value;
        opened(MASTER, &content).map(drop)
    };
    let ciphertext = "kCRSSA1lChONEXj/8RyogsgAa8ouQwYDnLr4XBCheRikrZykLRzPCx3doCE=";
    assert_eq!(
        with("ciphertext", json!(ciphertext)),
        Err(SecretStorageError::Mac)
    );
    assert_eq!(with("ciphertext", json!("")), Err(SecretStorageError::Mac));
    assert_eq!(with("mac", json!("NXeV1dZa")), Err(SecretStorageError::Mac));
    assert_eq!(with("mac", json!("")), Err(SecretStorageError::Mac));
    assert_eq!(
        with("iv", json!("bdfC")),
        Err(SecretStorageError::Malformed)
    );
    assert_eq!(
        with("ciphertext", json!("?")),
        Err(SecretStorageError::Malformed)
    );
    assert_eq!(with("iv", Value::Null), Err(SecretStorageError::Malformed));
    // One secret in the place of another: the name is part of the keys.
    assert_eq!(
        opened(SELF_SIGNING, &stored_master()),
        Err(SecretStorageError::Mac)
    );
    assert_eq!(
        key()
            .decrypt(MASTER, "other", &raw(&stored_master()))
            .map(drop),
        Err(SecretStorageError::NotStored)
    );
    for content in [json!({}), json!([]), json!({ "encrypted": 7 })] {
        assert_eq!(opened(MASTER, &content), Err(SecretStorageError::Malformed));
    }
    // The MAC does not cover the IV; then the text is rubbish, and the key in
    // it another one.
    let other_iv = with("iv", json!("bdfCwu+ECYgZ/jWTkGrQ/Q=="));
    assert_eq!(other_iv, Err(SecretStorageError::NotText));
}

#[test]
fn what_is_encrypted_is_decrypted() {
    let text = "It is longer than one block of the cipher.";
    let entry = key().encrypt("name", [0xff; 16], text);
    let content = json!({ "encrypted": { KEY_ID: entry, "another key": 7 } });
    assert_eq!(opened("name", &content).as_deref(), Ok(text));
}
