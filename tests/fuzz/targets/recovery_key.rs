//! A recovery key, and what lies in the secret storage that it opens.

#![no_main]

use openclaw_k8s_toggle_operator::{
    crypto::{RecoveryKey, Seed},
    matrix::e2ee::CrossSigningStep,
    store::CrossSigningState,
};
use openclaw_k8s_toggle_operator_fuzz::{
    Run, honest_query, mode,
    people::{BOT, Person, sign},
    secrets, target, tolerable,
};
use serde_json::json;

target!(|world, data| {
    let (mode, data) = mode(data);
    match mode {
        // What the storage says: three answers, one in each line.
        b's' => recover(&world.run(), &mut data.split(|byte| *byte == b'\n')),
        // A secret that was encrypted with the key.
        b'e' => {
            let secret = secrets::encrypt("m.cross_signing.self_signing", data);
            let secret = json!({ "encrypted": { "A": secret } }).to_string();
            let (key, description) = (r#"{"key":"A"}"#, secrets::description().to_string());
            let mut answers = [key, &description, &secret].into_iter().map(str::as_bytes);
            recover(&world.run(), &mut answers);
        }
        _ => {
            let text = String::from_utf8_lossy(data);
            let read = RecoveryKey::parse(&text);
            let spaced: String = text.chars().flat_map(|c| [c, ' ']).collect();
            assert_eq!(read.is_ok(), RecoveryKey::parse(&spaced).is_ok());
            if let Err(fault) = read {
                let _ = (fault.to_string(), Seed::from_base64(&text).is_ok());
            }
        }
    }
});

fn recover(run: &Run<'_>, answers: &mut dyn Iterator<Item = &[u8]>) {
    run.tx
        .cross_signing()
        .set_state(&CrossSigningState::FindKeyId)
        .unwrap();
    for answer in answers.take(3) {
        let state = run.tx.cross_signing().load().unwrap().state;
        if !matches!(
            state,
            CrossSigningState::FindKeyId
                | CrossSigningState::FindKey(_)
                | CrossSigningState::FindSecret(_)
        ) {
            break;
        }
        tolerable(
            run.turn()
                .handle_cross_signing_step(CrossSigningStep::Recover, answer),
        );
        run.check();
    }
    // An account with an identity of somebody else's making.
    let mallory = Person::mallory();
    let (mut master, mut self_signing) = mallory.identity();
    master["user_id"] = json!(BOT.0);
    self_signing["user_id"] = json!(BOT.0);
    let id = mallory.master.public_key().to_base64();
    sign(&mut self_signing, BOT.0, &id, |bytes| {
        mallory.master.sign(bytes)
    });
    let mut query = honest_query();
    query["master_keys"][BOT.0] = master;
    query["self_signing_keys"][BOT.0] = self_signing;
    run.handle_query(query.to_string().as_bytes());
    let _ = run.turn().cross_signing_fault().unwrap();
    let _ = run.turn().fingerprints().unwrap();
}
