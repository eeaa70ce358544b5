//! Invitations: whose are taken, and those that cannot be taken when they come, by a
//! configuration that is wrong or because the join is refused.

use serde_json::json;

use crate::support::faults::Fault;
use crate::support::scenario::Scenario;
use crate::support::wire::Response;
use crate::support::world::{ALICE, BOT, MALLORY, ON, ROOM, World};

const OTHER: &str = "!other:test";

fn is_in(world: &World, room: &str) -> bool {
    world.hs.with(|state| state.rooms[room].has(BOT))
}

#[test]
fn an_invitation_of_an_allowed_user_is_taken() {
    let mut world = Scenario::new()
        .room(ROOM, |room| room.encrypted().member(ALICE).without_bot())
        .start();
    world.hs.invite(ROOM, ALICE, BOT);
    world.wait_joined(ROOM);
    assert_eq!(world.ask("start"), ON);
}

#[test]
fn an_invitation_that_waits_at_the_start_is_taken() {
    let mut world = World::new();
    world.hs.add_room(ROOM, &[ALICE], true);
    world.hs.invite(ROOM, ALICE, BOT);
    world.start();
    world.wait_joined(ROOM);
    assert_eq!(world.ask("start"), ON);
}

#[test]
fn an_invitation_of_a_stranger_is_not_taken() {
    let mut world = World::encrypted();
    world.hs.add_room("!trap:test", &[MALLORY], false);
    world.hs.invite("!trap:test", MALLORY, BOT);
    world.ask("status");
    world.hs.wait_next_sync();
    world
        .hs
        .with(|state| assert!(!state.rooms["!trap:test"].has(BOT)));
    assert!(world.hs.requests("POST /join").is_empty());
}

/// Stripped state that names an allowed member is no invitation of theirs.
#[test]
fn an_invitation_counts_by_the_sender_of_the_bots_own_member_event() {
    let mut world = World::encrypted();
    world.hs.rewrite("/sync", |body| {
        let events = &mut body["rooms"]["invite"]["!trap:test"]["invite_state"]["events"];
        if let Some(events) = events.as_array_mut() {
            events.push(json!({
                "type": "m.room.member", "sender": ALICE, "state_key": ALICE,
                "content": {"membership": "join"},
            }));
        }
    });
    world.hs.add_room("!trap:test", &[MALLORY], false);
    world.hs.invite("!trap:test", MALLORY, BOT);
    world.ask("status");
    world.hs.wait_next_sync();
    assert!(world.hs.requests("POST /join").is_empty());
}

/// Rule 26: the inviting server chooses what else an invitation carries, such as
/// one more that an allowed user seems to have sent.
#[test]
fn an_invitation_with_two_inviters_is_not_taken() {
    for at in [0, usize::MAX] {
        let mut world = World::encrypted();
        world.hs.rewrite("/sync", move |body| {
            let events = &mut body["rooms"]["invite"]["!trap:test"]["invite_state"]["events"];
            if let Some(events) = events.as_array_mut() {
                events.insert(
                    at.min(events.len()),
                    json!({
                        "type": "m.room.member", "sender": ALICE, "state_key": BOT,
                        "content": {"membership": "invite"},
                    }),
                );
            }
        });
        world.hs.add_room("!trap:test", &[MALLORY], false);
        world.hs.invite("!trap:test", MALLORY, BOT);
        world.ask("status");
        world.hs.wait_next_sync();
        assert!(world.hs.requests("POST /join").is_empty());
    }
}

/// The words about an invite at the time say what to change; after that change the
/// bot joins at its next start. It does so, too, for a room that was left out.
#[test]
fn an_invite_is_judged_again_when_the_configuration_is_put_right() {
    let mut world = Scenario::new()
        .set("ALLOWED_USERS", "@alcie:test")
        .set("ALLOWED_ROOMS", "!elsewhere:test")
        .room(ROOM, |room| room.encrypted().member(ALICE).without_bot())
        .room(OTHER, |room| room.member(ALICE).without_bot())
        .start();
    world.hs.invite(ROOM, ALICE, BOT);
    world
        .bot()
        .wait_log("invited to !ops:test by @alice:test, and the room is not in ALLOWED_ROOMS");
    world.hs.wait_next_sync();
    world.stop();

    // The room is put right, the typing error is not yet.
    world.env.remove("ALLOWED_ROOMS");
    world.start();
    let line = world
        .bot()
        .wait_log("invited to !ops:test by @alice:test, who is not in ALLOWED_USERS");
    assert!(line.contains("add them there and restart"), "{line}");
    world.hs.invite(OTHER, ALICE, BOT);
    world
        .bot()
        .wait_log("invited to !other:test by @alice:test, who is not");
    world.hs.wait_next_sync();
    // As a crash leaves it.
    world.bot().kill();
    assert!(world.hs.requests("POST /join").is_empty());

    world.set("ALLOWED_USERS", ALICE);
    world.start();
    world.wait_joined(ROOM);
    world.wait_joined(OTHER);
    assert_eq!(world.ask("start"), ON);
}

