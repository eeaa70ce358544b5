//! A user whose homeserver cannot be asked for their devices: what is known of
//! them is good for an hour, and not for ever.

use std::path::PathBuf;

use serde_json::json;

use crate::support::faults::Fault;
use crate::support::person::Person;
use crate::support::world::{ALICE, BOT, OFF, ON, ROOM, World};

const TABLET: &str = "ALICETABLET";

const CANNOT_ASK: &str = "I have not been able to ask your homeserver for your devices for more \
    than an hour, so I did not run your command: please send it again when your homeserver can be \
    reached, and tell its administrator if it stays so.";

const MINUTE_MS: i64 = 60_000;

/// Alice with two devices, and the bot, whose clock can be moved.
struct Moved {
    world: World,
    tablet: Person,
    clock: PathBuf,
}

impl Moved {
    fn new(trust: &str) -> Self {
        let mut world = World::new();
        let clock = world.dir.path().join("clock");
        std::fs::write(&clock, "0").unwrap();
        world.set("OPENCLAW_TEST_CLOCK", &clock.display().to_string());
        world.set("DEVICE_TRUST", trust);
        world.set("COMMAND_MAX_AGE", "3600");
        world.alice.cross_sign();
        let tablet = world.person(ALICE, TABLET);
        world.alice.vouch_for(TABLET);
        world.hs.add_room(ROOM, &[ALICE, BOT], true);
        world.start();
        assert_eq!(world.ask("start"), ON);
        Self {
            world,
            tablet,
            clock,
        }
    }

    /// The clock is ahead by so many minutes from now on.
    fn jump(&self, minutes: i64) {
        let next = self.clock.with_extension("next");
        std::fs::write(&next, (minutes * MINUTE_MS).to_string()).unwrap();
        std::fs::rename(&next, &self.clock).unwrap();
    }

    /// Alice's server cannot be asked, by the bot's own server's word, when the
    /// tablet is signed out.
    fn fail(&self) {
        self.world.hs.rewrite("/keys/query", |body| {
            let devices = body["device_keys"].as_object_mut().unwrap();
            if devices.remove(ALICE).is_some() {
                body["failures"] = json!({"test": {"status": 503}});
            }
        });
        self.world.hs.with(|state| {
            let id = (ALICE.to_owned(), TABLET.to_owned());
            state.devices.get_mut(&id).unwrap().keys = None;
        });
        self.change();
    }

    /// The bot is told that Alice's devices have changed, and asks in vain.
    fn change(&self) {
        let hs = &self.world.hs;
        let before = hs.requests("POST /keys/query").len();
        hs.device_changed(ALICE);
        hs.wait_requests("POST /keys/query", before + 1);
        hs.wait_next_sync();
    }

    fn tablet_says(&mut self, text: &str) -> String {
        self.tablet.say(ROOM, text);
        self.world.next_body()
    }
}

fn an_old_list_authorises_for_an_hour(trust: &str) {
    let mut moved = Moved::new(trust);
    moved.fail();
    assert_eq!(moved.tablet_says("stop"), OFF, "by the list of just now");
    moved.jump(59);
    assert_eq!(moved.tablet_says("start"), ON);
    // Neither another change nor a restart begins the hour anew.
    moved.change();
    moved.world.crash_and_restart();
    moved.jump(61);
    for _ in 0..2 {
        assert_eq!(moved.tablet_says("stop"), CANNOT_ASK);
        assert_eq!(moved.world.ask("stop"), CANNOT_ASK);
        moved.change();
    }
    // A clock that goes back does not help.
    moved.jump(0);
    assert_eq!(moved.tablet_says("stop"), CANNOT_ASK);
    assert_eq!(moved.world.api.scaled_to(), [1, 0, 1]);
    // The server is back.
    moved.world.hs.clear_rewrites();
    moved.change();
    moved.tablet.say(ROOM, "stop");
    let said = moved.world.next_body();
    assert!(said.contains("a session that was signed out"), "{said}");
    assert_eq!(moved.world.ask("stop"), OFF);
    assert_eq!(moved.world.api.scaled_to(), [1, 0, 1, 0]);
}

