//! Each table's cap: that there is one, what goes first, and what stays.

use std::sync::LazyLock;

use vodozemac::{Curve25519PublicKey, Ed25519PublicKey};

use super::*;
use crate::{crypto::outbound_session, store::caps};

/// Rows of this count query.
pub(super) fn rows(tx: &Transaction<'_>, sql: &'static str) -> i64 {
    tx.one(sql, [], |row| row.get(0)).unwrap().unwrap()
}

/// A key that no other number has.
pub(super) fn key(number: u32) -> Curve25519PublicKey {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Curve25519PublicKey::from_bytes(bytes)
}

/// A device that costs no curve operation.
pub(super) fn cheap_device(user: &UserId, number: u32) -> Device {
    Device {
        user: user.to_owned(),
        id: format!("D{number:05}").into(),
        curve25519: key(number),
        ed25519: *FINGERPRINT,
        signed_by: None,
    }
}

static FINGERPRINT: LazyLock<Ed25519PublicKey> =
    LazyLock::new(|| Ed25519SecretKey::from_slice(&[9; 32]).public_key());

pub(super) fn stranger(number: u32) -> ruma::OwnedUserId {
    format!("@stranger{number}:test").try_into().unwrap()
}

fn put(tx: &Transaction<'_>, device: &Device) {
    let change = DeviceChange::Put(Box::new(device.clone()));
    tx.devices().apply(&device.user, &change).unwrap();
}

fn live(tx: &Transaction<'_>, user: &UserId) -> usize {
    let known = tx.devices().known(user).unwrap();
    known.iter().filter(|known| !known.deleted).count()
}

fn dropped(tx: &Transaction<'_>, cap: Cap) -> u64 {
    let dropped = tx.dropped().into_iter();
    dropped
        .filter(|(known, _)| *known == cap)
        .map(|(_, n)| n)
        .sum()
}

#[test]
fn strangers_are_followed_while_there_is_room_and_allowed_users_always() {
    let directory = Directory::new();
    let mut store = directory.open_roomy();
    let tx = store.begin().unwrap();
    tx.rooms().enter(room()).unwrap();
    tx.rooms()
        .set_encrypted(room(), MEGOLM_ALGORITHM, None, None)
        .unwrap();
    let cap = u32::try_from(caps::TRACKED_USERS).unwrap();
    let here = stranger(0);
    tx.members().set(room(), &here, Membership::Joined).unwrap();
    for number in 0..cap {
        tx.device_lists().track(&stranger(number)).unwrap();
    }
    for number in 0..cap {
        put(&tx, &cheap_device(&stranger(number), number));
    }
    tx.put_commanders(own(), [alice()]).unwrap();
    tx.device_lists().track(alice()).unwrap();
    assert!(tx.device_lists().is_tracked(alice()).unwrap());
    tx.device_lists().track(&stranger(cap)).unwrap();
    assert!(
        tx.device_lists().is_tracked(&stranger(cap)).unwrap(),
        "others were in no room"
    );
    assert!(
        tx.device_lists().is_tracked(&here).unwrap(),
        "who is in a room stays"
    );
    assert!(dropped(&tx, Cap::TrackedUsers) > 0);
    let followed = rows(&tx, "SELECT count(*) FROM users") - 2;
    assert!(followed < caps::TRACKED_USERS * 19 / 20, "{followed}");
    let devices = rows(&tx, "SELECT count(*) FROM devices");
    assert_eq!(devices, followed, "nothing is kept of who is forgotten");
}

#[test]
fn a_room_has_so_many_members_and_allowed_users_are_always_among_them() {
    let directory = Directory::new();
    let mut store = directory.open_roomy();
    let tx = store.begin().unwrap();
    tx.rooms().enter(room()).unwrap();
    tx.put_commanders(own(), [alice()]).unwrap();
    let cap = u32::try_from(caps::MEMBERS_OF_ROOM).unwrap();
    for number in 0..cap + 10 {
        tx.members()
            .set(room(), &stranger(number), Membership::Joined)
            .unwrap();
    }
    tx.members()
        .set(room(), alice(), Membership::Joined)
        .unwrap();
    let count = || rows(&tx, "SELECT count(*) FROM members");
    assert_eq!(count(), i64::from(cap) + 1);
    assert!(tx.members().contains(room(), alice()).unwrap());
    assert_eq!(dropped(&tx, Cap::Members), 10);

    let mut list: Vec<_> = (0..cap + 10).map(stranger).collect();
    list.push(alice().to_owned());
    tx.members().replace(room(), &list, 0).unwrap();
    assert_eq!(count(), i64::from(cap) + 1);
    assert!(tx.members().contains(room(), alice()).unwrap());

    // Another room, until all together are too many; one that is left makes room.
    let other = room_id!("!other:test");
    tx.rooms().enter(other).unwrap();
    for number in 0..cap {
        tx.members()
            .set(other, &stranger(number), Membership::Joined)
            .unwrap();
    }
    assert_eq!(count(), caps::MEMBERS + 1);
    tx.rooms().leave(other).unwrap();
    let third = room_id!("!third:test");
    tx.rooms().enter(third).unwrap();
    tx.members()
        .set(third, &stranger(1), Membership::Joined)
        .unwrap();
    assert!(tx.members().contains(third, &stranger(1)).unwrap());
}

