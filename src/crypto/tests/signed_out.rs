//! Tests of the devices that the tombstone of a device keeps out.

use vodozemac::{Curve25519SecretKey, Ed25519SecretKey};

use super::*;

const USER: &str = "@alice:test";

fn user() -> &'static UserId {
    USER.try_into().unwrap()
}

fn curve25519() -> Curve25519PublicKey {
    Curve25519PublicKey::from(&Curve25519SecretKey::new())
}

/// The keys of a device, signed by itself.
fn keys(id: &str, curve25519: &Curve25519PublicKey, ed25519: &Ed25519SecretKey) -> Box<RawValue> {
    let mut keys: CanonicalJsonObject = serde_json::from_value(json!({
        "user_id": USER,
        "device_id": id,
        "algorithms": [],
        "keys": {
            format!("curve25519:{id}"): curve25519.to_base64(),
            format!("ed25519:{id}"): ed25519.public_key().to_base64(),
        },
    }))
    .unwrap();
    let name = format!("ed25519:{id}");
    canonical::sign(&mut keys, user(), &name, |bytes| ed25519.sign(bytes)).unwrap();
    raw(&keys)
}

fn known(id: &str, keys: &RawValue, deleted: bool) -> KnownDevice {
    KnownDevice {
        device: Device::parse(user(), id.into(), keys, None).unwrap(),
        deleted,
    }
}

fn changes(known: &[KnownDevice], id: &str, keys: &RawValue) -> Vec<DeviceChange> {
    let answer: BTreeMap<String, &RawValue> = [(id.to_owned(), keys)].into();
    device_changes(user(), known, &answer, &[], None)
}

fn refused(id: &str) -> DeviceChange {
    DeviceChange::Refuse(id.into(), DeviceError::SignedOut)
}

#[test]
fn it_keeps_out_its_id_and_its_keys_under_any_id() {
    let (own, other) = (Ed25519SecretKey::new(), Ed25519SecretKey::new());
    let (curve, another) = (curve25519(), curve25519());
    let phone = keys("PHONE", &curve, &own);
    let tombstone = known("PHONE", &phone, true);
    for (id, keys) in [
        ("PHONE", phone),
        ("PHONE", keys("PHONE", &another, &own)),
        ("LAPTOP", keys("LAPTOP", &curve, &own)),
        ("LAPTOP", keys("LAPTOP", &another, &own)),
        ("LAPTOP", keys("LAPTOP", &curve, &other)),
    ] {
        let known = std::slice::from_ref(&tombstone);
        assert_eq!(changes(known, id, &keys), [refused(id)], "{keys}");
    }
    let stranger = keys("LAPTOP", &another, &other);
    assert_eq!(
        changes(std::slice::from_ref(&tombstone), "LAPTOP", &stranger),
        [DeviceChange::Put(Box::new(
            known("LAPTOP", &stranger, false).device
        ))]
    );
}

/// Two ids of the same keys, and one of them is signed out: both are.
#[test]
fn it_buries_a_listed_device_of_its_keys() {
    let key = Ed25519SecretKey::new();
    let phone = keys("PHONE", &curve25519(), &key);
    let laptop = keys("LAPTOP", &curve25519(), &key);
    let known = [
        known("PHONE", &phone, true),
        known("LAPTOP", &laptop, false),
    ];
    assert_eq!(
        changes(&known, "LAPTOP", &laptop),
        [DeviceChange::Delete("LAPTOP".into()), refused("LAPTOP")]
    );
}
