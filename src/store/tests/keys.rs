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
    let stored = || {
        let groups = tx.inbound_groups(room(), &id, alice()).unwrap();
        groups.into_iter().next().unwrap()
    };
    let first = stored_key(&inbound);
    tx.put_inbound_group(room(), &id, &inbound, 1).unwrap();
    assert_eq!(tx.next_message_index(room(), &id).unwrap(), 0);
    tx.use_up_message_index(room(), &id, 3).unwrap();
    assert_eq!(tx.next_message_index(room(), &id).unwrap(), 4);
    tx.use_up_message_index(room(), &id, 2).unwrap();
    assert_eq!(tx.next_message_index(room(), &id).unwrap(), 4);
    assert_ne!(
        stored_key(&stored().group),
        first,
        "the ratchet has moved on"
    );
    tx.put_inbound_group(room(), &id, &inbound, 2).unwrap();
    assert_eq!(
        tx.next_message_index(room(), &id).unwrap(),
        4,
        "a key that comes again does not wind back"
    );
    assert_eq!(stored().received_at, 1, "nor does it make it younger");
    let (_, of_another_device) = shared_session();
    let expire = |newer, before| tx.expire_inbound_groups(room(), newer, before, 5).unwrap();
    assert_eq!(expire(&of_another_device, 2), 0);
    assert_eq!(expire(&inbound, 1), 0);
    assert!(!tx.is_dead_group(room(), &id, alice()).unwrap());
    assert_eq!(expire(&inbound, 2), 1);
    assert!(tx.is_dead_group(room(), &id, alice()).unwrap());
    assert!(!tx.is_dead_group(room(), &id, own()).unwrap());
}

/// The last index there is has no next one: its mark must be beyond it.
#[test]
fn the_last_index_of_a_session_is_judged_once() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let (outbound, inbound) = shared_session();
    let id = outbound.session_id();
    tx.put_inbound_group(room(), &id, &inbound, 1).unwrap();
    tx.use_up_message_index(room(), &id, u32::MAX).unwrap();
    let next = tx.next_message_index(room(), &id).unwrap();
    assert!(u64::from(u32::MAX) < next, "{next}");
    tx.put_inbound_group(room(), &id, &inbound, 1).unwrap();
    assert_eq!(tx.next_message_index(room(), &id).unwrap(), next);
}

/// A session belongs to whoever shared it, and each of its messages is judged once
/// whoever that is.
#[test]
fn two_devices_can_claim_a_session_and_share_its_mark() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let (outbound, mine) = shared_session();
    let id = outbound.session_id();
    let claimed = |user: &UserId, name: &str| {
        let thief = device(user, name);
        let pickle = mine.pickle().unwrap();
        let (owner, curve25519) = (user.to_owned(), thief.curve25519);
        InboundGroup::from_pickle(owner, curve25519, thief.ed25519, &pickle).unwrap()
    };
    let eve = user_id!("@eve:test");
    let (hers, other) = (claimed(eve, "EVE"), claimed(alice(), "OTHER"));
    tx.put_inbound_group(room(), &id, &hers, 1).unwrap();
    tx.put_inbound_group(room(), &id, &other, 2).unwrap();
    tx.use_up_message_index(room(), &id, 4).unwrap();
    tx.put_inbound_group(room(), &id, &mine, 3).unwrap();
    let of = |user| tx.inbound_groups(room(), &id, user).unwrap();
    let alices: Vec<_> = of(alice())
        .into_iter()
        .map(|stored| (stored.group.curve25519, stored.ordinal))
        .collect();
    assert_eq!(alices, [(other.curve25519, 2), (mine.curve25519, 3)]);
    assert_eq!(of(eve).len(), 1);
    assert_eq!(tx.next_message_index(room(), &id).unwrap(), 5);
    tx.expire_inbound_groups(room(), &hers, 9, 9).unwrap();
    assert!(of(eve).is_empty());
    assert_eq!(tx.next_message_index(room(), &id).unwrap(), 5);
    assert!(!tx.is_dead_group(room(), &id, alice()).unwrap());
}

