//! Everything else in a `/sync`.

use serde_json::{Value, json};

use super::cases::{all, case};
use super::stage::Stage;
use crate::support::filling::{Shape, each, fill, members};
use crate::support::world::{BOT, MALLORY, ROOM};

const LARGE: usize = 12_000_000;

#[test]
fn rooms_of_any_size_are_borne() {
    all(
        "/sync",
        &[
            case("300 members with events of 60 kB", |stage| {
                let hs = stage.world.hs.clone();
                let users: Vec<String> =
                    (0..300).map(|user| format!("@large{user}:test")).collect();
                for membership in ["join", "leave"] {
                    hs.at_once(|| {
                        for user in &users {
                            let content = json!({
                                "membership": membership, "displayname": "x",
                                "org.example": fill(Shape::Dense, 60_000),
                            });
                            hs.state_event(ROOM, user, "m.room.member", user, content);
                        }
                    });
                    hs.wait_next_sync();
                }
            }),
            case("5 rooms with 50 notices of 45 kB each", |stage| {
                let hs = stage.world.hs.clone();
                hs.at_once(|| {
                    for room in 0..5 {
                        let room = format!("!notices{}x{room}:test", stage.next());
                        hs.add_room(&room, &[MALLORY, BOT], false);
                        for _ in 0..50 {
                            let text = fill(Shape::Flat, 45_000);
                            hs.message(
                                &room,
                                MALLORY,
                                json!({"msgtype": "m.notice", "body": text}),
                            );
                        }
                    }
                });
            }),
            case("a state of 20,000 members", |stage| {
                let room = format!("!state{}:test", stage.next());
                let member = member("@m<i>:test", json!({"membership": "join"}));
                joined(
                    stage,
                    room,
                    json!({"state": {"events": [each(20_000, &member)]}}),
                );
            }),
            case("a timeline with one event of 10 MB, flat", |stage| {
                one_event(stage, Shape::Flat)
            }),
            case("a timeline with one event of 10 MB, dense", |stage| {
                one_event(stage, Shape::Dense)
            }),
            case("a timeline event with a sender of 10 MB", |stage| {
                let event = json!({
                    "type": "m.room.message", "sender": fill(Shape::Flat, 10_000_000),
                    "event_id": "$x", "origin_server_ts": 1, "content": {},
                });
                timeline(stage, event);
            }),
            case("a timeline of 100,000 events", |stage| {
                let event = json!({
                    "type": "m.room.message", "sender": MALLORY, "event_id": "$<i>:test",
                    "origin_server_ts": 1, "content": {"msgtype": "m.text", "body": "status"},
                });
                timeline(stage, each(100_000, &event));
            }),
            case("5,000 invites with a stripped state of 4 kB", |stage| {
                let name = json!({
                    "type": "m.room.name", "sender": MALLORY, "state_key": "",
                    "content": {"name": fill(Shape::Flat, 4000)},
                });
                let invite = json!({"invite_state": {"events": [name]}});
                stage.sync(move |body| {
                    members(
                        &mut body["rooms"]["invite"],
                        5000,
                        "!i<i>:test",
                        invite.clone(),
                    );
                });
            }),
            case(
                "one invite with a stripped state of 12 MB, dense",
                |stage| {
                    let name = json!({
                        "type": "m.room.name", "sender": MALLORY, "state_key": "",
                        "content": {"name": fill(Shape::Dense, LARGE)},
                    });
                    stage.sync(move |body| {
                        let state = json!({"events": [name]});
                        body["rooms"]["invite"]["!large:test"] = json!({"invite_state": state});
                    });
                },
            ),
            case("20,000 rooms that were left", |stage| {
                stage.sync(|body| {
                    members(&mut body["rooms"]["leave"], 20_000, "!l<i>:test", json!({}));
                });
            }),
        ],
    );
}

#[test]
fn a_sync_with_anything_in_it_is_borne() {
    let mut cases = vec![
        case("100,000 users whose devices changed", |stage| {
            stage.sync(|body| {
                body["device_lists"]["changed"] = json!([each(100_000, &json!("@u<i>:test"))]);
            });
        }),
        case("100,000 users who left", |stage| {
            stage.sync(|body| {
                body["device_lists"]["left"] = json!([each(100_000, &json!("@u<i>:test"))]);
            });
        }),
        case("counts of one-time keys, 12 MB dense", |stage| {
            stage.sync(|body| {
                body["device_one_time_keys_count"]["x"] = fill(Shape::Dense, LARGE);
            });
        }),
        case("counts of one-time keys of 500,000 kinds", |stage| {
            stage.sync(|body| {
                let more = fill(Shape::Members, LARGE / 2);
                body["device_one_time_keys_count"] = more;
            });
        }),
        case("types of fallback keys, 12 MB dense", |stage| {
            stage.sync(|body| {
                let more = each(500_000, &json!("signed_curve25519"));
                body["device_unused_fallback_key_types"] = json!([more]);
            });
        }),
        case("next_batch behind 40 MB", |stage| {
            stage.sync(|body| {
                let token = body.as_object_mut().unwrap().remove("next_batch").unwrap();
                body["org.example"] = fill(Shape::Flat, 40_000_000);
                members(body, 1, "next_batch", token);
            });
        }),
    ];
    for field in ["account_data", "presence", "org.example"] {
        for shape in [Shape::Dense, Shape::Flat, Shape::Deep] {
            let name = format!("{field} of 12 MB, {shape:?}");
            cases.push(case(&name, move |stage| {
                stage.sync(move |body| body[field] = json!({"events": [fill(shape, LARGE)]}));
            }));
        }
    }
    cases.push(
        case("an unknown field of 100 kB, dense", |stage| {
            stage.sync(|body| body["org.example"] = fill(Shape::Dense, 100_000));
        })
        .cheap()
        .quick(),
    );
    all("/sync", &cases);
}

fn member(user: &str, content: Value) -> Value {
    json!({
        "type": "m.room.member", "sender": user, "state_key": user, "event_id": "$<i>m",
        "origin_server_ts": 1, "content": content,
    })
}

fn one_event(stage: &mut Stage, shape: Shape) {
    let event = json!({
        "type": "m.room.message", "sender": MALLORY, "event_id": "$x", "origin_server_ts": 1,
        "content": {"msgtype": "m.text", "body": "x", "org.example": fill(shape, 10_000_000)},
    });
    timeline(stage, event);
}

/// The next sync has this in the timeline of a room of Mallory's.
fn timeline(stage: &mut Stage, event: Value) {
    let room = format!("!timeline{}:test", stage.next());
    let timeline = json!({"events": [event], "limited": false, "prev_batch": "p"});
    joined(stage, room, json!({"timeline": timeline}));
}

fn joined(stage: &mut Stage, room: String, update: Value) {
    stage.world.hs.add_room(&room, &[MALLORY, BOT], false);
    stage.world.hs.wait_next_sync();
    stage.sync(move |body| body["rooms"]["join"][&room] = update.clone());
}
