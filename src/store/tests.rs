//! The store on a real directory.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use ruma::{EventId, OwnedEventId, RoomId, UserId, event_id, room_id, user_id};

use vodozemac::{
    Ed25519SecretKey,
    megolm::{GroupSession, InboundGroupSession, SessionConfig},
};

use super::*;
use crate::{
    crypto::{
        Account, Device, DeviceChange, DeviceTrust, InboundGroup, MEGOLM_ALGORITHM, OutboundGroup,
        Pin, PinSource, Rotation,
    },
    ops::Secret,
};

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("toggle-store-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name).join("store"))
    }

    fn open(&self) -> Store {
        Store::open(&self.0).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.parent().unwrap());
    }
}

fn room() -> &'static RoomId {
    room_id!("!a:test")
}

fn alice() -> &'static UserId {
    user_id!("@alice:test")
}

fn device(user: &UserId, id: &str) -> Device {
    let account = Account::new(user.to_owned(), id.into());
    Device {
        user: user.to_owned(),
        id: id.into(),
        curve25519: account.curve25519(),
        ed25519: account.ed25519(),
        signed_by: None,
    }
}

fn entry(event_id: &EventId) -> JournalEntry {
    JournalEntry {
        event_id: event_id.to_owned(),
        room: room().to_owned(),
        sender: alice().to_owned(),
        device: None,
        payload: "start".to_owned(),
        received_at: 7,
        age_ms: 5,
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn only_the_owner_may_look_at_it() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.put_pending_device("DEV".into()).unwrap();
    tx.commit().unwrap();
    assert_eq!(mode(&directory.0), 0o700);
    for file in fs::read_dir(&directory.0).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_second_process_is_refused() {
    let directory = Directory::new();
    let store = directory.open();
    let refused = Store::open(&directory.0).map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::InUse(_)));
    assert!(
        refused
            .to_string()
            .contains("another process is using the store")
    );
    store.close().unwrap();
    directory.open();
}

#[test]
fn a_later_format_is_left_alone() {
    let directory = Directory::new();
    directory.open().close().unwrap();
    let database = rusqlite::Connection::open(directory.0.join("store.sqlite3")).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    let refused = Store::open(&directory.0).map(drop).unwrap_err();
    assert!(
        matches!(refused, OpenError::TooNew { found: 99, .. }),
        "{refused}"
    );
}

#[test]
fn something_else_than_a_database_is_named() {
    let directory = Directory::new();
    fs::create_dir_all(&directory.0).unwrap();
    fs::write(
        directory.0.join("store.sqlite3"),
        "not a database, but long enough",
    )
    .unwrap();
    let refused = Store::open(&directory.0).map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::Database(..)), "{refused}");
}

fn tokens(access: &str) -> Tokens {
    Tokens {
        access: Secret::new(access.to_owned()),
        refresh: Some(Secret::new("r".to_owned())),
        refresh_at: Some(7),
    }
}

fn proof(store: &mut Store) -> Proof {
    store.begin().unwrap().session().unwrap().unwrap().proof
}

/// A refresh token outlives the access token, and the way it ended is known
/// until there is another one.
#[test]
fn a_lost_access_token_leaves_what_may_make_another() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.put_session(alice(), "DEV".into(), &tokens("t")).unwrap();
    tx.commit().unwrap();
    assert_eq!(proof(&mut store), Proof::Tokens(tokens("t")));
    for ended in [true, false] {
        let tx = store.begin().unwrap();
        tx.lose_access_token(ended).unwrap();
        tx.commit().unwrap();
        let refresh = Some(Secret::new("r".to_owned()));
        assert_eq!(proof(&mut store), Proof::Lost { refresh, ended });
    }
    let tx = store.begin().unwrap();
    tx.put_tokens(&tokens("u")).unwrap();
    tx.commit().unwrap();
    assert_eq!(proof(&mut store), Proof::Tokens(tokens("u")));
    let tx = store.begin().unwrap();
    tx.lose_refresh_token().unwrap();
    tx.commit().unwrap();
    let Proof::Tokens(left) = proof(&mut store) else {
        panic!("the access token is still there");
    };
    assert_eq!((left.refresh, left.refresh_at), (None, None));
}

