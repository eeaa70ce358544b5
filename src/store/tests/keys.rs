//! Sessions, devices and identities.

use super::*;

#[test]
fn an_encrypted_room_stays_encrypted() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.rooms().enter(room()).unwrap();
    assert_eq!(tx.rooms().encryption(room()).unwrap(), Encryption::Unknown);
    tx.rooms().set_not_encrypted(room()).unwrap();
    assert_eq!(
        tx.rooms().encryption(room()).unwrap(),
        Encryption::Plaintext
    );
    tx.rooms()
        .set_encrypted(room(), MEGOLM_ALGORITHM, None, Some(5))
        .unwrap();
    let megolm = Encryption::Megolm(Rotation::new(None, Some(5)));
    assert_eq!(tx.rooms().encryption(room()).unwrap(), megolm);
    tx.rooms().set_not_encrypted(room()).unwrap();
    assert_eq!(tx.rooms().encryption(room()).unwrap(), megolm);
    tx.rooms().set_encrypted(room(), "", None, Some(5)).unwrap();
    assert_eq!(
        tx.rooms().encryption(room()).unwrap(),
        megolm,
        "an unknown algorithm replaces none"
    );
    tx.rooms().leave(room()).unwrap();
    tx.rooms().enter(room()).unwrap();
    assert_eq!(tx.rooms().encryption(room()).unwrap(), megolm);
    tx.forget_device().unwrap();
    assert_eq!(tx.rooms().encryption(room()).unwrap(), megolm);
}

#[test]
fn what_was_judged_is_never_opened_again() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let (outbound, inbound) = shared_session();
    let id = outbound.session_id();
    let stored = || {
        let groups = tx
            .inbound_sessions()
            .shared_by(room(), &id, Some(alice()))
            .unwrap();
        groups.into_iter().next().unwrap()
    };
    let first = stored_key(&inbound);
    tx.inbound_sessions().put(room(), &id, &inbound, 1).unwrap();
    assert_eq!(
        tx.inbound_sessions()
            .next_message_index(room(), &id)
            .unwrap(),
        0
    );
    tx.inbound_sessions()
        .use_up_message_index(room(), &id, 3)
        .unwrap();
    assert_eq!(
        tx.inbound_sessions()
            .next_message_index(room(), &id)
            .unwrap(),
        4
    );
    tx.inbound_sessions()
        .use_up_message_index(room(), &id, 2)
        .unwrap();
    assert_eq!(
        tx.inbound_sessions()
            .next_message_index(room(), &id)
            .unwrap(),
        4
    );
    assert_ne!(
        stored_key(&stored().session),
        first,
        "the ratchet has moved on"
    );
    tx.inbound_sessions().put(room(), &id, &inbound, 2).unwrap();
    assert_eq!(
        tx.inbound_sessions()
            .next_message_index(room(), &id)
            .unwrap(),
        4,
        "a key that comes again does not wind back"
    );
    assert_eq!(stored().received_at, 1, "nor does it make it younger");
    let (_, of_another_device) = shared_session();
    let expire = |newer, before| {
        tx.inbound_sessions()
            .expire(room(), newer, before, 5)
            .unwrap()
    };
    assert_eq!(expire(&of_another_device, 2), 0);
    assert_eq!(expire(&inbound, 1), 0);
    assert!(
        !tx.inbound_sessions()
            .is_buried(room(), &id, alice())
            .unwrap()
    );
    assert_eq!(expire(&inbound, 2), 1);
    assert!(
        tx.inbound_sessions()
            .is_buried(room(), &id, alice())
            .unwrap()
    );
    assert!(!tx.inbound_sessions().is_buried(room(), &id, own()).unwrap());
}

