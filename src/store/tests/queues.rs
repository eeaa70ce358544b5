//! Tests of the queues of waiting commands, events and requests.

use super::*;
use crate::store::caps;

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

/// A command about a target.
fn about(event_id: &EventId, target: &str) -> JournalEntry {
    JournalEntry {
        target: target.to_owned(),
        ..entry(event_id)
    }
}

#[test]
fn targets_are_lanes_and_the_oldest_of_what_may_go_is_next() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    for (event, target) in [
        (event_id!("$1"), "gateway"),
        (event_id!("$2"), "gateway"),
        (event_id!("$3"), "worker"),
        (event_id!("$4"), ""),
    ] {
        assert!(tx.journal().record(&about(event, target)).unwrap());
    }
    let next = |busy: &[&str]| {
        let busy: Vec<String> = busy.iter().map(|&lane| lane.to_owned()).collect();
        let due = tx.journal().next_due(&busy).unwrap();
        due.map(|due| (due.event_id.to_string(), due.target, due.part))
    };
    let entry = |event: &str, target: &str| Some((event.to_owned(), target.to_owned(), 0));
    assert_eq!(next(&[]), entry("$1", "gateway"));
    assert_eq!(next(&["gateway"]), entry("$3", "worker"));
    assert_eq!(next(&["gateway", "worker"]), entry("$4", ""));
    assert_eq!(next(&["gateway", "worker", ""]), None);
    tx.journal().finish(event_id!("$1")).unwrap();
    assert_eq!(next(&["worker"]), entry("$2", "gateway"));
}

#[test]
fn a_command_about_several_targets_waits_in_each_lane_and_ends_with_one_answer() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let (before, all) = (event_id!("$before"), event_id!("$all"));
    let journal = tx.journal();
    assert!(journal.record(&about(before, "worker")).unwrap());
    let parts = [("stop gateway", "gateway"), ("stop worker", "worker")];
    assert!(journal.record_parts(&entry(all), &parts).unwrap());
    assert!(!journal.record_parts(&entry(all), &parts).unwrap());
    assert!(!journal.record(&entry(all)).unwrap());
    let waiting = journal.unfinished().unwrap();
    assert_eq!(waiting.len(), 2, "it is one command");
    assert_eq!(waiting[1].payload, "start", "by its word for the whole");

    let gateway = journal.next_due(&["worker".to_owned()]).unwrap().unwrap();
    assert_eq!(
        (gateway.payload.as_str(), gateway.part),
        ("stop gateway", 0)
    );
    assert_eq!(journal.finish_part(&gateway, "stopped").unwrap(), None);
    let result = |target: &str, result: Option<&str>| PartResult {
        target: target.to_owned(),
        result: result.map(str::to_owned),
    };
    assert_eq!(
        journal.results(all).unwrap(),
        [result("gateway", Some("stopped")), result("worker", None)]
    );

    let first = journal.next_due(&[]).unwrap().unwrap();
    assert_eq!(first.event_id, before, "it was asked for before");
    assert_eq!(
        journal.finish_part(&first, "started").unwrap().unwrap(),
        [result("worker", Some("started"))],
        "it is whole"
    );
    let worker = journal.next_due(&[]).unwrap().unwrap();
    assert_eq!((worker.payload.as_str(), worker.part), ("stop worker", 1));
    let long = "é".repeat(caps::PART_RESULT);
    let results = journal.finish_part(&worker, &long).unwrap().unwrap();
    assert_eq!(results[0], result("gateway", Some("stopped")));
    assert_eq!(
        results[1].result.as_ref().map(String::len),
        Some(caps::PART_RESULT)
    );
    assert!(journal.next_due(&[]).unwrap().is_none());
    assert!(journal.results(all).unwrap().is_empty());
    assert!(!journal.record_parts(&entry(all), &parts).unwrap(), "done");
}

#[test]
fn parts_of_commands_are_bounded_and_go_with_their_command() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let targets: Vec<String> = (0..caps::COMMAND_PARTS).map(|n| format!("t{n}")).collect();
    let parts: Vec<_> = targets.iter().map(|name| ("stop", name.as_str())).collect();
    let has_room = || {
        tx.journal()
            .has_room_for(alice(), room(), Urgency::Scaling)
            .unwrap()
    };
    tx.journal()
        .record_parts(&entry(event_id!("$1")), &parts)
        .unwrap();
    assert!(has_room(), "all parts are one command");
    tx.journal()
        .record_parts(&entry(event_id!("$2")), &parts[..1])
        .unwrap();
    assert!(!has_room());
    tx.journal().finish(event_id!("$2")).unwrap();
    assert!(has_room());
    tx.forget_unfinished(|_| false).unwrap();
    let left: i64 = tx.value("SELECT count(*) FROM journal_parts", []).unwrap();
    assert_eq!(left, 0);
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
