//! The fields and items that are kept of each answer, and those that are not.

use serde_json::{Value, json};

use super::*;
use ruma::OwnedUserId;

const KIB: usize = 1024;

fn audience() -> Arc<Audience> {
    let user = |id: &str| OwnedUserId::try_from(id).unwrap();
    Arc::new(Audience {
        own: user("@bot:test"),
        commanders: [user("@alice:test")].into(),
    })
}

fn kept(answer: Answer, sent: &Value) -> (Value, crate::json::Skipped, usize) {
    let mut sieve = answer.sieve(&audience());
    for piece in sent.to_string().as_bytes().chunks(1000) {
        sieve.push(piece).unwrap();
    }
    let sifted = sieve.finish().unwrap();
    let kept = serde_json::from_slice(&sifted.body).unwrap();
    (kept, sifted.skipped, sifted.body.len())
}

fn event(sender: &str, more: Value) -> Value {
    let mut event = json!({
        "type": "m.room.message", "sender": sender, "event_id": "$e", "origin_server_ts": 1,
        "content": {"msgtype": "m.text", "body": "start", "x": [[[0]]]},
        "unsigned": {"age": 5, "x": "y".repeat(100)},
    });
    for (name, value) in more.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

fn timeline(events: &[Value]) -> Value {
    json!({"next_batch": "s1", "rooms": {"join": {"!r:test": {"timeline": {
        "events": events, "limited": true, "prev_batch": "p"}}}}})
}

fn kept_timeline(events: &[Value]) -> Vec<Value> {
    let (kept, ..) = kept(Answer::Sync, &timeline(events));
    assert_eq!(kept["next_batch"], "s1");
    let timeline = &kept["rooms"]["join"]["!r:test"]["timeline"];
    assert_eq!(timeline["limited"], true);
    timeline["events"].as_array().unwrap().clone()
}

#[test]
fn of_a_message_only_known_fields_are_kept() {
    let kept = kept_timeline(&[event("@alice:test", json!({"room_id": "!r:test"}))]);
    assert_eq!(
        kept,
        [json!({
            "type": "m.room.message", "sender": "@alice:test", "event_id": "$e",
            "origin_server_ts": 1, "content": {"msgtype": "m.text", "body": "start"},
            "unsigned": {"age": 5},
        })]
    );
}

#[test]
fn messages_of_people_who_may_not_command_are_not_kept() {
    let others: Vec<Value> = (0..3000)
        .map(|_| {
            event(
                "@mallory:test",
                json!({"content": {"body": "x".repeat(500)}}),
            )
        })
        .collect();
    let mut events = others.clone();
    events.push(event("@alice:test", json!({})));
    events.extend(others);
    events.push(event("@bot:test", json!({})));
    assert_eq!(kept_timeline(&events).len(), 2);
}

/// A field that makes an event something other than a message must not be lost by
/// its size or its kind.
#[test]
fn an_event_that_is_not_of_its_shape_is_no_message() {
    for odd in [
        json!({"content": {"msgtype": "m.text", "body": "start",
            "m.relates_to": {"rel_type": ["m.replace"]}}}),
        json!({"content": {"msgtype": "m.text", "body": "start",
            "m.relates_to": {"rel_type": "m.replace".repeat(100)}}}),
        json!({"content": {"msgtype": "m.text", "body": "start", "m.relates_to": "x"}}),
        json!({"content": {"msgtype": ["m.text"], "body": "start"}}),
        json!({"content": "start"}),
        json!({"state_key": {}}),
        json!({"state_key": "s".repeat(300)}),
        json!({"sender": ["@alice:test"]}),
        json!({"event_id": "$".repeat(300)}),
    ] {
        let kept = kept_timeline(&[event("@alice:test", odd.clone())]);
        assert_eq!(kept, Vec::<Value>::new(), "{odd}");
    }
    let edit = json!({"content": {"msgtype": "m.text", "body": "start",
        "m.new_content": {"body": {"deep": ["x".repeat(1000)]}}}});
    let kept = kept_timeline(&[event("@alice:test", edit)]);
    assert_eq!(kept[0]["content"]["m.new_content"], true);
}

#[test]
fn large_state_is_reduced_and_an_odd_encryption_event_stays_one() {
    let member = |n: usize| {
        json!({"type": "m.room.member", "sender": "@m:test", "event_id": "$m",
            "state_key": format!("@m{n}:test"),
            "content": {"membership": "join", "displayname": "n".repeat(60 * KIB)}})
    };
    let odd = json!({"type": "m.room.encryption", "sender": "@m:test", "event_id": "$m",
        "state_key": "", "content": {"algorithm": {"a": 1}, "rotation_period_ms": [1]}});
    let mut state: Vec<Value> = (0..300).map(member).collect();
    state.push(odd);
    let sent = json!({"next_batch": "s", "rooms": {"join": {"!r:test": {"state": {
        "events": state}}}}});
    let (kept, skipped, size) = kept(Answer::Sync, &sent);
    let events = &kept["rooms"]["join"]["!r:test"]["state"]["events"];
    assert_eq!(events.as_array().unwrap().len(), 301);
    assert_eq!(events[300]["content"], json!({}));
    assert!(skipped.is_empty() && size < 64 * KIB, "{size} {skipped:?}");
}

#[test]
fn no_ones_to_device_events_take_the_room_of_an_allowed_users() {
    let of = |sender: &str, kind: &str, size: usize| json!({"type": kind, "sender": sender, "content": {"x": "x".repeat(size)}});
    let encrypted = "m.room.encrypted";
    let mut events = vec![
        of("@mallory:evil", encrypted, 12 << 20),
        of("@mallory:evil", "m.unknown", 100),
    ];
    events.extend((0..10_000).map(|_| of("@mallory:evil", encrypted, 300)));
    events.push(of("@alice:test", encrypted, 100 * KIB));
    let sent = json!({"to_device": {"events": events}, "next_batch": "s"});
    let (kept, skipped, size) = kept(Answer::Sync, &sent);
    let events = kept["to_device"]["events"].as_array().unwrap();
    assert_eq!(events.last().unwrap()["sender"], "@alice:test");
    assert!(*skipped.get(item_kind::TO_DEVICE).unwrap() > 9_000 && size < 400 * KIB);
    assert_eq!(kept["next_batch"], "s");
}

/// Each budget at its end at once: no more than the most that is kept.
#[test]
fn a_sync_is_never_larger_than_its_budgets() {
    let user = |n: usize| format!("@{n}{}:test", "u".repeat(240 - n.to_string().len()));
    let users: Vec<String> = (0..20_000).map(user).collect();
    let rooms = |value: Value| -> Value {
        let of = |n: usize| (format!("!{n}{}:test", "r".repeat(240)), value.clone());
        (0..3000).map(of).collect::<serde_json::Map<_, _>>().into()
    };
    let message = event(
        "@alice:test",
        json!({"content": {"body": "b".repeat(10 * KIB)}}),
    );
    let events: Vec<Value> = (0..200).map(|_| message.clone()).collect();
    let member = json!({"type": "m.room.member", "sender": user(1), "state_key": user(1),
        "content": {"membership": "join"}});
    let encrypted = |sender: &str| {
        let event = json!({"type": "m.room.encrypted", "sender": sender,
            "content": {"x": "x".repeat(90 * KIB)}});
        vec![event; 30]
    };
    let mut to_device = encrypted("@alice:test");
    to_device.extend(encrypted("@mallory:evil"));
    let joined = json!({"timeline": {"events": events}, "state": {"events": vec![member; 9]}});
    let mut all = rooms(json!({}));
    all["!a:test"] = joined;
    let sent = json!({
        "device_lists": {"changed": users, "left": users},
        "rooms": {"join": all, "invite": rooms(json!({})), "leave": rooms(json!({}))},
        "to_device": {"events": to_device},
        "next_batch": "s",
    });
    let (kept, skipped, size) = kept(Answer::Sync, &sent);
    assert!(size <= Answer::Sync.kept().1, "{size}");
    assert!(skipped.contains_key(item_kind::CHANGED), "{skipped:?}");
    assert_eq!(kept["next_batch"], "s");
}

/// Whoever invites how often, an allowed user's invite is kept.
#[test]
fn no_ones_invites_take_the_room_of_an_allowed_users() {
    let invite = |sender: &str| {
        let of = |user: &str, membership: &str| {
            json!({"type": "m.room.member", "sender": sender, "state_key": user,
                "content": {"membership": membership}})
        };
        let name = json!({"type": "m.room.name", "sender": sender, "state_key": "",
            "content": {"name": "x".repeat(4000)}});
        json!({"invite_state": {"events": [
            of(sender, "join"), name, of("@bot:test", "invite"), of("@bot:test", "join"),
        ]}})
    };
    let mut rooms: serde_json::Map<String, Value> = (0..3_000)
        .map(|n| (format!("!a{n}:evil"), invite("@mallory:evil")))
        .collect();
    rooms.insert("!zzz:test".into(), invite("@alice:test"));
    rooms.insert(
        "!nobody:test".into(),
        json!({"invite_state": {"events": []}}),
    );
    let sent = json!({"rooms": {"invite": rooms}, "next_batch": "s"});
    for answer in [Answer::Sync, Answer::Invites] {
        let (kept, skipped, size) = kept(answer, &sent);
        let kept = kept["rooms"]["invite"].as_object().unwrap();
        assert!(kept.len() > 100 && *skipped.get(item_kind::INVITE).unwrap() > 2_000);
        let events = kept["!zzz:test"]["invite_state"]["events"]
            .as_array()
            .unwrap();
        assert_eq!(events.len(), 2, "only the bot's own membership");
        assert!(!kept.contains_key("!nobody:test"));
        assert!(size < Answer::Invites.kept().1, "{size}");
    }
}

#[test]
fn a_device_list_is_kept_as_far_as_there_is_room() {
    let device = |size: usize| json!({"user_id": "@m:test", "x": "x".repeat(size)});
    let sent = json!({
        "device_keys": {
            "@m:test": {"A": device(100), "B": device(800 * KIB), "C": device(100)},
            "@alice:test": {"D": device(100)},
        },
        "failures": {"evil": {"x": "x".repeat(1 << 20)}},
        "master_keys": {"@m:test": device(100 * KIB), "@alice:test": device(10)},
        "user_signing_keys": {"@m:test": device(100 * KIB)},
    });
    let (kept, skipped, size) = kept(Answer::Devices, &sent);
    let names =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(names(&kept["device_keys"]["@m:test"]), ["A", "B", "C"]);
    assert_eq!(kept["device_keys"]["@m:test"]["B"], json!(true));
    assert_eq!(names(&kept["device_keys"]["@alice:test"]), ["D"]);
    assert_eq!(names(&kept["master_keys"]), ["@alice:test"]);
    assert_eq!(kept["failures"], json!({"evil": true}));
    let counts = (
        *skipped.get(item_kind::LARGE_DEVICE).unwrap(),
        *skipped.get(item_kind::IDENTITY).unwrap(),
    );
    assert_eq!(counts, (1, 1));
    assert!(size < KIB);
}

#[test]
fn of_a_page_of_messages_those_of_allowed_users_and_its_end_are_kept() {
    let chunk = [
        event("@mallory:test", json!({})),
        event("@alice:test", json!({})),
        event(
            "@bot:test",
            json!({"type": "m.room.member", "state_key": "@bot:test"}),
        ),
        event(
            "@alice:test",
            json!({"content": {"body": "x".repeat(40_000)}}),
        ),
    ];
    let page = json!({"chunk": chunk, "end": "t1", "state": [{}], "start": "s"});
    let (kept, skipped, _) = kept(Answer::Messages, &page);
    assert_eq!(kept["end"], "t1");
    assert_eq!(kept["chunk"].as_array().unwrap().len(), 2);
    assert_eq!(
        *skipped.get(item_kind::TIMELINE).unwrap(),
        1,
        "an allowed user's, too long"
    );
}

/// Puts this in place of each member of an object, one after the other, with its
/// name and its neighbours' object.
fn in_place_of_each(value: &Value, odd: &Value, found: &mut Vec<(String, Value)>) {
    let Some(members) = value.as_object() else {
        let items = value.as_array().into_iter().flatten().enumerate();
        for (at, item) in items {
            let mut inner = Vec::new();
            in_place_of_each(item, odd, &mut inner);
            found.extend(inner.into_iter().map(|(name, item)| {
                let mut value = value.clone();
                value[at] = item;
                (name, value)
            }));
        }
        return;
    };
    for (name, member) in members {
        let with = |replaced: Value| {
            let mut value = value.clone();
            value[name] = replaced;
            value
        };
        found.push((name.clone(), with(odd.clone())));
        let mut inner = Vec::new();
        in_place_of_each(member, odd, &mut inner);
        found.extend(inner.into_iter().map(|(name, member)| (name, with(member))));
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.values().any(has_null),
        Value::Array(items) => items.iter().any(has_null),
        value => value.is_null(),
    }
}

/// `null`, an empty container of either kind and no value at all, in every field of
/// every answer: what is kept can be read, and has no `null`.
#[test]
fn null_and_empty_are_as_good_as_absent_in_every_answer() {
    let state = json!({"type": "m.room.encryption", "state_key": "", "sender": "@alice:test",
        "event_id": "$s", "origin_server_ts": 1, "content": {"algorithm": "a", "rotation_period_ms": 5}});
    let related = json!({"content": {"msgtype": "m.text", "body": "start",
        "m.relates_to": {"rel_type": "m.thread", "event_id": "$r"}}});
    let message = event("@alice:test", related);
    let invite = json!({"type": "m.room.member", "state_key": "@bot:test",
        "sender": "@alice:test", "content": {"membership": "invite"}});
    let sync = json!({
        "next_batch": "s",
        "rooms": {
            "join": {"!r:test": {
                "state": {"events": [state]},
                "timeline": {"events": [message], "limited": true, "prev_batch": "p"},
            }},
            "invite": {"!i:test": {"invite_state": {"events": [invite]}}},
            "leave": {"!l:test": {"timeline": {"events": []}}},
        },
        "to_device": {"events": [{"type": "m.room.encrypted", "sender": "@alice:test",
            "content": {"x": 1}}]},
        "device_lists": {"changed": ["@alice:test"], "left": ["@bob:test"]},
        "device_one_time_keys_count": {"signed_curve25519": 50},
        "device_unused_fallback_key_types": ["signed_curve25519"],
    });
    let keys = json!({"@alice:test": {"D": {"keys": {"k": "v"}}}});
    let samples = [
        (Answer::Sync, sync.clone()),
        (Answer::Invites, sync),
        (
            Answer::Devices,
            json!({"device_keys": keys, "failures": {"x": {}},
            "master_keys": {"@alice:test": {}}, "self_signing_keys": {"@alice:test": {}}}),
        ),
        (
            Answer::OneTimeKeys,
            json!({"one_time_keys": keys, "failures": {}}),
        ),
        (
            Answer::Members,
            json!({"chunk": [{"type": "m.room.member",
            "state_key": "@alice:test", "content": {"membership": "join"}}]}),
        ),
        (
            Answer::Messages,
            json!({"chunk": [message], "end": "t", "state": []}),
        ),
        (Answer::RoomEncryption, state["content"].clone()),
        (
            Answer::Signatures,
            json!({"failures": {"@bot:test": {"D": {}}}}),
        ),
        (
            Answer::Nothing,
            json!({"one_time_key_counts": {"signed_curve25519": 50}}),
        ),
    ];
    let mut count = 0;
    for (answer, sample) in samples {
        for odd in [json!(null), json!([]), json!({})] {
            let mut all = vec![("nothing".to_owned(), sample.clone())];
            in_place_of_each(&sample, &odd, &mut all);
            for (name, sent) in all {
                count += 1;
                let (kept, ..) = kept(answer, &sent);
                // What is signed or encrypted is kept as it is.
                let whole = ["D", "@alice:test", "x", "keys", "k"].contains(&name.as_str());
                assert!(whole || !has_null(&kept), "{name}: {kept}");
                if answer != Answer::Sync || name == "next_batch" {
                    continue;
                }
                let text = kept.to_string();
                let body: super::super::sync::SyncBody<'_> =
                    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
                for (id, raw) in &body.rooms.join {
                    let joined: Result<super::super::sync::JoinedRoom<'_>, _> =
                        serde_json::from_str(raw.get());
                    assert!(joined.is_ok(), "{name}: {id}");
                }
            }
        }
    }
    assert!(count > 150, "{count}");
}

#[test]
fn of_many_members_allowed_users_are_kept() {
    let member = |user: String| {
        json!({"type": "m.room.member", "sender": "@a:test", "state_key": user,
            "content": {"membership": "join", "displayname": "n".repeat(1000)}})
    };
    let mut chunk: Vec<Value> = (0..9_000)
        .map(|n| member(format!("@{n}{}:test", "m".repeat(100))))
        .collect();
    chunk.push(member("@alice:test".to_owned()));
    let (kept, skipped, size) = kept(Answer::Members, &json!({"chunk": chunk}));
    let kept = kept["chunk"].as_array().unwrap();
    assert_eq!(kept.last().unwrap()["state_key"], "@alice:test");
    assert!(*skipped.get(item_kind::MEMBER).unwrap() > 0 && size < Answer::Members.kept().1);
}
