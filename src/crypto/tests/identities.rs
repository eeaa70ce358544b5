//! Identities on values: who vouches for whom, and who only says so.

use std::collections::BTreeMap;

use ruma::{CanonicalJsonObject, UserId, user_id};
use serde_json::{Value, json, value::RawValue};
use vodozemac::{Ed25519PublicKey, Ed25519SecretKey};

use super::{alice, raw};
use crate::crypto::*;

/// A person's three private keys.
struct Person {
    user: &'static UserId,
    master: Ed25519SecretKey,
    self_signing: Ed25519SecretKey,
    user_signing: Ed25519SecretKey,
}

impl Person {
    fn new(user: &'static UserId) -> Self {
        Self {
            user,
            master: Ed25519SecretKey::new(),
            self_signing: Ed25519SecretKey::new(),
            user_signing: Ed25519SecretKey::new(),
        }
    }

    fn alice() -> Self {
        Self::new(user_id!("@alice:test"))
    }

    fn public(&self, usage: &str, key: &Ed25519SecretKey) -> CanonicalJsonObject {
        let key = key.public_key().to_base64();
        object(json!({
            "user_id": self.user,
            "usage": [usage],
            "keys": { format!("ed25519:{key}"): key },
        }))
    }

    fn master_object(&self) -> CanonicalJsonObject {
        self.public("master", &self.master)
    }

    fn self_signing_object(&self) -> CanonicalJsonObject {
        let mut object = self.public("self_signing", &self.self_signing);
        sign_by(&mut object, self.user, &self.master);
        object
    }

    fn identity(&self) -> Identity {
        self.with_self_signing(&self.self_signing_object())
    }

    fn with_self_signing(&self, object: &CanonicalJsonObject) -> Identity {
        Identity::parse(self.user, &raw(&self.master_object()), Some(&raw(object))).unwrap()
    }
}

fn object(value: Value) -> CanonicalJsonObject {
    serde_json::from_value(value).unwrap()
}

fn sign_by(object: &mut CanonicalJsonObject, user: &UserId, key: &Ed25519SecretKey) {
    let id = format!("ed25519:{}", key.public_key().to_base64());
    sign(object, user, &id, |bytes| key.sign(bytes)).unwrap();
}

/// The key that signed the only device of the list, as the list is read.
fn signed_by(
    keys: &CanonicalJsonObject,
    user: &UserId,
    identity: &Identity,
) -> Option<Ed25519PublicKey> {
    let keys = raw(keys);
    let answer: BTreeMap<String, &RawValue> = [("PHONE".to_owned(), &*keys)].into();
    match &device_changes(user, &[], &answer, &[], Some(identity))[..] {
        [DeviceChange::Put(device)] => device.signed_by,
        other => panic!("{other:?}"),
    }
}

fn master_fault(edit: impl FnOnce(&mut Value)) -> Option<IdentityError> {
    let alice = Person::alice();
    let mut master = serde_json::to_value(alice.master_object()).unwrap();
    edit(&mut master);
    Identity::parse(alice.user, &raw(&master), None).err()
}

#[test]
fn a_master_key_is_one_key_of_its_user() {
    let other = Ed25519SecretKey::new().public_key().to_base64();
    assert_eq!(master_fault(|_| {}), None);
    assert_eq!(
        master_fault(|key| key["user_id"] = json!("@eve:test")),
        Some(IdentityError::WrongUser)
    );
    for usage in [json!(["self_signing"]), json!(["user_signing"]), json!([])] {
        assert_eq!(
            master_fault(|key| key["usage"] = usage),
            Some(IdentityError::Usage)
        );
    }
    assert_eq!(
        master_fault(|key| key["usage"] = json!("master")),
        Some(IdentityError::Malformed)
    );
    assert_eq!(
        master_fault(|key| key["keys"][format!("ed25519:{other}")] = json!(other)),
        Some(IdentityError::Keys)
    );
    for keys in [
        json!({}),
        json!({ "ed25519:PHONE": other }),
        json!({ format!("curve25519:{other}"): other }),
        json!({ format!("ed25519:{other}"): Ed25519SecretKey::new().public_key().to_base64() }),
        json!({ format!("ed25519:{other}"): 7 }),
        json!({ format!("ed25519:{}", "A".repeat(44)): "A".repeat(44) }),
    ] {
        assert_eq!(
            master_fault(|key| key["keys"] = keys.clone()),
            Some(IdentityError::Keys),
            "{keys}"
        );
    }
    assert_eq!(
        master_fault(|key| key["keys"] = json!({ format!("ed25519:{other}="): other })),
        None,
        "padded or not, it is the same key"
    );
}

#[test]
fn the_chain_leads_to_the_device() {
    let person = Person::alice();
    let identity = person.identity();
    assert_eq!(identity.master, person.master.public_key());
    assert_eq!(
        identity.self_signing,
        Some(person.self_signing.public_key())
    );
    let mut keys = alice().device_keys().unwrap();
    assert_eq!(signed_by(&keys, person.user, &identity), None);
    sign_by(&mut keys, person.user, &person.self_signing);
    assert_eq!(
        signed_by(&keys, person.user, &identity),
        Some(person.master.public_key())
    );
}

