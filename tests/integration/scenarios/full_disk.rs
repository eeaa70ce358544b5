//! A volume without room: nothing is done that could not be written down, the
//! log names the cure, and with room again the bot goes on.
//!
//! The kernel refuses every write of the process to a file (`RLIMIT_FSIZE` 0,
//! its signal ignored), which any user may ask it to.

use std::process::Command;
use std::time::Duration;

use crate::support::bot::Bot;
use crate::support::evidence;
use crate::support::faults::Fault;
use crate::support::monitor::poll;
use crate::support::world::{ALICE, BOT, OFF, ON, ROOM, World};

/// The words of the log, once for each attempt.
const CURE: &str = "make room on the volume of CRYPTO_STORE_PATH";

/// The bot where writing too much is an error and not a deadly signal.
pub fn limited(before: &str) -> Command {
    let program = Bot::program();
    let mut command = Command::new("/bin/sh");
    let script = format!("trap '' XFSZ; {before} exec \"$0\"");
    command.args(["-c", &script]).arg(program.get_program());
    command
}

fn encrypted() -> World {
    let mut world = World::new();
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.spawn_as(limited(""));
    world.wait_listening();
    world
}

pub fn set_limit(world: &mut World, limit: &str) {
    let id = world.bot().id().to_string();
    let status = Command::new("prlimit")
        .args(["--pid", &id, &format!("--fsize={limit}:")])
        .status()
        .expect("prlimit of util-linux is there");
    assert!(status.success(), "prlimit");
}

fn complaints(world: &mut World) -> usize {
    let log = world.bot().log();
    let lines = log.lines().filter(|line| line.contains(" ERROR "));
    lines.filter(|line| line.contains(CURE)).count()
}

fn wait_complaints(world: &mut World, count: usize) {
    poll(&format!("{count} complaints"), || {
        (complaints(world) >= count).then_some(())
    });
}

#[test]
fn a_command_that_cannot_be_written_down_is_not_run_until_it_can() {
    let mut world = encrypted();
    assert_eq!(world.ask("start"), ON);
    world.settle();
    set_limit(&mut world, "0");
    world.say("stop");
    wait_complaints(&mut world, 1);
    assert_eq!(world.api.scaled_to(), [1]);
    assert_eq!(world.said(ROOM), 1);
    set_limit(&mut world, "unlimited");
    assert_eq!(world.next_body(), OFF);
    assert_eq!(world.api.scaled_to(), [1, 0]);
    world.say("status");
    assert_eq!(world.wait_for_status(), Vec::<String>::new());
    world.hs.with(|state| evidence::check(state));
}

/// The answer waits in memory: without it the command would be run again and
/// again, and undo what people do meanwhile by other means.
#[test]
fn a_command_whose_answer_cannot_be_written_down_is_run_once() {
    let mut world = encrypted();
    world.settle();
    let delay = Fault::Delay(Duration::from_millis(500));
    world.api.fault("PATCH /", 1, delay);
    world.say("start");
    world.api.wait("the PATCH", |state| {
        let real =
            |call: &crate::support::apiserver::Call| call.method == "PATCH" && !call.is_dry_run();
        state.calls.iter().any(real).then_some(())
    });
    set_limit(&mut world, "0");
    wait_complaints(&mut world, 2);
    assert_eq!(world.said(ROOM), 0);
    set_limit(&mut world, "unlimited");
    assert_eq!(world.next_body(), ON);
    assert_eq!(world.api.scaled_to(), [1]);
    world.hs.with(|state| evidence::check(state));
}

/// A command that was journalled before is done after a restart.
#[test]
fn a_restart_on_a_full_disk_ends_and_one_with_room_goes_on() {
    let mut world = encrypted();
    assert_eq!(world.ask("start"), ON);
    world.settle();
    set_limit(&mut world, "0");
    world.say("stop");
    wait_complaints(&mut world, 1);
    world.bot().kill();
    let status = world
        .spawn_as(limited("ulimit -S -f 0;"))
        .wait_exit(Duration::from_secs(5));
    assert_eq!(status.code(), Some(1));
    assert!(world.bot().log().contains(CURE), "{}", world.bot().log());
    world.start();
    assert_eq!(world.next_body(), OFF);
    assert_eq!(world.api.scaled_to(), [1, 0]);
    world.hs.with(|state| evidence::check(state));
}

#[test]
fn a_first_start_on_a_full_disk_names_the_cure() {
    let mut world = World::new();
    let status = world
        .spawn_as(limited("ulimit -S -f 0;"))
        .wait_exit(Duration::from_secs(5));
    assert_eq!(status.code(), Some(1));
    assert!(world.bot().log().contains(CURE), "{}", world.bot().log());
    assert!(world.hs.requests("/").is_empty(), "nothing was sent");
}
