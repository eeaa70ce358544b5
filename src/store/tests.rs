//! The store on a real directory.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use ruma::{EventId, OwnedEventId, RoomId, UserId, event_id, room_id, user_id};

use super::*;
use crate::{
    crypto::{Account, Device, DeviceChange, MEGOLM_ALGORITHM, OutboundGroup, Rotation},
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

#[test]
fn what_is_not_committed_never_happened() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.put_session(&Session {
        user: alice().to_owned(),
        device: "DEV".into(),
        access_token: Some(Secret::new("t".to_owned())),
    })
    .unwrap();
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

#[test]
fn a_ratchet_index_belongs_to_one_event() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let see = |event: &EventId, ts| tx.see_message_index(room(), "S", 3, event, ts).unwrap();
    assert_eq!(see(event_id!("$one"), 10), MessageIndex::Fresh);
    assert_eq!(see(event_id!("$one"), 10), MessageIndex::SameEvent);
    assert_eq!(see(event_id!("$two"), 10), MessageIndex::Replayed);
    assert_eq!(see(event_id!("$one"), 11), MessageIndex::Replayed);
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
            .map(|row| (row.id, row.path))
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
    let own = user_id!("@bot:test");
    let without = || {
        tx.devices_without_share(room(), &group.session_id(), own)
            .unwrap()
    };
    assert_eq!(without(), std::slice::from_ref(&phone));
    tx.put_share(&group.session_id(), &phone, 0).unwrap();
    assert!(without().is_empty());
    let departed = || {
        tx.has_departed_recipient(room(), &group.session_id())
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
    assert!(tx.may_claim(&phone, 5).unwrap());
    tx.postpone_claim(&phone, 100).unwrap();
    assert!(!tx.may_claim(&phone, 99).unwrap());
    assert!(tx.may_claim(&phone, 100).unwrap());
    assert!(tx.mark_withheld(&phone).unwrap());
    assert!(!tx.mark_withheld(&phone).unwrap());
    assert!(tx.ask_unwedge(&phone, 0, 200).unwrap());
    assert!(
        !tx.ask_unwedge(&phone, 199, 201).unwrap(),
        "not twice in its interval"
    );
    assert!(tx.ask_unwedge(&phone, 200, 300).unwrap());
}
