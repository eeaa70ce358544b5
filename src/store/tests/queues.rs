//! What waits: commands, events, requests.

use super::*;

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
    assert!(tx.known_event(first).unwrap() == Some(Known::Judged));
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
        tx.hold(
            &Held {
                event_id,
                room: room().to_owned(),
                sender: alice().to_owned(),
                event: "{}".to_owned(),
                received_at: number,
                age_ms: 0,
                reason: HeldReason::NoKey,
            },
            None,
        )
        .unwrap();
    }
    let rows = tx.held_rows().unwrap();
    let held: Vec<Held> = rows
        .into_iter()
        .map(|row| tx.held_row(row).unwrap().unwrap())
        .collect();
    assert_eq!(held.len(), 256);
    assert_eq!(held[0].event_id, "$e44");
    assert!(held.is_sorted_by_key(|held| held.received_at));
}

#[test]
fn a_lane_is_sent_in_order_and_a_reply_goes_with_its_request() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.put_reply(room(), "t1", "m.room.message", "{}", 0)
        .unwrap();
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
fn what_waits_to_be_sent_is_counted_once() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.put_reply(room(), "t1", "m.room.message", "{}", 0)
        .unwrap();
    tx.put_reply(room(), "t2", "m.room.message", "{}", 0)
        .unwrap();
    let reply = tx.replies(room()).unwrap().remove(0);
    tx.put_outbox("lane", "/keys", b"1", None).unwrap();
    tx.put_outbox("lane", "/message", b"2", Some(reply.id))
        .unwrap();
    let counts = tx.counts().unwrap();
    assert_eq!(counts.outbox, 3, "a key, its message, and a reply to come");
    assert_eq!(counts.olm_sessions + counts.inbound_groups, 0);
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
    let asked = tx.outdated_users(0, 250).unwrap().remove(0).generation;
    tx.mark_outdated(alice()).unwrap();
    tx.mark_current(alice(), asked).unwrap();
    assert!(tx.is_outdated(alice()).unwrap());
    let asked = tx.outdated_users(0, 250).unwrap().remove(0).generation;
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
        let found = tx.devices_without_share(&sharing("a session", trust, now), None, 10);
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
    // Whose list is being asked for is not given keys: the device is another user's.
    let bob = ruma::user_id!("@bob:test");
    let (phone, now) = (device(bob, "PHONE"), 2 * YEAR_MS);
    tx.track_user(alice()).unwrap();
    tx.set_member(room(), bob, Membership::Joined).unwrap();
    tx.apply_device_change(bob, &DeviceChange::Put(Box::new(phone.clone())))
        .unwrap();
    for (ahead, due) in [(0, true), (60_000, false), (YEAR_MS, true)] {
        tx.postpone_query(alice(), now + ahead).unwrap();
        assert_eq!(tx.outdated_users(now, 9).unwrap().len(), usize::from(due));
        assert_eq!(tx.must_ask_for_devices(alice(), now).unwrap(), due);
        tx.postpone_claim(&phone, now + ahead).unwrap();
        let trust = DeviceTrust::CrossSigned;
        let found = tx.devices_without_share(&sharing("a session", trust, now), None, 9);
        assert_eq!(found.unwrap()[0].needs_claim, due);
    }
    assert!(tx.ask_unwedge(&phone, YEAR_MS, now + YEAR_MS).unwrap());
    assert!(tx.ask_unwedge(&phone, now - 3_600_000, now).unwrap());
    assert!(!tx.ask_unwedge(&phone, now - 3_600_000, now + 1).unwrap());
}
