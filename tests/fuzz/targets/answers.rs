//! The smaller answers: members, encryption, what a refusal says.

#![no_main]

use openclaw_k8s_toggle_operator::matrix::e2ee::CrossSigningStep;
use openclaw_k8s_toggle_operator::store::CrossSigningState;
use openclaw_k8s_toggle_operator_fuzz::{
    CLEAR, NEW, SECRET, mode,
    people::{ANNA, event},
    target, tolerable,
};
use ruma::RoomId;
use serde_json::json;

target!(|world, data| {
    let (mode, data) = mode(data);
    let run = world.run();
    let room = |id: &'static str| <&RoomId>::try_from(id).unwrap();
    match mode {
        b'm' => {
            run.tx.members().set_incomplete(room(SECRET)).unwrap();
            for (id, generation) in run.tx.members().incomplete_rooms().unwrap() {
                tolerable(run.turn().handle_members(&id, generation, data));
            }
        }
        b'e' => {
            // Somebody waits for the answer.
            let said = event(
                ANNA.0,
                "$held",
                "m.room.message",
                &json!({"msgtype": "m.text", "body": "start"}),
            );
            run.sync(&json!({ "next_batch": "n",
                "rooms": { "join": { NEW: { "timeline": { "events": [said] } } } } }));
            for id in [SECRET, CLEAR, NEW] {
                tolerable(run.turn().handle_room_encryption(room(id), Some(data)));
            }
            run.sync(&json!({ "next_batch": "n" }));
        }
        b's' => {
            run.tx
                .cross_signing()
                .set_state(&CrossSigningState::Sign)
                .unwrap();
            tolerable(
                run.turn()
                    .handle_cross_signing_step(CrossSigningStep::Sign, data),
            );
        }
        b'c' => {
            let text = String::from_utf8_lossy(data);
            run.tx
                .cross_signing()
                .set_state(&CrossSigningState::Upload { uia_session: None })
                .unwrap();
            run.turn()
                .handle_cross_signing_challenge(Some(&text), true)
                .unwrap();
        }
        _ => {
            let text = String::from_utf8_lossy(data);
            let refused =
                run.turn()
                    .cross_signing_refused(CrossSigningStep::Upload, 400, &text, &text);
            refused.unwrap();
        }
    }
    run.check();
});
