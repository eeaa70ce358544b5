//! The messages that a gap in a timeline left out are read back: nobody's chat
//! makes a command vanish, and nothing a server does with the gap holds commands up
//! for long.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::faults::Fault;
use crate::support::person::text_message;
use crate::support::rooms::now_ms;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, MALLORY, OFF, ON, ROOM, World};

const MESSAGES: &str = "GET /messages";

/// More lines than a sync carries of one room.
const FLOOD: usize = 60;

/// The bot's sentence for a gap that it could not read to its end.
const MISSED: &str = "Some messages in this room did not reach me, so I did not run what they may \
    have asked for: please send your command again if I have not answered it.";

/// A stranger's flood costs a command at most this.
const AT_MOST: Duration = Duration::from_secs(10);

fn with_mallory(encrypted: bool) -> World {
    let mut world = World::new();
    world.hs.add_room(ROOM, &[ALICE, BOT, MALLORY], encrypted);
    world.start();
    world
}

/// Nothing but chat of somebody who commands nothing.
fn flood(world: &World, room: &str) {
    for line in 0..FLOOD {
        let text = text_message(&format!("line {line}"));
        world.hs.message(room, MALLORY, text);
    }
}

/// Alice says something that is no command and is not answered.
fn notices(world: &World, count: usize) {
    for number in 0..count {
        let content = json!({"msgtype": "m.notice", "body": number.to_string()});
        world.hs.message(ROOM, ALICE, content);
    }
}

fn say(world: &mut World, encrypted: bool, text: &str) {
    if encrypted {
        world.say(text);
    } else {
        world.say_plain(text);
    }
}

/// The bodies of the bot's next messages.
fn next_bodies(world: &mut World, count: usize) -> Vec<String> {
    (0..count).map(|_| world.next_body()).collect()
}

#[test]
fn a_command_before_a_flood_of_a_stranger_is_run() {
    for encrypted in [true, false] {
        let mut world = with_mallory(encrypted);
        let hs = world.hs.clone();
        hs.at_once(|| {
            say(&mut world, encrypted, "start");
            flood(&world, ROOM);
        });
        assert_eq!(world.next_body(), ON);
        assert_eq!(world.api.scaled_to(), [1]);
        let asked = &world.hs.requests(MESSAGES)[0];
        assert!(asked.query("from").is_some() && asked.query("to").is_some());
        let filter: Value = serde_json::from_str(&asked.query("filter").unwrap()).unwrap();
        assert_eq!(filter["senders"], json!([ALICE, BOT]));
    }
}

/// The messages in the gap were said before those of the timeline.
#[test]
fn commands_in_a_gap_are_run_before_those_behind_it() {
    let mut world = with_mallory(true);
    let hs = world.hs.clone();
    hs.at_once(|| {
        world.say("start");
        // Enough for more than one page.
        notices(&world, 40);
        world.say("stop");
        flood(&world, ROOM);
        world.say("start");
    });
    assert_eq!(next_bodies(&mut world, 3), [ON, OFF, ON]);
    assert_eq!(world.api.scaled_to(), [1, 0, 1]);
    assert!(world.hs.requests(MESSAGES).len() > 1, "one page holds less");
}

