//! Feeds the text of a person's message.

#![no_main]

use openclaw_k8s_toggle_operator::bot::strip_reply_fallback;
use openclaw_k8s_toggle_operator::control::Command;
use openclaw_k8s_toggle_operator_fuzz::{
    CLEAR,
    people::{ANNA, event},
    target,
};
use serde_json::json;

target!(|world, data| {
    let text = String::from_utf8_lossy(data);
    assert!(text.ends_with(strip_reply_fallback(&text)));
    match Command::parse_reference(&text) {
        Ok(command) => assert_eq!(Command::decode(&command.to_string()), Some(command)),
        Err(unknown) => {
            assert!(unknown.as_str().chars().count() <= 200);
            assert!(!unknown.as_str().contains(char::is_control));
        }
    }
    let said = event(
        ANNA.0,
        "$said",
        "m.room.message",
        &json!({"msgtype": "m.text", "body": text}),
    );
    let run = world.run();
    run.sync(&json!({ "next_batch": "n",
        "rooms": { "join": { CLEAR: { "timeline": { "events": [said] } } } } }));
});
