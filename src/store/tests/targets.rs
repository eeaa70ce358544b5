//! Tests of what is remembered of targets.

use super::*;
use crate::store::caps;

fn event(number: usize) -> OwnedEventId {
    format!("$e{number}").try_into().unwrap()
}

fn asked(number: usize) -> HistoryEntry {
    HistoryEntry {
        event_id: event(number),
        at_ms: number as u64,
        actor: alice().to_string(),
        room: room().to_owned(),
        verb: "stop".to_owned(),
        from: Some(3),
        to: Some(0),
        outcome: String::new(),
        seconds: None,
    }
}

fn timer(target: &str, deadline_ms: u64) -> StoredTimer {
    StoredTimer {
        target: target.to_owned(),
        uid: "a uid".to_owned(),
        expected: 2,
        deadline_ms,
        set_at_ms: 1,
        set_by: alice().to_owned(),
        room: room().to_owned(),
        thread: Some(event(1)),
        command: event(2),
        warned_at_ms: None,
    }
}

fn change(target: &str, command: usize) -> FollowedChange {
    FollowedChange {
        target: target.to_owned(),
        command: event(command),
        room: room().to_owned(),
        sender: alice().to_owned(),
        thread: None,
        verb: "start".to_owned(),
        uid: "a uid".to_owned(),
        generation: 8,
        replicas: 3,
        started_ms: command as u64,
        edits: 0,
        stage: "following".to_owned(),
        previous: 0,
        selector: "app=worker".to_owned(),
    }
}

#[test]
fn the_history_has_the_newest_commands_of_a_target_and_their_ends() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let history = tx.history();
    assert_eq!(history.last("worker").unwrap(), None);
    for number in 0..25 {
        history.put("worker", &asked(number)).unwrap();
    }
    history.put("gateway", &asked(99)).unwrap();
    history.end("worker", &event(24), "done", Some(12)).unwrap();
    let of_worker = history.of("worker").unwrap();
    let numbers: Vec<u64> = of_worker.iter().map(|entry| entry.at_ms).collect();
    assert_eq!(numbers, (5..25).rev().collect::<Vec<_>>());
    let ended = HistoryEntry {
        outcome: "done".to_owned(),
        seconds: Some(12),
        ..asked(24)
    };
    assert_eq!(of_worker[0], ended);
    assert_eq!(history.last("worker").unwrap(), Some(ended));
    assert_eq!(of_worker[1], asked(23));
    assert_eq!(history.of("gateway").unwrap(), [asked(99)]);
}

#[test]
fn of_too_many_targets_the_one_commanded_longest_ago_has_no_history() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let cap = usize::try_from(caps::TARGETS).unwrap();
    for number in 0..cap {
        tx.history()
            .put(&format!("t{number}"), &asked(number))
            .unwrap();
    }
    tx.history().put("t0", &asked(cap)).unwrap();
    tx.history().put("one more", &asked(cap + 1)).unwrap();
    assert_eq!(tx.history().of("t0").unwrap().len(), 2);
    assert_eq!(tx.history().of("t1").unwrap(), []);
    assert_eq!(tx.history().of("t2").unwrap().len(), 1);
    assert_eq!(tx.history().of("one more").unwrap().len(), 1);
}

#[test]
fn what_there_was_before_a_series_of_lowerings_is_kept_until_a_start() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let previous = tx.previous_replicas();
    for (from, to, kept) in [
        (0, 0, None),
        (3, 2, Some(3)),
        (2, 0, Some(3)),
        (0, 0, Some(3)),
        (0, 2, None),
        (2, 2, None),
        (2, 1, Some(2)),
        (4, 1, Some(4)),
        (1, 0, Some(4)),
    ] {
        previous.note_change("worker", "a uid", from, to).unwrap();
        let kept = kept.map(|count| ("a uid".to_owned(), count));
        assert_eq!(previous.get("worker").unwrap(), kept, "{from} to {to}");
    }
    previous
        .note_change("worker", "its successor", 2, 0)
        .unwrap();
    let of_successor = Some(("its successor".to_owned(), 2));
    assert_eq!(previous.get("worker").unwrap(), of_successor);
    previous
        .note_change("worker", "its successor", 0, 1)
        .unwrap();
    assert_eq!(previous.get("worker").unwrap(), None);
}

