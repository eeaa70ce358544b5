//! The other answers of the homeserver, and what is no answer at all.

use std::time::Duration;

use serde_json::{Value, json};

use super::cases::{Case, PADDING, all, case};
use super::stage::Stage;
use crate::support::faults::Fault;
use crate::support::filling::{Shape, each, fill};
use crate::support::wire::Response;
use crate::support::world::{ALICE, BOT, ROOM};

const CLAIM: &str = "POST /keys/claim";
const MEMBERS: &str = "GET /members";
const ENCRYPTION: &str = "GET /state/m.room.encryption";

#[test]
fn the_answer_to_any_request_may_be_of_any_size() {
    let mut cases = vec![
        case("members: 20,000", |stage| {
            members(stage, json!({"chunk": [each(20_000, &member(0))]}));
        }),
        case("members: 2,000 of 60 kB, dense", |stage| {
            members(stage, json!({"chunk": [each(2_000, &member(60_000))]}));
        }),
        case("members: one of 60 MB, dense", |stage| {
            members(stage, json!({"chunk": [member(60_000_000)]}));
        })
        .quick(),
    ];
    for shape in [Shape::Dense, Shape::Flat] {
        let name = format!("claimed keys of 12 MB, {shape:?}");
        cases.push(case(&name, move |stage| claim(stage, fill(shape, 12_000_000))).quick());
        cases.push(case(
            &format!("one claimed key of 12 MB, {shape:?}"),
            move |stage| {
                let device = stage.mallory.device.clone();
                let key =
                    json!({"key": "x", "signatures": {}, "org.example": fill(shape, 12_000_000)});
                claim(stage, json!({device: {"signed_curve25519:A": key}}));
            },
        ));
    }
    for (shape, size, said) in PADDING {
        cases.push(case(
            &format!("m.room.encryption of {said}"),
            move |stage| {
                let content = json!({"org.example": fill(shape, size)});
                stage
                    .world
                    .hs
                    .fault(ENCRYPTION, 1, Fault::json(200, &content));
                stage.provoke(ENCRYPTION, |stage| {
                    let room = format!("!unknown{}:test", stage.next());
                    stage.world.hs.add_room(&room, &[ALICE, BOT], false);
                    stage.world.hs.message(
                        &room,
                        ALICE,
                        json!({"msgtype": "m.text", "body": "help"}),
                    );
                });
            },
        ));
        cases.push(case(&format!("a join answered by {said}"), move |stage| {
            let content = json!({"room_id": "!x:test", "org.example": fill(shape, size)});
            stage.world.hs.fault("/join", 1, Fault::json(200, &content));
            stage.provoke("/join", |stage| {
                let room = format!("!joined{}:test", stage.next());
                stage.world.hs.add_room(&room, &[ALICE], true);
                stage.world.hs.invite(&room, ALICE, BOT);
            });
        }));
        cases.push(case(
            &format!("a sent message answered by {said}"),
            move |stage| {
                let content = json!({"event_id": "$x", "org.example": fill(shape, size)});
                // It takes effect, and what comes back is that.
                stage
                    .world
                    .hs
                    .rewrite("PUT /send/", move |body| *body = content.clone());
            },
        ));
    }
    all("other answers of the homeserver", &cases);
}

#[test]
fn a_refusal_may_be_of_any_size() {
    let mut cases = Vec::new();
    for status in [403, 429, 502] {
        for (shape, size, said) in PADDING {
            for pattern in ["GET /sync", "POST /keys/query", "PUT /send/"] {
                // A message that is refused is given up, and rightly so.
                if status == 403 && pattern == "PUT /send/" {
                    continue;
                }
                let name = format!("{status} with {said}: {pattern}");
                cases.push(refusal(&name, status, fill(shape, size), pattern));
            }
        }
    }
    all("refusals", &cases);
}

