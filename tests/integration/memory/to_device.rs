//! To-device messages: no federated server limits their size or number.

use serde_json::{Value, json};

use super::cases::{all, case};
use super::stage::Stage;
use crate::support::filling::{NUMBER, Shape, each, fill};
use crate::support::person::OLM;
use crate::support::world::{BOT, MALLORY};

#[test]
fn to_device_messages_of_any_size_and_number_are_borne() {
    all(
        "to-device messages",
        &[
            case("2 messages of 12 MB, flat", |stage| {
                large(stage, 2, Shape::Flat, 12_000_000)
            }),
            case("2 messages of 12 MB, dense", |stage| {
                large(stage, 2, Shape::Dense, 12_000_000)
            })
            .quick(),
            case("2 messages of 12 MB, nested", |stage| {
                large(stage, 2, Shape::Nested, 12_000_000)
            }),
            case("2 messages of 12 MB, deep", |stage| {
                large(stage, 2, Shape::Deep, 12_000_000)
            }),
            case("2 messages of 12 MB, digits", |stage| {
                large(stage, 2, Shape::Digits, 12_000_000)
            }),
            case("2 messages of 12 MB, blanks", |stage| {
                large(stage, 2, Shape::Blanks, 12_000_000)
            }),
            case("6 messages of 12 MB, flat", |stage| {
                large(stage, 6, Shape::Flat, 12_000_000)
            })
            .quick(),
            case("100 messages of 120 kB, dense", |stage| {
                large(stage, 100, Shape::Dense, 120_000)
            }),
            case("a message of 100 kB, dense", |stage| {
                large(stage, 1, Shape::Dense, 100_000)
            })
            .cheap(),
            case("10,000 Olm messages that open nothing", |stage| {
                rubbish(stage, 10_000)
            }),
            case("100,000 Olm messages that open nothing", |stage| {
                rubbish(stage, 100_000)
            }),
            case("10,000 messages of no type that is known", |stage| {
                send(
                    stage,
                    each(
                        10_000,
                        &json!({
                            "type": "org.example.<i>", "sender": MALLORY, "content": {"x": [0, 0, 0]},
                        }),
                    ),
                );
            }),
            case("100,000 messages of a type that is no string", |stage| {
                send(
                    stage,
                    each(100_000, &json!({"type": 1, "sender": [], "content": 0})),
                );
            }),
            case("10,000 room key requests", |stage| {
                send(
                    stage,
                    each(
                        10_000,
                        &json!({
                            "type": "m.room_key_request", "sender": MALLORY,
                            "content": {"action": "request", "requesting_device_id": "D<i>", "request_id": NUMBER},
                        }),
                    ),
                );
            }),
            case("20,000 withheld keys", |stage| {
                send(
                    stage,
                    each(
                        20_000,
                        &json!({
                            "type": "m.room_key.withheld", "sender": MALLORY,
                            "content": {
                                "algorithm": "m.megolm.v1.aes-sha2", "code": "m.unverified",
                                "room_id": "!ops:test", "session_id": NUMBER, "sender_key": NUMBER,
                            },
                        }),
                    ),
                );
            }),
        ],
    );
}

fn large(stage: &mut Stage, count: usize, shape: Shape, size: usize) {
    let body = fill(shape, size);
    let event = json!({
        "type": "m.room.encrypted", "sender": MALLORY,
        "content": {"algorithm": OLM, "sender_key": stage.mallory.curve25519(), "ciphertext": body},
    });
    for _ in 0..count {
        send(stage, event.clone());
    }
}

/// Puts an event, or what becomes many, into the bot's queue.
fn send(stage: &Stage, event: Value) {
    stage.world.hs.to_device(BOT, "*", event);
}

/// Messages of Mallory's device to the bot's, of one that is no session's.
fn rubbish(stage: &mut Stage, count: usize) {
    let event = rubbish_events(stage, count);
    send(stage, event);
}

/// So many different pre-key messages that no key of the bot's opens.
pub fn rubbish_events(stage: &mut Stage, count: usize) -> Value {
    let device = stage.world.bot_device();
    let to = (BOT, device.as_str());
    let payload = stage.mallory.payload(to, "m.dummy", &json!({}));
    let mut content = stage.mallory.olm(to, &payload);
    let ciphertext = content["ciphertext"]
        .as_object_mut()
        .expect("one for the bot");
    for message in ciphertext.values_mut() {
        let body = message["body"].as_str().expect("a body");
        // In the text of the message: it is read in full, and its MAC is wrong.
        let at = body.len() - 40;
        message["body"] = json!(format!("{}{NUMBER}{}", &body[..at], &body[at + 6..]));
    }
    each(
        count,
        &json!({"type": "m.room.encrypted", "sender": MALLORY, "content": content}),
    )
}