/// The last index there is has no next one: its mark must be beyond it.
#[test]
fn the_last_index_of_a_session_is_judged_once() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let (outbound, inbound) = shared_session();
    let id = outbound.session_id();
    tx.inbound_sessions().put(room(), &id, &inbound, 1).unwrap();
    tx.inbound_sessions()
        .use_up_message_index(room(), &id, u32::MAX)
        .unwrap();
    let next = tx
        .inbound_sessions()
        .next_message_index(room(), &id)
        .unwrap();
    assert!(u64::from(u32::MAX) < next, "{next}");
    tx.inbound_sessions().put(room(), &id, &inbound, 1).unwrap();
    assert_eq!(
        tx.inbound_sessions()
            .next_message_index(room(), &id)
            .unwrap(),
        next
    );
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
        InboundGroupSession::from_pickle(owner, curve25519, thief.ed25519, &pickle).unwrap()
    };
    let eve = user_id!("@eve:test");
    let (hers, other) = (claimed(eve, "EVE"), claimed(alice(), "OTHER"));
    tx.inbound_sessions().put(room(), &id, &hers, 1).unwrap();
    tx.inbound_sessions().put(room(), &id, &other, 2).unwrap();
    tx.inbound_sessions()
        .use_up_message_index(room(), &id, 4)
        .unwrap();
    tx.inbound_sessions().put(room(), &id, &mine, 3).unwrap();
    let of = |user| {
        tx.inbound_sessions()
            .shared_by(room(), &id, Some(user))
            .unwrap()
    };
    let alices: Vec<_> = of(alice())
        .into_iter()
        .map(|stored| (stored.session.curve25519, stored.ordinal))
        .collect();
    assert_eq!(alices, [(other.curve25519, 2), (mine.curve25519, 3)]);
    assert_eq!(of(eve).len(), 1);
    assert_eq!(
        tx.inbound_sessions()
            .next_message_index(room(), &id)
            .unwrap(),
        5
    );
    tx.inbound_sessions().expire(room(), &hers, 9, 9).unwrap();
    assert!(of(eve).is_empty());
    assert_eq!(
        tx.inbound_sessions()
            .next_message_index(room(), &id)
            .unwrap(),
        5
    );
    assert!(
        !tx.inbound_sessions()
            .is_buried(room(), &id, alice())
            .unwrap()
    );
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
        tx.inbound_sessions().put(room(), id, &inbound, 1).unwrap();
        let groups = tx
            .inbound_sessions()
            .shared_by(room(), id, Some(alice()))
            .unwrap();
        groups[0].ordinal
    };
    let judged = |ordinal| {
        tx.inbound_sessions()
            .note_newest(room(), alice(), &inbound.curve25519, ordinal, 1)
            .unwrap()
    };
    let (first, second) = (put("1"), put("2"));
    assert!(judged(first) && judged(second) && judged(second));
    assert!(!judged(first));
    tx.inbound_sessions().bury_all(2).unwrap();
    assert!(
        tx.inbound_sessions()
            .is_buried(room(), "1", alice())
            .unwrap()
    );
    let third = put("3");
    assert!(third > second && judged(third));
}

#[test]
fn the_oldest_tombstones_go_first() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let (_, inbound) = shared_session();
    tx.inbound_sessions()
        .put(room(), "first", &inbound, 1)
        .unwrap();
    tx.inbound_sessions().bury_all(1).unwrap();
    tx.inner
        .execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
             INSERT INTO dead_groups SELECT 'r', i, 'o', x'00', 2 FROM n",
            [crate::store::caps::DEAD_GROUPS],
        )
        .unwrap();
    assert!(
        tx.inbound_sessions()
            .is_buried(room(), "first", alice())
            .unwrap()
    );
    tx.inbound_sessions()
        .put(room(), "last", &inbound, 1)
        .unwrap();
    tx.inbound_sessions()
        .expire(room(), &inbound, 2, 3)
        .unwrap();
    assert!(
        !tx.inbound_sessions()
            .is_buried(room(), "first", alice())
            .unwrap()
    );
    assert!(
        tx.inbound_sessions()
            .is_buried(room(), "last", alice())
            .unwrap()
    );
}

/// A session that was sent with in another life is not sent with again, and may be
/// received with all the same.
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
        tx.olm_sessions()
            .put(alice(), &phone.curve25519, session, false, 1)
            .unwrap();
    };
    let sent_with = || {
        let session = tx.olm_sessions().for_sending(&phone).unwrap();
        session.map(|session| session.id())
    };
    tx.own_clock().begin_life().unwrap();
    let old = session();
    put(&old);
    assert_eq!(sent_with(), Some(old.id()));
    tx.own_clock().begin_life().unwrap();
    assert_eq!(sent_with(), None);
    put(&old);
    assert_eq!(sent_with(), None, "it has received and stays old");
    let new = session();
    put(&new);
    assert_eq!(sent_with(), Some(new.id()));
    let known = tx
        .olm_sessions()
        .of_peer(alice(), &phone.curve25519)
        .unwrap();
    assert_eq!(known.len(), 2);
}

/// Guards go with what they guard, and not before.
#[test]
fn pre_key_messages_are_remembered_as_long_as_they_could_open() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.seen_olm_messages().put(&[1; 32], 10).unwrap();
    tx.seen_olm_messages().forget_before(10).unwrap();
    assert!(tx.seen_olm_messages().contains(&[1; 32]).unwrap());
    assert!(!tx.seen_olm_messages().contains(&[2; 32]).unwrap());
    tx.seen_olm_messages().forget_before(11).unwrap();
    assert!(!tx.seen_olm_messages().contains(&[1; 32]).unwrap());
    assert!(!tx.seen_olm_messages().is_full().unwrap());
}

fn stored_key(group: &InboundGroupSession) -> Vec<u8> {
    group.pickle().unwrap().to_vec()
}

#[test]
fn a_message_that_this_store_did_not_encrypt_is_noticed() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let account = Account::new(user_id!("@bot:test").to_owned(), "DEV".into());
    let mut group = OutboundGroupSession::new(room().to_owned(), 1);
    let id = group.session_id();
    tx.outbound_sessions().put(room(), &group).unwrap();
    assert!(!tx.outbound_sessions().has_sent(&id, 0).unwrap());
    let nothing = serde_json::value::to_raw_value(&serde_json::json!({})).unwrap();
    group.encrypt(&account, "m.room.message", &nothing).unwrap();
    tx.outbound_sessions().put(room(), &group).unwrap();
    assert!(tx.outbound_sessions().has_sent(&id, 0).unwrap());
    assert!(!tx.outbound_sessions().has_sent(&id, 1).unwrap());
    assert!(!tx.outbound_sessions().has_sent("another", 0).unwrap());
    tx.outbound_sessions().discard(room()).unwrap();
    assert!(
        tx.outbound_sessions().has_sent(&id, 0).unwrap(),
        "also after a rotation"
    );
}