#[test]
fn a_self_signing_key_needs_its_masters_signature() {
    let person = Person::alice();
    let unsigned = person.public("self_signing", &person.self_signing);
    let mut signed_by_itself = unsigned.clone();
    sign_by(&mut signed_by_itself, person.user, &person.self_signing);
    let mut by_another = unsigned.clone();
    sign_by(&mut by_another, person.user, &Person::alice().master);
    let mut under_another_user = unsigned.clone();
    sign_by(
        &mut under_another_user,
        user_id!("@eve:test"),
        &person.master,
    );
    let mut wrong_usage = person.public("user_signing", &person.self_signing);
    sign_by(&mut wrong_usage, person.user, &person.master);
    let mut modified = person.self_signing_object();
    modified.insert("later".to_owned(), "x".to_owned().into());
    let mut anothers =
        Person::new(user_id!("@eve:test")).public("self_signing", &person.self_signing);
    sign_by(&mut anothers, person.user, &person.master);

    let mut keys = alice().device_keys().unwrap();
    sign_by(&mut keys, person.user, &person.self_signing);
    for self_signing in [
        unsigned,
        signed_by_itself,
        by_another,
        under_another_user,
        wrong_usage,
        modified,
        anothers,
    ] {
        let identity = person.with_self_signing(&self_signing);
        assert_eq!(identity.self_signing, None, "{self_signing:?}");
        assert_eq!(signed_by(&keys, person.user, &identity), None);
    }
    let without = Identity::parse(person.user, &raw(&person.master_object()), None).unwrap();
    assert_eq!(signed_by(&keys, person.user, &without), None);
}

#[test]
fn only_the_owners_self_signing_key_vouches_for_a_device() {
    let (person, eve) = (Person::alice(), Person::new(user_id!("@eve:test")));
    let identity = person.identity();
    let own = alice().device_keys().unwrap();

    let mut by_user_signing = own.clone();
    sign_by(&mut by_user_signing, person.user, &person.user_signing);
    let mut by_master = own.clone();
    sign_by(&mut by_master, person.user, &person.master);
    let mut by_eve = own.clone();
    sign_by(&mut by_eve, eve.user, &eve.self_signing);
    let mut by_eve_as_alice = own.clone();
    sign_by(&mut by_eve_as_alice, person.user, &eve.self_signing);
    for keys in [by_user_signing, by_master, by_eve, by_eve_as_alice] {
        assert_eq!(signed_by(&keys, person.user, &identity), None, "{keys:?}");
        assert_eq!(signed_by(&keys, person.user, &eve.identity()), None);
    }

    // An identity handed to the list of another user vouches for nothing.
    let mut theirs = own;
    sign_by(&mut theirs, eve.user, &eve.self_signing);
    assert!(!eve.identity().has_signed(&theirs));
}

#[test]
fn the_signature_of_a_device_covers_every_field() {
    let person = Person::alice();
    let identity = person.identity();
    let account = alice();
    let mut keys = object(json!({ "user_id": person.user, "later": { "b": [1], "a": "é" } }));
    for (name, value) in account.device_keys().unwrap() {
        keys.entry(name).or_insert(value);
    }
    keys.remove("signatures");
    sign_by(&mut keys, person.user, &person.self_signing);
    assert!(identity.has_signed(&keys), "a field nobody knows is signed");

    let mut unsigned = keys.clone();
    unsigned.insert("unsigned".to_owned(), json!({}).try_into().unwrap());
    assert!(identity.has_signed(&unsigned));
    for (name, value) in [
        ("later", json!({ "b": [2], "a": "é" })),
        ("algorithms", json!([])),
        ("device_id", json!("OTHER")),
        ("user_id", json!("@eve:test")),
        ("more", json!(1)),
    ] {
        let mut modified = keys.clone();
        modified.insert(name.to_owned(), value.try_into().unwrap());
        assert!(!identity.has_signed(&modified), "{name}");
    }
}

#[test]
fn gaining_or_losing_the_signature_is_a_change() {
    let person = Person::alice();
    let identity = person.identity();
    let account = alice();
    let mut keys = account.device_keys().unwrap();
    sign_by(&mut keys, person.user, &person.self_signing);
    let keys = raw(&keys);
    let answer: BTreeMap<String, &RawValue> = [("PHONE".to_owned(), &*keys)].into();
    let unsigned = Device::parse(person.user, account.device(), &keys, None).unwrap();
    let signed = Device {
        signed_by: Some(identity.master),
        ..unsigned.clone()
    };
    let known = |device: &Device| {
        [KnownDevice {
            device: device.clone(),
            deleted: false,
        }]
    };
    let changes = |before: &Device, identity: Option<&Identity>| {
        device_changes(person.user, &known(before), &answer, &[], identity)
    };
    assert_eq!(
        changes(&unsigned, Some(&identity)),
        [DeviceChange::Put(Box::new(signed.clone()))]
    );
    assert_eq!(changes(&signed, Some(&identity)), []);
    assert_eq!(
        changes(&signed, None),
        [DeviceChange::Put(Box::new(unsigned))]
    );
}

#[test]
fn every_name_of_a_key_is_collected() {
    let key = Ed25519SecretKey::new().public_key().to_base64();
    let ids = |keys: Value| identity_key_ids(&raw(&json!({ "keys": keys })));
    let padded = format!("{key}=");
    assert_eq!(
        ids(json!({ format!("ed25519:{key}"): key })),
        std::slice::from_ref(&key)
    );
    assert_eq!(
        ids(json!({ format!("ed25519:{padded}"): padded, "x": 7 })),
        [key, padded]
    );
    assert_eq!(ids(json!({ "ed25519:PHONE": 7 })), ["PHONE"]);
    assert!(ids(json!(7)).is_empty());
    let rubbish = RawValue::from_string("[1]".to_owned()).unwrap();
    assert!(identity_key_ids(&rubbish).is_empty());
}
