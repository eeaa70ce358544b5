//! The cost of many small things. These are no tests: `make bench` prints their
//! figures, and `make test` compares them with the budgets.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::process::{Watch, on_cpu};
use super::stage::Stage;
use super::to_device::rubbish_events;
use crate::support::homeserver::State;
use crate::support::person::Person;
use crate::support::world::BOT;

/// Rubbish in one sync.
const MESSAGES: usize = 10_000;

/// One-time keys that a stranger claims: more than the account keeps, which is 5,000.
const CLAIMS: usize = 5_500;

/// Keys that are claimed before the bot is started anew. It makes new ones 20 times in
/// ten minutes and then rests; a new process begins to count again.
const CLAIMS_A_LIFE: usize = 900;

const ROUNDS: u32 = 20;

const PAUSE: Duration = Duration::from_millis(500);

/// The bot has this long to get through all of it.
const ALL: Duration = Duration::from_secs(120);

#[allow(clippy::print_stdout, reason = "it is what the bench reads")]
fn report(what: &str, figures: &Value) {
    println!("figures {}", json!({what: figures}));
}

/// 10,000 Olm messages that open nothing, in one sync: what they cost, how long
/// the loop does nothing else, and how long a command waits.
#[test]
#[ignore = "a measurement"]
fn figures_of_ten_thousand_rubbish_messages() {
    let mut stage = Stage::free();
    let events = rubbish_events(&mut stage, MESSAGES);
    stage.world.hs.wait_next_sync();
    let pid = stage.world.bot().id();
    let cpu = on_cpu(pid);
    let watch = Watch::start(stage.world.bot());
    let started = Instant::now();
    stage.world.hs.to_device(BOT, "*", events);
    let answered = stage.ask_patiently(ALL);
    let taken = |state: &mut State| {
        let (_, device) = state.only_device(BOT)?;
        device.to_device.is_empty().then_some(())
    };
    let taken = stage.world.hs.wait_within(ALL, taken);
    let took = started.elapsed();
    report(
        "rubbish",
        &json!({
            "messages": MESSAGES,
            "taken_in": taken.is_some(),
            "seconds": took.as_secs_f64(),
            "cpu_seconds": (on_cpu(pid) - cpu).as_secs_f64(),
            "longest_turn_seconds": watch.stop(stage.world.bot()).as_secs_f64(),
            "answered_seconds": answered.map(|time| time.as_secs_f64()),
        }),
    );
}

/// A stranger claims one-time keys, as fast as the bot makes new ones, until its
/// account is full of them; what a to-device message costs before and after that.
#[test]
#[ignore = "a measurement"]
fn figures_after_thousands_of_claims() {
    let mut stage = Stage::free();
    let device = stage.world.bot_device();
    let alice_payload = |alice: &Person| alice.payload((BOT, &device), "m.dummy", &json!({}));
    let before = to_device_cost(&mut stage, &alice_payload);
    let mut cpu = Duration::ZERO;
    let mut before_this_life = on_cpu(stage.world.bot().id());
    let mut claimed = 0;
    let mut claimed_in_this_life = 0;
    while claimed < CLAIMS {
        if claimed_in_this_life >= CLAIMS_A_LIFE {
            cpu += on_cpu(stage.world.bot().id()) - before_this_life;
            stage.world.stop();
            stage.start();
            before_this_life = on_cpu(stage.world.bot().id());
            claimed_in_this_life = 0;
        }
        let taken = stage.world.hs.with(|state| {
            let found = state.devices.get_mut(&(BOT.to_owned(), device.clone()));
            let keys = found.map(|own| std::mem::take(&mut own.one_time));
            keys.map_or(0, |keys| keys.len())
        });
        claimed += taken;
        claimed_in_this_life += taken;
        let fresh =
            |state: &mut State| (state.only_device(BOT)?.1.one_time.len() >= 25).then_some(());
        // A sync that was under way may have been the one that was woken.
        let until = Instant::now() + ALL;
        stage.world.hs.nudge();
        while stage.world.hs.wait_within(PAUSE, fresh).is_none() {
            assert!(Instant::now() < until, "no new keys after {claimed}");
            stage.world.hs.nudge();
        }
    }
    cpu += on_cpu(stage.world.bot().id()) - before_this_life;
    stage.world.settle();
    let after = to_device_cost(&mut stage, &alice_payload);
    let store = stage.store_bytes();
    assert!(stage.ask().is_some(), "it answers");
    report(
        "claims",
        &json!({
            "claims": claimed,
            "cpu_seconds": cpu.as_secs_f64(),
            "before_seconds": before,
            "after_seconds": after,
            "store_bytes": store,
        }),
    );
}

/// The seconds that the bot computes for a sync with one honest to-device message
/// in it, over one with nothing; the median.
fn to_device_cost(stage: &mut Stage, payload: &dyn Fn(&Person) -> Value) -> f64 {
    let pid = stage.world.bot().id();
    let device = stage.world.bot_device();
    let mut costs: Vec<f64> = Vec::new();
    for _ in 0..ROUNDS {
        let empty = on_cpu(pid);
        stage.world.hs.wait_next_sync();
        let before = on_cpu(pid);
        let alice = &mut stage.world.alice;
        let payload = payload(alice);
        let content = alice.olm((BOT, &device), &payload);
        alice.deliver((BOT, &device), "m.room.encrypted", content);
        stage.world.hs.wait_next_sync();
        let cost = (on_cpu(pid) - before).as_secs_f64();
        costs.push((cost - (before - empty).as_secs_f64()).max(0.0));
    }
    costs.sort_by(f64::total_cmp);
    costs[costs.len() / 2]
}