#[test]
fn a_target_has_one_timer_and_the_next_one_comes_first() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let timers = tx.timers();
    let warned = StoredTimer {
        warned_at_ms: Some(5),
        ..timer("worker", 30)
    };
    assert!(timers.put(&timer("worker", 30)).unwrap());
    assert!(timers.put(&timer("gateway", 20)).unwrap());
    timers.mark_warned("worker", 5).unwrap();
    assert_eq!(
        timers.all().unwrap(),
        [timer("gateway", 20), warned.clone()]
    );
    assert_eq!(timers.get("worker").unwrap(), Some(warned));
    assert!(timers.put(&timer("worker", 10)).unwrap());
    assert_eq!(
        timers.all().unwrap(),
        [timer("worker", 10), timer("gateway", 20)],
        "another one is not warned of yet"
    );
    assert!(timers.remove("worker").unwrap());
    assert!(!timers.remove("worker").unwrap());
    assert_eq!(timers.get("worker").unwrap(), None);
}

#[test]
fn a_followed_change_is_told_until_a_newer_one_takes_its_place() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let followed = tx.followed();
    assert!(followed.put(&change("worker", 1)).unwrap());
    assert!(followed.put(&change("gateway", 2)).unwrap());
    let told = FollowedChange {
        edits: 2,
        stage: "settled".to_owned(),
        selector: "x".repeat(caps::SELECTOR + 1),
        ..change("worker", 1)
    };
    assert!(followed.put(&told).unwrap());
    let told = FollowedChange {
        selector: String::new(),
        ..told
    };
    assert_eq!(followed.get("worker").unwrap(), Some(told.clone()));
    assert_eq!(followed.all().unwrap(), [told, change("gateway", 2)]);
    assert!(followed.put(&change("worker", 3)).unwrap());
    assert_eq!(followed.get("worker").unwrap(), Some(change("worker", 3)));
    assert!(followed.remove("worker").unwrap());
    assert!(!followed.remove("worker").unwrap());
}

/// Puts down something about a target everywhere.
fn remember(tx: &Transaction<'_>, target: &str) -> bool {
    tx.history().put(target, &asked(1)).unwrap();
    tx.previous_replicas()
        .note_change(target, "a uid", 3, 0)
        .unwrap();
    tx.schedules().put(target, 7).unwrap();
    let is_set = tx.timers().put(&timer(target, 9)).unwrap();
    is_set && tx.followed().put(&change(target, 1)).unwrap()
}

/// The number of tables that know something of a target.
fn remembered(tx: &Transaction<'_>, target: &str) -> usize {
    let previous = tx.previous_replicas().get(target).unwrap();
    [
        tx.history().last(target).unwrap().is_some(),
        previous.is_some(),
        tx.timers().get(target).unwrap().is_some(),
        tx.schedules().handled(target).unwrap().is_some(),
        tx.followed().get(target).unwrap().is_some(),
    ]
    .into_iter()
    .filter(|known| *known)
    .count()
}

#[test]
fn what_is_remembered_of_targets_survives_the_device() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    assert!(remember(&tx, "worker"));
    let parts = [("stop worker", "worker"), ("stop gateway", "gateway")];
    let all = event(5);
    assert!(tx.journal().record_parts(&entry(&all), &parts).unwrap());
    tx.forget_device().unwrap();
    tx.forget_sessions().unwrap();
    assert_eq!(remembered(&tx, "worker"), 5);
    assert_eq!(tx.journal().results(&all).unwrap().len(), 2);
    let half_done = event(6);
    tx.journal()
        .record(&JournalEntry {
            payload: "restart worker 3".to_owned(),
            ..entry(&half_done)
        })
        .unwrap();
    tx.forget_unfinished(|payload| payload.starts_with("restart"))
        .unwrap();
    let left = tx.journal().unfinished().unwrap();
    let left: Vec<_> = left.iter().map(|asked| &asked.event_id).collect();
    assert_eq!(left, [&half_done]);
    assert_eq!(remembered(&tx, "worker"), 5);
    assert!(tx.journal().results(&all).unwrap().is_empty());
}

#[test]
fn targets_that_are_not_configured_any_more_are_forgotten() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    for target in ["worker", "gateway", "canary"] {
        assert!(remember(&tx, target));
    }
    tx.keep_only_targets(&["worker", "canary", "new"]).unwrap();
    assert_eq!(remembered(&tx, "worker"), 5);
    assert_eq!(remembered(&tx, "canary"), 5);
    assert_eq!(remembered(&tx, "gateway"), 0);
}

#[test]
fn there_are_only_so_many_targets_and_a_known_one_has_always_room() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    for number in 0..caps::TARGETS {
        assert!(remember(&tx, &format!("t{number}")));
    }
    assert!(!remember(&tx, "one more"));
    assert_eq!(remembered(&tx, "one more"), 1, "its history alone");
    assert!(remember(&tx, "t0"));
    assert_eq!(remembered(&tx, "t0"), 5);
}
