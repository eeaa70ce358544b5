//! Tests of the queues of waiting commands, events and requests.

use super::*;

#[test]
fn an_event_is_journalled_once_and_remembered() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let (first, second) = (event_id!("$one"), event_id!("$two"));
    assert!(tx.journal().record(&entry(first)).unwrap());
    assert!(tx.journal().record(&entry(second)).unwrap());
    assert!(!tx.journal().record(&entry(first)).unwrap());
    let next = || {
        tx.journal()
            .next_unfinished("")
            .unwrap()
            .map(|entry| entry.event_id)
    };
    assert_eq!(next().as_deref(), Some(first));
    tx.journal().finish(first).unwrap();
    assert_eq!(next().as_deref(), Some(second));
    tx.journal().finish(second).unwrap();
    assert_eq!(next(), None);
    assert!(tx.undecrypted().status(first).unwrap() == Some(EventStatus::Classified));
    assert!(
        !tx.journal().record(&entry(first)).unwrap(),
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
        tx.undecrypted()
            .put(
                &UndecryptedEvent {
                    event_id,
                    room: room().to_owned(),
                    sender: alice().to_owned(),
                    event: "{}".to_owned(),
                    received_at: number,
                    age_ms: 0,
                    reason: WaitReason::NoKey,
                },
                None,
            )
            .unwrap();
    }
    let rows = tx.undecrypted().rows().unwrap();
    let held: Vec<UndecryptedEvent> = rows
        .into_iter()
        .map(|row| tx.undecrypted().find(row).unwrap().unwrap())
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
    tx.replies()
        .put(room(), "t1", "m.room.message", "{}", 0, true)
        .unwrap();
    let reply = tx.replies().unprepared(room()).unwrap().remove(0);
    tx.outbox()
        .put("lane", "/keys", b"1", None, InClear::No)
        .unwrap();
    tx.outbox()
        .put("lane", "/message", b"2", Some(reply.id), InClear::No)
        .unwrap();
    tx.outbox()
        .put("other", "/else", b"3", None, InClear::No)
        .unwrap();
    assert!(
        tx.replies().rooms().unwrap().is_empty(),
        "it is in the outbox"
    );
    let heads = || {
        let rows = tx.outbox().heads().unwrap();
        rows.into_iter()
            .map(|(id, _)| (id, tx.outbox().find(id).unwrap().unwrap().path))
            .collect::<Vec<_>>()
    };
    let first = heads();
    assert_eq!(first[0].1, "/keys");
    assert_eq!(first[1].1, "/else");
    tx.outbox().finish(first[0].0).unwrap();
    assert_eq!(heads()[0].1, "/message");
    tx.forget_device().unwrap();
    assert!(heads().is_empty());
    assert_eq!(
        tx.replies().unprepared(room()).unwrap().len(),
        1,
        "it is encrypted for the new device"
    );
}

#[test]
fn what_waits_to_be_sent_is_counted_once() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.replies()
        .put(room(), "t1", "m.room.message", "{}", 0, true)
        .unwrap();
    tx.replies()
        .put(room(), "t2", "m.room.message", "{}", 0, true)
        .unwrap();
    let reply = tx.replies().unprepared(room()).unwrap().remove(0);
    tx.outbox()
        .put("lane", "/keys", b"1", None, InClear::No)
        .unwrap();
    tx.outbox()
        .put("lane", "/message", b"2", Some(reply.id), InClear::No)
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
    tx.rooms().enter(room()).unwrap();
    tx.rooms()
        .set_encrypted(room(), MEGOLM_ALGORITHM, None, None)
        .unwrap();
    let (_, asked) = tx.members().incomplete_rooms().unwrap().remove(0);
    tx.members()
        .set(room(), alice(), Membership::NotJoined)
        .unwrap();
    tx.members()
        .replace(room(), &[alice().to_owned()], asked)
        .unwrap();
    assert!(!tx.members().are_complete(room()).unwrap());
    let (_, asked) = tx.members().incomplete_rooms().unwrap().remove(0);
    tx.members().replace(room(), &[], asked).unwrap();
    assert!(tx.members().are_complete(room()).unwrap());
}

#[test]
fn an_answer_to_an_older_question_leaves_a_user_outdated() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.device_lists().track(alice()).unwrap();
    let asked = tx
        .device_lists()
        .outdated(0, 250)
        .unwrap()
        .remove(0)
        .generation;
    tx.device_lists().mark_outdated(alice()).unwrap();
    tx.device_lists().mark_current(alice(), asked).unwrap();
    assert!(tx.device_lists().is_outdated(alice()).unwrap());
    let asked = tx
        .device_lists()
        .outdated(0, 250)
        .unwrap()
        .remove(0)
        .generation;
    tx.device_lists().mark_current(alice(), asked).unwrap();
    assert!(!tx.device_lists().is_outdated(alice()).unwrap());
}

#[test]
fn withholding_is_told_once_until_a_session_exists() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let phone = device(alice(), "PHONE");
    tx.members()
        .set(room(), alice(), Membership::Joined)
        .unwrap();
    tx.devices()
        .apply(alice(), &DeviceChange::Put(Box::new(phone.clone())))
        .unwrap();
    let lacking = |now| {
        let trust = DeviceTrust::CrossSigned;
        let found = tx
            .shares()
            .devices_without(&sharing("a session", trust, now), None, 10);
        found.unwrap().pop().map(|found| found.needs_claim)
    };
    assert_eq!(lacking(5), Some(true), "a claim comes first");
    tx.olm_peers().postpone_claim(&phone, 100).unwrap();
    assert_eq!(lacking(99), Some(false), "it is told");
    assert_eq!(lacking(100), Some(true), "it is tried again");
    assert!(tx.olm_peers().mark_withheld(&phone).unwrap());
    assert!(!tx.olm_peers().mark_withheld(&phone).unwrap());
    assert_eq!(lacking(99), None, "it was told");
    assert_eq!(lacking(100), Some(true));
    assert!(tx.olm_peers().ask_unwedge(&phone, 0, 200).unwrap());
    assert!(
        !tx.olm_peers().ask_unwedge(&phone, 199, 201).unwrap(),
        "not twice in its interval"
    );
    assert!(tx.olm_peers().ask_unwedge(&phone, 200, 300).unwrap());
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
    tx.device_lists().track(alice()).unwrap();
    tx.members().set(room(), bob, Membership::Joined).unwrap();
    tx.devices()
        .apply(bob, &DeviceChange::Put(Box::new(phone.clone())))
        .unwrap();
    for (ahead, due) in [(0, true), (60_000, false), (YEAR_MS, true)] {
        tx.device_lists()
            .postpone_query(alice(), now + ahead)
            .unwrap();
        assert_eq!(
            tx.device_lists().outdated(now, 9).unwrap().len(),
            usize::from(due)
        );
        assert_eq!(tx.device_lists().must_query(alice(), now).unwrap(), due);
        tx.olm_peers().postpone_claim(&phone, now + ahead).unwrap();
        let trust = DeviceTrust::CrossSigned;
        let found = tx
            .shares()
            .devices_without(&sharing("a session", trust, now), None, 9);
        assert_eq!(found.unwrap()[0].needs_claim, due);
    }
    assert!(
        tx.olm_peers()
            .ask_unwedge(&phone, YEAR_MS, now + YEAR_MS)
            .unwrap()
    );
    assert!(
        tx.olm_peers()
            .ask_unwedge(&phone, now - 3_600_000, now)
            .unwrap()
    );
    assert!(
        !tx.olm_peers()
            .ask_unwedge(&phone, now - 3_600_000, now + 1)
            .unwrap()
    );
}
