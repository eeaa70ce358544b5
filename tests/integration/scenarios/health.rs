//! The health port: what it says, that each number counts what it is named for,
//! and that nobody who reaches it can hurt the bot.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serde_json::json;

use super::full_disk::{limited, set_limit};
use crate::support::apiserver::failure;
use crate::support::bot;
use crate::support::faults::Fault;
use crate::support::health::Health;
use crate::support::metrics::Metrics;
use crate::support::person::{MEGOLM, text_message};
use crate::support::world::{ALICE, BOT, OFF, ON, ROOM, World};

const PLAIN_ROOM: &str = "!plain:test";

/// Alice and the bot in an encrypted room, the bot listening, on the health port
/// too.
fn watched() -> (World, Health) {
    watched_at(1)
}

/// As [`watched`], at this pace.
fn watched_at(pace: u32) -> (World, Health) {
    let mut world = World::new();
    world.pace(pace);
    let health = Health::of(&mut world);
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    (world, health)
}

fn commands(command: &str, outcome: &str) -> String {
    format!("openclaw_toggle_commands_total{{command=\"{command}\",outcome=\"{outcome}\"}}")
}

#[test]
fn it_is_alive_before_it_is_ready() {
    let mut world = World::new();
    let health = Health::of(&mut world);
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.hs.fault("POST /login", 1, Fault::Hold);
    world.spawn();
    world.hs.wait_requests("POST /login", 1);
    let page = health.wait("/livez", 200, "on its way to a session");
    assert!(page.head.contains("content-type: text/plain"), "{page:?}");
    let page = health.get("/readyz");
    assert_eq!(page.status, 503);
    assert_eq!(page.body, "logged in: no\nsync: none yet\nstore: ok\n");
    assert_eq!(health.metrics().get("openclaw_toggle_logged_in"), 0.0);
    let unready = health.check(&["readyz"]);
    assert_eq!(unready.code, Some(1));
    assert_eq!((unready.out.as_str(), unready.err), ("", page.body));
    world.hs.clear_faults();
    world.wait_listening();
    let page = health.wait("/readyz", 200, "sync: ok");
    assert!(page.body.starts_with("logged in: ok\n"), "{page:?}");
    assert!(page.body.ends_with("\nstore: ok\n"), "{page:?}");
    assert!(health.get("/livez").body.starts_with("loop: ok ("));
    let ready = health.check(&["readyz"]);
    assert_eq!((ready.code, ready.err.as_str()), (Some(0), ""));
    let metrics = health.metrics();
    for (series, value) in [
        ("openclaw_toggle_logged_in", 1.0),
        ("openclaw_toggle_ready", 1.0),
        ("openclaw_toggle_store_writable", 1.0),
        ("openclaw_toggle_logins_total{result=\"ok\"}", 1.0),
        ("openclaw_toggle_logins_total{result=\"failed\"}", 0.0),
        ("openclaw_toggle_syncs_total{result=\"failed\"}", 0.0),
    ] {
        assert_eq!(metrics.get(series), value, "{series}");
    }
}

/// The pod is taken out of service, and nothing restarts it.
#[test]
fn a_homeserver_that_is_down_makes_it_unready_and_leaves_it_alive() {
    let mut world = World::new();
    let health = Health::of(&mut world);
    world.set("HEALTH_SYNC_MAX_AGE", "5s");
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    world.hs.nudge();
    health.wait("/readyz", 200, "sync: ok");
    world.hs.fault("/_matrix/", usize::MAX, Fault::Cut);
    world.hs.cut_all();
    let page = health.wait("/readyz", 503, "s ago, more than 5 s");
    assert!(page.body.starts_with("logged in: ok\nsync: "), "{page:?}");
    assert_eq!(health.get("/livez").status, 200);
    assert_eq!(health.check(&[]).code, Some(0));
    let metrics = health.metrics();
    assert!(metrics.get("openclaw_toggle_sync_age_seconds") >= 5.0);
    assert!(metrics.get("openclaw_toggle_syncs_total{result=\"failed\"}") >= 1.0);
    assert_eq!(metrics.get("openclaw_toggle_ready"), 0.0);
    assert!(world.bot().is_running());
    world.hs.clear_faults();
    // Without waiting for somebody to say something.
    health.wait("/readyz", 200, "sync: ok");
    assert_eq!(world.ask("start"), ON);
}

