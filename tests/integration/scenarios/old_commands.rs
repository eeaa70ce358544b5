//! Old messages do not run: commands and keys that a homeserver recorded or held
//! back and delivers after days.

use serde_json::{Value, json};

use super::replay::{sealed, store};
use crate::support::faults::Fault;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, MALLORY, OFF, ON, ROOM, World};

pub const DAY_MS: i64 = 24 * 3600 * 1000;

/// To a message that came after a newer one.
const OLDER: &str = "I ignored an older message of yours, because it reached me after a newer \
    one: please send it again if you still want it. If I say so every time, make your client use a \
    new key (in Element, write /discardsession in this room).";

/// To a message under a key that should have been replaced.
pub const SPENT: &str = "Your message was encrypted with a key that your client should have replaced \
    by now, so I did not run it: please make your client use a new key (in Element, write \
    /discardsession in this room; elsewhere, let somebody leave the room and come back), and send it \
    again.";

/// Alice and the bot in an encrypted room; the bot's clock can be moved.
pub fn aging(prepare: impl FnOnce(&mut World)) -> World {
    let mut world = Scenario::encrypted()
        .movable_clock()
        .user(ALICE, |alice| alice.cross_signed())
        .build();
    prepare(&mut world);
    world.start();
    world
}

/// The time is so many days after the first start, and the bot has seen it.
fn on_day(world: &mut World, day: i64) {
    world.jump(day * DAY_MS);
    world.hs.wait_next_sync();
}

/// Alice rotates as her client does of itself, and gets this answer.
pub fn ask_anew(world: &mut World, text: &str) -> String {
    world.alice.rotate(ROOM);
    world.ask(text)
}

/// The room key of Alice's session as an Olm message, recorded on its way.
fn deliver_key(world: &mut World) -> Value {
    let device = world.bot_device();
    let key = world.alice.room_key(ROOM);
    let payload = world.alice.payload((BOT, &device), "m.room_key", &key);
    let content = world.alice.olm((BOT, &device), &payload);
    world
        .alice
        .deliver((BOT, &device), "m.room.encrypted", content.clone());
    world.alice.mark_shared(ROOM, (BOT, &device));
    content
}

/// The recorded key and the command under it come once more: nothing but a
/// sentence comes of it.
fn play(world: &mut World, key: &Value, command: &Value, scaled: &[i64]) {
    let device = world.bot_device();
    world
        .alice
        .deliver((BOT, &device), "m.room.encrypted", key.clone());
    world.hs.wait_next_sync();
    world.hs.event(ROOM, command.clone());
    world.alice.rotate(ROOM);
    world.assert_scaled_only(scaled);
}

/// A session by the fallback key is recorded with its command, and forgotten with
/// its marks; the server says nothing of the fallback key, or takes no other.
fn recorded_by_the_fallback_key(spoil: impl FnOnce(&World), last: impl FnOnce(&mut World)) {
    let mut world = aging(|_| {});
    world.settle();
    let device = world.bot_device();
    let id = (BOT.to_owned(), device.clone());
    let kept = world.hs.with(|state| {
        let device = state.devices.get_mut(&id).unwrap();
        std::mem::take(&mut device.one_time)
    });
    world.alice.new_session((BOT, &device));
    world.hs.with(|state| {
        let device = state.devices.get_mut(&id).unwrap();
        device.one_time.extend(kept);
        // As if nobody had used it.
        device
            .fallback
            .values_mut()
            .for_each(|(_, used)| *used = false);
    });
    spoil(&world);
    let key = deliver_key(&mut world);
    let command = sealed(&mut world, "start");
    world.hs.event(ROOM, command.clone());
    assert_eq!(world.next_body(), ON);
    // As many sessions as are kept of one device take the place of the first.
    for _ in 0..8 {
        world.alice.new_session((BOT, &device));
        world.alice.rotate(ROOM);
        deliver_key(&mut world);
    }
    on_day(&mut world, 15);
    assert_eq!(ask_anew(&mut world, "stop"), OFF);
    on_day(&mut world, 31);
    world.alice.new_session((BOT, &device));
    assert_eq!(ask_anew(&mut world, "stop"), OFF);
    world.hs.wait_next_sync();
    last(&mut world);
    play(&mut world, &key, &command, &[1, 0, 0]);
}

fn says_nothing_of_fallback_keys(world: &World) {
    world.hs.rewrite("/sync", |body| {
        body.as_object_mut()
            .unwrap()
            .remove("device_unused_fallback_key_types");
    });
}

#[test]
fn on_day_31_a_recording_of_a_fallback_key_that_the_server_never_replaced_runs_not() {
    recorded_by_the_fallback_key(says_nothing_of_fallback_keys, |_| {});
}

