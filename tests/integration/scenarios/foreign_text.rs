//! Texts that others chose and the bot would repeat: names of devices, words of
//! servers, messages that are no command. Nothing of it may become a link, a
//! mention or a second line in what the bot says under its own name.

use serde_json::json;

use crate::support::apiserver::failure;
use crate::support::faults::Fault;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, ON, ROOM, World};

/// Texts of which a client makes a link, a mention or another line.
const TRICKS: [&str; 8] = [
    "https://evil.example/login",
    "evil.example",
    "@room",
    "@mallory:evil.example",
    "\n",
    "\r",
    "\u{202e}",
    "\u{200b}",
];

/// A text with all of them, as a device id, a message or an error might be.
fn bait() -> String {
    format!(
        "X\n\nNow log in at https://evil.example/login \r{}",
        TRICKS.join(" or ")
    )
}

fn assert_harmless(text: &str, own_lines: usize) {
    for trick in TRICKS.into_iter().filter(|trick| *trick != "\n") {
        assert!(!text.contains(trick), "{trick:?} in {text:?}");
    }
    assert_eq!(text.lines().count(), own_lines, "{text:?}");
}

/// Its owner did not sign it; the homeserver can make such a device up.
#[test]
fn a_device_is_named_only_by_a_name_that_is_nothing_else() {
    let mut world = Scenario::encrypted()
        .user(ALICE, |alice| alice.cross_signed())
        .start();
    assert_eq!(world.ask("start"), ON);
    let long = "D".repeat(33);
    let bait = bait();
    let padded = format!("{bait}{}", "x".repeat(255 - bait.len()));
    let names = [
        ("ADDED", true),
        ("evil.example", false),
        ("https://evil.example", false),
        ("@room", false),
        ("two words", false),
        ("PH\u{41e}NE", false),
        (long.as_str(), false),
        (padded.as_str(), false),
    ];
    for (name, is_shown) in names {
        let mut added = world.person(ALICE, name);
        world.hs.wait_next_sync();
        added.say(ROOM, "stop");
        let said = world.next_body();
        let whose = match is_shown {
            true => format!("Your session {name}"),
            false => "One of your sessions".to_owned(),
        };
        assert!(
            said.starts_with(&format!("{whose} is not verified by your own identity")),
            "{said:?}"
        );
        assert_harmless(&said, 1);
        // It may be one that the homeserver made up.
        assert!(
            said.contains("If it is yours, ") && said.contains("sign it out"),
            "{said}"
        );
    }
    let log = world.bot().log();
    assert!(log.contains("X\\u{a}\\u{a}Now"), "the log tells which");
    assert!(
        log.lines().all(|line| !line.contains(&"x".repeat(65))),
        "a long name"
    );
    world.assert_scaled_only(&[1]);
}

#[test]
fn a_homeservers_words_stay_out_of_the_status() {
    for (errcode, told) in [
        ("M_FORBIDDEN".to_owned(), "(403 M_FORBIDDEN)"),
        (bait(), "(403 an unknown code)"),
        ("evil.example".to_owned(), "(403 an unknown code)"),
    ] {
        let mut world = World::new();
        let body = json!({"errcode": errcode, "error": bait()});
        let refusal = Fault::json(403, &body);
        world
            .hs
            .fault("POST /keys/device_signing/upload", usize::MAX, refusal);
        world.hs.add_room(ROOM, &[ALICE, BOT], true);
        world.start();
        world
            .bot()
            .wait_log("Now log in at https[:]//evil[.]example/login");
        assert_eq!(world.ask("start"), ON);
        world.say("status");
        let said = world.next_body();
        assert!(said.contains("the homeserver refuses"), "{said}");
        assert!(said.contains(told), "{said}");
        assert!(!said.contains("log in"), "{said}");
        assert_harmless(&said, said.lines().count());
    }
}

#[test]
fn an_api_servers_reason_is_told_without_links_and_mentions() {
    let mut world = World::encrypted();
    let body = failure(422, "Invalid", &format!("no: {}", bait()));
    world
        .api
        .fault("PATCH /", usize::MAX, Fault::json(422, &body));
    let said = world.ask("start");
    assert!(
        said.contains("Now log in at https[:]//evil[.]example/login"),
        "{said}"
    );
    assert_harmless(&said, 1);
}

#[test]
fn what_is_no_command_is_repeated_without_links_and_mentions() {
    let mut world = World::encrypted();
    let help = world.ask("what?").lines().count();
    let said = world.ask(&bait());
    assert!(said.starts_with("Unknown command: X"), "{said}");
    assert_harmless(&said, help);
}

/// Of whom a message speaks its content says; clients that find nothing there
/// look for names in its text.
#[test]
fn no_reply_mentions_anybody() {
    let mut world = Scenario::encrypted().set("ECHO_MODE", "true").start();
    world.say("@room status");
    for _ in 0..2 {
        let said = world.next();
        assert_eq!(said.inner["content"]["m.mentions"], json!({}), "{said:?}");
    }
}