/// An event that a page repeats from the timeline, or another page, counts once,
/// and nobody who is not allowed is read from a gap, whatever the server sends.
#[test]
fn what_a_gap_shows_twice_or_of_others_is_not_run() {
    let mut world = with_mallory(false);
    let stranger = json!({
        "type": "m.room.message", "sender": MALLORY, "event_id": "$stranger:test",
        "origin_server_ts": now_ms(), "content": text_message("stop"),
    });
    let hs = world.hs.clone();
    let twice = "$twice:test";
    hs.rewrite(MESSAGES, move |body| {
        let chunk = body["chunk"].as_array_mut().unwrap();
        let again = json!({
            "type": "m.room.message", "sender": ALICE, "event_id": twice,
            "origin_server_ts": now_ms(), "content": text_message("start"),
        });
        let older = chunk.clone();
        chunk.insert(0, again);
        chunk.insert(0, stranger.clone());
        chunk.extend(older);
    });
    hs.at_once(|| {
        world.say_plain("stop");
        flood(&world, ROOM);
        let event = json!({
            "type": "m.room.message", "sender": ALICE, "event_id": twice,
            "content": text_message("start"),
        });
        world.hs.event(ROOM, event);
    });
    assert_eq!(next_bodies(&mut world, 2), [OFF, ON]);
    assert_eq!(world.ask_plain("stop"), OFF);
    assert_eq!(world.api.scaled_to(), [0, 1, 0]);
}

/// The newest command that is too old is told so; what lies before it is history.
#[test]
fn of_the_commands_that_are_too_old_the_newest_is_told_so() {
    let mut world = with_mallory(false);
    let hs = world.hs.clone();
    hs.at_once(|| {
        for (command, minutes) in [("start", 9), ("stop", 8), ("start", 0)] {
            let event = json!({
                "type": "m.room.message", "sender": ALICE, "content": text_message(command),
                "origin_server_ts": now_ms() - minutes * 60_000,
            });
            world.hs.event(ROOM, event);
        }
        flood(&world, ROOM);
    });
    let late = world.next_body();
    assert!(
        late.starts_with("Your command \"stop\" reached me 8 min late"),
        "{late}"
    );
    assert_eq!(world.next_body(), ON);
    assert_eq!(world.ask_plain("stop"), OFF);
    assert_eq!(world.api.scaled_to(), [1, 0]);
}

/// A gap is not read without end: what lies too far back is told in one sentence.
#[test]
fn what_lies_beyond_the_bounds_of_a_gap_is_told_in_one_sentence() {
    let mut world = with_mallory(false);
    let hs = world.hs.clone();
    hs.at_once(|| {
        world.say_plain("start");
        notices(&world, 250);
        world.say_plain("status");
        flood(&world, ROOM);
    });
    let mut told = next_bodies(&mut world, 2);
    told.sort();
    assert!(told[0].starts_with("Deployment is"), "{told:?}");
    assert_eq!(told[1], MISSED);
    assert_eq!(world.ask_plain("stop"), OFF);
    assert_eq!(world.api.scaled_to(), [0]);
    assert!(world.hs.requests(MESSAGES).len() < 20);
}

/// A page without end, or one that leads to itself, is no reason to ask for ever.
#[test]
fn pages_that_lead_nowhere_come_to_an_end() {
    let mut world = with_mallory(false);
    let hs = world.hs.clone();
    hs.rewrite(MESSAGES, |body| {
        body["end"] = json!("p1000000");
        let chunk = body["chunk"].as_array_mut().unwrap();
        chunk.push(json!({
            "type": "m.room.message", "sender": MALLORY, "event_id": "$x:test",
            "origin_server_ts": now_ms(), "content": text_message("x"),
        }));
    });
    hs.at_once(|| {
        world.say_plain("start");
        flood(&world, ROOM);
    });
    assert_eq!(next_bodies(&mut world, 2), [MISSED, ON]);
    assert!(world.hs.requests(MESSAGES).len() < 20);
}

/// The server refuses to show the gap: what the timeline shows is not held up.
#[test]
fn a_gap_that_may_not_be_read_is_told_at_once() {
    let mut world = with_mallory(true);
    let hs = world.hs.clone();
    hs.fault(MESSAGES, 9, Fault::matrix(403, "M_FORBIDDEN"));
    let began = Instant::now();
    hs.at_once(|| {
        world.say("stop");
        flood(&world, ROOM);
        world.say("start");
    });
    assert_eq!(next_bodies(&mut world, 2), [MISSED, ON]);
    assert_eq!(world.api.scaled_to(), [1]);
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "it is not waited for"
    );
}