#[test]
fn on_day_31_a_recording_of_a_fallback_key_whose_successor_was_refused_runs_not() {
    recorded_by_the_fallback_key(
        |world| {
            let refusal = Fault::matrix(500, "M_UNKNOWN");
            world.hs.fault("POST /keys/upload", usize::MAX, refusal);
        },
        |_| {},
    );
}

#[test]
fn on_day_31_a_recording_of_a_fallback_key_runs_not_though_the_clock_went_back() {
    recorded_by_the_fallback_key(says_nothing_of_fallback_keys, |world| {
        world.bot().kill();
        world.jump(-365 * DAY_MS);
        world.start();
    });
}

/// Whatever the server says of it, there is another fallback key after a week.
#[test]
fn a_fallback_key_is_replaced_by_the_bots_own_clock() {
    let mut world = aging(says_nothing_of_fallback_keys_too);
    world.settle();
    let fallback = |world: &World| {
        world.hs.with(|state| {
            let found = state.only_device(BOT).unwrap().1;
            found.fallback.keys().next().unwrap().clone()
        })
    };
    let first = fallback(&world);
    on_day(&mut world, 8);
    world.jump(-DAY_MS);
    world.hs.nudge();
    world.hs.wait("another fallback key", |state| {
        let found = state.only_device(BOT)?.1;
        (*found.fallback.keys().next()? != first).then_some(())
    });
}

fn says_nothing_of_fallback_keys_too(world: &mut World) {
    says_nothing_of_fallback_keys(world);
}

/// The store of a bot that was ended.
fn database(world: &mut World) -> rusqlite::Connection {
    world.stop();
    rusqlite::Connection::open(store(world).join("store.sqlite3")).unwrap()
}

fn remembered(database: &rusqlite::Connection) -> i64 {
    let count = "SELECT count(*) FROM olm_seen";
    database.query_row(count, [], |row| row.get(0)).unwrap()
}

/// Only what a commander could be played again is remembered: what opened, and what
/// could open once more.
#[test]
fn olm_messages_are_remembered_of_those_who_command_and_where_they_open() {
    let mut world = Scenario::encrypted()
        .user(MALLORY, |user| user.device("MALLORYS"))
        .member(MALLORY)
        .start();
    let mut mallory = world.take(MALLORY);
    let device = world.bot_device();
    mallory.share(ROOM);
    assert_eq!(world.ask("start"), ON);
    let mut rubbish = deliver_key(&mut world);
    let curve = rubbish["ciphertext"]
        .as_object()
        .unwrap()
        .keys()
        .next()
        .unwrap()
        .clone();
    rubbish["ciphertext"][curve] = json!({"type": 1, "body": "AwoEAAAAABAAIgAAAAAAAAAAAA"});
    world
        .alice
        .deliver((BOT, &device), "m.room.encrypted", rubbish);
    world.alice.receive();
    let normal = {
        world.alice.rotate(ROOM);
        deliver_key(&mut world)
    };
    world.hs.wait_next_sync();
    let unwedged = |world: &mut World| world.bot().log().matches("opening a new Olm").count();
    let before = unwedged(&mut world);
    world
        .alice
        .deliver((BOT, &device), "m.room.encrypted", normal);
    world.hs.wait_next_sync();
    assert_eq!(unwedged(&mut world), before, "what came before is no wedge");
    assert_eq!(ask_anew(&mut world, "stop"), OFF);
    let pre_keys = world.alice.sent_olm_types.iter().filter(|kind| **kind == 0);
    let pre_keys = i64::try_from(pre_keys.count()).unwrap();
    assert!(pre_keys > 0);
    assert_eq!(remembered(&database(&mut world)), pre_keys);
}

/// As many as can be remembered: the fallback keys that there were are given up, and
/// with them what guarded them.
#[test]
fn when_no_more_olm_messages_can_be_remembered_the_fallback_key_is_replaced() {
    let mut world = World::encrypted();
    world.settle();
    let device = world.bot_device();
    let id = (BOT.to_owned(), device.clone());
    let (kept, first) = world.hs.with(|state| {
        let device = state.devices.get_mut(&id).unwrap();
        let fallback = device.fallback.keys().next().unwrap().clone();
        (std::mem::take(&mut device.one_time), fallback)
    });
    let mut tablet = world.person(ALICE, "ALICETABLET");
    tablet.new_session((BOT, &device));
    world.hs.with(|state| {
        let device = state.devices.get_mut(&id).unwrap();
        device.one_time.extend(kept);
        device
            .fallback
            .values_mut()
            .for_each(|(_, used)| *used = false);
    });
    let database = database(&mut world);
    database
        .execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
             INSERT INTO olm_seen SELECT CAST(printf('%032d', i) AS BLOB), 1 FROM n",
            [],
        )
        .unwrap();
    drop(database);
    world.start();
    // By the key that goes: it does not open any more.
    tablet.share_with(ROOM, (BOT, &device), |_| {});
    world.bot().wait_log("the fallback key is replaced");
    world.hs.wait("another fallback key", |state| {
        let found = state.only_device(BOT)?.1;
        (*found.fallback.keys().next()? != first).then_some(())
    });
    assert_eq!(world.ask("start"), ON);
    assert!(remembered(&self::database(&mut world)) < 10);
}

