//! Gaps on a real store, without a homeserver.

use std::rc::Rc;

use ruma::{room_id, user_id};
use serde_json::{Value, json};

use super::*;
use crate::crypto::DeviceTrust;
use crate::matrix::client::SyncBody;
use crate::matrix::e2ee::Engine;
use crate::matrix::e2ee::message::MAX_UNDECRYPTED_EVENT;
use crate::matrix::e2ee::{Commanders, Message, PlaintextReplies};
use crate::store::{Store, Transaction, caps};
use crate::util::temp::TempDir;
use crate::util::{Secret, SortedMap, SortedSet, Tokens};

/// A clock of the bot's own, some time after its first start.
const NOW: u64 = 1_000_000;

const MAX_AGE: u64 = 120_000;

fn room() -> &'static RoomId {
    room_id!("!ops:test")
}

/// The bot in a room without encryption, at `s1`; Alice commands.
fn world() -> (TempDir, Store, Engine) {
    let directory = TempDir::new();
    let mut store = Store::open(&directory.path().join("store")).unwrap();
    let (bot, alice) = (user_id!("@bot:test"), user_id!("@alice:test"));
    let commanders = Commanders {
        users: SortedSet::from([alice.to_owned()]),
        trust: DeviceTrust::CrossSigned,
        pins: SortedMap::new(),
    };
    let engine = Engine::new(
        bot.to_owned(),
        "DEVICE".into(),
        commanders,
        Rc::default(),
        PlaintextReplies::Any,
    );
    engine.begin(NOW, None);
    let tx = store.begin().unwrap();
    let tokens = Tokens {
        access: Secret::new("t".to_owned()),
        refresh: None,
        refresh_at: None,
    };
    tx.session().put(bot, "DEVICE".into(), &tokens).unwrap();
    engine.on(&tx, NOW).prepare_account().unwrap();
    tx.rooms().enter(room()).unwrap();
    tx.rooms().set_not_encrypted(room()).unwrap();
    tx.session().set_next_batch("s1").unwrap();
    tx.commit().unwrap();
    (directory, store, engine)
}

fn message(sender: &str, id: usize, body: &str) -> Value {
    json!({
        "type": "m.room.message", "sender": sender, "event_id": format!("${id}:test"),
        "origin_server_ts": NOW, "content": {"msgtype": "m.text", "body": body},
    })
}

fn alices(id: usize) -> Value {
    message("@alice:test", id, "start")
}

/// Takes in a sync that leaves something out before these events.
fn limited(engine: &Engine, tx: &Transaction<'_>, from: Value, events: &[Value], to: &str) {
    let timeline = json!({"limited": true, "prev_batch": from, "events": events});
    let body = json!({
        "next_batch": to, "rooms": {"join": {room().as_str(): {"timeline": timeline}}},
    });
    let body = body.to_string();
    let body: SyncBody<'_> = serde_json::from_str(&body).unwrap();
    let received = engine
        .on(tx, NOW)
        .handle_sync(&body, &Default::default(), false)
        .unwrap();
    assert!(received.messages.is_empty(), "they wait");
}

fn page(engine: &Engine, tx: &Transaction<'_>, token: &str, page: &Value) {
    let answer = Sifted {
        body: page.to_string().into_bytes(),
        ..Sifted::default()
    };
    engine
        .on(tx, NOW)
        .handle_backfill(room(), token, &answer, MAX_AGE)
        .unwrap();
}

/// The rooms whose people are to be told that something was missed.
fn missed(engine: &Engine, tx: &Transaction<'_>) -> Vec<OwnedRoomId> {
    engine.on(tx, NOW).rooms_with_missed_messages().unwrap()
}

