//! Tests of messages that are edited.

use super::*;
use crate::store::caps;

fn anchor(about: &str) -> Anchor {
    Anchor::new(event_id!("$asked"), about)
}

/// Queues a message of this name; returns whether it is queued.
fn say(tx: &Transaction<'_>, about: &str) -> bool {
    let put = tx
        .replies()
        .put(room(), about, "m.room.message", "{}", 7, true);
    tx.replies().name(about, &anchor(about)).unwrap();
    put.unwrap()
}

fn edit(tx: &Transaction<'_>, about: &str, txn_id: &str, content: &str) -> bool {
    tx.replies()
        .put_edit(&anchor(about), room(), txn_id, "m.room.message", content, 8)
        .unwrap()
}

/// Moves the next message into the outbox; returns its row there.
fn send(tx: &Transaction<'_>) -> i64 {
    let reply = tx.replies().unprepared(room()).unwrap().remove(0);
    tx.outbox()
        .put(room().as_str(), "/m", b"{}", Some(reply.id), InClear::No)
        .unwrap();
    let heads = tx.outbox().heads().unwrap();
    heads.last().unwrap().0
}

fn waiting(tx: &Transaction<'_>) -> Vec<(String, String, Option<OwnedEventId>)> {
    let replies = tx.replies().unprepared(room()).unwrap();
    let parts = |reply: Reply| (reply.txn_id, reply.content, reply.replaces);
    replies.into_iter().map(parts).collect()
}

#[test]
fn an_edit_waits_for_its_message_and_only_the_newest_one_leaves() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let first = anchor("a");
    assert!(!tx.replies().may_be_edited(&first, room()).unwrap());
    assert!(say(&tx, "a"));
    assert!(tx.replies().may_be_edited(&first, room()).unwrap());
    let other = room_id!("!other:test");
    assert!(!tx.replies().may_be_edited(&first, other).unwrap());
    let row = send(&tx);
    assert!(edit(&tx, "a", "e1", "one") && edit(&tx, "a", "e2", "two"));
    tx.replies().drop_lost_edits().unwrap();
    assert!(waiting(&tx).is_empty(), "its message has not left");
    assert!(tx.replies().has_unprepared().unwrap());
    let event = event_id!("$first");
    tx.outbox().delivered(row, Some(event)).unwrap();
    assert_eq!(
        tx.anchors().find(&first, room()).unwrap().as_deref(),
        Some(event)
    );
    assert_eq!(tx.anchors().find(&first, other).unwrap(), None);
    let due = Some(event.to_owned());
    assert_eq!(waiting(&tx), [("e2".into(), "two".into(), due.clone())]);
    // One that is on its way is not overwritten.
    let row = send(&tx);
    assert!(edit(&tx, "a", "e3", "three"));
    assert_eq!(waiting(&tx), [("e3".into(), "three".into(), due)]);
    tx.outbox()
        .delivered(row, Some(event_id!("$edit")))
        .unwrap();
    assert_eq!(
        tx.anchors().find(&first, room()).unwrap().as_deref(),
        Some(event),
        "an edit is not edited"
    );
    tx.replies().drop_edits(&first).unwrap();
    assert!(!tx.replies().has_unprepared().unwrap());
}

#[test]
fn an_edit_of_a_message_that_never_left_is_dropped() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    assert!(say(&tx, "a") && say(&tx, "b"));
    assert!(edit(&tx, "a", "e1", "one") && edit(&tx, "b", "e2", "two"));
    // Given up, and taken by a server that does not say what it became.
    let row = send(&tx);
    tx.outbox().give_up(row, room().as_str()).unwrap();
    let row = send(&tx);
    tx.outbox().delivered(row, None).unwrap();
    assert!(tx.replies().has_unprepared().unwrap());
    tx.replies().drop_lost_edits().unwrap();
    assert!(!tx.replies().has_unprepared().unwrap());
}

#[test]
fn the_oldest_message_is_not_edited_any_more() {
    let directory = Directory::new();
    let mut store = directory.open_roomy();
    let tx = store.begin().unwrap();
    for number in 0..=caps::ANCHORS {
        let name = number.to_string();
        let queued_at = number.unsigned_abs();
        tx.replies()
            .put(room(), &name, "m.room.message", "{}", queued_at, true)
            .unwrap();
        tx.replies().name(&name, &anchor(&name)).unwrap();
        let event = OwnedEventId::try_from(format!("$e{number}")).unwrap();
        tx.outbox().delivered(send(&tx), Some(&event)).unwrap();
    }
    let known = |number: i64| {
        let found = tx.anchors().find(&anchor(&number.to_string()), room());
        found.unwrap().is_some()
    };
    assert!(!known(0) && known(1) && known(caps::ANCHORS));
}

#[test]
fn what_waits_for_others_holds_no_edit() {
    let directory = Directory::new();
    let mut store = directory.open_roomy();
    let tx = store.begin().unwrap();
    assert!(say(&tx, "a"));
    assert!(edit(&tx, "a", "e", "one"));
    let long = "x".repeat(caps::CHATTER_BYTES + 1);
    assert!(!edit(&tx, "a", "f", &long), "it is longer than is allowed");
    for number in 1..caps::CHATTER_OF_ROOM {
        let name = format!("c{number}");
        let replies = tx.replies();
        assert!(replies.put(room(), &name, "k", "{}", 7, false).unwrap());
    }
    assert!(say(&tx, "b"));
    assert!(edit(&tx, "a", "g", "two"), "it takes the place of one");
    for number in 0..caps::CHATTER_OF_ROOM {
        let name = format!("d{number}");
        tx.replies()
            .put(room(), &name, "k", "{}", 7, false)
            .unwrap();
    }
    assert!(!edit(&tx, "b", "h", "three"), "too much else waits");
}
