//! Bad servers, bad networks and bad input: the bot stops when it is told to,
//! and otherwise never.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::faults::Fault;
use crate::support::monitor::DEADLINE;
use crate::support::person::text_message;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, MALLORY, OFF, ON, ROOM, World};

/// Less than anything takes that it could wait for.
const PROMPT: Duration = Duration::from_secs(5);

/// Sends a signal and proves that the bot ends at once and in good order.
fn ends_at_once(world: &mut World, signal: &str) {
    let told = Instant::now();
    world.bot().signal(signal);
    let status = world.bot().wait_exit(DEADLINE);
    let took = told.elapsed();
    assert_eq!(status.code(), Some(0));
    assert!(took < PROMPT, "it took {took:?}");
}

#[test]
fn sigterm_and_sigint_end_a_waiting_bot() {
    for signal in ["TERM", "INT"] {
        ends_at_once(&mut World::encrypted(), signal);
    }
}

#[test]
fn sigterm_ends_a_bot_whose_login_hangs() {
    let mut world = World::new();
    world.hs.fault("POST /login", 1, Fault::Hang);
    world.spawn();
    world.hs.wait_requests("POST /login", 1);
    ends_at_once(&mut world, "TERM");
}

#[test]
fn sigterm_ends_a_bot_whose_sync_hangs() {
    let mut world = World::encrypted();
    let seen = world.hs.requests("/sync").len();
    world.hs.fault("/sync", usize::MAX, Fault::Hang);
    world.hs.nudge();
    world.hs.wait("a sync that hangs", |state| {
        (state.requests("/sync").len() > seen).then_some(())
    });
    ends_at_once(&mut world, "TERM");
}

#[test]
fn sigterm_ends_a_bot_whose_scaling_hangs() {
    let mut world = World::encrypted();
    world.api.fault("PATCH /", 1, Fault::Hang);
    world.say("start");
    world.api.wait("the PATCH", |state| {
        state
            .calls
            .iter()
            .any(|call| call.method == "PATCH" && !call.is_dry_run())
            .then_some(())
    });
    ends_at_once(&mut world, "TERM");
    world.api.clear_faults();
    world.start();
    assert_eq!(world.next_body(), ON, "it is done after the restart");
}

#[test]
fn sigterm_ends_a_bot_whose_reply_hangs_and_the_reply_comes_later() {
    let mut world = World::encrypted();
    world.hs.fault("PUT /send/", 1, Fault::Hang);
    world.say("start");
    world.hs.wait_requests("PUT /send/", 1);
    ends_at_once(&mut world, "TERM");
    world.hs.clear_faults();
    world.start();
    assert_eq!(world.next_body(), ON);
    world.say("status");
    assert_eq!(world.wait_for_status(), Vec::<String>::new());
}

#[test]
fn sigterm_ends_a_bot_that_waits_to_try_again() {
    let mut world = Scenario::encrypted().pace(5).start();
    world.hs.fault("/sync", usize::MAX, Fault::Cut);
    world.hs.cut_all();
    world.hs.wait_next_sync();
    ends_at_once(&mut world, "TERM");
}

/// The homeserver answers a sync so, once more than the connections it cuts; then all is
/// well.
fn recovers_from(fault: Fault) {
    recovers(Scenario::encrypted().pace(5).start(), fault);
}

fn recovers(mut world: World, fault: Fault) {
    world.hs.fault("/sync", 1, fault);
    world.hs.cut_all();
    assert_eq!(world.ask("start"), ON);
    assert!(world.bot().is_running());
    assert_eq!(world.hs.requests("POST /login").len(), 1);
}

#[test]
fn a_sync_that_fails_is_tried_again() {
    recovers_from(Fault::matrix(500, "M_UNKNOWN"));
}

#[test]
fn a_sync_answered_by_a_proxy_is_tried_again() {
    recovers_from(Fault::html(502));
}

#[test]
fn a_sync_with_a_page_instead_of_json_is_tried_again() {
    recovers_from(Fault::html(200));
}

#[test]
fn a_sync_that_is_no_http_is_tried_again() {
    recovers_from(Fault::Raw(b"\x16\x03\x01 not http at all\r\n\r\n".to_vec()));
}

#[test]
fn a_sync_cut_in_the_middle_of_its_body_is_tried_again() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{\"next_batch\":\"s9";
    recovers_from(Fault::Raw(half.to_vec()));
}

#[test]
fn a_sync_that_is_cut_is_tried_again() {
    // The waits are 2 s and 4 s.
    recovers(World::encrypted(), Fault::Cut);
}

/// A 401 that is no `M_UNKNOWN_TOKEN` logs nobody out.
#[test]
fn a_proxys_401_is_not_the_end_of_the_session() {
    recovers_from(Fault::html(401));
}

#[test]
fn a_rate_limited_sync_is_tried_again() {
    recovers_from(Fault::limited(1));
}