/// The numbers of what is classified now.
fn classified(engine: &Engine, tx: &Transaction<'_>) -> Vec<usize> {
    let mut messages = Vec::new();
    engine
        .on(tx, NOW)
        .classify_undecrypted(&mut messages)
        .unwrap();
    let number = |message: &Message| {
        let id = message.event_id.as_str().trim_start_matches('$');
        id.split(':').next().unwrap().parse().unwrap()
    };
    messages.iter().map(number).collect()
}

#[test]
fn a_gap_behind_a_gap_is_read_as_one() {
    let (_directory, mut store, engine) = world();
    let tx = store.begin().unwrap();
    limited(&engine, &tx, json!("p5"), &[alices(5), alices(6)], "s2");
    page(
        &engine,
        &tx,
        "p5",
        &json!({"chunk": [alices(4)], "end": "p4"}),
    );
    limited(&engine, &tx, json!("p9"), &[alices(9)], "s3");
    let gap = tx.gaps().find(room()).unwrap().unwrap();
    assert_eq!((&*gap.token, &*gap.until), ("p9", "s1"));
    page(&engine, &tx, "p4", &json!({"chunk": [alices(1)]}));
    assert!(
        classified(&engine, &tx).is_empty(),
        "nobody waits for that page"
    );
    let chunk: Vec<Value> = [8, 6, 5, 4].into_iter().map(alices).collect();
    page(&engine, &tx, "p9", &json!({"chunk": chunk, "end": "p3"}));
    assert!(classified(&engine, &tx).is_empty(), "there is more");
    page(&engine, &tx, "p3", &json!({"chunk": [alices(3)]}));
    assert_eq!(classified(&engine, &tx), [3, 4, 5, 6, 8, 9]);
    assert!(missed(&engine, &tx).is_empty());
}

/// Each of these ends the reading, and of the first nobody needs to be told.
#[test]
fn the_reading_of_a_gap_has_an_end() {
    let own_join = json!({
        "type": "m.room.member", "sender": "@bot:test", "event_id": "$join:test",
        "state_key": "@bot:test", "content": {"membership": "join"},
    });
    let mut old = alices(1);
    old["unsigned"] = json!({"age": MAX_AGE});
    let strangers = vec![message("@mallory:test", 7, "stop"); MAX_PAGE_EVENTS + 1];
    let many: Vec<Value> = (100..400).rev().map(alices).collect();
    let long = json!("x".repeat(MAX_POSITION + 1));
    for (chunk, end, kept, told) in [
        (json!([own_join, alices(1)]), json!("p1"), vec![], false),
        (json!([]), json!("p5"), vec![], false),
        (json!([old, alices(0)]), json!("p1"), vec![1], false),
        (
            json!([alices(1), 7, {}, [], null]),
            Value::Null,
            vec![1],
            false,
        ),
        (json!([alices(1)]), json!("p5"), vec![1], true),
        (json!([alices(1)]), json!(""), vec![1], false),
        (json!([alices(1)]), long, vec![1], true),
        (json!(strangers), json!("p1"), vec![], true),
        (json!(many), json!("p1"), (300..400).collect(), true),
    ] {
        let (_directory, mut store, engine) = world();
        let tx = store.begin().unwrap();
        limited(&engine, &tx, json!("p5"), &[alices(5)], "s2");
        page(&engine, &tx, "p5", &json!({"chunk": chunk, "end": end}));
        let wanted: Vec<usize> = kept.into_iter().chain([5]).collect();
        assert_eq!(classified(&engine, &tx), wanted, "{end}");
        assert_eq!(!missed(&engine, &tx).is_empty(), told, "{end}");
    }
}

