//! The bot's own identity: made of a seed, uploaded, and found again in what the
//! server says.

use ruma::{CanonicalJsonObject, UserId, user_id};
use serde_json::{Value, json};
use vodozemac::Ed25519SecretKey;

use super::{bot, raw};
use crate::crypto::*;

fn user() -> &'static UserId {
    user_id!("@bot:test")
}

fn own() -> CrossSigningKeys {
    CrossSigningKeys::from_seed(&Seed::copied(&[7; 32]).unwrap()).unwrap()
}

fn signed_bot() -> Account {
    let mut account = bot();
    let own = own();
    let key = own.self_signing();
    let signature = key.sign_device(&account).unwrap();
    account
        .set_cross_signature(&key.public(), &signature)
        .unwrap();
    account
}

fn value(object: &CanonicalJsonObject) -> Value {
    serde_json::to_value(object).unwrap()
}

#[test]
fn the_keys_of_a_seed_never_change() {
    // Accounts have these keys: another derivation would be another identity.
    let own = own();
    let keys = [
        own.master(),
        own.self_signing().public(),
        own.user_signing(),
    ];
    assert_eq!(
        keys.map(|key| key.to_base64()),
        [
            "q7hU7TAxtjFya7za2S25crrTVbpT/+CLJlIAsVLQYbQ",
            "p69DykiDSxuo3nlyHF7cATJJyZcXhA5dh83D31mpqQk",
            "WX7VnqfaAK9OPQmteGByovJBde8oAqO0nrglec+y6A8",
        ]
    );
}

#[test]
fn a_seed_is_32_bytes_of_base64() {
    let text = vodozemac::base64_encode([7; 32]);
    for text in [text.clone(), format!("{text}="), format!(" {text}=\n")] {
        let seed = Seed::from_base64(&text).unwrap();
        assert_eq!(seed.as_bytes(), &[7; 32]);
        assert_eq!(format!("{seed:?}"), "Seed(…)");
    }
    let fault = |text: &str| Seed::from_base64(text).map(drop).unwrap_err();
    assert_eq!(fault("not base64!"), SeedError::Encoding);
    assert_eq!(fault(""), SeedError::Length(0));
    assert_eq!(fault(&"A".repeat(44)), SeedError::Length(33));
    assert_eq!(
        fault(&vodozemac::base64_encode([7; 31])),
        SeedError::Length(31)
    );
    let (a, b) = (Seed::generate().unwrap(), Seed::generate().unwrap());
    assert_ne!(a.as_bytes(), b.as_bytes());
}

#[test]
fn what_is_uploaded_is_an_identity_that_vouches_for_the_device() {
    let own = own();
    let body = value(&own.device_signing_upload(user()).unwrap());
    let identity = Identity::parse(
        user(),
        &raw(&body["master_key"]),
        Some(&raw(&body["self_signing_key"])),
    )
    .unwrap();
    assert_eq!(identity.master, own.master());
    assert!(own.self_signing().belongs_to(&identity));
    let user_signing: CanonicalJsonObject =
        serde_json::from_value(body["user_signing_key"].clone()).unwrap();
    assert_eq!(body["user_signing_key"]["usage"], json!(["user_signing"]));
    assert_eq!(verify_by(&user_signing, user(), &own.master()), Ok(()));
    assert_eq!(
        raw(&own.device_signing_upload(user()).unwrap()).get(),
        raw(&body).get(),
        "the same bytes each time"
    );

    assert!(!identity.has_signed(&bot().device_keys().unwrap()));
    let account = signed_bot();
    let device = Device::parse(
        user(),
        account.device(),
        &raw(&account.device_keys().unwrap()),
        Some(&identity),
    )
    .unwrap();
    assert_eq!(device.signed_by, Some(own.master()));
}

#[test]
fn signatures_are_uploaded_with_the_device_and_the_master_key() {
    let own = own();
    assert_eq!(
        signatures_upload(&bot(), None),
        Err(SignatureError::Missing),
        "not before the device is signed"
    );
    let account = signed_bot();
    let mut master = own.master_key(user()).unwrap();
    // As the server gives it back: signed by a device that is gone.
    let gone = Ed25519SecretKey::new();
    sign(&mut master, user(), "ed25519:GONE", |bytes| {
        gone.sign(bytes)
    })
    .unwrap();
    let master = signed_object(&raw(&master)).unwrap();
    let body = value(&signatures_upload(&account, Some(&master)).unwrap());
    let signed = &body["@bot:test"];
    let device_signatures = signed["BOT"]["signatures"]["@bot:test"]
        .as_object()
        .unwrap();
    assert_eq!(device_signatures.len(), 2);
    let master: CanonicalJsonObject =
        serde_json::from_value(signed[own.master().to_base64()].clone()).unwrap();
    assert_eq!(
        verify(&master, user(), "ed25519:BOT", &account.ed25519()),
        Ok(())
    );
    assert_eq!(
        verify(&master, user(), "ed25519:GONE", &gone.public_key()),
        Err(SignatureError::Missing)
    );
    let alone = value(&signatures_upload(&account, None).unwrap());
    assert_eq!(alone["@bot:test"].as_object().unwrap().len(), 1);
}

#[test]
fn the_cross_signature_is_pickled() {
    let account = signed_bot();
    let restore = |pickle: &[u8]| {
        Account::from_pickle(user().to_owned(), account.device().to_owned(), pickle).unwrap()
    };
    let pickle = account.pickle().unwrap();
    let restored = restore(&pickle);
    assert_eq!(
        restored.cross_signed_by(),
        Some(own().self_signing().public())
    );
    assert_eq!(restored.device_keys(), account.device_keys());

    // A pickle from before there was one.
    let mut older: Value = serde_json::from_slice(&pickle).unwrap();
    older["state"]
        .as_object_mut()
        .unwrap()
        .remove("cross_signature")
        .unwrap();
    let older = restore(&serde_json::to_vec(&older).unwrap());
    assert_eq!(older.cross_signed_by(), None);
    assert_eq!(older.ed25519(), account.ed25519());
}

#[test]
fn a_cross_signature_must_match() {
    let own = own();
    let key = own.self_signing();
    let mut account = bot();
    let of_another = key.sign_device(&bot()).unwrap();
    assert_eq!(
        account.set_cross_signature(&key.public(), &of_another),
        Err(SignatureError::Wrong)
    );
    let signature = key.sign_device(&account).unwrap();
    assert_eq!(
        account.set_cross_signature(&own.master(), &signature),
        Err(SignatureError::Wrong)
    );
    assert_eq!(account.cross_signed_by(), None);

    // A new identity takes the place of the one before.
    let mut account = signed_bot();
    let other = CrossSigningKeys::from_seed(&Seed::copied(&[8; 32]).unwrap()).unwrap();
    let signature = other.self_signing().sign_device(&account).unwrap();
    account
        .set_cross_signature(&other.self_signing().public(), &signature)
        .unwrap();
    let keys = value(&account.device_keys().unwrap());
    assert_eq!(
        keys["signatures"]["@bot:test"].as_object().unwrap().len(),
        2
    );
}

#[test]
fn a_fingerprint_comes_in_groups_of_four() {
    let key = own().master();
    let text = fingerprint(&key);
    assert_eq!(text.split(' ').count(), 11);
    assert!(text.split(' ').take(10).all(|group| group.len() == 4));
    assert_eq!(text.replace(' ', ""), key.to_base64());
}
