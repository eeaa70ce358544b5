//! Whole answers, dense, nested, huge and cut, read with little memory: a recipe
//! says what is answered and how it grew (`src/whole.rs`). An answer that takes
//! more than [`ROOM`] to read ends the process.

#![no_main]

use std::alloc::System;

use cap::Cap;
use openclaw_k8s_toggle_operator::auth::jwt::Jwks;
use openclaw_k8s_toggle_operator::matrix::client::{
    Answer as Kept, MAX_SMALL_BODY, read_flows, read_login, read_refresh, read_whoami,
};
use openclaw_k8s_toggle_operator::matrix::e2ee::CrossSigningStep;
use openclaw_k8s_toggle_operator::store::CrossSigningState;
use openclaw_k8s_toggle_operator::util::Secret;
use openclaw_k8s_toggle_operator_fuzz::{
    NOW, Run, SECRET,
    people::{ANNA, MALLORY},
    target, tolerable, user,
    whole::{Answer, Endpoint, answer},
};
use ruma::RoomId;

/// The memory that may be allocated while an answer is read, in bytes: the
/// manifest's limit leaves this to a bot that is warm. SQLite's own memory is not
/// counted.
const ROOM: usize = 8 * 1024 * 1024;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

target!(|world, data| {
    let Some(answer) = answer(data) else {
        return;
    };
    let run = world.run();
    let limit = ALLOCATOR.allocated().saturating_add(ROOM);
    ALLOCATOR.set_limit(limit).unwrap();
    read(&run, &answer);
    ALLOCATOR.set_limit(usize::MAX).unwrap();
    run.check();
});

fn read(run: &Run<'_>, answer: &Answer) {
    let (tx, turn) = (&run.tx, run.turn());
    let kept = match answer.endpoint {
        Endpoint::Claim => Some(Kept::OneTimeKeys),
        Endpoint::Members => Some(Kept::Members),
        Endpoint::Encryption => Some(Kept::RoomEncryption),
        Endpoint::Signatures => Some(Kept::Signatures),
        _ => None,
    };
    let sifted = kept.map(|kept| run.sift(kept, &answer.body));
    let body = match &sifted {
        None => &answer.body,
        Some(Some(sifted)) => &sifted.body,
        // What is no JSON is not read any further.
        Some(None) => return,
    };
    let body = body.as_slice();
    match answer.endpoint {
        Endpoint::Sync => run.handle_sync(body),
        Endpoint::Query => run.handle_query(body),
        Endpoint::Claim => {
            let devices = [ANNA, MALLORY].iter();
            let asked: Vec<_> = devices
                .filter_map(|(name, device)| {
                    tx.devices().find(&user(name), (*device).into()).unwrap()
                })
                .collect();
            tolerable(turn.handle_claim(&asked, body));
        }
        Endpoint::Members => {
            let room = <&RoomId>::try_from(SECRET).unwrap();
            tx.members().set_incomplete(room).unwrap();
            for (id, generation) in tx.members().incomplete_rooms().unwrap() {
                tolerable(turn.handle_members(&id, generation, body));
            }
        }
        Endpoint::Encryption => {
            let room = <&RoomId>::try_from(SECRET).unwrap();
            tolerable(turn.handle_room_encryption(room, Some(body)));
        }
        Endpoint::Signatures => {
            tx.cross_signing()
                .set_state(&CrossSigningState::Sign)
                .unwrap();
            tolerable(turn.handle_cross_signing_step(CrossSigningStep::Sign, body));
        }
        // A larger one is refused before it is read.
        Endpoint::Login if body.len() > MAX_SMALL_BODY => {}
        Endpoint::Login => {
            let _ = (read_flows(body), read_whoami(body));
            let _ = read_login(body.to_vec(), NOW);
            let _ = read_refresh(body.to_vec(), &Secret::new("last".to_owned()), NOW);
        }
        Endpoint::Keys => drop(Jwks::parse(body)),
    }
}