#[test]
fn a_device_list_that_cannot_be_asked_for_authorises_for_an_hour_only() {
    std::thread::scope(|scope| {
        scope.spawn(|| an_old_list_authorises_for_an_hour("cross-signed"));
        scope.spawn(|| an_old_list_authorises_for_an_hour("tofu"));
    });
}

/// A thief with a stolen device of Alice's makes her list too long to be read
/// whole, and so to be believed: neither does that keep the device signed in.
#[test]
fn a_list_that_has_no_room_keeps_nobody_signed_in() {
    let mut moved = Moved::new("cross-signed");
    let big = moved.world.person(ALICE, "ALICEBIG");
    let mut keys = big.device_keys();
    keys["org.example.filler"] = json!("x".repeat(100_000));
    big.sign(&mut keys);
    big.publish_raw(keys);
    moved.world.hs.with(|state| {
        let id = (ALICE.to_owned(), TABLET.to_owned());
        state.devices.get_mut(&id).unwrap().keys = None;
    });
    moved.change();
    let said = moved.tablet_says("stop");
    assert!(said.contains("a session that was signed out"), "{said}");
    assert_eq!(moved.world.ask("stop"), OFF);
    assert_eq!(moved.world.api.scaled_to(), [1, 0]);

    // So many devices that some are not read at all.
    let mut moved = Moved::new("cross-signed");
    moved.world.hs.rewrite("/keys/query", |body| {
        if let Some(devices) = body["device_keys"][ALICE].as_object_mut() {
            devices.remove(TABLET);
            devices.extend((0..600).map(|n| (format!("0{n}"), json!(n))));
        }
    });
    moved.change();
    moved.jump(61);
    assert_eq!(moved.tablet_says("stop"), CANNOT_ASK);
    assert_eq!(moved.world.ask("stop"), CANNOT_ASK);
    moved.world.hs.clear_rewrites();
    moved.change();
    assert_eq!(moved.tablet_says("stop"), OFF);
    let (_, list, _) = moved.world.identities(&["list"]);
    assert!(!list.contains("signed out"), "{list}");
}

/// The server is back before the message: it is asked first, and the command run.
#[test]
fn a_command_after_the_hour_is_run_where_the_server_answers_again() {
    let mut moved = Moved::new("cross-signed");
    moved.fail();
    moved.jump(70);
    assert_eq!(moved.world.ask("stop"), CANNOT_ASK);
    moved.world.hs.clear_rewrites();
    moved.jump(72);
    assert_eq!(moved.world.ask("stop"), OFF);
    assert_eq!(moved.world.api.scaled_to(), [1, 0]);
}

/// The hour ends while a command waits its turn.
#[test]
fn a_command_that_waits_its_turn_is_held_to_the_hour_too() {
    let mut moved = Moved::new("cross-signed");
    moved.fail();
    moved.jump(58);
    let before = moved.world.api.calls("PATCH /").len();
    moved.world.api.fault("PATCH /", 1, Fault::HangAfter);
    moved.world.say("start");
    moved.world.api.wait("the scaling", |state| {
        let scalings = state.calls.iter().filter(|call| call.method == "PATCH");
        (scalings.count() > before).then_some(())
    });
    moved.tablet.say(ROOM, "stop");
    moved.world.hs.wait_next_sync();
    moved.jump(61);
    moved.change();
    moved.world.api.clear_faults();
    moved.world.next();
    assert_eq!(moved.world.next_body(), CANNOT_ASK);
    assert!(!moved.world.api.scaled_to().contains(&0));
}

/// To leave the room and to join it again is no way around the hour.
#[test]
fn who_leaves_and_joins_again_does_not_begin_the_hour_anew() {
    let mut moved = Moved::new("cross-signed");
    moved.fail();
    moved.jump(45);
    moved.world.hs.member(ROOM, ALICE, "leave");
    moved.world.hs.wait_next_sync();
    moved.world.hs.rewrite("/sync", |body| {
        body["device_lists"]["left"] = json!([ALICE]);
    });
    moved.world.hs.wait_next_sync();
    moved.world.hs.member(ROOM, ALICE, "join");
    moved.world.hs.wait_next_sync();
    moved.jump(61);
    moved.tablet.rotate(ROOM);
    assert_eq!(moved.tablet_says("stop"), CANNOT_ASK);
    assert_eq!(moved.world.api.scaled_to(), [1]);
}
