//! Messages that are heard and said, on a real store, without a homeserver.

use std::rc::Rc;

use ruma::{RoomId, event_id, room_id, user_id};
use serde_json::{Value, json};

use super::*;
use crate::crypto::{DeviceTrust, MEGOLM_ALGORITHM};
use crate::matrix::client::SyncBody;
use crate::store::{Anchor, CrossSigningState, Store, Transaction};
use crate::util::temp::TempDir;
use crate::util::{Secret, SortedMap, SortedSet, Tokens};

/// A clock of the bot's own, some time after its first start.
const NOW: u64 = 1_000_000;

fn room() -> &'static RoomId {
    room_id!("!ops:test")
}

/// The bot alone in a room, where Alice commands.
fn world(is_encrypted: bool, plaintext: PlaintextReplies) -> (TempDir, Store, Engine) {
    let directory = TempDir::new();
    let mut store = Store::open(&directory.path().join("store")).unwrap();
    let bot = user_id!("@bot:test");
    let commanders = Commanders {
        users: SortedSet::from([user_id!("@alice:test").to_owned()]),
        trust: DeviceTrust::CrossSigned,
        pins: SortedMap::new(),
    };
    let engine = Engine::new(
        bot.to_owned(),
        "DEVICE".into(),
        commanders,
        Rc::default(),
        plaintext,
    );
    engine.begin(NOW, None);
    let tx = store.begin().unwrap();
    let tokens = Tokens {
        access: Secret::new("t".to_owned()),
        refresh: None,
        refresh_at: None,
    };
    tx.session().put(bot, "DEVICE".into(), &tokens).unwrap();
    tx.session().set_next_batch("s1").unwrap();
    let turn = engine.on(&tx, NOW);
    turn.prepare_account().unwrap();
    let fallback = turn.account().unwrap().unpublished_fallback();
    turn.handle_upload(true, fallback.as_deref()).unwrap();
    tx.cross_signing()
        .set_state(&CrossSigningState::Signed)
        .unwrap();
    tx.rooms().enter(room()).unwrap();
    if is_encrypted {
        tx.rooms()
            .set_encrypted(room(), MEGOLM_ALGORITHM, None, None)
            .unwrap();
        let (_, generation) = tx.members().incomplete_rooms().unwrap().remove(0);
        tx.members().replace(room(), &[], generation).unwrap();
    } else {
        tx.rooms().set_not_encrypted(room()).unwrap();
    }
    tx.commit().unwrap();
    (directory, store, engine)
}

/// One message that is not encrypted, as it is classified.
fn heard(content: &Value) -> Option<Message> {
    let (_directory, mut store, engine) = world(false, PlaintextReplies::Any);
    let tx = store.begin().unwrap();
    let event = json!({
        "type": "m.room.message", "sender": "@alice:test", "event_id": "$e",
        "origin_server_ts": NOW, "content": content,
    });
    let timeline = json!({"timeline": {"events": [event]}});
    let body = json!({"next_batch": "s2", "rooms": {"join": {room().as_str(): timeline}}});
    let body = body.to_string();
    let body: SyncBody<'_> = serde_json::from_str(&body).unwrap();
    let turn = engine.on(&tx, NOW);
    let received = turn.handle_sync(&body, &Default::default(), false);
    let mut messages = received.unwrap().messages;
    assert!(messages.len() <= 1);
    messages.pop()
}

#[test]
fn it_is_heard_whom_a_message_mentions() {
    let plain = heard(&json!({"msgtype": "m.text", "body": "start"})).unwrap();
    assert!(!plain.mentions_bot);
    let addressed = heard(&json!({
        "msgtype": "m.text", "body": "start",
        "m.mentions": {"user_ids": ["@bot:test"]},
        "m.relates_to": {"m.in_reply_to": {"event_id": "$said"}},
    }))
    .unwrap();
    assert!(addressed.mentions_bot);
    assert_eq!(addressed.thread, None);
}

#[test]
fn of_a_long_text_and_of_an_edit_only_that_it_came_is_heard() {
    let long = heard(&json!({"msgtype": "m.text", "body": "x".repeat(4097)})).unwrap();
    assert_eq!(long.kind, MessageKind::TooLong { device: None });
    let relation = json!({"rel_type": "m.replace", "event_id": "$before"});
    let edit = heard(&json!({
        "msgtype": "m.text", "body": "* stop", "m.relates_to": relation,
        "m.new_content": {"msgtype": "m.text", "body": "stop"},
    }))
    .unwrap();
    let edited = MessageKind::Edited {
        of: event_id!("$before").to_owned(),
        device: None,
    };
    assert_eq!(edit.kind, edited);
    let half = heard(&json!({"msgtype": "m.text", "body": "stop", "m.relates_to": relation}));
    assert!(half.is_none(), "it has no new content");
}

/// The requests of the room's lane, one after the other, as row, path and body; each is
/// taken by the server as `$1`, `$2` and so on.
fn deliver(engine: &Engine, tx: &Transaction<'_>, first: usize) -> Vec<(i64, String, Value)> {
    let mut all = Vec::new();
    loop {
        engine.on(tx, NOW).outgoing(true, &|_| false).unwrap();
        let requests = engine.outbox_requests(tx, true, &|_| false).unwrap();
        let Some(request) = requests.into_iter().next() else {
            return all;
        };
        let RequestContext::Outbox(row, _) = request.about else {
            panic!("another request than one of the outbox");
        };
        let event = format!("${}", first + all.len()).try_into().unwrap();
        let event: ruma::OwnedEventId = event;
        tx.outbox().delivered(row, Some(&event)).unwrap();
        let body = serde_json::from_slice(&request.call.body).unwrap();
        all.push((row, request.call.path.clone(), body));
    }
}