#[test]
fn a_stranger_has_so_many_devices_and_signed_ones_come_first() {
    let directory = Directory::new();
    let mut store = directory.open_roomy();
    let tx = store.begin().unwrap();
    let user = stranger(1);
    tx.device_lists().track(&user).unwrap();
    for number in 0..60 {
        put(&tx, &cheap_device(&user, number));
    }
    assert_eq!(live(&tx, &user), 50);
    let signed = Device {
        signed_by: Some(Ed25519SecretKey::from_slice(&[1; 32]).public_key()),
        ..cheap_device(&user, 99)
    };
    put(&tx, &signed);
    assert_eq!(live(&tx, &user), 50);
    assert!(tx.devices().find(&user, &signed.id).unwrap().is_some());
    let long = Device {
        id: "D".repeat(200).into(),
        ..cheap_device(&stranger(2), 1)
    };
    put(&tx, &long);
    assert_eq!(live(&tx, &stranger(2)), 0);

    // Churn leaves so many tombstones, and no more.
    for number in 1000..1200 {
        let device = cheap_device(&stranger(3), number);
        put(&tx, &device);
        tx.devices()
            .apply(&stranger(3), &DeviceChange::Delete(device.id))
            .unwrap();
    }
    assert_eq!(tx.devices().known(&stranger(3)).unwrap().len(), 50);
}

#[test]
fn no_device_of_an_allowed_user_goes_for_another() {
    let directory = Directory::new();
    let mut store = directory.open_roomy();
    let tx = store.begin().unwrap();
    tx.put_commanders(own(), [alice()]).unwrap();
    let master = Ed25519SecretKey::from_slice(&[1; 32]).public_key();
    tx.identities().put(alice(), &master).unwrap();
    let phone = Device {
        signed_by: Some(master),
        ..cheap_device(alice(), 0)
    };
    put(&tx, &phone);
    tx.devices()
        .apply(alice(), &DeviceChange::Delete(phone.id))
        .unwrap();
    // Their homeserver makes up what it likes.
    for number in 1..1000 {
        let made_up = cheap_device(alice(), number);
        put(&tx, &made_up);
        tx.devices()
            .apply(alice(), &DeviceChange::Delete(made_up.id))
            .unwrap();
    }
    let known = tx.devices().known(alice()).unwrap();
    assert_eq!(
        i64::try_from(known.len()).unwrap(),
        caps::KEPT_UNSIGNED_DEVICES + 1,
        "as many unsigned ones as there may be, and the signed one"
    );
    assert!(known.iter().any(|known| known.device.id == "D00000"));
    let laptop = Device {
        signed_by: Some(master),
        ..cheap_device(alice(), 2000)
    };
    put(&tx, &laptop);
    assert!(
        tx.devices().find(alice(), &laptop.id).unwrap().is_some(),
        "a signed device is none of these"
    );
}

#[test]
fn rooms_that_were_left_go_and_marks_that_guard_something_stay() {
    let directory = Directory::new();
    let mut store = directory.open_roomy();
    let tx = store.begin().unwrap();
    let (_, group) = shared_session();
    let numbered =
        |number: i64| -> ruma::OwnedRoomId { format!("!r{number}:test").try_into().unwrap() };
    let (guarded, joined) = (room_id!("!guarded:test"), room_id!("!joined:test"));
    tx.rooms().enter(joined).unwrap();
    tx.rooms().enter(guarded).unwrap();
    tx.rooms()
        .set_encrypted(guarded, MEGOLM_ALGORITHM, None, None)
        .unwrap();
    tx.inbound_sessions().put(guarded, "id", &group, 1).unwrap();
    tx.rooms().leave(guarded).unwrap();
    for number in 0..caps::ROOMS * 2 {
        let room = numbered(number);
        assert!(tx.rooms().has_room_for(&room).unwrap());
        tx.rooms().enter(&room).unwrap();
        if number % 2 == 0 {
            tx.rooms()
                .set_encrypted(&room, MEGOLM_ALGORITHM, None, None)
                .unwrap();
        }
        tx.rooms().leave(&room).unwrap();
    }
    assert!(rows(&tx, "SELECT count(*) FROM rooms") <= caps::ROOMS);
    assert!(tx.rooms().is_joined(joined).unwrap());
    assert!(matches!(
        tx.rooms().encryption(guarded).unwrap(),
        Encryption::Megolm(_)
    ));
    // Joined ones never go: no other is taken.
    for number in 0..caps::ROOMS * 2 {
        if tx.rooms().has_room_for(&numbered(number)).unwrap() {
            tx.rooms().enter(&numbered(number)).unwrap();
        }
    }
    assert!(rows(&tx, "SELECT count(*) FROM rooms") <= caps::ROOMS);
    assert!(!tx.rooms().has_room_for(room()).unwrap());
    assert!(tx.rooms().is_joined(joined).unwrap());
}

