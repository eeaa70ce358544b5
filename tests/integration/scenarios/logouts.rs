//! The homeserver ends the session, or slows the bot down, in the middle of a
//! command: at each request that a command causes.

use crate::support::evidence;
use crate::support::faults::Fault;
use crate::support::person::{Person, text_message};
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, OFF, ON, ROOM, UNREADABLE, World};

const BOB: &str = "@bob:test";

/// The requests that the first command in a room makes to the homeserver.
const REQUESTS: [&str; 6] = [
    "GET /sync",
    "POST /keys/upload",
    "POST /keys/query",
    "POST /keys/claim",
    "PUT /sendToDevice/m.room.encrypted",
    "PUT /send/m.room.encrypted",
];

/// Runs a scenario for each request, side by side: they mostly wait.
fn at_each_request(scenario: impl Fn(&str) + Sync) {
    std::thread::scope(|scope| {
        for request in REQUESTS {
            let scenario = &scenario;
            scope.spawn(move || scenario(request));
        }
    });
}

/// Alice, Bob and a bot that has not said anything yet.
fn begin() -> (World, Person) {
    let mut world = Scenario::encrypted()
        .user(BOB, |user| user.device("BOBPHONE"))
        .member(BOB)
        .pace(5)
        .start();
    let bob = world.take(BOB);
    world.settle();
    (world, bob)
}

/// Alice says "start" while her device list changes and a one-time key of the
/// bot is taken: each of [`REQUESTS`] will be made.
fn start(world: &mut World) {
    let (hs, device) = (world.hs.clone(), world.bot_device());
    hs.at_once(|| {
        hs.with(|state| state.claim(BOT, &device));
        hs.device_changed(ALICE);
        world.say("start");
    });
}

/// "start" was answered once, and so is what comes after it.
fn finish(world: &mut World, bob: &mut Person) {
    assert_eq!(world.next_body(), ON);
    assert_eq!(world.ask("stop"), OFF);
    world.say("status");
    assert_eq!(world.wait_for_status(), Vec::<String>::new());
    assert_eq!(world.api.scaled_to(), [1, 0], "each was done once");
    let bobs = bob.read(ROOM, BOT);
    assert!(bobs.iter().all(|seen| seen.body.is_some()), "{bobs:?}");
}

/// The session ends when this request comes in.
fn ended_at(request: &str, soft: Option<bool>) -> (World, Person) {
    let (mut world, bob) = begin();
    let before = world.hs.requests(request).len();
    world.hs.fault(request, 1, Fault::Hang);
    start(&mut world);
    world.hs.wait(request, |state| {
        let came = state.requests(request).len() > before;
        // The sync that is open now is not the one that brings the command.
        (came || request == "GET /sync").then_some(())
    });
    world.hs.revoke(BOT, soft);
    world.hs.clear_faults();
    world.hs.wait_requests("POST /login", 2);
    (world, bob)
}

/// Rule 35: the same device goes on; keys and commands on their way to it stay.
#[test]
fn a_soft_logout_in_the_middle_of_a_command_is_not_noticed() {
    at_each_request(|request| {
        let (mut world, mut bob) = ended_at(request, Some(true));
        finish(&mut world, &mut bob);
        world.hs.with(|state| evidence::check(state));
    });
}

/// Rules 35 and 36: a new device says what the old one owed.
#[test]
fn a_hard_logout_in_the_middle_of_a_command_loses_no_answer() {
    at_each_request(|request| {
        // A command that the device never saw is history to the next one.
        if request == "GET /sync" {
            return;
        }
        let soft = (request != "POST /keys/claim").then_some(false);
        let (mut world, mut bob) = ended_at(request, soft);
        world.wait_new_device();
        // While the query is under way (the upload is sent beside it) it is not yet
        // known whose device sent the command, and now its key is gone.
        if request == "POST /keys/query" || request == "POST /keys/upload" {
            let body = world.next_body();
            if body.starts_with(UNREADABLE) {
                world.say("start");
            } else {
                assert_eq!((request, body.as_str()), ("POST /keys/upload", ON));
                world.look_again();
            }
        }
        finish(&mut world, &mut bob);
        world.hs.with(|state| evidence::ratchets(state));
    });
}

/// Rule 33.
#[test]
fn a_rate_limit_in_the_middle_of_a_command_is_not_noticed() {
    at_each_request(|request| {
        let (mut world, mut bob) = begin();
        world.hs.fault(request, 1, Fault::limited(1));
        start(&mut world);
        finish(&mut world, &mut bob);
        world.hs.with(|state| {
            let limited = state.requests(request);
            assert!(limited.iter().any(|r| r.status == Some(429)), "{request}");
            evidence::check(state);
        });
    });
}

/// A gap in the room's timeline is none in the keys: the command after it, under
/// a key that came with it, is read, and so is the one in the gap, before it.
#[test]
fn a_limited_sync_loses_no_key() {
    let (mut world, mut bob) = begin();
    let hs = world.hs.clone();
    hs.at_once(|| {
        let alice = &mut world.alice;
        alice.share(ROOM);
        let content = alice.encrypt(ROOM, &text_message("status"));
        let event = serde_json::json!({
            "sender": ALICE, "type": "m.room.encrypted", "content": content,
        });
        hs.skipped_event(ROOM, event);
        alice.rotate(ROOM);
        world.say("start");
    });
    let status = world.next_body();
    assert!(status.starts_with("Deployment is"), "{status}");
    finish(&mut world, &mut bob);
    world.hs.with(|state| evidence::check(state));
}