#[test]
fn a_full_disk_makes_it_unready_until_there_is_room() {
    let mut world = World::new();
    let health = Health::of(&mut world);
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.spawn_as(limited(""));
    world.wait_listening();
    assert_eq!(world.ask("start"), ON);
    world.settle();
    set_limit(&mut world, "0");
    world.say("stop");
    health.wait("/readyz", 503, "store: the last commit failed\n");
    let metrics = health.metrics();
    assert_eq!(metrics.get("openclaw_toggle_store_writable"), 0.0);
    assert!(metrics.get("openclaw_toggle_store_failures_total") >= 1.0);
    // A transaction that has nothing to write says nothing about the disk.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(health.get("/readyz").status, 503);
    assert_eq!(health.get("/livez").status, 200);
    set_limit(&mut world, "unlimited");
    assert_eq!(world.next_body(), OFF);
    health.wait("/readyz", 200, "store: ok\n");
    // Tried more than once, counted once.
    health.wait_metric(&commands("stop", "done"), 1.0);
}

#[test]
fn each_command_is_counted_once_by_what_became_of_it() {
    let (mut world, health) = watched();
    let before = health.metrics();
    assert_eq!(before.sum("openclaw_toggle_commands_total"), 0.0);
    assert_eq!(world.ask("start"), ON);
    assert_eq!(world.ask("stop"), OFF);
    world.ask("status");
    world.ask("help");
    world.ask("make tea");
    let body = failure(403, "Forbidden", "forbidden");
    world
        .api
        .fault("PATCH /", usize::MAX, Fault::json(403, &body));
    world.ask("start");
    world.api.clear_faults();
    health.wait_metric(&commands("start", "failed"), 1.0);
    let metrics = health.metrics();
    for (command, outcome) in [
        ("start", "done"),
        ("stop", "done"),
        ("status", "done"),
        ("help", "done"),
        ("none", "unknown"),
        ("start", "failed"),
    ] {
        let series = commands(command, outcome);
        assert_eq!(metrics.get(&series), 1.0, "{series}");
    }
    assert_eq!(metrics.sum("openclaw_toggle_commands_total"), 6.0);
    let scaled = |suffix: &str| format!("openclaw_toggle_scale_duration_seconds_{suffix}");
    assert_eq!(metrics.get(&scaled("count{result=\"ok\"}")), 2.0);
    assert_eq!(metrics.get(&scaled("count{result=\"failed\"}")), 1.0);
    assert!(metrics.get(&scaled("sum{result=\"ok\"}")) > 0.0);
}

#[test]
fn what_is_refused_or_late_is_counted_as_that() {
    let mut world = World::new();
    let health = Health::of(&mut world);
    world.set("ALLOWED_ROOMS", ROOM);
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.hs.add_room("!other:test", &[ALICE, BOT], true);
    world.hs.add_room(PLAIN_ROOM, &[ALICE, BOT], false);
    world.start();
    world.alice.say("!other:test", "stop");
    world.next_in("!other:test");
    health.wait_metric(&commands("stop", "refused"), 1.0);
    // In clear where it must not be: nobody reads what it asks for.
    world.hs.message(ROOM, ALICE, text_message("start"));
    world.next();
    health.wait_metric(&commands("none", "refused"), 1.0);
    world.ask("help");
    let sealed = world.alice.encrypt(ROOM, &text_message("start"));
    world.hs.event(
        ROOM,
        json!({
            "type": "m.room.encrypted", "sender": ALICE, "content": sealed,
            "unsigned": {"age": 3_600_000},
        }),
    );
    assert!(world.next_body().contains("late"));
    health.wait_metric(&commands("start", "late"), 1.0);
    assert_eq!(health.metrics().sum("openclaw_toggle_commands_total"), 4.0);
}

#[test]
fn undecryptable_messages_are_counted_by_their_reason() {
    let (mut world, health) = watched_at(5);
    assert_eq!(world.ask("start"), ON);
    let device = world.bot_device();
    for code in [
        "m.blacklisted",
        "m.unverified",
        "m.unauthorised",
        "m.unavailable",
        "m.no_olm",
    ] {
        world.alice.rotate(ROOM);
        let session = world.alice.group(ROOM).session.session_id();
        let withheld = json!({
            "algorithm": MEGOLM, "code": code, "room_id": ROOM, "session_id": session,
            "sender_key": world.alice.curve25519(),
        });
        let to = (BOT, device.as_str());
        world.alice.deliver(to, "m.room_key.withheld", withheld);
        let content = world.alice.encrypt(ROOM, &text_message("stop"));
        world.alice.post(ROOM, content);
        world.next();
        let series = format!("openclaw_toggle_undecryptable_messages_total{{reason=\"{code}\"}}");
        health.wait_metric(&series, 1.0);
    }
    world.alice.rotate(ROOM);
    let content = world.alice.encrypt(ROOM, &text_message("stop"));
    world.alice.post(ROOM, content);
    world.next();
    let series = "openclaw_toggle_undecryptable_messages_total{reason=\"missing_key\"}";
    health.wait_metric(series, 1.0);
    // None of them is known to have been a command.
    assert_eq!(health.metrics().sum("openclaw_toggle_commands_total"), 1.0);
}

