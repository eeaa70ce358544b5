//! Sessions, devices and identities.

use super::*;

#[test]
fn an_encrypted_room_stays_encrypted() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.enter_room(room()).unwrap();
    assert_eq!(tx.encryption(room()).unwrap(), Encryption::Unknown);
    tx.set_not_encrypted(room()).unwrap();
    assert_eq!(tx.encryption(room()).unwrap(), Encryption::Plaintext);
    tx.set_encrypted(room(), MEGOLM_ALGORITHM, None, Some(5))
        .unwrap();
    let megolm = Encryption::Megolm(Rotation::new(None, Some(5)));
    assert_eq!(tx.encryption(room()).unwrap(), megolm);
    tx.set_not_encrypted(room()).unwrap();
    assert_eq!(tx.encryption(room()).unwrap(), megolm);
    tx.set_encrypted(room(), "", None, Some(5)).unwrap();
    assert_eq!(
        tx.encryption(room()).unwrap(),
        megolm,
        "an unknown algorithm replaces none"
    );
    tx.leave_room(room()).unwrap();
    tx.enter_room(room()).unwrap();
    assert_eq!(tx.encryption(room()).unwrap(), megolm);
    tx.forget_device().unwrap();
    assert_eq!(tx.encryption(room()).unwrap(), megolm);
}

#[test]
fn what_was_judged_is_never_opened_again() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let (outbound, inbound) = shared_session();
    let id = outbound.session_id();
    let stored = || tx.inbound_group(room(), &id).unwrap().unwrap();
    let first = stored_key(&inbound);
    tx.put_inbound_group(room(), &id, &inbound, 1).unwrap();
    assert_eq!(tx.next_message_index(room(), &id).unwrap(), 0);
    tx.use_up_message_index(room(), &id, stored(), 3).unwrap();
    assert_eq!(tx.next_message_index(room(), &id).unwrap(), 4);
    tx.use_up_message_index(room(), &id, stored(), 2).unwrap();
    assert_eq!(tx.next_message_index(room(), &id).unwrap(), 4);
    assert_ne!(stored_key(&stored()), first, "the ratchet has moved on");
    tx.put_inbound_group(room(), &id, &inbound, 2).unwrap();
    assert_eq!(
        tx.next_message_index(room(), &id).unwrap(),
        4,
        "a key that comes again does not wind back"
    );
    let (_, of_another_device) = shared_session();
    let expire = |newer, before| tx.expire_inbound_groups(room(), newer, before).unwrap();
    assert_eq!(expire(&of_another_device, 2), 0);
    assert_eq!(expire(&inbound, 1), 0);
    assert_eq!(expire(&inbound, 2), 1);
}

fn stored_key(group: &InboundGroup) -> Vec<u8> {
    group.pickle().unwrap().to_vec()
}

#[test]
fn a_message_that_this_store_did_not_encrypt_is_noticed() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let account = Account::new(user_id!("@bot:test").to_owned(), "DEV".into());
    let mut group = OutboundGroup::new(room().to_owned(), 1);
    let id = group.session_id();
    tx.put_outbound_group(room(), &group).unwrap();
    assert!(!tx.has_sent(&id, 0).unwrap());
    let nothing = serde_json::value::to_raw_value(&serde_json::json!({})).unwrap();
    group.encrypt(&account, "m.room.message", &nothing).unwrap();
    tx.put_outbound_group(room(), &group).unwrap();
    assert!(tx.has_sent(&id, 0).unwrap());
    assert!(!tx.has_sent(&id, 1).unwrap());
    assert!(!tx.has_sent("another", 0).unwrap());
    tx.discard_outbound_group(room()).unwrap();
    assert!(tx.has_sent(&id, 0).unwrap(), "also after a rotation");
}

