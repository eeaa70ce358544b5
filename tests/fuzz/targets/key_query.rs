//! The answer to a `/keys/query`.

#![no_main]

use openclaw_k8s_toggle_operator_fuzz::{
    honest_query, mode, overlaid,
    people::{ANNA, BOT, MALLORY, Person, bot_device_keys, sign},
    target,
};
use serde_json::{Value, json};

target!(|world, data| {
    let (mode, data) = mode(data);
    let (anna, mallory) = (Person::anna(), Person::mallory());
    let mut query = honest_query();
    match mode {
        // Keys that the device itself signs.
        b'd' => {
            let Some(mut keys) = overlaid(anna.bare_device_keys(), data) else {
                return;
            };
            anna.sign(&mut keys);
            query["device_keys"][ANNA.0][ANNA.1] = keys;
        }
        // A device under Anna's name, with Mallory's keys and signatures.
        b'n' => {
            let keys = json!({ "user_id": ANNA.0, "device_id": MALLORY.1,
                "keys": mallory.bare_device_keys()["keys"] });
            let Some(mut keys) = overlaid(keys, data) else {
                return;
            };
            sign(&mut keys, ANNA.0, MALLORY.1, |bytes| {
                mallory.account.sign(bytes)
            });
            let id = mallory.self_signing.public_key().to_base64();
            sign(&mut keys, ANNA.0, &id, |bytes| {
                mallory.self_signing.sign(bytes)
            });
            query["device_keys"][ANNA.0][MALLORY.1] = keys;
        }
        // An identity that Mallory makes for Anna.
        b'm' => {
            let (master, self_signing) = mallory.identity();
            let Some(mut own) = overlaid(master, data) else {
                return;
            };
            own["user_id"] = json!(ANNA.0);
            query["master_keys"][ANNA.0] = own;
            let mut own = self_signing;
            own["user_id"] = json!(ANNA.0);
            let id = mallory.master.public_key().to_base64();
            sign(&mut own, ANNA.0, &id, |bytes| mallory.master.sign(bytes));
            query["self_signing_keys"][ANNA.0] = own;
        }
        // The bot's own.
        b'b' => {
            let own = serde_json::to_value(bot_device_keys()).unwrap();
            let Some(own) = overlaid(own, data) else {
                return;
            };
            query["device_keys"][BOT.0][BOT.1] = own;
        }
        _ => {
            world.run().handle_query(data);
            return;
        }
    }
    let query: Value = query;
    world.run().handle_query(query.to_string().as_bytes());
});