#[test]
fn the_store_is_counted_and_nobody_is_named() {
    let (mut world, health) = watched();
    assert_eq!(world.ask("start"), ON);
    world.settle();
    // The first count is of an empty store, the next one is not before 15 s: a
    // new process counts at once.
    world.bot().kill();
    world.start();
    let metrics = health.metrics();
    for series in [
        "openclaw_toggle_olm_sessions",
        "openclaw_toggle_megolm_sessions{direction=\"inbound\"}",
        "openclaw_toggle_megolm_sessions{direction=\"outbound\"}",
    ] {
        assert!(metrics.get(series) >= 1.0, "{series}");
    }
    health.wait_metric("openclaw_toggle_one_time_keys", 50.0);
    let resident = metrics.get("process_resident_memory_bytes");
    assert!((1e6..1e9).contains(&resident), "{resident}");
    assert!(metrics.get("process_start_time_seconds") > 1.6e9);
    let version = concat!(
        "openclaw_toggle_build_info{version=\"",
        env!("CARGO_PKG_VERSION"),
        "\"}"
    );
    assert_eq!(metrics.get(version), 1.0);
    // Going on with a session is no login.
    assert_eq!(metrics.sum("openclaw_toggle_logins_total"), 0.0);
    assert_eq!(metrics.series().count(), 116, "{metrics:#?}");
    let all: String = ["/livez", "/readyz", "/metrics", "/"]
        .map(|path| health.get(path).body)
        .concat();
    for private in ["alice", "bot:", ":test", "!ops", "clawdbot", "127.0.0.1"] {
        assert!(!all.contains(private), "{private} in {all}");
    }
}

#[test]
fn it_answers_get_and_head_of_three_pages() {
    let (_world, health) = watched();
    for (method, path, status) in [
        ("GET", "/livez", 200),
        ("GET", "/livez?verbose", 200),
        ("HEAD", "/metrics", 200),
        ("GET", "/", 404),
        ("GET", "/livez/", 404),
        ("GET", "/../livez", 404),
        ("GET", "//livez", 404),
        ("POST", "/livez", 405),
        ("DELETE", "/nowhere", 405),
        ("BREW", "/metrics", 405),
    ] {
        let page = health.ask(method, path);
        assert_eq!(page.status, status, "{method} {path}");
        assert_eq!(method == "HEAD", page.body.is_empty(), "{page:?}");
        assert_eq!(page.head.contains("allow: get, head"), status == 405);
    }
    let page = health.get("/metrics");
    let kind = "content-type: text/plain; version=0.0.4";
    assert!(page.head.contains(kind), "{page:?}");
    let length = format!("content-length: {}", page.body.len());
    assert!(page.head.contains(&length), "{page:?}");
}