fn named(text: &str, anchor: &Anchor) -> Speech {
    Speech {
        anchor: Some(anchor.clone()),
        ..Speech::new(text, Place::Room)
    }
}

#[test]
fn an_edit_follows_its_message_and_names_it() {
    let (_directory, mut store, engine) = world(false, PlaintextReplies::Any);
    let tx = store.begin().unwrap();
    let turn = engine.on(&tx, NOW);
    let anchor = Anchor::new(event_id!("$asked"), "worker");
    let two = Speech::new("2 of 3", Place::Room);
    assert!(!turn.edit(&anchor, room(), &two).unwrap(), "there is none");
    turn.say(room(), &named("1 of 3", &anchor), true).unwrap();
    assert!(turn.edit(&anchor, room(), &two).unwrap());
    let sent = deliver(&engine, &tx, 1);
    let bodies: Vec<&Value> = sent.iter().map(|(_, _, body)| &body["body"]).collect();
    assert_eq!(bodies, ["1 of 3", "* 2 of 3"]);
    let edit = &sent[1].2;
    assert_eq!(
        edit["m.relates_to"],
        json!({"rel_type": "m.replace", "event_id": "$1"})
    );
    assert_eq!(edit["m.new_content"]["body"], "2 of 3");
    let three = Speech::new("3 of 3", Place::Room);
    assert!(turn.edit(&anchor, room(), &three).unwrap());
    turn.drop_edits(&anchor).unwrap();
    assert!(deliver(&engine, &tx, 3).is_empty(), "the outcome is said");
}

#[test]
fn the_relation_of_an_edit_stands_beside_its_ciphertext() {
    let (_directory, mut store, engine) = world(true, PlaintextReplies::Any);
    let tx = store.begin().unwrap();
    let turn = engine.on(&tx, NOW);
    let anchor = Anchor::new(event_id!("$asked"), "");
    turn.say(room(), &named("1 of 3", &anchor), true).unwrap();
    let first = deliver(&engine, &tx, 1).remove(0);
    let two = Speech::new("2 of 3", Place::Room);
    assert!(turn.edit(&anchor, room(), &two).unwrap());
    let (_, path, edit) = deliver(&engine, &tx, 2).remove(0);
    assert!(path.contains("/send/m.room.encrypted/"), "{path}");
    assert_eq!(
        edit["m.relates_to"],
        json!({"rel_type": "m.replace", "event_id": "$1"})
    );
    assert_eq!(edit["session_id"], first.2["session_id"]);
    assert_ne!(edit["ciphertext"], first.2["ciphertext"]);
    assert!(edit["m.new_content"].is_null() && edit["body"].is_null());
}

#[test]
fn the_one_sentence_that_may_be_said_in_clear_is_not_edited() {
    let (_directory, mut store, engine) = world(false, PlaintextReplies::Only("no"));
    let tx = store.begin().unwrap();
    let turn = engine.on(&tx, NOW);
    let anchor = Anchor::new(event_id!("$asked"), "");
    turn.say(room(), &named("1 of 3", &anchor), true).unwrap();
    assert_eq!(deliver(&engine, &tx, 1)[0].2["body"], "no");
    let two = Speech::new("2 of 3", Place::Room);
    assert!(turn.edit(&anchor, room(), &two).unwrap());
    turn.say(room(), &Speech::new("on", Place::Room), true)
        .unwrap();
    let sent = deliver(&engine, &tx, 2);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].2["body"], "no");
    assert!(sent[0].2["m.relates_to"].is_null());
}

#[test]
fn a_reply_whose_relation_is_refused_goes_without_it_in_its_place() {
    for is_encrypted in [false, true] {
        let (_directory, mut store, engine) = world(is_encrypted, PlaintextReplies::Any);
        let tx = store.begin().unwrap();
        let turn = engine.on(&tx, NOW);
        let reply = Place::answering(None, event_id!("$gone"));
        for (text, place) in [("on", reply), ("off", Place::Room)] {
            turn.say(room(), &Speech::new(text, place), true).unwrap();
        }
        turn.outgoing(true, &|_| false).unwrap();
        let head = || {
            let (row, _) = tx.outbox().heads().unwrap().remove(0);
            let found = tx.outbox().find(row).unwrap().unwrap();
            let body: Value = serde_json::from_slice(&found.body).unwrap();
            (row, found.path, body)
        };
        let (row, path, body) = head();
        assert_eq!(body["m.relates_to"]["m.in_reply_to"]["event_id"], "$gone");
        assert!(turn.leave_out_relation(row).unwrap());
        let (same_row, other_path, unrelated) = head();
        assert_eq!(same_row, row, "it keeps its place");
        assert_ne!(other_path, path, "another transaction");
        let mut expected = body.clone();
        expected.as_object_mut().unwrap().remove("m.relates_to");
        assert_eq!(unrelated, expected);
        assert!(!turn.leave_out_relation(row).unwrap(), "once");
        let sent = deliver(&engine, &tx, 1);
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[0].1, other_path);
    }
}

#[test]
fn a_refused_edit_is_given_up() {
    let (_directory, mut store, engine) = world(false, PlaintextReplies::Any);
    let tx = store.begin().unwrap();
    let turn = engine.on(&tx, NOW);
    let anchor = Anchor::new(event_id!("$asked"), "");
    turn.say(room(), &named("1 of 3", &anchor), true).unwrap();
    deliver(&engine, &tx, 1);
    let two = Speech::new("2 of 3", Place::Room);
    assert!(turn.edit(&anchor, room(), &two).unwrap());
    turn.outgoing(true, &|_| false).unwrap();
    let (row, _) = tx.outbox().heads().unwrap().remove(0);
    assert!(!turn.leave_out_relation(row).unwrap());
}