/// Twelve days and thirteen commands later the server delivers what it held back
/// under the session before.
#[test]
fn a_command_held_back_runs_not_after_newer_ones() {
    let mut world = aging(|_| {});
    world.ask("status");
    let held_back = sealed(&mut world, "start");
    for n in 0..13 {
        on_day(&mut world, n);
        if n % 6 == 0 {
            world.alice.rotate(ROOM);
        }
        assert_eq!(world.ask("stop"), OFF);
    }
    world.hs.event(ROOM, held_back.clone());
    assert_eq!(world.next_body(), OLDER);
    world.hs.event(ROOM, held_back.clone());
    world.assert_scaled_only(&[0; 13]);
    world.crash_and_restart();
    world.hs.event(ROOM, held_back);
    world.assert_scaled_only(&[0; 13]);
}

/// A moment after a rotation it is the same: the person hears of it once.
#[test]
fn a_command_under_an_older_session_than_the_last_runs_not() {
    let mut world = World::encrypted();
    world.ask("status");
    let (late, later) = (sealed(&mut world, "start"), sealed(&mut world, "start"));
    assert_eq!(ask_anew(&mut world, "stop"), OFF);
    world.hs.event(ROOM, later);
    assert_eq!(world.next_body(), OLDER);
    // By its index this one is a replay, which is nobody's to hear of.
    world.hs.event(ROOM, late);
    world.assert_scaled_only(&[0]);
}

/// Alice's next key and a command under it, both held back; then another key and
/// what she has `said` under it.
fn held_back_with_its_key(world: &mut World, said: &[&str]) -> (Value, Value) {
    let device = world.bot_device();
    world.alice.rotate(ROOM);
    let key = world.alice.room_key(ROOM);
    let payload = world.alice.payload((BOT, &device), "m.room_key", &key);
    let key = world.alice.olm((BOT, &device), &payload);
    let command = sealed(world, "start");
    world.alice.rotate(ROOM);
    for text in said {
        assert_eq!(world.ask(text), OFF);
    }
    (key, command)
}

/// Olm numbers its messages: a key that comes late is as old as what overtook it.
#[test]
fn a_command_held_back_with_its_key_is_as_old_as_what_overtook_the_key() {
    for (days, answer) in [(0, OLDER), (12, OLDER), (15, SPENT)] {
        let mut world = aging(|_| {});
        let device = world.bot_device();
        assert_eq!(world.ask("stop"), OFF);
        let (key, command) = held_back_with_its_key(&mut world, &["stop"]);
        on_day(&mut world, days);
        world.alice.deliver((BOT, &device), "m.room.encrypted", key);
        world.hs.wait_next_sync();
        world.hs.event(ROOM, command);
        assert_eq!(world.next_body(), answer, "after {days} days");
        assert_eq!(ask_anew(&mut world, "stop"), OFF);
        assert_eq!(world.api.scaled_to(), [0, 0, 0]);
    }
}

/// If nothing was judged under the later key, it is the age that counts.
#[test]
fn a_key_held_back_is_too_old_without_another_command_too() {
    let mut world = aging(|_| {});
    let device = world.bot_device();
    assert_eq!(world.ask("stop"), OFF);
    let (key, command) = held_back_with_its_key(&mut world, &[]);
    deliver_key(&mut world);
    world.hs.wait_next_sync();
    on_day(&mut world, 8);
    world.alice.deliver((BOT, &device), "m.room.encrypted", key);
    world.hs.wait_next_sync();
    world.hs.event(ROOM, command);
    assert_eq!(world.next_body(), SPENT);
    assert_eq!(world.api.scaled_to(), [0]);
}

