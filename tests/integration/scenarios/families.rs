//! The ways in which homeservers of other families differ from Synapse: Dendrite,
//! Conduit and those that came of it, and proxies before them.

use serde_json::{Value, json};

use crate::support::faults::Fault;
use crate::support::rooms::now_ms;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, OFF, ON, ROOM, World};

const MINUTE_MS: u64 = 60_000;

/// The change that a family makes to an answer.
type Family = fn(&mut Value);

/// Does it to all values of an answer, the innermost first.
fn each(value: &mut Value, edit: &dyn Fn(&str, &mut Value)) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                each(member, edit);
                edit(name, member);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each(item, edit)),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
        || value.as_array().is_some_and(Vec::is_empty)
}

fn without_age(body: &mut Value) {
    each(body, &|name, value| {
        if name == "unsigned"
            && let Some(unsigned) = value.as_object_mut()
        {
            unsigned.remove("age");
        }
    });
}

/// `null` for what is empty, as Go writes a slice or map that nobody has made.
fn null_for_empty(body: &mut Value) {
    without_age(body);
    each(body, &|_, value| {
        if is_empty(value) {
            *value = Value::Null;
        }
    });
}

/// An object for an empty list, and the other way round, as PHP and Lua write them.
fn other_empty(body: &mut Value) {
    each(body, &|_, value| {
        if is_empty(value) {
            *value = match value {
                Value::Object(_) => json!([]),
                _ => json!({}),
            };
        }
    });
}

/// Nothing that need not be there.
fn only_what_must_be(body: &mut Value) {
    without_age(body);
    each(body, &|_, value| {
        if let Some(members) = value.as_object_mut() {
            members.retain(|_, member| !is_empty(member) && *member != false);
        }
    });
    if let Some(body) = body.as_object_mut() {
        body.retain(|_, member| !is_empty(member));
        body.remove("device_unused_fallback_key_types");
        body.remove("failures");
        body.remove("user_signing_keys");
    }
}

/// Numbers and booleans in other spellings, and fields that nobody knows.
fn other_spellings(body: &mut Value) {
    each(body, &|name, value| {
        if !value.is_number() && !value.is_boolean() {
            return;
        }
        match name {
            "origin_server_ts" | "retry_after_ms" => *value = json!(value.to_string()),
            "age" | "signed_curve25519" => {
                *value = json!(value.as_f64().unwrap_or_default() + 0.0);
            }
            "limited" => *value = json!(value.to_string()),
            _ => {}
        }
    });
    if let Some(body) = body.as_object_mut() {
        body.insert("org.example.more".into(), json!([{"x": null}]));
    }
}

/// The whole conversation on servers that leave out, or write in another way, what the
/// specification lets them: keys, members, commands, a restart, a removal, a new
/// invite.
#[test]
fn other_families_are_served() {
    let families: [(&str, Family); 4] = [
        ("null for empty", null_for_empty),
        ("the other empty container", other_empty),
        ("only what must be", only_what_must_be),
        ("other spellings", other_spellings),
    ];
    std::thread::scope(|scope| {
        for (name, family) in families {
            let run = move || conversation(family);
            let thread = std::thread::Builder::new().name(name.to_owned());
            thread.spawn_scoped(scope, run).unwrap();
        }
    });
}

fn conversation(family: Family) {
    let mut world = World::new();
    world.hs.rewrite("/_matrix/", family);
    world.hs.add_room(ROOM, &[ALICE], true);
    world.start();
    world.hs.invite(ROOM, ALICE, BOT);
    world.wait_joined(ROOM);
    world.hs.wait_next_sync();
    assert_eq!(world.ask("start"), ON);
    let uploads = world.hs.requests("POST /keys/upload").len();
    world.crash_and_restart();
    assert_eq!(world.ask("stop"), OFF);
    let leave = json!({"membership": "leave"});
    world
        .hs
        .state_event(ROOM, ALICE, "m.room.member", BOT, leave);
    world.hs.wait_next_sync();
    world.hs.invite(ROOM, ALICE, BOT);
    world.hs.wait("the bot to join again", |state| {
        state.rooms[ROOM].has(BOT).then_some(())
    });
    world.hs.wait_next_sync();
    world.alice.rotate(ROOM);
    assert_eq!(world.ask("start"), ON);
    assert_eq!(world.api.scaled_to(), [1, 0, 1]);
    // No supply of keys without an end because of how it is counted.
    let more = world.hs.requests("POST /keys/upload").len() - uploads;
    assert!(more <= 3, "{more} more uploads");
    let log = world.bot().log();
    assert!(!log.contains("malformed"), "{log}");
}

