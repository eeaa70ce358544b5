//! People's words to the bot and its answers, with the real binary.

use serde_json::{Value, json};

use crate::support::apiserver::failure;
use crate::support::faults::Fault;
use crate::support::person::text_message;
use crate::support::rooms::now_ms;
use crate::support::scenario::Scenario;
use crate::support::wire::Response;
use crate::support::world::{ALICE, BOT, MALLORY, OFF, ON, ROOM, World};

const HELP_START: &str = "Clawdbot Operator commands:";

const HELP_LINE: &str = "  start / on  — Scale deployment to 1 replica";

fn assert_is_help(text: &str) {
    assert!(text.starts_with(HELP_START), "{text}");
    assert!(text.contains(HELP_LINE), "{text}");
    for word in ["stop / off", "status", "help"] {
        assert!(text.contains(word), "{text}");
    }
}

/// A sentence for a person: one line, nothing of an error body in it.
fn assert_is_a_sentence(text: &str) {
    assert!(!text.is_empty() && text.len() < 300, "{text}");
    assert!(!text.contains('\n'), "{text}");
    for raw in ["{", "apiVersion", "<html", "Bearer", "https://", "Whatever"] {
        assert!(!text.contains(raw), "{raw} in {text}");
    }
}

#[test]
fn start_and_stop_scale_and_say_so_encrypted() {
    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(world.ask("on"), ON);
    assert_eq!(world.ask("off"), OFF);
    assert_eq!(world.api.scaled_to(), [1, 0, 1, 0]);
    let plain = world.hs.requests("PUT /send/m.room.message");
    assert!(plain.is_empty(), "{plain:?}");
}

#[test]
fn scaling_is_one_merge_patch_of_the_scale() {
    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    let calls = world.api.calls("PATCH /");
    let patch = calls.iter().find(|call| !call.is_dry_run()).unwrap();
    assert!(
        patch.path.ends_with("/deployments/clawdbot/scale"),
        "{patch:?}"
    );
    assert_eq!(patch.content_type, "application/merge-patch+json");
    assert_eq!(patch.body, json!({"spec": {"replicas": 1}}));
}

#[test]
fn status_tells_off_starting_and_running() {
    let mut world = World::encrypted();
    let lines = |state: &str, desired: u32, ready: u32| {
        format!(
            "Deployment is {state}\n  Desired replicas : {desired}\n  Ready            : {ready}\n  Available        : {ready}"
        )
    };
    assert_eq!(world.ask("status"), lines("off", 0, 0));
    world.ask("start");
    assert_eq!(world.ask("status"), lines("starting", 1, 0));
    world.api.set_ready(1);
    assert_eq!(world.ask("status"), lines("running", 1, 1));
}

#[test]
fn help_lists_the_commands() {
    let mut world = World::encrypted();
    let help = world.ask("help");
    assert_is_help(&help);
}

#[test]
fn anything_else_is_an_unknown_command_with_the_help() {
    let mut world = World::encrypted();
    let answer = world.ask("make tea");
    let help = answer.strip_prefix("Unknown command: make tea\n\n");
    assert_is_help(help.unwrap_or_else(|| panic!("{answer}")));
    assert_eq!(world.api.scaled_to(), Vec::<i64>::new());
}

#[test]
fn commands_are_trimmed_and_case_does_not_matter() {
    let mut world = World::encrypted();
    assert_eq!(world.ask("  START \n"), ON);
    assert_eq!(world.ask("\tStOp"), OFF);
}

#[test]
fn a_room_without_encryption_is_served_in_plaintext() {
    let mut world = World::plain();
    assert_eq!(world.ask_plain("start"), ON);
    assert_eq!(world.ask_plain("stop"), OFF);
    assert!(world.ask_plain("status").starts_with("Deployment is off\n"));
    let encrypted = world.hs.requests("PUT /send/m.room.encrypted");
    assert!(encrypted.is_empty(), "{encrypted:?}");
}