#[test]
fn what_is_not_committed_never_happened() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.put_session(alice(), "DEV".into(), &tokens("t")).unwrap();
    tx.set_next_batch("s1").unwrap();
    drop(tx);
    let tx = store.begin().unwrap();
    assert!(tx.session().unwrap().is_none());
    assert_eq!(tx.next_batch().unwrap(), None);
}

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

/// A session that `alice` shared, at its start, and the other end of it.
fn shared_session() -> (GroupSession, InboundGroup) {
    let outbound = GroupSession::new(SessionConfig::version_1());
    let inbound = InboundGroupSession::new(&outbound.session_key(), SessionConfig::version_1());
    let pickle = serde_json::to_vec(&inbound.pickle()).unwrap();
    let author = device(alice(), "PHONE");
    let (curve25519, ed25519) = (author.curve25519, author.ed25519);
    let owner = alice().to_owned();
    (
        outbound,
        InboundGroup::from_pickle(owner, curve25519, ed25519, &pickle).unwrap(),
    )
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
    group.pickle().unwrap()
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

fn own() -> &'static UserId {
    user_id!("@bot:test")
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
fn every_state_of_the_own_identity_is_read_back() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    assert_eq!(tx.own_identity().unwrap().state, OwnState::Unknown);
    tx.put_own_seed(&[7; 32]).unwrap();
    tx.put_own_self_signing(&[8; 32]).unwrap();
    for state in [
        OwnState::Upload { uia_session: None },
        OwnState::Upload {
            uia_session: Some("s".to_owned()),
        },
        OwnState::Sign,
        OwnState::FindKeyId,
        OwnState::FindKey("k".to_owned()),
        OwnState::FindSecret("k".to_owned()),
        OwnState::Recovered,
        OwnState::Unsigned("why".to_owned()),
        OwnState::Reset,
        OwnState::Signed,
        OwnState::Unknown,
    ] {
        tx.delay_own_identity().unwrap();
        assert!(tx.own_identity().unwrap().delayed);
        tx.set_own_state(&state).unwrap();
        let stored = tx.own_identity().unwrap();
        assert_eq!(stored.state, state);
        assert!(!stored.delayed);
        assert_eq!(stored.seed.as_deref(), Some(&[7; 32]));
        assert_eq!(stored.self_signing.as_deref(), Some(&[8; 32]));
    }
}

/// A store of the version before: what it knew of replays and of devices holds.
#[test]
fn a_store_of_the_first_format_is_taken_over() {
    let directory = Directory::new();
    fs::create_dir_all(&directory.0).unwrap();
    let (outbound, inbound) = shared_session();
    let id = outbound.session_id();
    let author = (inbound.curve25519.to_bytes(), *inbound.ed25519.as_bytes());
    let old = rusqlite::Connection::open(directory.0.join("store.sqlite3")).unwrap();
    old.execute_batch(schema::MIGRATIONS[0]).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    old.execute(
        "INSERT INTO inbound_groups VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1)",
        (
            room().as_str(),
            &id,
            alice().as_str(),
            author.0,
            author.1,
            inbound.pickle().unwrap(),
        ),
    )
    .unwrap();
    for index in [0, 4] {
        old.execute(
            "INSERT INTO message_indices VALUES (?1, ?2, ?3, '$e', 1)",
            (room().as_str(), &id, index),
        )
        .unwrap();
    }
    old.execute(
        "INSERT INTO outbound_groups VALUES (?1, 'in use', x'00')",
        [room().as_str()],
    )
    .unwrap();
    old.execute(
        "INSERT INTO users (user_id, outdated) VALUES (?1, 0)",
        [alice().as_str()],
    )
    .unwrap();
    old.close().unwrap();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    assert_eq!(tx.next_message_index(room(), &id).unwrap(), 5);
    assert!(tx.inbound_group(room(), &id).unwrap().is_some());
    assert!(
        tx.is_outdated(alice()).unwrap(),
        "who signed what is asked for"
    );
    assert_eq!(tx.own_identity().unwrap().state, OwnState::Unknown);
    assert!(
        tx.has_sent("in use", 7).unwrap(),
        "what the version before sent is no trace of another life"
    );
}