/// An event that is too long to be a command does not wait, and the number that
/// wait is bounded.
#[test]
fn what_waits_for_a_gap_is_bounded() {
    let (_directory, mut store, engine) = world();
    let tx = store.begin().unwrap();
    let mut large = alices(4);
    large["content"]["formatted_body"] = json!("x".repeat(MAX_UNDECRYPTED_EVENT));
    let timeline: Vec<Value> = (1000..1300).map(alices).collect();
    limited(&engine, &tx, json!("p5"), &timeline, "s2");
    assert_eq!(tx.undecrypted().count().unwrap(), caps::UNDECRYPTED_EVENTS);
    page(&engine, &tx, "p5", &json!({"chunk": [large, alices(3)]}));
    assert_eq!(tx.undecrypted().count().unwrap(), caps::UNDECRYPTED_EVENTS);
    assert_eq!(classified(&engine, &tx), (1044..1300).collect::<Vec<_>>());
    assert_eq!(missed(&engine, &tx), [room()]);
}

/// The bot's own clock ends the waiting, and people are told once a minute at most.
#[test]
fn a_gap_is_waited_for_five_seconds() {
    let (_directory, mut store, engine) = world();
    let tx = store.begin().unwrap();
    limited(&engine, &tx, json!("p5"), &[alices(5)], "s2");
    engine.begin(NOW + 4_999, None);
    assert!(classified(&engine, &tx).is_empty());
    assert_eq!(
        engine.on(&tx, 7).next_undecrypted_deadline().unwrap(),
        Some(8)
    );
    // Another gap meanwhile does not begin the time anew; a restart does.
    limited(&engine, &tx, json!("p6"), &[alices(6)], "s3");
    engine.begin(NOW + 5_000, None);
    engine.on(&tx, NOW).prepare_account().unwrap();
    assert!(classified(&engine, &tx).is_empty());
    engine.begin(NOW + 10_000, None);
    assert_eq!(classified(&engine, &tx), [5, 6]);
    assert_eq!(missed(&engine, &tx), [room()]);
    assert!(missed(&engine, &tx).is_empty());
    for (later, told) in [(59_999, false), (60_000, true)] {
        engine.begin(NOW + 10_000 + later, None);
        limited(&engine, &tx, Value::Null, &[], "s4");
        assert_eq!(!missed(&engine, &tx).is_empty(), told);
    }
    assert_eq!(engine.on(&tx, 7).next_undecrypted_deadline().unwrap(), None);
}

/// A server that leaves out nobody's messages sends pages of which nothing is kept.
#[test]
fn a_page_of_others_messages_is_not_the_last() {
    let (_directory, mut store, engine) = world();
    let tx = store.begin().unwrap();
    limited(&engine, &tx, json!("p5"), &[alices(5)], "s2");
    page(&engine, &tx, "p5", &json!({"chunk": [], "end": "p4"}));
    page(&engine, &tx, "p4", &json!({"chunk": [alices(2)]}));
    assert_eq!(classified(&engine, &tx), [2, 5]);
    assert!(missed(&engine, &tx).is_empty());
    // Something of allowed users had no room.
    limited(&engine, &tx, json!("p9"), &[alices(9)], "s3");
    let answer = Sifted {
        body: json!({"chunk": [alices(8)]}).to_string().into_bytes(),
        skipped: [(item_kind::TIMELINE, 1)].into(),
        ..Sifted::default()
    };
    engine
        .on(&tx, NOW)
        .handle_backfill(room(), "p9", &answer, MAX_AGE)
        .unwrap();
    assert_eq!(classified(&engine, &tx), [8, 9]);
    assert_eq!(missed(&engine, &tx), [room()]);
}

/// With gaps in very many rooms at once some are not read: what was said after them
/// does not wait for ever.
#[test]
fn what_waits_for_a_gap_that_had_no_room_is_classified() {
    let (_directory, mut store, engine) = world();
    let tx = store.begin().unwrap();
    limited(&engine, &tx, json!("p5"), &[alices(5)], "s2");
    for number in 0..300 {
        let other: OwnedRoomId = format!("!{number}:test").try_into().unwrap();
        tx.gaps().open(&other, "p1", "s1", NOW + 1).unwrap();
    }
    assert_eq!(tx.gaps().find(room()).unwrap(), None);
    assert_eq!(classified(&engine, &tx), [5]);
}