/// A server that does not answer, gaps in every sync and in two rooms at once,
/// and a key that comes late: a command waits a few seconds, not for ever.
#[test]
fn whatever_becomes_of_the_gaps_a_command_is_soon_run() {
    const OTHER: &str = "!other:test";
    let mut world = Scenario::encrypted()
        .member(MALLORY)
        .room(OTHER, |room| room.member(ALICE).member(MALLORY))
        .start();
    let hs = world.hs.clone();
    hs.fault(MESSAGES, usize::MAX, Fault::Hang);
    let device = world.bot_device();
    let key = world.alice.room_key(ROOM);
    let payload = world.alice.payload((BOT, &device), "m.room_key", &key);
    let mut key = Some(world.alice.olm((BOT, &device), &payload));
    let began = Instant::now();
    hs.at_once(|| {
        let content = world.alice.encrypt(ROOM, &text_message("start"));
        flood(&world, ROOM);
        flood(&world, OTHER);
        world.alice.post(ROOM, content);
    });
    hs.wait_requests(MESSAGES, 2);
    let mut said = Vec::new();
    while said.len() < 2 {
        hs.at_once(|| {
            flood(&world, ROOM);
            flood(&world, OTHER);
        });
        if began.elapsed() > Duration::from_secs(1)
            && let Some(key) = key.take()
        {
            let to = (BOT, &*device);
            world.alice.deliver(to, "m.room.encrypted", key);
        }
        std::thread::sleep(Duration::from_millis(300));
        said = world.unread().into_iter().flatten().collect();
        assert!(began.elapsed() < AT_MOST, "still waiting: {said:?}");
    }
    said.sort();
    assert_eq!(said[..2], [ON, MISSED]);
    assert_eq!(world.api.scaled_to(), [1]);
}

/// The process dies between a gap and its page: the gap is read after the start.
#[test]
fn a_gap_is_read_after_a_restart() {
    let mut world = with_mallory(true);
    let hs = world.hs.clone();
    hs.fault(MESSAGES, usize::MAX, Fault::Hang);
    hs.at_once(|| {
        world.say("start");
        flood(&world, ROOM);
        world.say("stop");
    });
    hs.wait_requests(MESSAGES, 1);
    hs.clear_faults();
    world.crash_and_restart();
    assert_eq!(next_bodies(&mut world, 2), [ON, OFF]);
    assert_eq!(world.api.scaled_to(), [1, 0]);
}

/// The bot was away while the room was flooded.
#[test]
fn a_command_given_while_the_bot_was_away_is_run_in_spite_of_a_flood() {
    let mut world = with_mallory(true);
    world.bot().kill();
    world.say("start");
    flood(&world, ROOM);
    world.start();
    assert_eq!(world.next_body(), ON);
    assert_eq!(world.api.scaled_to(), [1]);
}

/// Words that were said before the bot came are history, in a gap as elsewhere:
/// also if the server shows more of the past than it was asked for.
#[test]
fn a_gap_does_not_reach_behind_the_bots_own_join() {
    let mut world = Scenario::new()
        .room(ROOM, |room| {
            room.member(ALICE).member(MALLORY).without_bot()
        })
        .start();
    world.say_plain("start");
    world.hs.invite(ROOM, ALICE, BOT);
    world.wait_joined(ROOM);
    let status = world.ask_plain("status");
    assert!(status.starts_with("Deployment is"), "{status}");
    let hs = world.hs.clone();
    let everything: Vec<Value> = hs.with(|state| {
        let events = state.rooms[ROOM].events.iter().rev();
        events.map(|event| event.json.clone()).collect()
    });
    hs.rewrite(MESSAGES, move |body| body["chunk"] = json!(everything));
    hs.at_once(|| flood(&world, ROOM));
    hs.wait_requests(MESSAGES, 1);
    world.assert_nothing_done_plain();
}