#[test]
fn a_second_process_may_look_beside_the_first() {
    let directory = Directory::new();
    assert!(matches!(
        Store::open_beside(&directory.0),
        Err(OpenError::Missing(..))
    ));
    let mut store = directory.open();
    let mut beside = Store::open_beside(&directory.0).unwrap();
    let pin = Pin {
        master: Ed25519SecretKey::from_slice(&[1; 32]).public_key(),
        source: PinSource::FirstUse,
    };
    let tx = store.begin().unwrap();
    tx.pin_identity(alice(), &pin, 1).unwrap();
    tx.commit().unwrap();
    let tx = beside.begin().unwrap();
    assert!(tx.forget_pin(alice()).unwrap());
    tx.commit().unwrap();
    let tx = store.begin().unwrap();
    assert_eq!(tx.identity(alice()).unwrap().pin, None);
}

#[test]
fn an_event_is_journalled_once_and_remembered() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let (first, second) = (event_id!("$one"), event_id!("$two"));
    assert!(tx.journal(&entry(first)).unwrap());
    assert!(tx.journal(&entry(second)).unwrap());
    assert!(!tx.journal(&entry(first)).unwrap());
    let next = || tx.next_unfinished().unwrap().map(|entry| entry.event_id);
    assert_eq!(next().as_deref(), Some(first));
    tx.finish(first).unwrap();
    assert_eq!(next().as_deref(), Some(second));
    tx.finish(second).unwrap();
    assert_eq!(next(), None);
    assert!(tx.is_known_event(first).unwrap());
    assert!(
        !tx.journal(&entry(first)).unwrap(),
        "done, and not done again"
    );
}

#[test]
fn what_waits_is_bounded_and_in_order() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    for number in 0..300 {
        let event_id: OwnedEventId = format!("$e{number}").try_into().unwrap();
        tx.hold(&Held {
            event_id,
            room: room().to_owned(),
            sender: alice().to_owned(),
            event: "{}".to_owned(),
            received_at: number,
            age_ms: 0,
            reason: HeldReason::NoKey,
        })
        .unwrap();
    }
    let held = tx.held().unwrap();
    assert_eq!(held.len(), 256);
    assert_eq!(held[0].event_id, "$e44");
    assert!(held.is_sorted_by_key(|held| held.received_at));
}

#[test]
fn a_lane_is_sent_in_order_and_a_reply_goes_with_its_request() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.put_reply(room(), "t1", "m.room.message", "{}").unwrap();
    let reply = tx.replies(room()).unwrap().remove(0);
    tx.put_outbox("lane", "/keys", b"1", None).unwrap();
    tx.put_outbox("lane", "/message", b"2", Some(reply.id))
        .unwrap();
    tx.put_outbox("other", "/else", b"3", None).unwrap();
    assert!(
        tx.rooms_with_replies().unwrap().is_empty(),
        "it is in the outbox"
    );
    let heads = || {
        let rows = tx.outbox_heads().unwrap();
        rows.into_iter()
            .map(|(id, _)| (id, tx.outbox_row(id).unwrap().unwrap().path))
            .collect::<Vec<_>>()
    };
    let first = heads();
    assert_eq!(first[0].1, "/keys");
    assert_eq!(first[1].1, "/else");
    tx.finish_outbox(first[0].0).unwrap();
    assert_eq!(heads()[0].1, "/message");
    tx.forget_device().unwrap();
    assert!(heads().is_empty());
    assert_eq!(
        tx.replies(room()).unwrap().len(),
        1,
        "it is encrypted for the new device"
    );
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

#[test]
fn a_member_list_older_than_an_event_is_asked_for_again() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.enter_room(room()).unwrap();
    tx.set_encrypted(room(), MEGOLM_ALGORITHM, None, None)
        .unwrap();
    let (_, asked) = tx.rooms_without_members().unwrap().remove(0);
    tx.set_member(room(), alice(), Membership::NotJoined)
        .unwrap();
    tx.set_members(room(), &[alice().to_owned()], asked)
        .unwrap();
    assert!(!tx.members_complete(room()).unwrap());
    let (_, asked) = tx.rooms_without_members().unwrap().remove(0);
    tx.set_members(room(), &[], asked).unwrap();
    assert!(tx.members_complete(room()).unwrap());
}

