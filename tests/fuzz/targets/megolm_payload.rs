//! Feeds the payload that Megolm decrypts to: the sender may command, and says anything.

#![no_main]

use openclaw_k8s_toggle_operator_fuzz::{
    SECRET, mode,
    people::{Person, group},
    target,
};
use serde_json::{Value, json};

target!(|world, data| {
    let (mode, data) = mode(data);
    let plaintext = match mode {
        // The content of a message.
        b'c' => match serde_json::from_slice::<Value>(data) {
            Ok(content) => {
                json!({ "type": "m.room.message", "room_id": SECRET, "content": content })
                    .to_string()
                    .into_bytes()
            }
            Err(_) => return,
        },
        _ => data.to_vec(),
    };
    let event = Person::anna().megolm_event(&mut group(1), "$event", &plaintext);
    let join = |event: &Value| {
        let timeline = json!({ "timeline": { "events": [event] } });
        json!({ "next_batch": "n", "rooms": { "join": { SECRET: timeline } } })
    };
    let run = world.run();
    run.sync(&join(&event));
    // Played again under another name: its index is used up.
    let before = run
        .tx
        .replies()
        .unprepared(SECRET.try_into().unwrap())
        .unwrap()
        .len();
    let mut again = event;
    again["event_id"] = json!("$again");
    run.sync(&join(&again));
    let after = run
        .tx
        .replies()
        .unprepared(SECRET.try_into().unwrap())
        .unwrap()
        .len();
    assert!(after <= before, "a message was heard twice");
});