/// Two keys on their way at the same time may change places.
#[test]
fn keys_of_two_rooms_may_overtake_each_other() {
    const OTHER: &str = "!other:test";
    let mut world = World::new();
    for room in [ROOM, OTHER] {
        world.hs.add_room(room, &[ALICE, BOT], true);
    }
    world.start();
    assert_eq!(world.ask("stop"), OFF);
    let device = world.bot_device();
    world.alice.rotate(ROOM);
    let sealed: Vec<Value> = [ROOM, OTHER]
        .into_iter()
        .map(|room| {
            let key = world.alice.room_key(room);
            world.alice.mark_shared(room, (BOT, &device));
            let payload = world.alice.payload((BOT, &device), "m.room_key", &key);
            world.alice.olm((BOT, &device), &payload)
        })
        .collect();
    for key in sealed.into_iter().rev() {
        world.alice.deliver((BOT, &device), "m.room.encrypted", key);
    }
    for room in [OTHER, ROOM] {
        world.alice.say(room, "start");
        assert_eq!(world.next_in(room).body.as_deref(), Some(ON));
    }
}

/// The last command of a device, with nothing after it that could tell: by the
/// bot's own clock its key is too old, whatever is believed of devices.
fn last_command_held_back(trust: &str, pinned: bool, pass: impl FnOnce(&mut World)) {
    let mut world = aging(|world| {
        world.set("DEVICE_TRUST", trust);
        if pinned {
            let pin = format!("{ALICE}={}", world.alice.master());
            world.set("PINNED_IDENTITIES", &pin);
        }
    });
    world.ask("status");
    let held_back = sealed(&mut world, "start");
    pass(&mut world);
    world.hs.event(ROOM, held_back.clone());
    assert_eq!(world.next_body(), SPENT);
    world.hs.event(ROOM, held_back);
    world.assert_nothing_done_but_spent();
    assert_eq!(ask_anew(&mut world, "start"), ON);
    assert_eq!(world.api.scaled_to(), [1]);
}

impl World {
    /// Under the same session nothing is done at all.
    fn assert_nothing_done_but_spent(&mut self) {
        assert_eq!(self.ask("start"), SPENT);
        assert_eq!(self.api.scaled_to(), Vec::<i64>::new());
    }
}

#[test]
fn a_last_command_runs_not_after_a_year() {
    last_command_held_back("cross-signed", true, |world| on_day(world, 365));
}

#[test]
fn a_last_command_runs_not_after_eight_days() {
    last_command_held_back("cross-signed", false, |world| on_day(world, 8));
}

#[test]
fn a_last_command_runs_not_after_a_year_and_a_clock_that_goes_back() {
    last_command_held_back("tofu", false, |world| {
        on_day(world, 365);
        world.jump(-365 * DAY_MS);
        world.hs.wait_next_sync();
    });
}

#[test]
fn a_last_command_runs_not_after_a_year_of_absence() {
    last_command_held_back("tofu", true, |world| {
        world.bot().kill();
        world.jump(365 * DAY_MS);
        world.start();
    });
}

/// The server says that the room rotates once in a hundred years: a week counts.
#[test]
fn a_server_does_not_make_sessions_last() {
    let mut world = aging(|_| {});
    world.ask("status");
    let content = json!({
        "algorithm": "m.megolm.v1.aes-sha2",
        "rotation_period_ms": 100 * 365 * DAY_MS, "rotation_period_msgs": 1_000_000,
    });
    world
        .hs
        .state_event(ROOM, ALICE, "m.room.encryption", "", content);
    on_day(&mut world, 8);
    assert_eq!(world.ask("start"), SPENT);
    assert_eq!(ask_anew(&mut world, "start"), ON);
}

/// A session in its week, and the hour in which a command may come late.
#[test]
fn a_session_of_this_week_is_good() {
    let mut world = aging(|_| {});
    assert_eq!(world.ask("start"), ON);
    on_day(&mut world, 6);
    assert_eq!(world.ask("stop"), OFF);
    world.crash_and_restart();
    assert_eq!(world.ask("start"), ON);
}

/// A key sent again begins no other life of its session, neither while it is known
/// nor after it was forgotten.
#[test]
fn a_room_key_sent_again_makes_a_session_no_younger() {
    let mut world = aging(|_| {});
    let device = world.bot_device();
    world.ask("status");
    let held_back = sealed(&mut world, "start");
    let key = world.alice.room_key(ROOM);
    on_day(&mut world, 9);
    world.alice.share_with(ROOM, (BOT, &device), |_| {});
    world.hs.wait_next_sync();
    world.hs.event(ROOM, held_back.clone());
    assert_eq!(world.next_body(), SPENT);
    on_day(&mut world, 20);
    assert_eq!(ask_anew(&mut world, "stop"), OFF);
    let payload = world.alice.payload((BOT, &device), "m.room_key", &key);
    let content = world.alice.olm((BOT, &device), &payload);
    world
        .alice
        .deliver((BOT, &device), "m.room.encrypted", content);
    world.hs.wait_next_sync();
    world.hs.event(ROOM, held_back);
    world.assert_scaled_only(&[0]);
}