#[test]
fn what_is_no_answer_is_borne() {
    let raw = |head: String| Fault::Raw(head.into_bytes());
    let headers = |count: usize, size: usize| -> String {
        let line = |number| format!("X-Header-{number}: {}\r\n", "a".repeat(size));
        (0..count).map(line).collect()
    };
    let endless = |shape| {
        let body = json!({"next_batch": "s1_1", "org.example": fill(shape, usize::MAX)});
        Fault::json(200, &body)
    };
    let cut = |shape| {
        let body = json!({"next_batch": "s1_1", "org.example": fill(shape, 30_000_000)});
        let answer = Response::json(200, &body).header("Content-Length", "60000000");
        Fault::Answer(answer.header("Connection", "close"))
    };
    let faults = [
        ("a body that never ends, flat", endless(Shape::Flat)),
        ("a body that never ends, dense", endless(Shape::Dense)),
        ("a body that never ends, deep", endless(Shape::Deep)),
        ("a body that is cut at 30 MB, flat", cut(Shape::Flat)),
        ("a body that is cut at 30 MB, dense", cut(Shape::Dense)),
        (
            "a body that is said to be of 1 TB",
            raw("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n{".to_owned()),
        ),
        (
            "60 headers of 1 kB",
            raw(format!(
                "HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\n{{}}",
                headers(60, 1000)
            )),
        ),
        (
            "20,000 headers",
            raw(format!(
                "HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\n{{}}",
                headers(20_000, 1)
            )),
        ),
        (
            "a header of 20 MB",
            raw(format!("HTTP/1.1 200 OK\r\n{}", headers(1, 20_000_000))),
        ),
    ];
    let stalled = json!({"device_keys": {}, "org.example": fill(Shape::Flat, 1_000_000)});
    let stalled = Response::json(200, &stalled).header("Content-Length", "2000000");
    let mut cases = Vec::new();
    for (name, fault) in faults {
        for pattern in ["GET /sync", "POST /keys/query"] {
            let fault = fault.clone();
            cases.push(case(&format!("{name}: {pattern}"), move |stage| {
                refuse(stage, pattern, fault.clone());
            }));
        }
    }
    // The last one: the bot waits for the rest of it for half a minute.
    cases.push(case("a device list that stalls at 1 MB", move |stage| {
        refuse(stage, "POST /keys/query", Fault::Answer(stalled.clone()));
    }));
    all("what is no answer", &cases);
}

fn refusal(name: &str, status: u16, more: Value, pattern: &'static str) -> Case {
    let body = json!({
        "errcode": "M_LIMIT_EXCEEDED", "error": "no", "retry_after_ms": 100,
        "org.example": more,
    });
    case(name, move |stage| {
        refuse(stage, pattern, Fault::json(status, &body))
    })
}

/// The next request of this kind gets that.
fn refuse(stage: &mut Stage, pattern: &str, fault: Fault) {
    stage.world.hs.fault(pattern, 1, fault);
    match pattern {
        "GET /sync" => {
            stage.provoke(pattern, |stage| stage.world.hs.nudge());
        }
        "POST /keys/query" => stage.provoke(pattern, |stage| {
            stage.world.hs.device_changed(&stage.mallory.user);
        }),
        // It is asked next.
        _ => {}
    }
    // What it says of how long to wait is what it waits.
    std::thread::sleep(Duration::from_millis(100));
}

fn member(more: usize) -> Value {
    json!({
        "type": "m.room.member", "sender": "@m<i>:test", "state_key": "@m<i>:test",
        "event_id": "$<i>m", "origin_server_ts": 1, "room_id": ROOM,
        "content": {"membership": "join", "displayname": "M", "x": fill(Shape::Dense, more)},
    })
}

/// The bot's next question for members is answered by this, in a new room in
/// which Alice says something.
fn members(stage: &mut Stage, answer: Value) {
    stage.once(MEMBERS, move |body| *body = answer.clone());
    stage.provoke(MEMBERS, |stage| {
        let room = format!("!members{}:test", stage.next());
        stage.world.hs.add_room(&room, &[ALICE, BOT], true);
        stage.world.alice.say(&room, "help");
    });
}

/// A new device of Mallory's is told the key of the room, and this is claimed.
fn claim(stage: &mut Stage, of_mallory: Value) {
    let name = format!("CLAIMED{}", stage.next());
    let user = stage.mallory.user.clone();
    let device = stage.world.person(&user, &name);
    stage.once(CLAIM, move |body| {
        body["one_time_keys"][&user] = of_mallory.clone()
    });
    stage.provoke(CLAIM, |stage| {
        stage.ask();
    });
    drop(device);
}