#[test]
fn an_answer_to_an_older_question_leaves_a_user_outdated() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.track_user(alice()).unwrap();
    let (_, asked) = tx.outdated_users(0, 250).unwrap().remove(0);
    tx.mark_outdated(alice()).unwrap();
    tx.mark_current(alice(), asked).unwrap();
    assert!(tx.is_outdated(alice()).unwrap());
    let (_, asked) = tx.outdated_users(0, 250).unwrap().remove(0);
    tx.mark_current(alice(), asked).unwrap();
    assert!(!tx.is_outdated(alice()).unwrap());
}

#[test]
fn withholding_is_told_once_until_a_session_exists() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let phone = device(alice(), "PHONE");
    tx.set_member(room(), alice(), Membership::Joined).unwrap();
    tx.apply_device_change(alice(), &DeviceChange::Put(Box::new(phone.clone())))
        .unwrap();
    let lacking = |now| {
        let trust = DeviceTrust::CrossSigned;
        let found = tx.devices_without_share(room(), "a session", own(), trust, now, 10);
        found.unwrap().pop().map(|found| found.needs_claim)
    };
    assert_eq!(lacking(5), Some(true), "a claim comes first");
    tx.postpone_claim(&phone, 100).unwrap();
    assert_eq!(lacking(99), Some(false), "it is told");
    assert_eq!(lacking(100), Some(true), "it is tried again");
    assert!(tx.mark_withheld(&phone).unwrap());
    assert!(!tx.mark_withheld(&phone).unwrap());
    assert_eq!(lacking(99), None, "it was told");
    assert_eq!(lacking(100), Some(true));
    assert!(tx.ask_unwedge(&phone, 0, 200).unwrap());
    assert!(
        !tx.ask_unwedge(&phone, 199, 201).unwrap(),
        "not twice in its interval"
    );
    assert!(tx.ask_unwedge(&phone, 200, 300).unwrap());
}

const YEAR_MS: u64 = 365 * 24 * 3600 * 1000;

#[test]
fn what_was_put_off_by_a_clock_that_went_back_is_due() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let (phone, now) = (device(alice(), "PHONE"), 2 * YEAR_MS);
    tx.track_user(alice()).unwrap();
    tx.set_member(room(), alice(), Membership::Joined).unwrap();
    tx.apply_device_change(alice(), &DeviceChange::Put(Box::new(phone.clone())))
        .unwrap();
    for (ahead, due) in [(0, true), (60_000, false), (YEAR_MS, true)] {
        tx.postpone_query(alice(), now + ahead).unwrap();
        assert_eq!(tx.outdated_users(now, 9).unwrap().len(), usize::from(due));
        assert_eq!(tx.must_ask_for_devices(alice(), now).unwrap(), due);
        tx.postpone_claim(&phone, now + ahead).unwrap();
        let trust = DeviceTrust::CrossSigned;
        let found = tx.devices_without_share(room(), "a session", own(), trust, now, 9);
        assert_eq!(found.unwrap()[0].needs_claim, due);
    }
    assert!(tx.ask_unwedge(&phone, YEAR_MS, now + YEAR_MS).unwrap());
    assert!(tx.ask_unwedge(&phone, now - 3_600_000, now).unwrap());
    assert!(!tx.ask_unwedge(&phone, now - 3_600_000, now + 1).unwrap());
}

/// SQLite itself says that there is no room; with room again all goes on.
#[test]
fn a_full_database_names_the_cure_and_keeps_what_it_had() {
    let directory = Directory::new();
    let mut store = directory.open();
    let fill = |store: &mut Store, name: &str| {
        let tx = store.begin()?;
        tx.put_reply(room(), name, "m.room.message", &"x".repeat(100_000))?;
        tx.commit()
    };
    let limit = |store: &mut Store, pages: u32| {
        let tx = store.begin().unwrap();
        let sql = format!("PRAGMA max_page_count = {pages}");
        tx.inner.query_row(&sql, [], |_| Ok(())).unwrap();
    };
    fill(&mut store, "1").unwrap();
    limit(&mut store, 1);
    let told = fill(&mut store, "2").unwrap_err().to_string();
    assert!(
        told.contains("is full") && told.contains("make room"),
        "{told}"
    );
    limit(&mut store, 1 << 20);
    fill(&mut store, "3").unwrap();
    let replies = store.begin().unwrap().replies(room()).unwrap();
    let names: Vec<&str> = replies.iter().map(|reply| reply.txn_id.as_str()).collect();
    assert_eq!(names, ["1", "3"]);
}