/// The database's rule of who may have keys is [`KnownIdentity::may_have_keys`] in
/// every case: two modes, nine pairs of identity and signature, three pins.
///
/// [`KnownIdentity::may_have_keys`]: crate::crypto::KnownIdentity::may_have_keys
#[test]
fn keys_go_to_those_who_may_have_them() {
    let directory = Directory::new();
    let mut store = directory.open();
    let master = |seed: u8| Ed25519SecretKey::from_slice(&[seed; 32]).public_key();
    let (a, b) = (Some(master(1)), Some(master(2)));
    for trust in [DeviceTrust::CrossSigned, DeviceTrust::Tofu] {
        let keys = [None, a, b];
        for (current, signed_by) in keys.iter().flat_map(|one| keys.map(|other| (*one, other))) {
            for pin in [
                None,
                Some(PinSource::FirstUse),
                Some(PinSource::Configuration),
            ] {
                let tx = store.begin().unwrap();
                tx.members()
                    .set(room(), alice(), Membership::Joined)
                    .unwrap();
                let phone = Device {
                    signed_by,
                    ..device(alice(), "PHONE")
                };
                tx.devices()
                    .apply(alice(), &DeviceChange::Put(Box::new(phone.clone())))
                    .unwrap();
                if let Some(master) = current {
                    tx.identities().put(alice(), &master).unwrap();
                }
                if let (Some(source), Some(master)) = (pin, a) {
                    tx.identities()
                        .pin(alice(), &Pin { master, source }, 1)
                        .unwrap();
                }
                let group = OutboundGroupSession::new(room().to_owned(), 1);
                let id = group.session_id();
                let missing = || {
                    tx.shares()
                        .devices_without(&sharing(&id, trust, 5), None, 10)
                        .unwrap()
                };
                let found = missing();
                assert_eq!(found.len(), 1);
                let may = tx
                    .identities()
                    .of_user(alice())
                    .unwrap()
                    .may_have_keys(&phone, trust);
                assert_eq!(found[0].may_have_keys, may, "{trust:?} {current:?} {pin:?}");
                tx.shares().put(&id, &phone, None).unwrap();
                assert_eq!(missing().len(), usize::from(may));
                tx.shares().put(&id, &phone, Some(0)).unwrap();
                assert!(missing().is_empty());
                assert_eq!(
                    tx.shares()
                        .has_departed_recipient(room(), &id, trust)
                        .unwrap(),
                    !may
                );
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
    let pinned = || tx.identities().of_user(alice()).unwrap().pin;
    tx.identities().pin(alice(), &first, 1).unwrap();
    tx.identities()
        .pin(alice(), &pin(2, PinSource::FirstUse), 2)
        .unwrap();
    assert_eq!(pinned(), Some(first));
    tx.identities().pin(alice(), &configured, 3).unwrap();
    assert_eq!(pinned(), Some(configured));
    assert!(tx.identities().forget_pin(alice()).unwrap());
    assert!(!tx.identities().forget_pin(alice()).unwrap());
    assert_eq!(pinned(), None);
}

#[test]
fn a_recipient_that_is_gone_is_noticed() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let phone = device(alice(), "PHONE");
    tx.rooms().enter(room()).unwrap();
    tx.members()
        .set(room(), alice(), Membership::Joined)
        .unwrap();
    tx.devices()
        .apply(alice(), &DeviceChange::Put(Box::new(phone.clone())))
        .unwrap();
    let group = OutboundGroupSession::new(room().to_owned(), 1);
    tx.outbound_sessions().put(room(), &group).unwrap();
    let without = || {
        let (id, trust) = (group.session_id(), DeviceTrust::CrossSigned);
        let missing = tx
            .shares()
            .devices_without(&sharing(&id, trust, 1), None, 10)
            .unwrap();
        missing
            .into_iter()
            .map(|found| found.device)
            .collect::<Vec<_>>()
    };
    assert_eq!(without(), std::slice::from_ref(&phone));
    tx.shares()
        .put(&group.session_id(), &phone, Some(0))
        .unwrap();
    assert!(without().is_empty());
    let departed = || {
        tx.shares()
            .has_departed_recipient(room(), &group.session_id(), DeviceTrust::CrossSigned)
            .unwrap()
    };
    assert!(!departed());
    tx.devices()
        .apply(alice(), &DeviceChange::Delete("PHONE".into()))
        .unwrap();
    assert!(departed());
    tx.devices()
        .apply(alice(), &DeviceChange::Put(Box::new(phone)))
        .unwrap();
    assert!(!departed());
    assert!(
        tx.members()
            .set(room(), alice(), Membership::NotJoined)
            .unwrap()
    );
    assert!(departed());
}