/// A server that never has enough keys, by what it says or leaves unsaid, is not sent
/// more of them without an end.
#[test]
fn a_server_that_never_has_enough_keys_is_not_flooded() {
    let families: [(Family, usize); 3] = [
        (without_counts, 2),
        (|body| body["device_one_time_keys_count"] = Value::Null, 2),
        (
            |body| body["device_one_time_keys_count"] = json!({"signed_curve25519": 0}),
            21,
        ),
    ];
    for (family, most) in families {
        let mut world = World::new();
        world.hs.rewrite("/sync", family);
        world.hs.add_room(ROOM, &[ALICE, BOT], true);
        world.start();
        assert_eq!(world.ask("start"), ON);
        world.hs.wait_idle(BOT, || 0);
        let uploads = world.hs.requests("POST /keys/upload").len();
        assert!(uploads <= most, "{uploads} uploads");
        assert_eq!(world.ask("stop"), OFF);
    }
}

fn without_counts(body: &mut Value) {
    if let Some(body) = body.as_object_mut() {
        body.remove("device_one_time_keys_count");
    }
}

/// Room version 12: a room's id names no server. Historical user ids have characters
/// that new ones may not have.
#[test]
fn rooms_without_a_server_name_and_historical_users_are_served() {
    const ROOM_12: &str = "!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM";
    const OLD_USER: &str = "@Alice!{X}+=/:test";
    let mut world = Scenario::new()
        .user(OLD_USER, |user| user.device("OLDPHONE"))
        .set("ALLOWED_USERS", OLD_USER)
        .set("ALLOWED_ROOMS", ROOM_12)
        .room(ROOM_12, |room| {
            room.encrypted().member(OLD_USER).without_bot()
        })
        .start();
    let mut old = world.take(OLD_USER);
    world.hs.invite(ROOM_12, OLD_USER, BOT);
    world.wait_joined(ROOM_12);
    world.hs.wait_next_sync();
    old.say(ROOM_12, "start");
    world.hs.wait("an answer", |state| {
        (state.said(BOT, ROOM_12) > 0).then_some(())
    });
    let answers = old.read(ROOM_12, BOT);
    assert_eq!(answers[0].body.as_deref(), Some(ON));
}

/// A server that does not know cross-signing: the bot serves, and says what is so.
#[test]
fn a_server_without_cross_signing_is_served() {
    for status in [404, 405] {
        let mut world = World::new();
        for endpoint in ["POST /keys/device_signing", "POST /keys/signatures"] {
            let fault = Fault::matrix(status, "M_UNRECOGNIZED");
            world.hs.fault(endpoint, usize::MAX, fault);
        }
        world.hs.add_room(ROOM, &[ALICE, BOT], true);
        world.start();
        assert_eq!(world.ask("start"), ON);
        let answer = world.ask("status");
        assert!(
            answer.contains(&format!("{status} M_UNRECOGNIZED")),
            "{answer}"
        );
    }
}