/// A version that kept no invites leaves none in its store: what stands is asked for.
#[test]
fn invites_of_before_an_update_are_asked_for() {
    let mut world = World::encrypted();
    world.hs.add_room(OTHER, &[MALLORY], false);
    world.hs.invite(OTHER, MALLORY, BOT);
    world.hs.wait_next_sync();
    world.stop();
    let store = std::path::Path::new(&world.env["CRYPTO_STORE_PATH"]).join("store.sqlite3");
    let database = rusqlite::Connection::open(store).unwrap();
    database
        .execute_batch("DELETE FROM invites; UPDATE session SET invites_listed = 0")
        .unwrap();
    drop(database);
    world.set("ALLOWED_USERS", &format!("{ALICE},{MALLORY}"));
    world.start();
    world.wait_joined(OTHER);
    let listings = |world: &World| {
        let syncs = world.hs.requests("GET /sync").into_iter();
        syncs.filter(|sync| sync.query("since").is_none()).count()
    };
    assert_eq!(listings(&world), 2, "the first sync, and this one");
    assert_eq!(world.ask("start"), ON, "the sync goes on beside it");
    world.crash_and_restart();
    assert_eq!(world.ask("start"), ON);
    assert_eq!(listings(&world), 2, "it is asked for once");
}

/// Whatever a join is refused with is told once, and it is tried again.
#[test]
fn a_refused_join_is_tried_again() {
    let refusals = [
        (
            "!banned:test",
            Fault::json(
                403,
                &json!({"errcode": "M_FORBIDDEN", "error": "You are\nnot invited"}),
            ),
        ),
        (
            "!remote:test",
            Fault::json(
                404,
                &json!({"errcode": "M_UNKNOWN", "error": "Can't join remote room"}),
            ),
        ),
        ("!bad:test", Fault::matrix(400, "M_BAD_STATE")),
        ("!proxy:test", Fault::html(502)),
        (
            "!late:test",
            Fault::json(504, &json!({"errcode": "M_UNKNOWN", "error": "timeout"})),
        ),
        ("!unknown:test", Fault::matrix(404, "M_UNRECOGNIZED")),
        ("!busy:test", Fault::limited(1)),
    ];
    let mut world = World::new();
    world.pace(5);
    for (room, refusal) in &refusals {
        world.hs.add_room(room, &[ALICE], false);
        world
            .hs
            .fault(&format!("POST /rooms/{room}/join"), 1, refusal.clone());
        world.hs.invite(room, ALICE, BOT);
    }
    world.start();
    for (room, _) in &refusals {
        let said = world.bot().wait_log(&format!("joining {room} failed: "));
        assert!(
            said.contains("the invite is kept and tried again in"),
            "{said}"
        );
    }
    let log = world.bot().log();
    assert!(
        log.contains(r"403 M_FORBIDDEN (You are\nnot invited)"),
        "{log}"
    );
    assert!(
        log.contains("404 M_UNKNOWN (Can't join remote room)"),
        "{log}"
    );
    for (room, _) in &refusals {
        world.wait_joined(room);
        assert_eq!(
            world.hs.requests(&format!("POST /rooms/{room}/join")).len(),
            2
        );
    }
}

/// A join that is refused again and again is said once. It stands until the server
/// says otherwise, and is tried at each start.
#[test]
fn an_invite_stands_until_the_server_takes_it_back() {
    let mut world = World::encrypted();
    world.hs.add_room(OTHER, &[ALICE], false);
    let join = "POST /rooms/!other:test/join";
    let refusal = Response::json(403, &json!({"errcode": "M_FORBIDDEN", "error": "no"}));
    world.hs.fault(join, usize::MAX, Fault::Answer(refusal));
    world.hs.invite(OTHER, ALICE, BOT);
    world.bot().wait_log("joining !other:test failed");
    world.crash_and_restart();
    world.hs.wait_requests(join, 2);
    // The same user invites by a new invite after the first was taken back.
    world.hs.member(OTHER, BOT, "leave");
    world.hs.wait_next_sync();
    world.crash_and_restart();
    world.hs.wait_next_sync();
    assert_eq!(world.hs.requests(join).len(), 2, "it was taken back");
    world.hs.clear_faults();
    world.hs.invite(OTHER, ALICE, BOT);
    world.wait_joined(OTHER);
    assert!(is_in(&world, ROOM));
}

/// Removed and invited anew while the bot does not look: it joins again, and answers.
#[test]
fn a_room_that_the_bot_was_removed_from_is_joined_again() {
    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    world.hs.at_once(|| {
        world.hs.state_event(
            ROOM,
            ALICE,
            "m.room.member",
            BOT,
            json!({"membership": "leave"}),
        );
        world.hs.invite(ROOM, ALICE, BOT);
    });
    world.wait_joined(ROOM);
    world.hs.wait_next_sync();
    assert_eq!(world.ask("start"), ON);
}

/// Strangers do not fill the log.
#[test]
fn invites_of_strangers_are_logged_up_to_a_number() {
    let mut world = World::encrypted();
    world.hs.at_once(|| {
        for number in 0..40 {
            let room = format!("!trap{number}:test");
            world.hs.add_room(&room, &[MALLORY], false);
            world.hs.invite(&room, MALLORY, BOT);
        }
    });
    assert_eq!(world.ask("start"), ON);
    let log = world.bot().log();
    let told = log
        .lines()
        .filter(|line| line.contains("who is not in ALLOWED_USERS"));
    assert_eq!(told.filter(|line| line.contains("WARN")).count(), 20);
    assert!(log.contains("further invites that are not taken are logged at the level debug"));
}
