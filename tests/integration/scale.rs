//! Large rooms: what a share costs, and what it must not hold up. The ignored
//! tests at the end are no tests: `make bench` prints their figures.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::faults::Fault;
use crate::support::homeserver::Logged;
use crate::support::monitor::turn;
use crate::support::person::{Person, text_message};
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, OFF, ON, ROOM, World};

const BOB: &str = "@bob:test";
const SIDE: &str = "!side:test";
const CLAIM: &str = "POST /keys/claim";
const SHARE: &str = "PUT /sendToDevice/m.room.encrypted";

/// Devices of one request.
const MOST: usize = 250;

/// A device for each pair of user and name, with one key to claim.
fn devices(world: &World, names: &[(String, String)], one_time_keys: usize) -> Vec<Person> {
    let make = |names: &[(String, String)]| -> Vec<Person> {
        let made = names.iter().map(|(user, device)| {
            let mut phone = Person::unpublished(&world.hs, user, device);
            phone.publish(|_| {});
            phone.publish_one_time_keys(one_time_keys, |_| {});
            phone
        });
        made.collect()
    };
    let (first, second) = names.split_at(names.len() / 2);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| make(second));
        let mut all = make(first);
        all.extend(second.join().unwrap());
        all
    })
}

/// Alice in a room with 300 users that have 1,000 devices between them, Bob in
/// one of his own; both may command.
fn crowded() -> (World, Vec<Person>, Person) {
    let mut world = World::new();
    world.set("ALLOWED_USERS", &format!("{ALICE},{BOB}"));
    let names: Vec<(String, String)> = (0..300)
        .flat_map(|user| {
            let devices = if user < 100 { 8 } else { 1 };
            (0..devices).map(move |device| (format!("@crowd{user:03}:test"), format!("D{device}")))
        })
        .collect();
    assert_eq!(names.len(), 1000);
    let people = devices(&world, &names, 1);
    let bob = world.person(BOB, "BOBPHONE");
    let mut members: Vec<&str> = names.iter().map(|(user, _)| user.as_str()).collect();
    members.dedup();
    members.splice(0..0, [ALICE, BOT]);
    world.hs.add_room(ROOM, &members, true);
    world.hs.add_room(SIDE, &[BOB, BOT], true);
    (world, people, bob)
}

/// Bob's next answer, whatever goes on in the other room.
fn ask_bob(world: &World, bob: &mut Person, text: &str) -> Option<String> {
    let before = world.said(SIDE);
    bob.say(SIDE, text);
    world.hs.wait("the answer to Bob", |state| {
        let events = &state.rooms[SIDE].events;
        let said = events
            .iter()
            .filter(|event| event.json["sender"] == BOT && event.json["state_key"].is_null());
        (said.count() > before).then_some(())
    });
    bob.read(SIDE, BOT).swap_remove(before).body
}

/// The number of times each device is named in these requests, which name at most
/// 250 each.
fn named(requests: &[Logged], field: &str) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for request in requests {
        let users = request.body[field].as_object().unwrap();
        let of_user = |(user, devices): (&String, &Value)| -> Vec<String> {
            let devices = devices.as_object().unwrap().keys();
            devices.map(|device| format!("{user} {device}")).collect()
        };
        let names: Vec<String> = users.iter().flat_map(of_user).collect();
        assert!(names.len() <= MOST, "{} devices", names.len());
        for name in names {
            *times.entry(name).or_default() += 1;
        }
    }
    times
}

/// Everything the bot asked the server for after a place in the log, but syncs.
fn asked_since(world: &World, mark: usize) -> Vec<Logged> {
    world.hs.with(|state| {
        let since = state.log[mark..].iter();
        since
            .filter(|entry| !entry.path.ends_with("/sync"))
            .cloned()
            .collect()
    })
}

/// Waits for so many of these requests after a place in the log: one after the
/// other, since a slow machine needs longer for all of them than for any.
fn wait_for(world: &World, mark: usize, pattern: &str, count: usize) {
    for count in 1..=count {
        world.hs.wait(pattern, |state| {
            let since = state.log[mark..].iter();
            (since.filter(|entry| entry.is(pattern)).count() >= count).then_some(())
        });
    }
}

/// Waits until so many devices were sent the key after a place in the log. A reply does
/// not wait for them for ever, and on a slow machine it is there before.
fn wait_for_keys(world: &World, mark: usize, devices: usize) {
    loop {
        let shares = only(&asked_since(world, mark), SHARE);
        if named(&shares, "messages").len() >= devices {
            return;
        }
        wait_for(world, mark, SHARE, shares.len() + 1);
    }
}

