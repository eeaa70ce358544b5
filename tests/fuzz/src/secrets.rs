//! The secrets that other clients put into the secret storage, under the recovery key.

use aes::Aes256;
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit, StreamCipher},
};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// The key that [`crate::RECOVERY_KEY`] stands for.
const KEY: [u8; 32] = [
    0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45,
    0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a,
];

/// A secret as it is stored under a key.
pub fn encrypt(name: &str, text: &[u8]) -> Value {
    let mut keys = [0; 64];
    Hkdf::<Sha256>::new(Some(&[0; 32]), &KEY)
        .expand(name.as_bytes(), &mut keys)
        .unwrap();
    let (aes, mac) = keys.split_at(32);
    let iv = [1; 16];
    let mut ciphertext = text.to_vec();
    Ctr128BE::<Aes256>::new_from_slices(aes, &iv)
        .unwrap()
        .apply_keystream(&mut ciphertext);
    let mac = Hmac::<Sha256>::new_from_slice(mac)
        .unwrap()
        .chain_update(&ciphertext)
        .finalize()
        .into_bytes();
    json!({
        "iv": vodozemac::base64_encode(iv),
        "ciphertext": vodozemac::base64_encode(ciphertext),
        "mac": vodozemac::base64_encode(mac),
    })
}

/// The storage's description of the key.
pub fn description() -> Value {
    let mut description = encrypt("", &[0; 32]);
    description["algorithm"] = json!("m.secret_storage.v1.aes-hmac-sha2");
    description
}