#[test]
fn with_echo_mode_every_message_is_echoed_before_its_answer() {
    let mut world = Scenario::encrypted().set("ECHO_MODE", "true").start();
    assert_eq!(world.ask("start"), "🦞 start");
    assert_eq!(world.next_body(), ON);
    assert_eq!(world.ask("whatever"), "🦞 whatever");
    assert!(world.next_body().starts_with("Unknown command: whatever"));
}

#[test]
fn a_stranger_is_ignored_without_an_answer_in_plaintext() {
    let mut world = Scenario::plain().member(MALLORY).start();
    world.hs.message(ROOM, MALLORY, text_message("start"));
    world.say_plain("status");
    assert_eq!(world.wait_for_status(), Vec::<String>::new());
    assert_eq!(world.api.scaled_to(), Vec::<i64>::new());
}

#[test]
fn a_stranger_is_ignored_without_an_answer_encrypted() {
    let mut world = Scenario::encrypted()
        .user(MALLORY, |user| user.device("MALLORYS"))
        .member(MALLORY)
        .start();
    let mut mallory = world.take(MALLORY);
    mallory.say(ROOM, "start");
    mallory.say(ROOM, "help");
    world.say("status");
    assert_eq!(world.wait_for_status(), Vec::<String>::new());
    assert_eq!(world.api.scaled_to(), Vec::<i64>::new());
}

#[test]
fn its_own_messages_are_no_commands_even_if_it_is_allowed() {
    let mut world = Scenario::plain()
        .set("ALLOWED_USERS", &format!("{ALICE},{BOT}"))
        .start();
    world.hs.message(ROOM, BOT, text_message("start"));
    world.say_plain("status");
    assert_eq!(world.next_body(), "start", "what the test itself put there");
    assert_eq!(world.wait_for_status(), Vec::<String>::new());
    assert_eq!(world.api.scaled_to(), Vec::<i64>::new());
}

/// Rule 25: what was said before the first sync is history.
#[test]
fn the_timeline_of_the_first_sync_is_ignored() {
    let mut world = World::new();
    world.hs.add_room(ROOM, &[ALICE, BOT], false);
    world.say_plain("start");
    world.start();
    world.assert_nothing_done_plain();
}

#[test]
fn what_is_said_while_the_bot_is_away_is_answered_after_a_restart() {
    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    world.bot().kill();
    world.say("stop");
    world.start();
    assert_eq!(world.next_body(), OFF);
    assert_eq!(world.api.scaled_to(), [1, 0]);
}

/// Rule 26: the bot joins what it is invited to and nothing else; where a room
/// goes is not for the room's server to say.
#[test]
fn a_tombstone_is_not_followed() {
    let mut world = World::encrypted();
    world.hs.add_room("!next:test", &[ALICE], true);
    let tombstone = json!({
        "type": "m.room.tombstone", "sender": ALICE, "state_key": "", "event_id": "$tombstone",
        "origin_server_ts": 1, "content": {"body": "moved", "replacement_room": "!next:test"},
    });
    // A server that does not care for the filter.
    world.hs.rewrite("/sync", move |body| {
        if let Some(room) = body["rooms"]["join"].get_mut(ROOM) {
            for part in ["state", "timeline"] {
                if let Some(events) = room[part]["events"].as_array_mut() {
                    events.push(tombstone.clone());
                }
            }
        }
    });
    assert_eq!(world.ask("start"), ON, "the old room is served on");
    world.hs.wait_next_sync();
    world.bot().kill();
    world.start();
    assert_eq!(world.ask("stop"), OFF);
    world.hs.wait_next_sync();
    assert!(world.hs.requests("POST /join").is_empty());
}