#[test]
fn room_keys_that_go_leave_tombstones_and_listed_devices_keep_theirs() {
    let directory = Directory::new();
    let mut store = directory.open_roomy();
    let tx = store.begin().unwrap();
    tx.put_commanders(own(), [alice()]).unwrap();
    let (_, group) = shared_session();
    let listed = Device {
        curve25519: group.curve25519,
        ..cheap_device(alice(), 1)
    };
    put(&tx, &listed);
    for number in 0..20 {
        tx.inbound_sessions()
            .put(room(), &format!("mine{number}"), &group, 1)
            .unwrap();
    }
    let of_device = rows(&tx, "SELECT count(*) FROM inbound_groups");
    assert_eq!(of_device, caps::ROOM_KEYS_OF_DEVICE);
    assert_eq!(rows(&tx, "SELECT count(*) FROM dead_groups"), 4);
    assert!(
        tx.inbound_sessions()
            .find(room(), "mine19", alice(), &group.curve25519)
            .unwrap()
            .is_some()
    );
    // Keys of devices that nobody lists.
    let pickle = group.pickle().unwrap();
    for number in 0..u32::try_from(caps::ROOM_KEYS).unwrap() + 200 {
        let owner = alice().to_owned();
        let made_up = InboundGroupSession::from_pickle(owner, key(number), group.ed25519, &pickle);
        tx.inbound_sessions()
            .put(room(), &format!("s{number}"), &made_up.unwrap(), 1)
            .unwrap();
    }
    assert!(rows(&tx, "SELECT count(*) FROM inbound_groups") <= caps::ROOM_KEYS);
    assert!(
        tx.inbound_sessions()
            .find(room(), "mine19", alice(), &group.curve25519)
            .unwrap()
            .is_some()
    );
    assert!(rows(&tx, "SELECT count(*) FROM dead_groups") > 200);
}

#[test]
fn sessions_of_strangers_go_by_last_use_and_those_of_allowed_users_stay() {
    let directory = Directory::new();
    let mut store = directory.open_roomy();
    let tx = store.begin().unwrap();
    tx.put_commanders(own(), [alice()]).unwrap();
    let account = Account::new(own().to_owned(), "BOT".into());
    let session = outbound_session(&account, key(1), key(2)).unwrap();
    tx.olm_sessions()
        .put(alice(), &key(0), &session, true, 1)
        .unwrap();
    let cap = u32::try_from(caps::OLM_SESSIONS).unwrap();
    for number in 1..=cap + 50 {
        let user = stranger(number);
        tx.olm_sessions()
            .put(&user, &key(number), &session, false, u64::from(number))
            .unwrap();
    }
    assert!(rows(&tx, "SELECT count(*) FROM olm_sessions") <= caps::OLM_SESSIONS + 1);
    let of = |user: &UserId, at| tx.olm_sessions().of_peer(user, &key(at)).unwrap().len();
    assert_eq!(of(alice(), 0), 1);
    assert_eq!(of(&stranger(1), 1), 0, "the one used longest ago");
    assert_eq!(of(&stranger(cap + 50), cap + 50), 1);
    assert!(dropped(&tx, Cap::OlmSessions) > 0);
}

#[test]
fn the_oldest_outbound_session_gives_way_whole() {
    let directory = Directory::new();
    let mut store = directory.open_roomy();
    let tx = store.begin().unwrap();
    let (first, second) = (room_id!("!first:test"), room_id!("!second:test"));
    let mut ids = Vec::new();
    for room in [first, second] {
        let group = OutboundGroupSession::new(room.to_owned(), 1);
        tx.outbound_sessions().put(room, &group).unwrap();
        let user = stranger(1);
        for number in 0..u32::try_from(caps::SHARES).unwrap() * 2 / 3 {
            tx.shares()
                .put(&group.session_id(), &cheap_device(&user, number), Some(0))
                .unwrap();
        }
        ids.push(group.session_id());
    }
    assert!(rows(&tx, "SELECT count(*) FROM shares") <= caps::SHARES);
    assert!(tx.outbound_sessions().find(first).unwrap().is_none());
    assert!(tx.outbound_sessions().find(second).unwrap().is_some());
    let shared = tx
        .shares()
        .find(second, &ids[1], &cheap_device(&stranger(1), 0));
    assert!(shared.unwrap().is_some(), "none of this session went");
}

