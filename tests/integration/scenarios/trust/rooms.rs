//! Rooms that the configuration leaves out.

use crate::support::person::text_message;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, MALLORY, ON, ROOM};

/// `REQUIRE_ENCRYPTION=true`: rooms without encryption rest on the homeserver's
/// word (rule 54).
#[test]
fn where_encryption_is_required_a_plaintext_room_commands_nothing() {
    let mut world = Scenario::plain()
        .set("REQUIRE_ENCRYPTION", "true")
        .room("!safe:test", |room| room.encrypted().member(ALICE))
        .start();
    assert_eq!(
        world.ask_plain("start"),
        "I only take commands in encrypted rooms: please switch on encryption in this room's \
         settings, or write to me in an encrypted one."
    );
    world.hs.message(ROOM, MALLORY, text_message("start"));
    world.alice.say("!safe:test", "start");
    assert_eq!(world.next_in("!safe:test").body.as_deref(), Some(ON));
    assert_eq!(world.api.scaled_to(), [1]);
    assert_eq!(world.said(ROOM), 1, "a stranger is told nothing");
}

const ROOM_REFUSED: &str = "I do not take commands in this room: please use one of the rooms that \
    my operator has named (ALLOWED_ROOMS).";

/// `ALLOWED_ROOMS`: rooms that are not named are neither joined nor heard.
#[test]
fn rooms_that_are_not_allowed_are_neither_joined_nor_heard() {
    let mut world = Scenario::encrypted()
        .set("ALLOWED_ROOMS", ROOM)
        .room("!other:test", |room| room.encrypted().member(ALICE))
        .room("!plain:test", |room| room.member(ALICE))
        .start();
    world.alice.say("!other:test", "start");
    assert_eq!(
        world.next_in("!other:test").body.as_deref(),
        Some(ROOM_REFUSED)
    );
    world
        .hs
        .message("!plain:test", ALICE, text_message("start"));
    assert_eq!(
        world.next_in("!plain:test").body.as_deref(),
        Some(ROOM_REFUSED)
    );
    world.hs.add_room("!lure:test", &[ALICE], true);
    world.hs.invite("!lure:test", ALICE, BOT);
    world
        .bot()
        .wait_log("invited to !lure:test by @alice:test, and the room is not in ALLOWED_ROOMS");
    world.hs.wait_next_sync();
    assert!(world.hs.requests("POST /join").is_empty());
    world.assert_nothing_done();
    assert_eq!(world.ask("start"), ON);
}