/// Rule 23: an edit says a command without a person sending one.
#[test]
fn an_edit_is_no_command() {
    let mut world = World::encrypted();
    let first = world.say("status");
    world.wait_for_status();
    let content = json!({
        "msgtype": "m.text", "body": "* start",
        "m.new_content": {"msgtype": "m.text", "body": "start"},
        "m.relates_to": {"rel_type": "m.replace", "event_id": first},
    });
    let edit = world.alice.encrypt(ROOM, &content);
    world.alice.post(ROOM, edit);
    // The relation may also stand outside the ciphertext, where clients put it.
    let mut outside = world.alice.encrypt(
        ROOM,
        &json!({
            "msgtype": "m.text", "body": "start",
            "m.new_content": {"msgtype": "m.text", "body": "start"},
        }),
    );
    outside["m.relates_to"] = json!({"rel_type": "m.replace", "event_id": first});
    world.alice.post(ROOM, outside);
    world.say("status");
    assert_eq!(world.wait_for_status(), Vec::<String>::new());
    assert_eq!(world.api.scaled_to(), Vec::<i64>::new());
}

#[test]
fn an_edit_in_plaintext_is_no_command() {
    let mut world = World::plain();
    let first = world.say_plain("status");
    world.wait_for_status();
    let content = json!({
        "msgtype": "m.text", "body": "start",
        "m.new_content": {"msgtype": "m.text", "body": "start"},
        "m.relates_to": {"rel_type": "m.replace", "event_id": first},
    });
    world.hs.message(ROOM, ALICE, content);
    world.assert_nothing_done_plain();
}

#[test]
fn the_fallback_of_a_reply_is_not_part_of_the_command() {
    let mut world = World::encrypted();
    let first = world.say("status");
    world.wait_for_status();
    let content = json!({
        "msgtype": "m.text",
        "body": format!("> <{ALICE}> stop\n\nstart"),
        "m.relates_to": {"m.in_reply_to": {"event_id": first}},
    });
    let reply = world.alice.encrypt(ROOM, &content);
    world.alice.post(ROOM, reply);
    assert_eq!(world.next_body(), ON);
}

#[test]
fn notices_emotes_and_files_are_no_commands() {
    let mut world = World::encrypted();
    world.ask("status");
    for msgtype in ["m.notice", "m.emote", "m.file", "m.image"] {
        let content = json!({"msgtype": msgtype, "body": "start", "url": "mxc://test/x"});
        let sent = world.alice.encrypt(ROOM, &content);
        world.alice.post(ROOM, sent);
    }
    world.say("status");
    assert_eq!(world.wait_for_status(), Vec::<String>::new());
    assert_eq!(world.api.scaled_to(), Vec::<i64>::new());
}

#[test]
fn a_command_that_is_too_old_is_refused_with_a_sentence() {
    let mut world = World::encrypted();
    world.ask("status");
    let content = world.alice.encrypt(ROOM, &text_message("start"));
    let event = json!({
        "type": "m.room.encrypted", "sender": ALICE, "content": content,
        "origin_server_ts": now_ms() - 300_000,
    });
    world.hs.event(ROOM, event);
    let answer = world.next_body();
    assert_is_a_sentence(&answer);
    assert_ne!(answer, ON);
    world.assert_nothing_done();
}

/// Fails the next call of `pattern` so, asks for a start and gives the answer.
fn start_with_failure(pattern: &str, times: usize, fault: Fault) -> (World, String) {
    let mut world = World::encrypted();
    world.api.fault(pattern, times, fault);
    let answer = world.ask("start");
    assert_ne!(answer, ON);
    assert_is_a_sentence(&answer);
    world.api.clear_faults();
    assert_eq!(world.ask("start"), ON, "it works again afterwards");
    (world, answer)
}

#[test]
fn a_missing_right_is_told_in_one_sentence() {
    let body = failure(
        403,
        "Forbidden",
        "deployments.apps \"clawdbot\" is forbidden: User x cannot patch resource",
    );
    let (_world, answer) = start_with_failure("PATCH /", usize::MAX, Fault::json(403, &body));
    assert!(answer.contains("clawdbot"), "{answer}");
}