#[test]
fn a_query_that_fails_is_tried_again() {
    let mut world = Scenario::encrypted()
        .pace(5)
        .fault("POST /keys/query", 2, Fault::html(503))
        .start();
    assert_eq!(world.ask("start"), ON);
}

#[test]
fn a_claim_that_fails_is_tried_again() {
    let mut world = Scenario::encrypted()
        .user("@bob:test", |user| user.device("BOBPHONE"))
        .member("@bob:test")
        .pace(5)
        .build();
    let mut bob = world.take("@bob:test");
    world
        .hs
        .fault("POST /keys/claim", 1, Fault::matrix(500, "M_UNKNOWN"));
    world.start();
    assert_eq!(world.ask("start"), ON);
    assert_eq!(bob.read(ROOM, BOT)[0].body.as_deref(), Some(ON));
}

#[test]
fn members_that_cannot_be_read_are_asked_for_again() {
    let mut world = Scenario::encrypted()
        .pace(5)
        .fault("GET /members", 1, Fault::html(500))
        .start();
    assert_eq!(world.ask("start"), ON);
}

#[test]
fn a_homeserver_that_is_not_there_yet_is_waited_for() {
    let mut world = Scenario::encrypted()
        .pace(5)
        .fault("/_matrix/", 2, Fault::html(503))
        .start();
    assert_eq!(world.ask("start"), ON);
}

/// A reply that the server refuses for good must not block the ones after it.
#[test]
fn a_reply_refused_for_good_does_not_block_the_next() {
    let mut world = World::encrypted();
    world
        .hs
        .fault("PUT /send/", 1, Fault::matrix(403, "M_FORBIDDEN"));
    world.say("start");
    world.hs.wait_requests("PUT /send/", 1);
    world.say("stop");
    loop {
        if world.next_body() == OFF {
            break;
        }
    }
    assert_eq!(world.api.scaled_to(), [1, 0]);
}

/// A scaling that hangs ends in a sentence or a success, never in silence.
#[test]
fn an_api_server_that_cuts_the_answer_is_asked_again_or_told() {
    let mut world = World::encrypted();
    world.api.fault("PATCH /", 1, Fault::CutAfter);
    world.say("start");
    let answer = world.next_body();
    assert!(!answer.is_empty() && !answer.contains('{'), "{answer}");
}

#[test]
fn malformed_to_device_events_stop_nothing() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    let curve = world.hs.with(|state| {
        let keys = state.only_device(BOT).unwrap().1.keys.clone().unwrap();
        keys["keys"][format!("curve25519:{device}")]
            .as_str()
            .unwrap()
            .to_owned()
    });
    let olm = |message: Value| {
        json!({"type": "m.room.encrypted", "sender": ALICE, "content": {
            "algorithm": "m.olm.v1.curve25519-aes-sha2", "sender_key": "A".repeat(43),
            "ciphertext": {&curve: message},
        }})
    };
    let rubbish = [
        json!({}),
        json!([]),
        json!(null),
        json!({"type": 5, "sender": [], "content": "x"}),
        json!({"type": "m.room.encrypted", "sender": ALICE, "content": {}}),
        json!({"type": "m.room.encrypted", "sender": ALICE, "content": {"algorithm": "m.olm.v1.curve25519-aes-sha2"}}),
        json!({"type": "m.room.encrypted", "sender": "not a user", "content": {"algorithm": []}}),
        json!({"type": "m.room_key_request", "sender": ALICE, "content": {"action": 5}}),
        json!({"type": "m.key.verification.request", "sender": ALICE, "content": {}}),
        olm(json!({"type": 0, "body": ""})),
        olm(json!({"type": 1, "body": "AwoAEgA"})),
        olm(json!({"type": 2, "body": "AAAA"})),
        olm(json!({"type": -1, "body": "AAAA"})),
        olm(json!({"type": 0, "body": "%%%"})),
        olm(json!({"type": 0, "body": "A".repeat(70_000)})),
        olm(json!("x")),
    ];
    for event in rubbish {
        world.hs.to_device(BOT, &device, event);
    }
    assert_eq!(world.ask("start"), ON);
}

