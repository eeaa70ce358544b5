//! Feeds the payload that Olm decrypts to: the sender is a device that may command,
//! and lies.

#![no_main]

use openclaw_k8s_toggle_operator_fuzz::{
    mode, overlaid,
    people::{Person, SPARE_KEY},
    target,
};
use serde_json::{Value, json};

target!(|world, data| {
    let (mode, data) = mode(data);
    let (anna, mallory) = (Person::anna(), Person::mallory());
    let from = if mode.is_ascii_lowercase() && mode >= b'm' {
        &mallory
    } else {
        &anna
    };
    let plaintext = match mode {
        // The content of a room key.
        b'k' | b'm' => serde_json::from_slice(data).map(|content: Value| {
            from.payload("m.room_key", &content)
                .to_string()
                .into_bytes()
        }),
        // Fields of an honest payload.
        b'f' | b'n' => Ok(overlaid(from.payload("m.room_key", &json!({})), data)
            .map(|payload| payload.to_string().into_bytes())
            .unwrap_or_default()),
        // Device keys that the device itself signs.
        b'd' => Ok(overlaid(from.bare_device_keys(), data)
            .map(|mut keys| {
                from.sign(&mut keys);
                let mut payload = from.payload("m.dummy", &json!({}));
                payload["sender_device_keys"] = keys;
                payload.to_string().into_bytes()
            })
            .unwrap_or_default()),
        _ => Ok(data.to_vec()),
    };
    let Ok(plaintext) = plaintext else { return };
    let event = from.olm_event(&mut from.session(SPARE_KEY), &plaintext);
    world
        .run()
        .sync(&json!({ "next_batch": "n", "to_device": { "events": [event] } }));
});
