//! The answer to a `/keys/claim`.

#![no_main]

use openclaw_k8s_toggle_operator_fuzz::{
    NOW, mode, overlaid,
    people::{ANNA, MALLORY, Person},
    target, tolerable, user,
};
use serde_json::json;

target!(|world, data| {
    let (mode, data) = mode(data);
    let run = world.run();
    let asked: Vec<_> = [ANNA, MALLORY]
        .iter()
        .filter_map(|(name, device)| {
            run.tx
                .devices()
                .find(&user(name), (*device).into())
                .unwrap()
        })
        .collect();
    assert_eq!(asked.len(), 2);
    // An answer to one of them is followed by a message.
    run.tx.olm_peers().ask_unwedge(&asked[0], NOW, NOW).unwrap();
    let body = match mode {
        // A key that the device signs.
        b'k' => {
            let anna = Person::anna();
            let Some(mut key) = overlaid(anna.one_time_key(), data) else {
                return;
            };
            anna.sign(&mut key);
            json!({ "one_time_keys": { ANNA.0: { ANNA.1: { "signed_curve25519:A": key } } } })
                .to_string()
                .into_bytes()
        }
        _ => data.to_vec(),
    };
    if tolerable(run.turn().handle_claim(&asked, &body)) {
        run.check();
    }
});
