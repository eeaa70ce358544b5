//! Words of the server that later have to fit into a request: those that do not are
//! refused before they are written down, or given up and said; they never end all
//! talk.

use serde_json::json;

use crate::support::faults::Fault;
use crate::support::person::text_message;
use crate::support::scenario::Scenario;
use crate::support::secrets::Storage;
use crate::support::world::{ALICE, BOT, MALLORY, OFF, ON, ROOM, World};

/// Longer than a request can be.
fn long() -> String {
    "x".repeat(70_000)
}

/// A sync that leads to where no request can go is not taken in; the next one is.
#[test]
fn a_position_that_no_request_can_carry_is_not_taken() {
    for token in [long(), "s1\n2".to_owned(), "sé".to_owned(), String::new()] {
        let mut world = Scenario::encrypted().pace(5).start();
        let mut bad = 1;
        world.hs.rewrite("/sync", move |body| {
            if bad > 0 {
                bad -= 1;
                body["next_batch"] = json!(token);
            }
        });
        world.hs.nudge();
        world.bot().wait_log("sync: ");
        assert_eq!(world.ask("start"), ON);
        let log = world.bot().log();
        assert!(log.contains("next_batch"), "it is named");
        world.crash_and_restart();
        assert_eq!(world.ask("stop"), OFF);
        assert_eq!(world.api.scaled_to(), [1, 0]);
    }
}

/// A store that holds such a position already.
#[test]
fn a_stored_position_that_no_request_can_carry_is_given_up() {
    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    world.bot().kill();
    let store = rusqlite::Connection::open(world.dir.sub("store").join("store.sqlite3")).unwrap();
    store
        .execute("UPDATE session SET next_batch = ?1", [long()])
        .unwrap();
    drop(store);
    world.start();
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(world.api.scaled_to(), [1, 0]);
}

/// The name of a key goes into a path: one that does not fit is no key. One that is
/// longer than all of an answer may be is not even read.
#[test]
fn a_name_of_a_secret_storage_key_that_fits_nowhere_holds_nothing_up() {
    for (name, is_told) in [
        ("k".repeat(300), true),
        ("k\n".to_owned(), true),
        (long(), false),
    ] {
        name_of_a_key(&name, is_told);
    }
}

fn name_of_a_key(name: &str, is_told: bool) {
    let mut world = World::new();
    let storage = Storage::new();
    world.set("MATRIX_RECOVERY_KEY", &storage.recovery_key());
    let mut other = world.person(BOT, "OTHER");
    other.cross_sign();
    world.hs.with(|state| {
        let kind = "m.secret_storage.default_key".to_owned();
        let content = json!({"key": name});
        state.account_data.insert((BOT.to_owned(), kind), content);
        state.devices.retain(|(user, _), _| user != BOT);
    });
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    world.say("status");
    let status = world.next_body();
    assert_eq!(status.contains("no self-signing key"), is_told, "{status}");
    world.crash_and_restart();
    assert_eq!(world.ask("stop"), OFF);
}

/// The session of an authentication goes into a body: a long one is not repeated.
#[test]
fn a_session_of_an_authentication_that_is_too_long_is_not_repeated() {
    let challenge = json!({
        "flows": [{"stages": ["m.login.password"]}], "params": {}, "session": long(),
    });
    let mut world = Scenario::encrypted()
        .fault(
            "POST /keys/device_signing/upload",
            1,
            Fault::json(401, &challenge),
        )
        .start();
    assert_eq!(world.ask("start"), ON);
    let uploads = world.hs.requests("POST /keys/device_signing/upload");
    assert!(uploads.iter().all(|r| r.body["auth"].is_null()));
}

/// A gap whose beginning cannot be named is not read, and what follows is run.
#[test]
fn a_gap_that_no_request_can_name_is_told() {
    let mut world = Scenario::encrypted().member(MALLORY).start();
    let mut bad = true;
    world.hs.rewrite("/sync", move |body| {
        let room = &mut body["rooms"]["join"][ROOM];
        if bad && room["timeline"]["limited"] == true {
            bad = false;
            room["timeline"]["prev_batch"] = json!(long());
        } else if room.is_null() {
            body["rooms"]["join"].as_object_mut().unwrap().remove(ROOM);
        }
    });
    let hs = world.hs.clone();
    hs.at_once(|| {
        for line in 0..60 {
            hs.message(ROOM, MALLORY, text_message(&line.to_string()));
        }
        world.say("start");
    });
    let mut said = [world.next_body(), world.next_body()];
    said.sort();
    assert_eq!(said[0], ON);
    assert!(said[1].starts_with("Some messages in this room did not reach me"));
    assert_eq!(world.ask("stop"), OFF);
}