/// While many hold connections open, and whatever they send, whoever asks
/// properly is answered, and commands are run.
#[test]
fn hostile_clients_keep_nobody_out() {
    let (mut world, health) = watched();
    let silent: Vec<_> = (0..100).map(|_| health.connect()).collect();
    assert_eq!(health.check(&[]).code, Some(0));
    assert_eq!(world.ask("start"), ON);
    let started = Instant::now();
    let mut slow = health.connect();
    slow.write_all(b"GET /livez HTTP/1.1\r\nX: ").unwrap();
    assert_eq!(health.check(&["readyz"]).code, Some(0));
    let huge = format!("GET /livez HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let answer = health.send(huge.as_bytes());
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    ] {
        let answer = health.send(garbage);
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let pipelined = b"GET /livez HTTP/1.1\r\n\r\n".repeat(1000);
    let answer = health.send(&pipelined);
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    // One byte a while does not keep a connection for ever.
    while slow.write_all(b"x").is_ok() {
        assert!(started.elapsed() < Duration::from_secs(8), "still open");
        std::thread::sleep(Duration::from_millis(100));
    }
    for mut stream in silent {
        // All are closed by now: those that were in the way at once, the others
        // in time.
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    }
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(health.get("/readyz").status, 200);
}

/// A Prometheus, a kubelet and a few people at once; also while others do nothing
/// but connect.
#[test]
fn whoever_asks_properly_is_answered_however_many_ask_at_once() {
    let (_world, health) = watched();
    let ask = |count: usize| {
        let asking: Vec<_> = (0..count)
            .map(|_| {
                let health = health.clone();
                std::thread::spawn(move || health.get("/livez").status)
            })
            .collect();
        for one in asking {
            assert_eq!(one.join().expect("an answer"), 200);
        }
    };
    ask(60);
    let _silent: Vec<_> = (0..100).map(|_| health.connect()).collect();
    ask(20);
}

#[test]
fn a_port_in_use_ends_the_start_with_the_cure() {
    let mut world = World::new();
    let health = Health::of(&mut world);
    let _taken = std::net::TcpListener::bind(health.address).unwrap();
    let status = world.spawn().wait_exit(Duration::from_secs(5));
    assert_eq!(status.code(), Some(1));
    let log = world.bot().log();
    let sentence = format!("HEALTH_ADDR {} cannot be listened on: ", health.address);
    let line = log.lines().find(|line| line.contains(&sentence));
    assert!(line.unwrap().contains("or unset it"), "{log}");
    assert!(world.hs.requests("/").is_empty(), "nothing was sent");
}

#[test]
fn a_port_of_all_addresses_is_asked_at_loopback() {
    let mut world = World::new();
    // Below those that systems hand out by themselves.
    let free = |port: &u16| std::net::TcpListener::bind(("0.0.0.0", *port)).is_ok();
    let port = (21_000..32_000).find(free).unwrap();
    let address = format!(":{port}");
    world.set("HEALTH_ADDR", &address);
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    let env = BTreeMap::from([("HEALTH_ADDR".to_owned(), address)]);
    assert_eq!(bot::run(&["healthcheck"], &env).code, Some(0));
}

#[test]
fn healthcheck_says_what_is_wrong() {
    let mut world = World::new();
    let nobody = Health::of(&mut world).check(&[]);
    assert_eq!(nobody.code, Some(1));
    assert_eq!(nobody.err.lines().count(), 1, "{}", nobody.err);
    let unset = bot::run(&["healthcheck"], &BTreeMap::new());
    assert_eq!(unset.code, Some(1));
    let start = "configuration error: HEALTH_ADDR is not set";
    assert!(unset.err.starts_with(start), "{}", unset.err);
    assert_eq!(unset.err.lines().count(), 1);
    for args in [
        &["healthcheck", "metrics"][..],
        &["healthcheck", "livez", "x"],
    ] {
        let done = bot::run(args, &BTreeMap::new());
        assert_eq!(done.code, Some(2), "{args:?}");
        assert!(done.err.contains("healthcheck --help"), "{}", done.err);
    }
}

/// Nobody listens unless told to.
#[test]
fn without_an_address_there_is_no_port() {
    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    assert!(!world.bot().log().contains("/metrics"));
}

#[test]
fn a_sound_exposition_is_read() {
    let text = "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"q\\\"\\\\\\n,}\",y=\"\"} 2\n\
                # HELP b B.\n# TYPE b gauge\nb 1e-3\n";
    let metrics = Metrics::parse(text);
    assert_eq!(metrics.get("b"), 0.001);
    assert_eq!(metrics.sum("a_total"), 2.0);
}

#[test]
fn what_is_not_sound_is_found() {
    let head = "# HELP h H.\n# TYPE h histogram\n";
    for text in [
        "a 1\n",
        "# HELP a A.\n# TYPE a gauge\na 1",
        "# HELP a A.\n# TYPE a gauge\nb 1\n",
        "# TYPE a gauge\na 1\n",
        "# HELP a A.\n# TYPE a counter\na 1\n",
        "# HELP a A.\n# TYPE a gauge\na 1\na 2\n",
        "# HELP a A.\n# TYPE a gauge\na{x=\"1} 1\n",
        "# HELP a A.\n# TYPE a gauge\na{x=\"\\d\"} 1\n",
        "# HELP a A.\n# TYPE a gauge\na NaN\n",
        &format!("{head}h_bucket{{le=\"1\"}} 1\nh_count{{}} 1\nh_sum{{}} 1\n"),
        &format!(
            "{head}h_bucket{{le=\"1\"}} 2\nh_bucket{{le=\"+Inf\"}} 1\nh_sum{{}} 1\nh_count{{}} 1\n"
        ),
        &format!("{head}h_bucket{{le=\"+Inf\"}} 1\nh_sum{{}} 1\nh_count{{}} 2\n"),
    ] {
        let read = std::panic::catch_unwind(|| Metrics::parse(text));
        assert!(read.is_err(), "{text}");
    }
}