/// A transaction that made room and was dropped made none.
#[test]
fn what_a_dropped_transaction_counted_does_not_hold() {
    let directory = Directory::new();
    let mut store = directory.open_roomy();
    let cap = u32::try_from(caps::TRACKED_USERS).unwrap();
    let tx = store.begin().unwrap();
    for number in 0..cap {
        tx.device_lists().track(&stranger(number)).unwrap();
    }
    tx.commit().unwrap();
    let tx = store.begin().unwrap();
    tx.device_lists().track(&stranger(cap)).unwrap();
    drop(tx);
    let tx = store.begin().unwrap();
    for number in cap..cap + 600 {
        tx.device_lists().track(&stranger(number)).unwrap();
    }
    assert!(rows(&tx, "SELECT count(*) FROM users") <= i64::from(cap));
}

#[test]
fn an_answer_is_worth_more_than_chatter() {
    let directory = Directory::new();
    let mut store = directory.open_roomy();
    let tx = store.begin().unwrap();
    let kind = "m.room.message";
    let said = (0..40).filter(|number| {
        tx.replies()
            .put(room(), &format!("c{number}"), kind, "{}", 0, false)
            .unwrap()
    });
    assert_eq!(i64::try_from(said.count()).unwrap(), caps::CHATTER_OF_ROOM);
    let too_long = "x".repeat(caps::CHATTER_BYTES + 1);
    let other = room_id!("!other:test");
    assert!(
        !tx.replies()
            .put(other, "long", kind, &too_long, 0, false)
            .unwrap()
    );
    tx.replies()
        .put(room(), "answer", kind, "{}", 0, true)
        .unwrap();
    let waiting = rows(&tx, "SELECT count(*) FROM replies");
    assert_eq!(waiting, caps::CHATTER_BEFORE_ANSWER + 1);
    assert_eq!(dropped(&tx, Cap::Chatter), 10 + 1 + 18);
    let first = tx.replies().unprepared(room()).unwrap();
    assert_eq!(i64::try_from(first.len()).unwrap(), caps::LANE_MESSAGES);
    assert_eq!(first[0].txn_id, "c0");
}

#[test]
fn nothing_more_is_prepared_for_a_full_outbox() {
    let directory = Directory::new();
    let mut store = directory.open_roomy();
    let tx = store.begin().unwrap();
    tx.replies()
        .put(room(), "t", "m.room.message", "{}", 0, true)
        .unwrap();
    let half = vec![0; 512 * 1024];
    for _ in 0..3 {
        assert_eq!(tx.replies().unprepared(room()).unwrap().len(), 1);
        tx.outbox()
            .put(room().as_str(), "/keys", &half, None, InClear::No)
            .unwrap();
    }
    assert!(
        tx.replies().unprepared(room()).unwrap().is_empty(),
        "its lane is full"
    );
    let other = room_id!("!other:test");
    tx.replies()
        .put(other, "u", "m.room.message", "{}", 0, true)
        .unwrap();
    assert_eq!(tx.replies().unprepared(other).unwrap().len(), 1);
    for lane in ["x", "y", "z"] {
        tx.outbox()
            .put(lane, "/keys", &half, None, InClear::No)
            .unwrap();
    }
    assert!(
        tx.replies().unprepared(other).unwrap().is_empty(),
        "all of it is"
    );
    assert!(tx.replies().has_unprepared().unwrap());
}

/// A homeserver that makes up devices of an allowed user pushes out none of what
/// guards a true one.
#[test]
fn tombstones_of_listed_devices_outlast_those_of_made_up_ones() {
    let directory = Directory::new();
    let mut store = directory.open_roomy();
    let tx = store.begin().unwrap();
    tx.put_commanders(own(), [alice()]).unwrap();
    let (_, group) = shared_session();
    put(
        &tx,
        &Device {
            curve25519: group.curve25519,
            ..cheap_device(alice(), 1)
        },
    );
    tx.inbound_sessions()
        .put(room(), "hers", &group, 1)
        .unwrap();
    tx.inbound_sessions().bury_all(1).unwrap();
    let pickle = group.pickle().unwrap();
    for number in 0..u32::try_from(caps::DEAD_GROUPS + caps::ROOM_KEYS).unwrap() + 200 {
        let owner = alice().to_owned();
        let made_up = InboundGroupSession::from_pickle(owner, key(number), group.ed25519, &pickle);
        tx.inbound_sessions()
            .put(room(), &format!("s{number}"), &made_up.unwrap(), 2)
            .unwrap();
    }
    assert!(rows(&tx, "SELECT count(*) FROM dead_groups") <= caps::DEAD_GROUPS);
    assert!(
        tx.inbound_sessions()
            .is_buried(room(), "hers", alice())
            .unwrap()
    );
}