/// The order in which sessions came outlives them: what comes after all of them
/// were buried is newer.
#[test]
fn an_older_session_than_the_last_is_known_by_its_place() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let (_, inbound) = shared_session();
    let put = |id: &str| {
        tx.put_inbound_group(room(), id, &inbound, 1).unwrap();
        let groups = tx.inbound_groups(room(), id, alice()).unwrap();
        groups[0].ordinal
    };
    let judged = |ordinal| {
        tx.is_newest_group(room(), alice(), &inbound.curve25519, ordinal, 1)
            .unwrap()
    };
    let (first, second) = (put("1"), put("2"));
    assert!(judged(first) && judged(second) && judged(second));
    assert!(!judged(first));
    tx.bury_inbound_groups(2).unwrap();
    assert!(tx.is_dead_group(room(), "1", alice()).unwrap());
    let third = put("3");
    assert!(third > second && judged(third));
}

#[test]
fn the_oldest_tombstones_go_first() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let (_, inbound) = shared_session();
    tx.put_inbound_group(room(), "first", &inbound, 1).unwrap();
    tx.bury_inbound_groups(1).unwrap();
    tx.inner
        .execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
             INSERT INTO dead_groups SELECT 'r', i, 'o', x'00', 2 FROM n",
            [old_groups::DEAD_GROUPS_KEPT],
        )
        .unwrap();
    assert!(tx.is_dead_group(room(), "first", alice()).unwrap());
    tx.put_inbound_group(room(), "last", &inbound, 1).unwrap();
    tx.expire_inbound_groups(room(), &inbound, 2, 3).unwrap();
    assert!(!tx.is_dead_group(room(), "first", alice()).unwrap());
    assert!(tx.is_dead_group(room(), "last", alice()).unwrap());
}

/// What was sent with in another life is not sent with again, and may be received
/// with all the same.
#[test]
fn an_olm_session_is_sent_with_in_its_own_life_only() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let phone = device(alice(), "PHONE");
    let account = Account::new(own().to_owned(), "DEV".into());
    let session = || {
        let one_time = device(alice(), "KEY").curve25519;
        outbound_session(&account, phone.curve25519, one_time).unwrap()
    };
    let put = |session: &OlmSession| {
        tx.put_olm_session(alice(), &phone.curve25519, session, false, 1)
            .unwrap();
    };
    let sent_with = || {
        let session = tx.olm_session_for_sending(&phone).unwrap();
        session.map(|session| session.id())
    };
    tx.begin_life().unwrap();
    let old = session();
    put(&old);
    assert_eq!(sent_with(), Some(old.id()));
    tx.begin_life().unwrap();
    assert_eq!(sent_with(), None);
    put(&old);
    assert_eq!(sent_with(), None, "it has received and stays old");
    let new = session();
    put(&new);
    assert_eq!(sent_with(), Some(new.id()));
    let known = tx.olm_sessions(alice(), &phone.curve25519).unwrap();
    assert_eq!(known.len(), 2);
}

/// Guards go with what they guard, and not before.
#[test]
fn pre_key_messages_are_remembered_as_long_as_they_could_open() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.see_olm_message(&[1; 32], 10).unwrap();
    tx.forget_olm_messages(10).unwrap();
    assert!(tx.has_seen_olm_message(&[1; 32]).unwrap());
    assert!(!tx.has_seen_olm_message(&[2; 32]).unwrap());
    tx.forget_olm_messages(11).unwrap();
    assert!(!tx.has_seen_olm_message(&[1; 32]).unwrap());
    assert!(!tx.is_olm_memory_full().unwrap());
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
                    tx.devices_without_share(&sharing(&id, trust, 5), None, 10)
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
            .devices_without_share(&sharing(&id, trust, 1), None, 10)
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