#[test]
fn a_missing_deployment_is_told_in_one_sentence() {
    let body = failure(404, "NotFound", "deployments.apps \"clawdbot\" not found");
    let (_world, answer) = start_with_failure("PATCH /", usize::MAX, Fault::json(404, &body));
    assert!(answer.contains("clawdbot"), "{answer}");
}

#[test]
fn a_refused_value_is_told_in_one_sentence() {
    let body = failure(422, "Invalid", "spec.replicas: Invalid value");
    start_with_failure("PATCH /", usize::MAX, Fault::json(422, &body));
}

#[test]
fn rubbish_of_the_api_server_is_told_in_one_sentence() {
    start_with_failure(
        "PATCH /",
        usize::MAX,
        Fault::Answer(Response::text(200, "text/plain", "<html>}{")),
    );
}

#[test]
fn bytes_that_are_no_http_are_told_in_one_sentence() {
    start_with_failure(
        "PATCH /",
        usize::MAX,
        Fault::Raw(b"SSH-2.0-OpenSSH\r\n".to_vec()),
    );
}

#[test]
fn an_unreachable_api_server_is_told_in_one_sentence() {
    start_with_failure("/apis/", usize::MAX, Fault::Cut);
}

#[test]
fn a_status_that_cannot_be_read_is_told_in_one_sentence() {
    let mut world = World::encrypted();
    let body = failure(403, "Forbidden", "forbidden");
    world
        .api
        .fault("GET /apis/", usize::MAX, Fault::json(403, &body));
    assert_is_a_sentence(&world.ask("status"));
}

/// A conflict passes; the absolute number can be asked for again.
#[test]
fn an_api_server_that_is_busy_for_a_moment_is_asked_again() {
    let mut world = World::encrypted();
    let busy = Response::text(429, "text/plain", "Too many requests").header("Retry-After", "1");
    world.api.fault("PATCH /", 1, Fault::Answer(busy));
    assert_eq!(world.ask("start"), ON);
}

#[test]
fn a_rotated_token_is_read_again_on_401() {
    let mut world = World::encrypted();
    world.api.fault(
        "PATCH /",
        1,
        Fault::json(401, &failure(401, "Unauthorized", "Unauthorized")),
    );
    assert_eq!(world.ask("start"), ON);
}

/// The bot answers status while a scaling hangs: one does not stop the other.
#[test]
fn a_hanging_api_server_does_not_stop_the_conversation() {
    let mut world = World::encrypted();
    world.api.fault("PATCH /", 1, Fault::Hang);
    world.say("start");
    world.api.wait("the hanging PATCH", |state| {
        state
            .calls
            .iter()
            .any(|call| call.method == "PATCH" && !call.is_dry_run())
            .then_some(())
    });
    assert_is_help(&world.ask("help"));
}

#[test]
fn two_rooms_are_served_each_for_itself() {
    let mut world = Scenario::encrypted()
        .room("!second:test", |room| room.encrypted().member(ALICE))
        .start();
    world.alice.say("!second:test", "start");
    assert_eq!(world.next_in("!second:test").body.as_deref(), Some(ON));
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(world.said("!second:test"), 1);
}

#[test]
fn secrets_are_in_no_log_line() {
    let mut world = World::encrypted();
    world.ask("start");
    let log = world.bot().log();
    let session = world.alice.group(ROOM).session.session_key().to_base64();
    assert!(!log.contains(&session), "a session key is in the log");
}

#[test]
fn a_message_without_a_body_or_with_one_of_another_type_is_ignored() {
    let mut world = World::plain();
    for content in [
        json!({}),
        json!({"msgtype": "m.text"}),
        json!({"msgtype": "m.text", "body": 5}),
        Value::Null,
        json!([]),
    ] {
        world.hs.message(ROOM, ALICE, content);
    }
    world.say_plain("status");
    assert_eq!(world.wait_for_status(), Vec::<String>::new());
}
