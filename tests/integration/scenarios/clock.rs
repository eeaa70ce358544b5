//! A clock that jumps by a year, as a machine without a battery has it: what
//! people ask for is done all the same, and nothing goes round in circles. When it
//! jumps forward a year may have passed, in which each client has replaced its
//! keys: one that has not is told to.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::evidence;
use crate::support::faults::Fault;
use crate::support::monitor::DEADLINE;
use crate::support::scenario::Scenario;
use crate::support::world::{BOT, OFF, ON, ROOM, UNREADABLE, World};

const YEAR_MS: i64 = 365 * 24 * 3600 * 1000;

/// The time for which an idle bot is watched.
const WINDOW: Duration = Duration::from_millis(300);

/// Alice and the bot, whose clock can be moved.
struct Moved {
    world: World,
}

impl Moved {
    fn new() -> Self {
        let world = Scenario::encrypted().movable_clock().start();
        Self { world }
    }

    fn jump(&self, offset: i64) {
        self.world.jump(offset);
    }

    /// Alice goes on with a key that should be a year old, and is told to replace it.
    fn replaces_her_key(&mut self) {
        let answer = self.world.ask("start");
        assert!(answer.contains("should have replaced by now"), "{answer}");
        self.world.alice.rotate(ROOM);
    }

    fn idle(&self) {
        self.world.hs.wait_idle(BOT, || 0);
    }

    /// The Megolm sessions of the bot so far.
    fn sessions(&self) -> usize {
        let sent = self.world.hs.requests("PUT /send/m.room.encrypted");
        let ids = sent.iter().map(|sent| sent.body["session_id"].to_string());
        ids.collect::<BTreeSet<String>>().len()
    }
}

#[test]
fn commands_are_answered_and_sessions_rotate_once_whatever_the_clock_does() {
    let mut moved = Moved::new();
    assert_eq!(moved.world.ask("start"), ON);
    let mut wanted = vec![1];
    for (jumps, offset) in [YEAR_MS, 0, -YEAR_MS, YEAR_MS].into_iter().enumerate() {
        moved.idle();
        moved.jump(offset);
        if offset == YEAR_MS {
            moved.replaces_her_key();
        }
        for (command, answer, replicas) in [("stop", OFF, 0), ("start", ON, 1)] {
            assert_eq!(moved.world.ask(command), answer, "at {offset} ms");
            wanted.push(replicas);
        }
        assert_eq!(moved.sessions(), jumps + 2, "a session for each jump");
        moved.idle();
        let before = moved.world.hs.with(|state| state.log.len());
        std::thread::sleep(WINDOW);
        let after = moved.world.hs.with(|state| state.log.len());
        assert_eq!(after, before, "requests of an idle bot at {offset} ms");
    }
    let requests = moved.world.hs.with(|state| state.log.len());
    assert!(requests < 100, "{requests} requests for nine commands");
    assert_eq!(moved.world.api.scaled_to(), wanted);
    moved.world.hs.with(|state| evidence::check(state));
}

#[test]
fn a_clock_that_jumps_while_the_bot_is_away_changes_nothing() {
    let mut moved = Moved::new();
    assert_eq!(moved.world.ask("start"), ON);
    for offset in [YEAR_MS, -YEAR_MS] {
        moved.world.bot().kill();
        moved.jump(offset);
        moved.world.alice.rotate(ROOM);
        moved.world.say("stop");
        moved.world.start();
        assert_eq!(moved.world.next_body(), OFF, "at {offset} ms");
    }
    assert_eq!(moved.world.api.scaled_to(), [1, 0, 0]);
    moved.world.hs.with(|state| evidence::check(state));
}

/// The sync that could wake the bot takes half a minute: it must wake by itself.
#[test]
fn a_message_without_a_key_is_given_up_in_time_whatever_the_clock_does() {
    std::thread::scope(|scope| {
        for offset in [YEAR_MS, -YEAR_MS] {
            scope.spawn(move || given_up_in_time(offset));
        }
    });
}

fn given_up_in_time(offset: i64) {
    let mut moved = Moved::new();
    let device = moved.world.bot_device();
    moved.world.alice.mark_shared(ROOM, (BOT, &device));
    moved.world.say("start");
    moved.world.bot().wait_log("waits (NoKey)");
    moved.idle();
    let jumped = Instant::now();
    moved.jump(offset);
    let body = moved.world.next_body();
    assert!(body.starts_with(UNREADABLE), "{body}");
    let took = jumped.elapsed();
    assert!(took < DEADLINE, "{took:?} at {offset} ms");
    assert_eq!(moved.world.api.scaled_to(), Vec::<i64>::new());
}

/// Nor does it take an answer of the homeserver's, or the run that began to wait.
#[test]
fn a_message_without_a_key_is_given_up_after_a_restart_without_a_homeserver() {
    let mut moved = Moved::new();
    let device = moved.world.bot_device();
    moved.world.alice.mark_shared(ROOM, (BOT, &device));
    moved.world.say("start");
    moved.world.bot().wait_log("waits (NoKey)");
    moved.idle();
    moved.world.bot().kill();
    moved.jump(-YEAR_MS);
    moved.world.hs.fault("/_matrix/", usize::MAX, Fault::Hang);
    moved.world.spawn().wait_log("cannot be decrypted");
}