pub fn mark(world: &World) -> usize {
    world.hs.with(|state| state.log.len())
}

fn only(requests: &[Logged], pattern: &str) -> Vec<Logged> {
    let matching = requests.iter().filter(|entry| entry.is(pattern));
    matching.cloned().collect()
}

/// Rules 6, 28, 32: keys for 1,000 devices go out in requests of at most 250,
/// each device gets them once, and while the server takes its time over any of
/// that another room is served. What follows costs what it does in a small room.
#[test]
fn a_thousand_devices_are_given_the_key_while_another_room_is_served() {
    let _turn = turn();
    let (mut world, mut people, mut bob) = crowded();
    // The reply waits for them, however slow the machine is.
    world.set("OPENCLAW_TEST_PATIENCE", "10");
    world.start();
    assert_eq!(ask_bob(&world, &mut bob, "start").as_deref(), Some(ON));
    world.settle();

    let first = mark(&world);
    world.hs.fault(CLAIM, 1, Fault::Hold);
    world.say("stop");
    wait_for(&world, first, CLAIM, 1);
    assert_eq!(ask_bob(&world, &mut bob, "start").as_deref(), Some(ON));
    world.hs.with(|state| {
        state.faults.clear();
        state.faults.add(SHARE, 1, Fault::Hold);
    });
    wait_for(&world, first, SHARE, 1);
    assert_eq!(ask_bob(&world, &mut bob, "start").as_deref(), Some(ON));
    assert_eq!(world.said(ROOM), 0, "the keys come first");
    world.hs.clear_faults();
    wait_for(&world, first, SHARE, 5);
    assert_eq!(world.next_body(), OFF);
    wait_for_keys(&world, first, 1001);

    let asked = asked_since(&world, first);
    let claims = only(&asked, CLAIM);
    let claimed = named(&claims, "one_time_keys");
    assert!(claimed.len() >= 1000 && claimed.values().all(|times| *times == 1));
    let shares = only(&asked, SHARE);
    let shared = named(&shares, "messages");
    assert_eq!(shared.len(), 1001, "the crowd's devices and Alice's");
    assert!(shared.values().all(|times| *times == 1), "{shared:?}");
    assert!(
        claims.len() <= 12 && shares.len() <= 24,
        "{} and {} requests",
        claims.len(),
        shares.len()
    );
    for query in world.hs.requests("POST /keys/query") {
        assert!(query.body["device_keys"].as_object().unwrap().len() <= MOST);
    }
    for person in [0, 499, 999] {
        let read = people[person].read(ROOM, BOT).pop();
        assert_eq!(read.and_then(|seen| seen.body).as_deref(), Some(OFF));
    }

    world.settle();
    let second = mark(&world);
    assert_eq!(world.ask("start"), ON);
    world.hs.wait_next_sync();
    let asked = asked_since(&world, second);
    assert_eq!(asked.len(), 1, "{:?}", only(&asked, ""));
    assert!(asked[0].is("PUT /send/m.room.encrypted"));

    let gone = people.pop().unwrap().user;
    world.hs.member(ROOM, &gone, "leave");
    world.hs.wait_next_sync();
    let third = mark(&world);
    world.say("stop");
    wait_for(&world, third, SHARE, 4);
    assert_eq!(world.next_body(), OFF);
    wait_for_keys(&world, third, 1000);
    let asked = asked_since(&world, third);
    let shared = named(&only(&asked, SHARE), "messages");
    assert_eq!(shared.len(), 1000, "all but the one who left");
    assert!(shared.values().all(|times| *times == 1));
    assert!(!shared.keys().any(|name| name.starts_with(&gone)));
    assert!(only(&asked, CLAIM).is_empty(), "there are sessions already");
}