#[test]
fn malformed_room_events_do_not_stop_other_rooms_or_the_same() {
    let mut world = World::new();
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world
        .hs
        .add_room("!junk:test", &[ALICE, BOT, MALLORY], true);
    world.start();
    let mut deep = json!("deep");
    for _ in 0..400 {
        deep = json!([deep]);
    }
    let encrypted =
        |content: Value| json!({"type": "m.room.encrypted", "sender": ALICE, "content": content});
    let rubbish = [
        json!({}),
        json!({"type": "m.room.message", "sender": ALICE, "content": {"msgtype": "m.text", "body": {"a": []}}}),
        json!({"type": "m.room.message", "sender": 5, "content": "x"}),
        json!({"type": "m.room.message", "sender": MALLORY, "content": {"msgtype": "m.text", "body": deep}}),
        json!({"type": "m.room.message", "sender": ALICE, "content": text_message(&"x".repeat(60_000))}),
        json!({"type": "m.room.member", "sender": "x", "state_key": "not a user", "content": {"membership": 5}}),
        json!({"type": "m.room.encryption", "sender": MALLORY, "state_key": "x", "content": {"algorithm": []}}),
        json!({"type": "m.room.message", "sender": ALICE, "content": text_message("start"), "event_id": 5}),
        json!({"type": "m.room.message", "sender": ALICE, "content": text_message("start"), "origin_server_ts": "x"}),
        encrypted(json!({})),
        encrypted(json!({"algorithm": "m.megolm.v1.aes-sha2"})),
        encrypted(json!({"algorithm": "m.megolm.v1.aes-sha2", "session_id": "", "ciphertext": ""})),
        encrypted(json!({"algorithm": "m.megolm.v1.aes-sha2", "session_id": 5, "ciphertext": {}})),
        encrypted(
            json!({"algorithm": "m.megolm.v1.aes-sha2", "session_id": "x", "ciphertext": "A".repeat(60_000)}),
        ),
        encrypted(json!({"algorithm": "x".repeat(1000), "session_id": "x", "ciphertext": "AwgA"})),
    ];
    for event in rubbish {
        for room in ["!junk:test", ROOM] {
            world.hs.event(room, event.clone());
        }
    }
    assert_eq!(
        {
            world.say("stop");
            loop {
                if world.next().body.as_deref() == Some(OFF) {
                    break OFF;
                }
            }
        },
        OFF
    );
    assert_eq!(world.api.scaled_to(), [0]);
}

#[test]
fn malformed_parts_of_a_sync_stop_nothing() {
    let mut world = World::encrypted();
    let mut spoils: Vec<fn(&mut Value)> = vec![
        |body| body["to_device"] = json!(5),
        |body| body["device_lists"] = json!({"changed": "x"}),
        |body| body["device_one_time_keys_count"] = json!({"signed_curve25519": -3}),
        |body| body["rooms"] = json!([]),
        |body| drop(body.as_object_mut().unwrap().remove("next_batch")),
    ];
    world.hs.rewrite("/sync", move |body| {
        if let Some(spoil) = spoils.pop() {
            spoil(body);
        }
    });
    world.hs.nudge();
    // The sync that brings the command may itself be one of the spoilt ones, so
    // only what comes after them counts.
    for _ in 0..6 {
        world.hs.wait_next_sync();
    }
    world.hs.clear_rewrites();
    assert_eq!(world.ask("start"), ON);
}

/// A flood of to-device events is taken in portions, and nothing after it is lost.
#[test]
fn a_flood_of_to_device_events_is_survived() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    let junk =
        json!({"type": "org.example.junk", "sender": MALLORY, "content": {"x": "y".repeat(500)}});
    world.hs.with(|state| {
        for _ in 0..1000 {
            state.queue(BOT, &device, junk.clone());
        }
    });
    world.hs.wait("the queue to be empty", |state| {
        let (_, device) = state.only_device(BOT)?;
        device.to_device.is_empty().then_some(())
    });
    assert_eq!(world.ask("start"), ON);
}

/// A device list of rubbish for one member does not keep the others from reading.
#[test]
fn malformed_device_keys_of_one_member_stop_nothing() {
    let mut world = World::new();
    world.hs.add_room(ROOM, &[ALICE, BOT, MALLORY], true);
    world.hs.rewrite("/keys/query", |body| {
        body["device_keys"][MALLORY] = json!({
            "A": {}, "B": [], "C": null, "D": {"user_id": 5, "keys": "x"},
            "E": {"user_id": MALLORY, "device_id": "E", "algorithms": [], "keys": {"curve25519:E": "?", "ed25519:E": "?"}, "signatures": {MALLORY: {"ed25519:E": "?"}}},
        });
        body["master_keys"][MALLORY] = json!({"keys": 5});
    });
    world.start();
    assert_eq!(world.ask("start"), ON);
}

#[test]
fn a_claim_answered_with_rubbish_stops_nothing() {
    for rubbish in [
        json!({}),
        json!({"one_time_keys": {"@bob:test": {"BOBPHONE": {"signed_curve25519:X": 5}}}}),
        json!({"one_time_keys": {"@bob:test": []}}),
    ] {
        let mut world = World::new();
        world.person("@bob:test", "BOBPHONE");
        world.hs.add_room(ROOM, &[ALICE, BOT, "@bob:test"], true);
        let once = rubbish.clone();
        world
            .hs
            .rewrite("/keys/claim", move |body| *body = once.clone());
        world.start();
        assert_eq!(world.ask("start"), ON, "{rubbish}");
    }
}
