//! Nothing leaves in clear where people write encrypted, whatever the server says
//! of the room; and where encryption is required, nothing but one sentence.

use serde_json::json;

use crate::support::faults::Fault;
use crate::support::person::text_message;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, MALLORY, OFF, ON, ROOM, World};

const SEND_IN_CLEAR: &str = "PUT /send/m.room.message";

const ENCRYPTION_REQUIRED: &str = "I only take commands in encrypted rooms: please switch on \
    encryption in this room's settings, or write to me in an encrypted one.";

const IN_CLEAR_REFUSED: &str = "This room is encrypted, so I only take encrypted commands: please \
    send it again from a client with encryption on.";

/// The server shows no sign of the room's encryption, in no sync and when asked.
fn stripped(require: bool) -> World {
    let mut world = World::new();
    world.set("ECHO_MODE", "true");
    if require {
        world.set("REQUIRE_ENCRYPTION", "true");
    }
    world.hs.add_room(ROOM, &[ALICE, BOT], false);
    world.start();
    world.hs.wait("the 404", |state| {
        let asked = state.requests("GET /state/m.room.encryption");
        asked.iter().any(|r| r.status == Some(404)).then_some(())
    });
    world
}

/// The texts that the bot sent to the room in clear, or tried to.
fn words_in_clear(world: &World, room: &str) -> Vec<String> {
    let requests = world.hs.requests(SEND_IN_CLEAR);
    let sent = requests.iter().filter(|r| r.path.contains(room));
    sent.map(|r| r.body["body"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn assert_encrypted(world: &mut World, wanted: &[&str]) {
    for text in wanted {
        let seen = world.next();
        assert_eq!(seen.kind, "m.room.encrypted", "{seen:?}");
        assert_eq!(seen.body.as_deref(), Some(*text));
    }
}

#[test]
fn an_encrypted_command_is_answered_encrypted_whatever_the_server_says_of_the_room() {
    for require in [false, true] {
        let mut world = stripped(require);
        world.say("start");
        assert_encrypted(&mut world, &["🦞 start", ON]);
        world.say_plain("stop");
        assert_encrypted(&mut world, &[IN_CLEAR_REFUSED]);
        assert_eq!(world.api.scaled_to(), [1]);
        assert_eq!(words_in_clear(&world, ROOM), Vec::<String>::new());
    }
}

/// Leaving, coming back, restarts and a new device change nothing about it.
#[test]
fn that_people_write_encrypted_is_not_forgotten() {
    let mut world = stripped(false);
    world.say("start");
    assert_encrypted(&mut world, &["🦞 start", ON]);
    world.crash_and_restart();
    world.say_plain("stop");
    assert_encrypted(&mut world, &[IN_CLEAR_REFUSED]);
    world.hs.member(ROOM, BOT, "leave");
    world.hs.wait_next_sync();
    world.hs.invite(ROOM, ALICE, BOT);
    world.wait_joined(ROOM);
    world.hs.wait_next_sync();
    world.say_plain("stop");
    assert_encrypted(&mut world, &[IN_CLEAR_REFUSED]);
    world.hs.revoke(BOT, Some(false));
    world.wait_new_device();
    world.say_plain("stop");
    assert_encrypted(&mut world, &[IN_CLEAR_REFUSED]);
    assert_eq!(words_in_clear(&world, ROOM), Vec::<String>::new());
}

/// The key came before the bot was in the room, and the process ended in between;
/// or, for the second, the device that was given it is no more.
#[test]
fn a_room_key_from_before_the_join_is_proof_enough() {
    for new_device in [false, true] {
        let mut world = Scenario::new()
            .room(ROOM, |room| room.member(ALICE).without_bot())
            .start();
        let device = world.bot_device();
        world.alice.share_with(ROOM, (BOT, &device), |_| {});
        world.hs.wait_next_sync();
        if new_device {
            world.hs.revoke(BOT, Some(false));
            world.wait_new_device();
        } else {
            world.crash_and_restart();
        }
        world.hs.invite(ROOM, ALICE, BOT);
        world.wait_joined(ROOM);
        world.hs.wait_next_sync();
        world.say_plain("start");
        assert_encrypted(&mut world, &[IN_CLEAR_REFUSED]);
        assert_eq!(world.api.scaled_to(), Vec::<i64>::new());
        assert_eq!(words_in_clear(&world, ROOM), Vec::<String>::new());
    }
}

/// A room that was taken for one without encryption, and replies that wait there:
/// they leave encrypted once it is known better, after a restart too. The first
/// one had been tried, and is in clear nowhere but in that attempt.
#[test]
fn replies_that_waited_in_clear_leave_encrypted() {
    for restart in [false, true] {
        let mut world = stripped(false);
        let hs = world.hs.clone();
        hs.fault(SEND_IN_CLEAR, usize::MAX, Fault::html(502));
        world.say_plain("status");
        hs.wait_requests(SEND_IN_CLEAR, 1);
        world.say_plain("help");
        world.bot().wait_log("help (in clear");
        world.hs.wait_next_sync();
        let content = world.alice.room_key(ROOM);
        let device = world.bot_device();
        let payload = world.alice.payload((BOT, &device), "m.room_key", &content);
        let key = world.alice.olm((BOT, &device), &payload);
        if restart {
            world.bot().kill();
        }
        let before = words_in_clear(&world, ROOM).len();
        world.alice.deliver((BOT, &device), "m.room.encrypted", key);
        if restart {
            world.start();
        }
        let bodies: Vec<String> = (0..4)
            .map(|_| {
                let seen = world.next();
                assert_eq!(seen.kind, "m.room.encrypted", "{seen:?}");
                seen.body.unwrap_or_default()
            })
            .collect();
        assert_eq!(bodies[0], "🦞 status");
        assert!(
            bodies[1..]
                .iter()
                .any(|body| body.starts_with("Deployment is"))
        );
        let tried = words_in_clear(&world, ROOM);
        assert_eq!(tried.len(), before, "{tried:?}");
        assert!(tried.iter().all(|text| text == "🦞 status"), "{tried:?}");
    }
}

/// Replies from before encryption was required, and all that would be said to a
/// message in clear since: nothing leaves but the one sentence.
#[test]
fn where_encryption_is_required_one_sentence_leaves_in_clear() {
    let mut world = stripped(false);
    let hs = world.hs.clone();
    hs.fault(SEND_IN_CLEAR, usize::MAX, Fault::html(502));
    world.say_plain("status");
    hs.wait_requests(SEND_IN_CLEAR, 1);
    world.stop();
    let before = words_in_clear(&world, ROOM).len();
    world.set("REQUIRE_ENCRYPTION", "true");
    world.set("ALLOWED_ROOMS", "!other:test");
    hs.clear_faults();
    world.start();
    assert_eq!(world.next_body(), ENCRYPTION_REQUIRED);
    // It would be told to use another room.
    assert_eq!(world.ask_plain("start"), ENCRYPTION_REQUIRED);
    // It would be told that it cannot be decrypted.
    let content = world.alice.encrypt(ROOM, &text_message("start"));
    world.alice.post(ROOM, content);
    assert_eq!(world.next_body(), ENCRYPTION_REQUIRED);
    let told = words_in_clear(&world, ROOM);
    assert!(
        told[before..]
            .iter()
            .all(|text| text == ENCRYPTION_REQUIRED),
        "{told:?}"
    );
    assert_eq!(world.api.scaled_to(), Vec::<i64>::new());
}

/// Replies that wait in clear when the room turns out to be encrypted in a way that
/// is not known: nothing at all leaves.
#[test]
fn replies_that_waited_in_clear_are_dropped_where_nothing_can_be_encrypted() {
    let mut world = stripped(false);
    let hs = world.hs.clone();
    hs.fault(SEND_IN_CLEAR, usize::MAX, Fault::html(502));
    world.say_plain("status");
    hs.wait_requests(SEND_IN_CLEAR, 1);
    let content = json!({"algorithm": "m.future"});
    world
        .hs
        .state_event(ROOM, ALICE, "m.room.encryption", "", content);
    world
        .bot()
        .wait_log("an encryption this program does not know");
    let before = words_in_clear(&world, ROOM).len();
    hs.clear_faults();
    world.hs.add_room("!safe:test", &[ALICE, BOT], true);
    world.hs.wait_next_sync();
    world.alice.say("!safe:test", "stop");
    assert_eq!(world.next_in("!safe:test").body.as_deref(), Some("🦞 stop"));
    assert_eq!(world.next_in("!safe:test").body.as_deref(), Some(OFF));
    assert_eq!(words_in_clear(&world, ROOM).len(), before);
    assert_eq!(world.said(ROOM), 0);
}

/// A stranger's key proves nothing: where nobody who is allowed writes encrypted,
/// the server's word stands.
#[test]
fn a_room_key_of_a_stranger_proves_nothing() {
    let mut world = Scenario::plain()
        .user(MALLORY, |user| user.device("MALLORYPHONE"))
        .member(MALLORY)
        .start();
    let mut mallory = world.take(MALLORY);
    mallory.say(ROOM, "start");
    world.hs.wait_next_sync();
    assert_eq!(world.ask_plain("start"), ON);
    assert_eq!(words_in_clear(&world, ROOM), [ON]);
}
