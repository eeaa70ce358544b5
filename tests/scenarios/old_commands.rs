//! What is old does not run: commands and keys that a homeserver recorded or
//! held back and delivers after days, and copies of the store of days ago.

use crate::replay::{copy, sealed, store};
use crate::support::evidence;
use crate::support::faults::Fault;
use crate::support::person::{Person, text_message};
use crate::support::world::{ALICE, BOT, MALLORY, OFF, ON, ROOM, World};
use serde_json::{Value, json};

const DAY_MS: i64 = 24 * 3600 * 1000;

/// To a message that came after a newer one.
const OLDER: &str = "I ignored an older message of yours, because it reached me after a newer \
    one: please send it again if you still want it.";

/// To a message under a key that should have been replaced.
const SPENT: &str = "Your message was encrypted with a key that your client should have replaced \
    by now, so I did not run it: please make your client use a new key (in Element, write \
    /discardsession in this room; in others, sign out and in again), and send it again.";

/// Alice and the bot in an encrypted room; the bot's clock can be moved.
fn aging(prepare: impl FnOnce(&mut World)) -> World {
    let mut world = World::new();
    world.let_clock_move();
    world.alice.cross_sign();
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
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
fn ask_anew(world: &mut World, text: &str) -> String {
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

/// Day 0 is put back on day 12, and the server hides what the bot has said since:
/// what was recorded runs not, and nothing is encrypted with a key used before.
#[test]
fn a_restored_copy_runs_no_recording_and_uses_no_key_twice() {
    let mut world = aging(|_| {});
    assert_eq!(world.ask("stop"), OFF);
    world.settle();
    world.stop();
    let copied = world.dir.sub("copy");
    copy(&store(&world), &copied);
    world.start();
    let recorded = sealed(&mut world, "start");
    world.hs.event(ROOM, recorded.clone());
    assert_eq!(world.next_body(), ON);
    assert_eq!(world.ask("stop"), OFF);
    world.settle();
    world.stop();
    copy(&copied, &store(&world));
    hide_own_messages(&world);
    world.jump(12 * DAY_MS);
    world.start();
    // The homeserver shows all again that the copy has not seen.
    for _ in ["start", "stop"] {
        assert_eq!(world.next_body(), SPENT);
    }
    world.hs.event(ROOM, recorded);
    assert_eq!(ask_anew(&mut world, "start"), ON);
    assert_eq!(world.api.scaled_to(), [0, 1, 0, 1]);
    world.hs.with(|state| evidence::check(state));
}

fn hide_own_messages(world: &World) {
    world.hs.rewrite("/sync", |body| {
        let Some(rooms) = body["rooms"]["join"].as_object_mut() else {
            return;
        };
        for (_, room) in rooms {
            if let Some(events) = room["timeline"]["events"].as_array_mut() {
                events.retain(|event| event["sender"] != BOT || !event["state_key"].is_null());
            }
        }
    });
}

/// With every start the bot's own sessions are new ones, so that no copy of the
/// store can use a key of another; nobody notices.
#[test]
fn every_start_sends_with_sessions_of_its_own() {
    let mut world = World::encrypted();
    let mut sessions = Vec::new();
    for (text, answer) in [("start", ON), ("stop", OFF), ("start", ON)] {
        world.say(text);
        let seen = world.next();
        assert_eq!(seen.body.as_deref(), Some(answer));
        sessions.push(seen.outer["session_id"].to_string());
        world.crash_and_restart();
    }
    sessions.dedup();
    assert_eq!(sessions.len(), 3, "{sessions:?}");
    assert_eq!(world.alice.olm_types, [1, 0, 0], "the first is Alice's own");
    world.hs.with(|state| evidence::check(state));
}

/// Somebody else who may command claims Alice's session first: she is heard all
/// the same, and each of her messages is good once.
#[test]
fn a_session_that_another_user_claims_first_stays_its_makers() {
    let mut world = World::new();
    world.set("ALLOWED_USERS", &format!("{ALICE},{MALLORY}"));
    let mut mallory = world.person(MALLORY, "MALLORYS");
    world.hs.add_room(ROOM, &[ALICE, BOT, MALLORY], true);
    world.start();
    claim(&mut world, &mut mallory);
    world.alice.share(ROOM);
    let command = sealed(&mut world, "start");
    world.hs.event(ROOM, command.clone());
    assert_eq!(world.next_body(), ON);
    assert_eq!(world.ask("stop"), OFF);
    let mut as_hers = command;
    as_hers["sender"] = json!(MALLORY);
    world.hs.event(ROOM, as_hers);
    world.assert_scaled_only(&[1, 0]);
}

/// So it is with another device of her own that she has not signed.
#[test]
fn a_session_that_another_device_claims_first_stays_its_makers() {
    let mut world = aging(|_| {});
    let mut stolen = world.person(ALICE, "STOLEN");
    world.hs.wait_next_sync();
    claim(&mut world, &mut stolen);
    assert_eq!(world.ask("start"), ON);
    assert_eq!(world.ask("stop"), OFF);
    world.crash_and_restart();
    assert_eq!(world.ask("start"), ON);
    assert_eq!(world.api.scaled_to(), [1, 0, 1]);
}

/// Gives Alice's room key to the bot as this one's own.
fn claim(world: &mut World, thief: &mut Person) {
    let device = world.bot_device();
    let key = world.alice.room_key(ROOM);
    thief.share_with(ROOM, (BOT, &device), |payload| payload["content"] = key);
    world.hs.wait_next_sync();
}

/// The environment of a bot that was given a token of this device.
fn with_token(world: &mut World) {
    world.hs.with(|state| {
        let who = (BOT.to_owned(), "GIVEN".to_owned());
        state.tokens.insert("made-for-it".to_owned(), who.clone());
        state.devices.entry(who).or_default();
    });
    world.env.remove("MATRIX_PASSWORD");
    world.set("AUTH_METHOD", "token");
    world.set("MATRIX_ACCESS_TOKEN", "made-for-it");
    world.set("MATRIX_DEVICE_ID", "GIVEN");
}

/// An event of the bot's that it never sent.
fn forged(world: &World) -> Value {
    let mut forger = Person::unpublished(&world.hs, BOT, "GIVEN");
    let content = forger.encrypt(ROOM, &text_message("I never said this"));
    json!({"type": "m.room.encrypted", "sender": BOT, "content": content})
}

/// The homeserver shows it, and nobody can read it.
fn show(world: &mut World, forged: &Value) {
    world.hs.event(ROOM, forged.clone());
    assert_eq!(world.next().body, None);
}

fn times_given_up(world: &mut World) -> usize {
    world.bot().log().matches("keys are given up").count()
}

/// Such an event is the homeserver's word. It costs the keys, and nothing else:
/// not the program, not the device, and the second time not even the keys.
#[test]
fn a_forged_event_of_the_bot_does_not_end_a_bot_with_a_token() {
    let mut world = World::new();
    with_token(&mut world);
    world.alice.cross_sign();
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    let recorded = sealed(&mut world, "start");
    let event = forged(&world);
    show(&mut world, &event);
    world.bot().wait_log("keys are given up");
    world.hs.event(ROOM, recorded);
    assert_eq!(world.next_body(), SPENT);
    assert_eq!(ask_anew(&mut world, "stop"), OFF);
    show(&mut world, &event);
    assert_eq!(world.ask("start"), ON);
    assert_eq!(times_given_up(&mut world), 1);
    world.crash_and_restart();
    show(&mut world, &event);
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(times_given_up(&mut world), 0);
    let another = forged(&world);
    show(&mut world, &another);
    world.bot().wait_log("keys are given up");
    world.hs.wait_next_sync();
    world.alice.receive();
    assert_eq!(ask_anew(&mut world, "start"), ON);
    assert_eq!(world.api.scaled_to(), [1, 0, 1, 0, 1]);
    assert_eq!(world.bot_device(), "GIVEN");
    world.hs.with(|state| evidence::check(state));
}

/// A real copy, with a token that no new device is to be had for.
#[test]
fn a_restored_copy_with_a_token_goes_on_with_new_keys() {
    let mut world = World::new();
    with_token(&mut world);
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    world.settle();
    world.stop();
    let copied = world.dir.sub("copy");
    copy(&store(&world), &copied);
    world.start();
    assert_eq!(world.ask("stop"), OFF);
    world.alice.new_session((BOT, "GIVEN"));
    assert_eq!(ask_anew(&mut world, "start"), ON);
    world.settle();
    world.stop();
    copy(&copied, &store(&world));
    world.spawn().wait_log("keys are given up");
    world.wait_listening();
    world.hs.wait_next_sync();
    world.alice.receive();
    world.alice.rotate(ROOM);
    world.assert_scaled_only(&[1, 0, 1]);
    assert_eq!(ask_anew(&mut world, "stop"), OFF);
    assert_eq!(world.bot_device(), "GIVEN");
    world.hs.with(|state| evidence::ratchets(state));
}

/// Nor does a server that has other keys under the ids of the bot's.
#[test]
fn a_refused_upload_does_not_end_a_bot_with_a_token() {
    let mut world = World::new();
    with_token(&mut world);
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    world.settle();
    let before = world.hs.requests("POST /keys/upload").len();
    let refusal = Fault::matrix(400, "M_UNKNOWN");
    world.hs.fault("POST /keys/upload", 1, refusal);
    world
        .hs
        .with(|state| (0..10).for_each(|_| drop(state.claim(BOT, "GIVEN"))));
    world.hs.nudge();
    world.bot().wait_log("keys are given up");
    world.hs.wait("another upload", |state| {
        let uploads = state.requests("POST /keys/upload");
        let taken = uploads
            .iter()
            .skip(before)
            .any(|upload| upload.status == Some(200));
        taken.then_some(())
    });
    world.hs.wait_idle(BOT, || 0);
    world.alice.receive();
    assert_eq!(ask_anew(&mut world, "stop"), OFF);
    assert_eq!(world.bot_device(), "GIVEN");
}
