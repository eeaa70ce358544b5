//! All that is remembered of targets and waits to be done about them, at its largest.

use super::{
    table_sizes::TABLES,
    year::{Year, long, of, room_of, user},
    *,
};
use crate::store::caps;

/// Fills what is remembered of targets, and what waits to be done about them, by so many
/// tenths of their caps.
pub(super) fn fill(year: &mut Year, base: usize, tenths: usize) {
    let target = |number: usize| format!("{number:0>63}");
    let event = |number: usize| OwnedEventId::try_from(long('$', number)).unwrap();
    year.each(of(caps::COMMAND_PARTS, tenths) / 10, |tx, _, number| {
        let event_id = event(base + number);
        let waiting = JournalEntry {
            room: room_of(number),
            sender: user(number),
            payload: "x".repeat(caps::PAYLOAD),
            thread: Some(event(1)),
            ..entry(&event_id)
        };
        let targets: Vec<String> = (0..10).map(target).collect();
        let payload = "x".repeat(caps::PAYLOAD);
        let parts: Vec<_> = targets
            .iter()
            .map(|name| (payload.as_str(), name.as_str()))
            .collect();
        tx.journal().record_parts(&waiting, &parts).unwrap();
        let has_room = tx
            .journal()
            .has_room_for(&waiting.sender, &waiting.room, Urgency::Scaling);
        if !has_room.unwrap() {
            tx.journal().finish(&event_id).unwrap();
        }
    });
    year.each(
        of(caps::TARGETS * caps::HISTORY, tenths),
        |tx, _, number| {
            let asked = HistoryEntry {
                event_id: event(number),
                at_ms: 1,
                actor: "x".repeat(caps::HISTORY_ACTOR),
                room: room_of(1),
                verb: "x".repeat(caps::HISTORY_WORD),
                from: Some(i32::MAX),
                to: Some(i32::MAX),
                outcome: "x".repeat(caps::HISTORY_WORD),
                seconds: Some(u32::MAX),
            };
            let number = base + number;
            tx.history()
                .put(&target(number % of(caps::TARGETS, 11)), &asked)
                .unwrap();
        },
    );
    year.each(of(caps::TARGETS, tenths), |tx, _, number| {
        let (name, uid) = (target(base + number), "x".repeat(caps::OBJECT_UID));
        tx.previous_replicas()
            .note_change(&name, &uid, i32::MAX, 0)
            .unwrap();
        let timer = StoredTimer {
            target: name.clone(),
            uid: uid.clone(),
            expected: i32::MAX,
            deadline_ms: 1,
            set_at_ms: 1,
            set_by: user(number),
            room: room_of(number),
            thread: Some(event(1)),
            command: event(number),
            warned_at_ms: Some(1),
        };
        tx.timers().put(&timer).unwrap();
        tx.schedules().put(&timer.target, u64::MAX / 2).unwrap();
        let change = FollowedChange {
            target: name,
            command: event(number),
            room: room_of(number),
            sender: user(number),
            thread: Some(event(1)),
            verb: "x".repeat(caps::HISTORY_WORD),
            uid,
            generation: i64::MAX,
            replicas: i32::MAX,
            started_ms: 1,
            edits: u32::MAX,
            stage: "x".repeat(caps::HISTORY_WORD),
            previous: i32::MAX,
            selector: "x".repeat(caps::SELECTOR),
        };
        tx.followed().put(&change).unwrap();
    });
}

/// Bytes of the pages in use.
fn used_bytes(store: &mut Store) -> i64 {
    let tx = store.begin().unwrap();
    let number = |pragma| tx.value::<i64>(pragma, []).unwrap();
    let pages = number("PRAGMA page_count") - number("PRAGMA freelist_count");
    pages * number("PRAGMA page_size")
}

#[test]
fn what_is_remembered_of_targets_takes_no_more_than_is_reckoned() {
    let mut year = Year::new();
    let empty = used_bytes(&mut year.store);
    fill(&mut year, 0, 11);
    fill(&mut year, 20_000, 2);
    let tables = [
        "journal",
        "journal_parts",
        "history",
        "previous_replicas",
        "timers",
        "schedules",
        "followed",
    ];
    let tx = year.store.begin().unwrap();
    let mut reckoned = 0;
    for cap in TABLES.iter().filter(|cap| tables.contains(&cap.table)) {
        let count = format!("SELECT count(*) FROM {}", cap.table);
        let rows: i64 = tx.inner.query_row(&count, [], |row| row.get(0)).unwrap();
        assert!(rows > 0 && rows <= cap.rows, "{}: {rows} rows", cap.table);
        reckoned += rows * cap.row_bytes;
    }
    drop(tx);
    let taken = used_bytes(&mut year.store) - empty;
    assert!(taken <= reckoned, "{taken} bytes, {reckoned} reckoned");
}
