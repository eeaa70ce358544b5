//! Invites that stand: which are kept, and which go first.

use ruma::{OwnedRoomId, OwnedUserId};

use super::*;
use crate::store::caps::{INVITES, LEFT_INVITES};

fn room_of(number: u32) -> OwnedRoomId {
    format!("!{number}:test").try_into().unwrap()
}

fn user(name: &str, server: &str) -> OwnedUserId {
    format!("@{name}:{server}").try_into().unwrap()
}

fn stands(tx: &Transaction<'_>, room: &OwnedRoomId) -> bool {
    let standing = tx.invites().all().unwrap();
    standing.iter().any(|invite| invite.room == *room)
}

#[test]
fn an_invite_is_kept_whether_it_is_wanted_or_not() {
    let directory = Directory::new();
    let mut store = directory.open_roomy();
    let tx = store.begin().unwrap();
    tx.invites().put(&room_of(1), alice(), false).unwrap();
    tx.invites().put(&room_of(2), alice(), true).unwrap();
    assert_eq!(tx.invites().rooms_to_join().unwrap(), [room_of(2)]);
    tx.invites().put(&room_of(1), alice(), true).unwrap();
    tx.invites().put(&room_of(2), own(), false).unwrap();
    assert_eq!(tx.invites().rooms_to_join().unwrap(), [room_of(1)]);
    let standing = tx.invites().all().unwrap();
    assert_eq!(standing[1].inviter, own());
    tx.invites().forget(&room_of(2)).unwrap();
    tx.rooms().enter(&room_of(1)).unwrap();
    assert_eq!(tx.invites().all().unwrap(), []);
}

/// Whoever may command one day keeps their invite, whenever the flood comes: before
/// it or after it, of one stranger or of many on one server.
#[test]
fn a_flood_of_strangers_costs_no_invite_of_another_server() {
    for is_first in [true, false] {
        for strangers in [1, 10_000] {
            let directory = Directory::new();
            let mut store = directory.open_roomy();
            let tx = store.begin().unwrap();
            tx.session()
                .put(own(), "DEV".into(), &states::tokens("t"))
                .unwrap();
            tx.invites().set_listed(true).unwrap();
            tx.invites()
                .put(&room_of(0), &user("boss", "test"), true)
                .unwrap();
            let invite = || tx.invites().put(&room_of(1), &user("alcie", "test"), false);
            if is_first {
                invite().unwrap();
            }
            for number in 2..502 {
                let stranger = user(&format!("s{}", number % strangers), "evil");
                tx.invites()
                    .put(&room_of(number), &stranger, false)
                    .unwrap();
            }
            if !is_first {
                invite().unwrap();
            }
            assert!(stands(&tx, &room_of(1)), "{is_first} {strangers}");
            assert_eq!(tx.invites().rooms_to_join().unwrap(), [room_of(0)]);
            let kept = i64::try_from(tx.invites().all().unwrap().len()).unwrap();
            assert_eq!(kept, LEFT_INVITES + 1);
            assert!(!tx.invites().are_listed().unwrap(), "the next start asks");
            assert!(stands(&tx, &room_of(501)), "the newest stays");
        }
    }
}

#[test]
fn one_inviter_of_a_server_costs_none_of_another_there() {
    let directory = Directory::new();
    let mut store = directory.open_roomy();
    let tx = store.begin().unwrap();
    tx.invites()
        .put(&room_of(1), &user("alcie", "test"), false)
        .unwrap();
    for number in 2..502 {
        tx.invites()
            .put(&room_of(number), &user("mallory", "test"), false)
            .unwrap();
    }
    assert!(stands(&tx, &room_of(1)));
}

#[test]
fn no_more_are_wanted_than_there_may_be() {
    let directory = Directory::new();
    let mut store = directory.open_roomy();
    let tx = store.begin().unwrap();
    let most = u32::try_from(INVITES).unwrap();
    for number in 0..most + 5 {
        tx.invites().put(&room_of(number), alice(), true).unwrap();
        tx.invites().put(&room_of(0), alice(), true).unwrap();
    }
    assert_eq!(tx.invites().rooms_to_join().unwrap().len(), most as usize);
    assert_eq!(tx.dropped(), [(Cap::Invites, 5)]);
}