/// The first upload of a new device is refused: told as it is, tried again, and no
/// device is given up.
#[test]
fn a_refusal_of_keys_is_told_and_tried_again() {
    std::thread::scope(|scope| {
        for (status, errcode) in [
            (400, "M_BAD_JSON"),
            (403, "M_FORBIDDEN"),
            (404, "M_NOT_FOUND"),
        ] {
            scope.spawn(move || {
                let refusal = json!({"errcode": errcode, "error": "keys of\nno kind"});
                let fault = Fault::json(status, &refusal);
                let mut world = Scenario::encrypted().fault("POST /keys/upload", 1, fault).start();
                assert_eq!(world.ask("start"), ON);
                let log = world.bot().log();
                let told = format!(
                    r"the homeserver refuses this device's keys: {status} {errcode} (keys of\nno kind)"
                );
                assert!(log.contains(&told), "{log}");
                for costly in ["older copy", "new device", "move it away", "given up"] {
                    assert!(!log.contains(costly), "{costly}: {log}");
                }
                assert_eq!(world.hs.requests("POST /login").len(), 1, "one device");
            });
        }
    });
}

/// The device was used before by somebody whom the store does not know: the bot's keys
/// get other ids, and it stays the same device.
#[test]
fn keys_of_a_new_device_whose_ids_are_taken_get_other_ids() {
    let words =
        "One time key signed_curve25519:AAAAAAAAAAA already exists. Old key: {}; new key: {}";
    let fault = Fault::json(400, &json!({"errcode": "M_UNKNOWN", "error": words}));
    let mut world = Scenario::encrypted()
        .fault("POST /keys/upload", 1, fault)
        .start();
    assert_eq!(world.ask("start"), ON);
    assert_eq!(world.hs.requests("POST /login").len(), 1, "one device");
    let ids = |at: usize| -> Vec<String> {
        let keys = world.hs.requests("POST /keys/upload")[at].body["one_time_keys"].clone();
        keys.as_object().unwrap().keys().cloned().collect()
    };
    assert!(ids(0).iter().all(|id| !ids(1).contains(id)));
    assert!(!world.bot().log().contains("older copy"));
}

/// A server that does not say how old an event is, and whose clock is another. The
/// bot's is moved, and the server's is the true one.
#[test]
fn clocks_that_are_apart_are_told_and_make_no_old_command_new() {
    let mut world = World::new();
    world.let_clock_move();
    world.hs.with(|state| state.date = Some(0));
    world.hs.rewrite("/_matrix/", without_age);
    world.hs.add_room(ROOM, &[ALICE, BOT], false);
    world.start();
    assert_eq!(world.ask_plain("start"), ON);
    let sent = |world: &World, command: &str, minutes_ago: u64| {
        let event = json!({
            "sender": ALICE, "type": "m.room.message",
            "content": {"msgtype": "m.text", "body": command},
            "origin_server_ts": now_ms() - minutes_ago * MINUTE_MS,
        });
        world.hs.event(ROOM, event);
    };
    sent(&world, "stop", 4);
    let late = world.next_body();
    assert!(late.contains("\"stop\" reached me 4 min late"), "{late}");

    // The server is behind: nobody can tell how old a command is.
    world.jump(5 * 60_000);
    let answer = world.ask_plain("stop");
    assert!(
        answer.contains("homeserver's clock is 5 min behind my own"),
        "{answer}"
    );
    let said = world
        .bot()
        .wait_log("the homeserver's clock is 5 min behind this machine's");
    assert!(said.contains("WARN") && said.contains("NTP"), "{said}");
    sent(&world, "stop", 4);
    let late = world.next_body();
    assert!(
        late.contains("reached me 9 min late") || late.contains("reached me 8 min"),
        "{late}"
    );

    // It is ahead: what is new is run, and an old command looks new only to the bot.
    world.jump(-5 * 60_000);
    world.bot().kill();
    world.start();
    world.hs.wait_next_sync();
    assert_eq!(world.ask_plain("stop"), OFF);
    sent(&world, "start", 4);
    let late = world.next_body();
    assert!(
        late.contains("reached me 4 min late") || late.contains("reached me 3 min"),
        "{late}"
    );
    // Without a date nobody can tell.
    world.hs.with(|state| state.date = None);
    world.crash_and_restart();
    let answer = world.ask_plain("start");
    assert!(answer.contains("min ahead of my own"), "{answer}");
    assert_eq!(world.api.scaled_to(), [1, 0]);
}
