//! The reasons why the bot cannot read a message: its words, and its ways to help itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::person::{MEGOLM, text_message};
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, MALLORY, OFF, ON, ROOM, UNREADABLE, World};

/// As long as a message waits for its key.
const GRACE: Duration = Duration::from_secs(5);

/// A device's notice, with this code, about the session that Alice uses in the room.
fn withheld(world: &mut World, code: &str) -> Value {
    let session = world.alice.group(ROOM).session.session_id();
    json!({
        "algorithm": MEGOLM,
        "code": code,
        "reason": "<b>anything</b>",
        "room_id": ROOM,
        "session_id": session,
        "sender_key": world.alice.curve25519(),
    })
}

/// Alice says something without giving the bot the key.
fn say_without_key(world: &mut World, text: &str) {
    let content = world.alice.encrypt(ROOM, &text_message(text));
    world.alice.post(ROOM, content);
}

/// Waits until Alice's phone got an `m.dummy` of the bot on a new session.
fn wait_for_new_session(world: &mut World, claims_before: usize) {
    let claims = world
        .hs
        .wait_requests("POST /keys/claim", claims_before + 1);
    let asked = &claims[claims_before].body["one_time_keys"][ALICE];
    assert!(asked["ALICEPHONE"].is_string(), "{asked}");
    let is_dummy = |payload: &Value| payload["type"] == "m.dummy";
    while !world.alice.received.iter().any(is_dummy) {
        world.hs.wait("the m.dummy", |state| {
            let id = (ALICE.to_owned(), "ALICEPHONE".to_owned());
            (!state.devices[&id].to_device.is_empty()).then_some(())
        });
        world.alice.receive();
    }
    let at = world.alice.received.iter().position(is_dummy).unwrap();
    assert_eq!(world.alice.olm_types[at], 0, "a pre-key message");
}

/// The code that a commander's client gave (client-server API, "Reporting that
/// decryption keys are withheld") is told in a sentence, at once, as what it is: a
/// claim in clear. What is advised does no harm if the homeserver made it up, as
/// it does here. Nothing is done.
#[test]
fn each_withheld_code_is_told_at_once_by_its_sentence() {
    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    let device = world.bot_device();
    for (code, claim, cure) in [
        (
            "m.blacklisted",
            "my session is blocked in it",
            "See in your client whether that is so. Before you unblock me, compare the \
             fingerprint it shows for my session with the one in my answer to \"help\" or in my \
             log; block me where they differ.",
        ),
        (
            "m.unverified",
            "my session is not verified",
            "Compare the fingerprint it shows for my session with the one in my answer to \
             \"help\" or in my log, and verify me only if they are the same; then send it again.",
        ),
        (
            "m.unauthorised",
            "I may not have it",
            "Ask my operator whether I may read this room.",
        ),
        (
            "m.unavailable",
            "it has not got it itself",
            "Send your command again.",
        ),
        (
            "m.no_olm",
            "it found no secure way to my session",
            "I open a new one: send your command again.",
        ),
    ] {
        world.alice.rotate(ROOM);
        let content = withheld(&mut world, code);
        world
            .alice
            .deliver((BOT, &device), "m.room_key.withheld", content);
        let said = Instant::now();
        say_without_key(&mut world, "stop");
        assert_eq!(
            world.next_body(),
            format!(
                "I could not decrypt your message. A notice says that your client kept its key \
                 back ({code}: {claim}); it is not encrypted, so a server may have made it up. \
                 {cure}"
            )
        );
        assert!(said.elapsed() < GRACE, "{code} after {:?}", said.elapsed());
    }
    world.alice.rotate(ROOM);
    world.assert_scaled_only(&[1]);
}

/// The notice may come after the message that it is about.
#[test]
fn a_withheld_code_that_comes_late_is_told_at_once() {
    let mut world = World::encrypted();
    world.ask("status");
    let device = world.bot_device();
    world.alice.rotate(ROOM);
    let content = withheld(&mut world, "m.blacklisted");
    let said = Instant::now();
    say_without_key(&mut world, "start");
    world.hs.wait_next_sync();
    world
        .alice
        .deliver((BOT, &device), "m.room_key.withheld", content);
    assert!(world.next_body().contains("(m.blacklisted: "));
    assert!(said.elapsed() < GRACE, "after {:?}", said.elapsed());
    world.alice.rotate(ROOM);
    world.assert_nothing_done();
}

/// Rule 43: a code that nobody knows, and a code of somebody else than the
/// message's sender, say nothing; after a while the sender hears the general
/// sentence, and the bot opens a new Olm session with the device that the message
/// names (rule 15).
#[test]
fn without_a_good_reason_the_general_sentence_comes_and_a_new_olm_session() {
    let mut world = Scenario::encrypted()
        .user(MALLORY, |user| user.device("MALLORYS"))
        .member(MALLORY)
        .start();
    let mallory = world.take(MALLORY);
    assert_eq!(world.ask("start"), ON);
    let device = world.bot_device();
    world.settle();
    let claims = world.hs.requests("POST /keys/claim").len();
    let said = Instant::now();
    for (code, sender) in [("org.example.mood", ALICE), ("m.blacklisted", MALLORY)] {
        world.alice.rotate(ROOM);
        let mut content = withheld(&mut world, code);
        if sender == MALLORY {
            content["sender_key"] = json!(mallory.curve25519());
        }
        let event = json!({"type": "m.room_key.withheld", "sender": sender, "content": content});
        world.hs.to_device(BOT, &device, event);
        say_without_key(&mut world, "stop");
    }
    for _ in 0..2 {
        let body = world.next_body();
        assert!(body.starts_with(UNREADABLE), "{body}");
        assert!(!body.contains("m."), "{body}");
    }
    assert!(said.elapsed() >= GRACE, "after {:?}", said.elapsed());
    wait_for_new_session(&mut world, claims);
    world.hs.wait_next_sync();
    assert_eq!(
        world.hs.requests("POST /keys/claim").len(),
        claims + 1,
        "one session for both"
    );
    world.alice.rotate(ROOM);
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(world.api.scaled_to(), [1, 0]);
}

/// Rule 15: `m.no_olm` means that the other side could not reach the bot, so the
/// bot reaches out; for a commander only.
#[test]
fn no_olm_makes_the_bot_open_a_new_olm_session() {
    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    let device = world.bot_device();
    world.settle();
    let claims = world.hs.requests("POST /keys/claim").len();
    let content = json!({
        "algorithm": MEGOLM, "code": "m.no_olm", "sender_key": world.alice.curve25519(),
    });
    let forged = json!({
        "type": "m.room_key.withheld", "sender": MALLORY, "content": content,
    });
    world.hs.to_device(BOT, &device, forged);
    world.hs.wait_next_sync();
    assert_eq!(world.hs.requests("POST /keys/claim").len(), claims);
    for _ in 0..3 {
        world
            .alice
            .deliver((BOT, &device), "m.room_key.withheld", content.clone());
    }
    wait_for_new_session(&mut world, claims);
    world.hs.wait_next_sync();
    assert_eq!(
        world.hs.requests("POST /keys/claim").len(),
        claims + 1,
        "at most one an hour"
    );
    world.alice.rotate(ROOM);
    assert_eq!(world.ask("stop"), OFF);
}
