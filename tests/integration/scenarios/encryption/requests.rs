//! Requests that are lost, refused for a while, or too large for one.

use std::time::Duration;

use crate::support::faults::Fault;
use crate::support::person::Person;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, OFF, ON, ROOM, World};

/// Rule 32: a reply whose answer is lost is the same reply again.
fn reply_is_repeated(fault: Fault) {
    let mut world = World::encrypted();
    world.hs.fault("PUT /send/m.room.encrypted", 1, fault);
    assert_eq!(world.ask("start"), ON);
    let sent = world.hs.wait_requests("PUT /send/m.room.encrypted", 2);
    assert_eq!(sent[0].path, sent[1].path, "the transaction id is the same");
    assert_eq!(sent[0].body, sent[1].body, "the ciphertext is the same");
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(world.said(ROOM), 2);
}

#[test]
fn a_reply_cut_after_it_took_effect_is_repeated_as_it_was() {
    reply_is_repeated(Fault::CutAfter);
}

#[test]
fn a_reply_cut_before_it_took_effect_is_repeated_as_it_was() {
    reply_is_repeated(Fault::Cut);
}

#[test]
fn a_reply_answered_by_an_error_of_the_server_is_repeated_as_it_was() {
    reply_is_repeated(Fault::html(502));
}

/// Rule 32, for the keys.
#[test]
fn a_key_share_whose_answer_is_lost_is_repeated_as_it_was() {
    let mut world = World::encrypted();
    world
        .hs
        .fault("PUT /sendToDevice/m.room.encrypted", 1, Fault::CutAfter);
    assert_eq!(world.ask("start"), ON);
    let sent = world.hs.requests("PUT /sendToDevice/m.room.encrypted");
    assert!(sent.len() >= 2);
    assert_eq!(
        (&sent[0].path, &sent[0].body),
        (&sent[1].path, &sent[1].body)
    );
}

/// Rule 32.
#[test]
fn no_request_carries_more_than_250_devices() {
    let mut world = World::new();
    let mut phones: Vec<Person> = (0..300)
        .map(|n| {
            let user = format!("@bob{}:test", n % 10);
            let mut phone = Person::unpublished(&world.hs, &user, &format!("PHONE{n}"));
            phone.publish(|_| {});
            phone.publish_one_time_keys(1, |_| {});
            phone
        })
        .collect();
    let bobs: Vec<String> = (0..10).map(|n| format!("@bob{n}:test")).collect();
    let members: Vec<&str> = [ALICE, BOT]
        .into_iter()
        .chain(bobs.iter().map(String::as_str))
        .collect();
    world.hs.add_room(ROOM, &members, true);
    world.start();
    assert_eq!(world.ask("start"), ON);
    for request in world.hs.requests("PUT /sendToDevice/m.room.encrypted") {
        let messages = request.body["messages"].as_object().unwrap();
        let devices: usize = messages
            .values()
            .map(|d| d.as_object().unwrap().len())
            .sum();
        assert!(devices <= 250, "{devices} devices");
    }
    for phone in [0, 150, 299] {
        assert_eq!(phones[phone].last_answer(ROOM).as_deref(), Some(ON));
    }
}

/// Rule 33: three seconds are more than the bot would wait after a first failure
/// of its own accord.
fn assert_waits_as_asked(world: &World, pattern: &str) {
    let requests = world.hs.requests(pattern);
    let limited = requests.iter().position(|r| r.status == Some(429));
    let limited = limited.expect("there was a rate limit");
    let pause = requests[limited + 1].at - requests[limited].at;
    assert!(
        pause >= Duration::from_millis(2950),
        "{pattern} tried again after {pause:?}"
    );
}

/// Rule 33.
#[test]
fn a_reply_waits_as_long_as_the_server_asks() {
    let mut world = World::encrypted();
    let pattern = "PUT /send/m.room.encrypted";
    world.hs.fault(pattern, 1, Fault::limited(3));
    assert_eq!(world.ask("start"), ON);
    assert_waits_as_asked(&world, pattern);
}

/// Rule 33.
#[test]
fn a_sync_waits_as_long_as_the_server_asks() {
    let mut world = World::encrypted();
    world.hs.fault("/sync", 1, Fault::limited(3));
    world.hs.nudge();
    world.hs.wait("a sync that is limited", |state| {
        let syncs = state.requests("/sync");
        syncs
            .iter()
            .any(|sync| sync.status == Some(429))
            .then_some(())
    });
    assert_eq!(world.ask("start"), ON);
    assert_waits_as_asked(&world, "/sync");
}

/// Rule 33.
#[test]
fn a_login_waits_as_long_as_the_server_asks() {
    let mut world = Scenario::encrypted()
        .fault("POST /login", 1, Fault::limited(3))
        .start();
    assert_eq!(world.ask("start"), ON);
    assert_waits_as_asked(&world, "POST /login");
}