/// Rule 29: more devices than one turn serves cannot be reached. They hold
/// nobody up, are told once, and are not asked for again and again.
#[test]
fn three_hundred_unreachable_devices_starve_nobody() {
    let _turn = turn();
    let mut world = World::new();
    let names: Vec<(String, String)> = (0..300)
        .map(|device| {
            let user = format!("@aaron{}:test", device % 10);
            (user, format!("D{device:03}"))
        })
        .collect();
    let aarons: Vec<String> = (0..10).map(|n| format!("@aaron{n}:test")).collect();
    let silent = devices(&world, &names, 0);
    let mut zoe = world.person("@zoe:test", "ZOEPHONE");
    let members: Vec<&str> = [ALICE, BOT, "@zoe:test"]
        .into_iter()
        .chain(aarons.iter().map(String::as_str))
        .collect();
    world.hs.add_room(ROOM, &members, true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    let read = zoe.last_answer(ROOM);
    assert_eq!(read.as_deref(), Some(ON));
    let asked = asked_since(&world, 0);
    let claims = named(&only(&asked, CLAIM), "one_time_keys");
    assert!(
        names
            .iter()
            .all(|(user, device)| claims[&format!("{user} {device}")] == 1)
    );
    let told = named(
        &only(&asked, "PUT /sendToDevice/m.room_key.withheld"),
        "messages",
    );
    assert_eq!(told.len(), silent.len());
    assert!(told.values().all(|times| *times == 1));

    world.settle();
    let second = mark(&world);
    let spent = on_cpu(&mut world);
    assert_eq!(world.ask("stop"), OFF);
    world.hs.wait_next_sync();
    assert_eq!(asked_since(&world, second).len(), 1, "the reply alone");
    assert!(
        on_cpu(&mut world) - spent < Duration::from_secs(1),
        "the bot runs in circles"
    );
}

/// The CPU time of the bot so far.
pub fn on_cpu(world: &mut World) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/schedstat", world.bot().id())).unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

/// A figure of the bot's `/proc/…/status`, in kB.
pub fn status_kb(world: &mut World, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", world.bot().id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[allow(clippy::print_stdout, reason = "it is what the bench reads")]
pub fn report(what: &str, figures: &Value) {
    println!("figures {}", json!({what: figures}));
}

/// Time, requests and memory of sharing to 1,000 devices.
#[test]
#[ignore = "a measurement"]
fn figures_of_sharing_to_a_thousand_devices() {
    let (mut world, _people, mut bob) = crowded();
    world.set("RUST_LOG", "info");
    world.start();
    assert_eq!(ask_bob(&world, &mut bob, "start").as_deref(), Some(ON));
    world.settle();
    let at_rest = status_kb(&mut world, "VmHWM");
    let cpu_small = on_cpu(&mut world);
    assert_eq!(ask_bob(&world, &mut bob, "start").as_deref(), Some(ON));
    world.hs.wait_next_sync();
    let cpu_small = on_cpu(&mut world) - cpu_small;
    let first = mark(&world);
    let cpu = on_cpu(&mut world);
    let started = Instant::now();
    world.say("stop");
    wait_for(&world, first, SHARE, 5);
    assert_eq!(world.next_body(), OFF);
    let took = started.elapsed();
    let cpu = on_cpu(&mut world) - cpu;
    let asked = asked_since(&world, first);
    // What follows from an answer leaves together, when the bot has worked it out:
    // the next claim, and after the last one a share.
    let claims = only(&asked, CLAIM);
    let last = only(&asked, SHARE).pop();
    let turns: Vec<Instant> = claims.iter().chain(&last).map(|entry| entry.at).collect();
    let longest = turns.windows(2).map(|pair| pair[1] - pair[0]).max();
    let peak = status_kb(&mut world, "VmHWM");
    world.settle();
    let second = mark(&world);
    let cpu_second = on_cpu(&mut world);
    let started = Instant::now();
    assert_eq!(world.ask("start"), ON);
    let second_took = started.elapsed();
    world.hs.wait_next_sync();
    report(
        "share",
        &json!({
            "seconds": took.as_secs_f64(),
            "cpu_seconds": cpu.as_secs_f64(),
            "longest_turn_seconds": longest.unwrap_or_default().as_secs_f64(),
            "requests": asked.len(),
            "claims": claims.len(),
            "shares": only(&asked, SHARE).len(),
            "peak_before_kb": at_rest,
            "peak_kb": peak,
            "second_seconds": second_took.as_secs_f64(),
            "second_cpu_seconds": (on_cpu(&mut world) - cpu_second).as_secs_f64(),
            "small_cpu_seconds": cpu_small.as_secs_f64(),
            "second_requests": asked_since(&world, second).len(),
        }),
    );
}

/// Rounds of each figure.
const ROUNDS: u32 = 10;

/// Few and many messages in one sync: the difference is what messages cost. As many
/// as a room can have answered at once.
const FEW: u32 = 5;
const MANY: u32 = 25;

/// The CPU time of one message at the bot: from bytes to the store.
#[test]
#[ignore = "a measurement"]
fn figures_of_one_message() {
    let mut world = Scenario::encrypted().set("RUST_LOG", "info").start();
    assert_eq!(world.ask("start"), ON);
    let device = world.bot_device();
    let megolm = cost(&mut world, |world, count| {
        let contents: Vec<Value> = (0..count)
            .map(|_| world.alice.encrypt(ROOM, &text_message("just talk")))
            .collect();
        world.hs.with(|state| {
            for content in contents {
                let event =
                    json!({"sender": ALICE, "type": "m.room.encrypted", "content": content});
                state.append(ROOM, event, false, None);
            }
        });
    });
    let olm = cost(&mut world, |world, count| {
        let to = (BOT, device.as_str());
        let payload = world.alice.payload(to, "m.dummy", &json!({}));
        let contents: Vec<Value> = (0..count).map(|_| world.alice.olm(to, &payload)).collect();
        world.hs.with(|state| {
            for content in contents {
                let event =
                    json!({"sender": ALICE, "type": "m.room.encrypted", "content": content});
                state.queue(BOT, &device, event);
            }
        });
    });
    let answered = cost(&mut world, |world, count| {
        let contents: Vec<Value> = (0..count)
            .map(|_| world.alice.encrypt(ROOM, &text_message("help")))
            .collect();
        let before = world.said(ROOM);
        world.hs.with(|state| {
            for content in contents {
                let event =
                    json!({"sender": ALICE, "type": "m.room.encrypted", "content": content});
                state.append(ROOM, event, false, None);
            }
        });
        while world.said(ROOM) < before + usize::try_from(count).unwrap() {
            world.hs.wait_next_sync();
        }
    });
    report(
        "message",
        &json!({
            "megolm_decrypt_us": megolm * 1e6,
            "olm_decrypt_us": olm * 1e6,
            "help_to_sent_reply_us": answered * 1e6,
        }),
    );
}

/// The seconds that one message costs in `send`.
fn cost(world: &mut World, mut send: impl FnMut(&mut World, u32)) -> f64 {
    let mut of = |world: &mut World, count: u32| {
        let before = on_cpu(world);
        send(world, count);
        world.hs.wait_next_sync();
        (on_cpu(world) - before).as_secs_f64()
    };
    of(world, FEW);
    let mut more = 0.0;
    for _ in 0..ROUNDS {
        more += of(world, MANY) - of(world, FEW);
    }
    more / f64::from(ROUNDS * (MANY - FEW))
}

/// Commands of each kind whose own share is measured.
const SHARES: usize = 60;

/// The bot's own share of a command: from the moment its sync is handed over to the
/// arrival of the API call, and from the API server's answer to the arrival of the
/// reply; what the bot computed for it, and for being idle.
#[test]
#[ignore = "a measurement"]
fn figures_of_the_own_share() {
    let mut world = Scenario::encrypted().set("RUST_LOG", "info").start();
    for text in ["status", "start", "stop", "help"] {
        world.ask(text);
    }
    let mut shares = BTreeMap::new();
    let (mut before_call, mut after_call) = (Vec::new(), Vec::new());
    let mut cpu = Duration::ZERO;
    for _ in 0..SHARES {
        for text in ["status", "start", "stop", "help"] {
            world.hs.wait_idle(BOT, || 0);
            let (hs_mark, api_mark) = (mark(&world), world.api.with(|state| state.calls.len()));
            let spent = on_cpu(&mut world);
            world.ask(text);
            world.hs.wait_idle(BOT, || 0);
            cpu += on_cpu(&mut world) - spent;
            let (synced, sent) = world.hs.with(|state| {
                let log = &state.log[hs_mark.saturating_sub(1)..];
                let sent = log
                    .iter()
                    .find(|entry| entry.is("PUT /send/m.room.encrypted"));
                let sent = sent.unwrap().at;
                let answered = log.iter().filter(|entry| entry.path.ends_with("/sync"));
                let answered = answered.filter_map(|entry| entry.answered);
                (answered.filter(|at| *at < sent).min().unwrap(), sent)
            });
            let call = world.api.with(|state| state.calls.get(api_mark).cloned());
            let share = match call {
                Some(call) => {
                    before_call.push(call.at - synced);
                    after_call.push(sent - call.answered.unwrap());
                    (call.at - synced) + (sent - call.answered.unwrap())
                }
                None => sent - synced,
            };
            shares.entry(text).or_insert_with(Vec::new).push(share);
        }
    }
    let all: Vec<Duration> = shares.values().flatten().copied().collect();
    let by_command: BTreeMap<&str, f64> = shares
        .into_iter()
        .map(|(text, shares)| (text, median(shares)))
        .collect();
    let commands = f64::from(u32::try_from(all.len()).unwrap());
    report(
        "own_share",
        &json!({
            "ms": median(all),
            "by_command_ms": by_command,
            "before_call_ms": median(before_call),
            "after_call_ms": median(after_call),
            "cpu_ms": cpu.as_secs_f64() * 1000.0 / commands,
        }),
    );
}

/// The median, in milliseconds.
pub fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}