/// What the database says of who may have keys is what the rule says.
#[test]
fn keys_go_to_those_who_may_have_them() {
    let directory = Directory::new();
    let mut store = directory.open();
    let master = |seed: u8| Ed25519SecretKey::from_slice(&[seed; 32]).public_key();
    let (a, b) = (Some(master(1)), Some(master(2)));
    for trust in [DeviceTrust::CrossSigned, DeviceTrust::Tofu] {
        for (current, signed_by) in [(None, None), (a, a), (a, None), (b, a), (b, b)] {
            for pin in [
                None,
                Some(PinSource::FirstUse),
                Some(PinSource::Configuration),
            ] {
                let tx = store.begin().unwrap();
                tx.set_member(room(), alice(), Membership::Joined).unwrap();
                let phone = Device {
                    signed_by,
                    ..device(alice(), "PHONE")
                };
                tx.apply_device_change(alice(), &DeviceChange::Put(Box::new(phone.clone())))
                    .unwrap();
                if let Some(master) = current {
                    tx.put_identity(alice(), &master).unwrap();
                }
                if let (Some(source), Some(master)) = (pin, a) {
                    tx.pin_identity(alice(), &Pin { master, source }, 1)
                        .unwrap();
                }
                let group = OutboundGroup::new(room().to_owned(), 1);
                let id = group.session_id();
                let missing = || {
                    tx.devices_without_share(room(), &id, own(), trust, 5, 10)
                        .unwrap()
                };
                let found = missing();
                assert_eq!(found.len(), 1);
                let may = tx.identity(alice()).unwrap().may_have_keys(&phone, trust);
                assert_eq!(found[0].may_have_keys, may, "{trust:?} {current:?} {pin:?}");
                tx.put_withheld(&id, &phone).unwrap();
                assert_eq!(missing().len(), usize::from(may));
                tx.put_share(&id, &phone, 0).unwrap();
                assert!(missing().is_empty());
                assert_eq!(tx.has_departed_recipient(room(), &id, trust).unwrap(), !may);
            }
        }
    }
}

#[test]
fn a_pin_stays_until_it_is_forgotten() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let pin = |seed: u8, source| Pin {
        master: Ed25519SecretKey::from_slice(&[seed; 32]).public_key(),
        source,
    };
    let first = pin(1, PinSource::FirstUse);
    let configured = pin(3, PinSource::Configuration);
    let pinned = || tx.identity(alice()).unwrap().pin;
    tx.pin_identity(alice(), &first, 1).unwrap();
    tx.pin_identity(alice(), &pin(2, PinSource::FirstUse), 2)
        .unwrap();
    assert_eq!(pinned(), Some(first));
    tx.pin_identity(alice(), &configured, 3).unwrap();
    assert_eq!(pinned(), Some(configured));
    assert!(tx.forget_pin(alice()).unwrap());
    assert!(!tx.forget_pin(alice()).unwrap());
    assert_eq!(pinned(), None);
}

#[test]
fn a_recipient_that_is_gone_is_noticed() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let phone = device(alice(), "PHONE");
    tx.enter_room(room()).unwrap();
    tx.set_member(room(), alice(), Membership::Joined).unwrap();
    tx.apply_device_change(alice(), &DeviceChange::Put(Box::new(phone.clone())))
        .unwrap();
    let group = OutboundGroup::new(room().to_owned(), 1);
    tx.put_outbound_group(room(), &group).unwrap();
    let without = || {
        let (id, trust) = (group.session_id(), DeviceTrust::CrossSigned);
        let missing = tx
            .devices_without_share(room(), &id, own(), trust, 1, 10)
            .unwrap();
        missing
            .into_iter()
            .map(|found| found.device)
            .collect::<Vec<_>>()
    };
    assert_eq!(without(), std::slice::from_ref(&phone));
    tx.put_share(&group.session_id(), &phone, 0).unwrap();
    assert!(without().is_empty());
    let departed = || {
        tx.has_departed_recipient(room(), &group.session_id(), DeviceTrust::CrossSigned)
            .unwrap()
    };
    assert!(!departed());
    tx.apply_device_change(alice(), &DeviceChange::Delete("PHONE".into()))
        .unwrap();
    assert!(departed());
    tx.apply_device_change(alice(), &DeviceChange::Put(Box::new(phone)))
        .unwrap();
    assert!(!departed());
    assert!(
        tx.set_member(room(), alice(), Membership::NotJoined)
            .unwrap()
    );
    assert!(departed());
}
