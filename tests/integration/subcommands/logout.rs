//! The end of the bot's session, from outside.

use std::path::Path;

use super::*;

/// A bot that has answered a command, and is stopped; its device.
fn stopped() -> (World, String) {
    let mut world = World::encrypted();
    assert_eq!(world.ask("start"), ON);
    // By then it has written down that the answer is sent.
    world.hs.wait_next_sync();
    let device = world.bot_device();
    world.stop();
    (world, device)
}

/// Runs `logout` with the environment of a login and the path of the store, and no more.
fn logout(world: &World) -> Done {
    let store = world.env["CRYPTO_STORE_PATH"].clone();
    run(
        &["logout"],
        &set(&world.login_env(), &[("CRYPTO_STORE_PATH", &store)]),
    )
}

#[test]
fn logout_ends_the_session_and_the_next_start_is_a_new_device() {
    let (mut world, device) = stopped();
    let done = logout(&world);
    let ended = format!("the session of @bot:test, device {device}, has ended; the device's keys");
    let seen = [
        ended.as_str(),
        "what remains there:\n",
        "      1  cross-signing identity of the bot\n",
        "      1  rooms\n",
        "      0  commands that are not done\n",
        "  replies that are not sent\n",
    ];
    assert_done(&done, 0, &seen, &[]);
    assert_eq!(devices(&world), Vec::<String>::new());

    let done = logout(&world);
    assert_done(&done, 0, &["there is no session to end"], &[]);

    world.start();
    assert_ne!(world.bot_device(), device);
    assert_eq!(world.ask("stop"), OFF);
}

#[test]
fn logout_renews_a_token_that_has_expired() {
    let mut world = World::new();
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    let life = Duration::from_millis(1200);
    world.hs.with(|state| state.sessions.life = Some(life));
    world.start();
    world.stop();
    std::thread::sleep(life);
    assert_done(&logout(&world), 0, &[", has ended; "], &[]);
    assert_eq!(devices(&world), Vec::<String>::new());
    assert_eq!(world.hs.requests("POST /login").len(), 1);
}

#[test]
fn logout_is_refused_while_the_bot_runs() {
    let mut world = World::encrypted();
    let device = world.bot_device();
    let done = logout(&world);
    assert_done(&done, 1, &[], &["another process"]);
    assert_eq!(world.ask("start"), ON);
    assert_eq!(world.bot_device(), device);
}

#[test]
fn logout_of_a_session_that_had_ended_tidies_up() {
    let (mut world, device) = stopped();
    world.hs.revoke(BOT, None);
    let done = logout(&world);
    let ended = format!("device {device}, had ended before; the device's keys are removed");
    assert_done(&done, 0, &[&ended], &[]);
    world.start();
    assert_ne!(world.bot_device(), device);
}

#[test]
fn logout_without_a_homeserver_removes_nothing() {
    let (mut world, device) = stopped();
    world.hs.fault("POST /logout", 1, Fault::html(502));
    let said = ["the session could not be ended: ", "502"];
    assert_done(&logout(&world), 1, &[], &said);
    world.start();
    assert_eq!(world.bot_device(), device);
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(world.hs.requests("POST /login").len(), 1);
}

#[test]
fn logout_without_a_store_makes_none() {
    let world = World::new();
    let done = logout(&world);
    assert_eq!((done.code, done.out.as_str()), (Some(1), ""), "{done:?}");
    assert!(done.err.contains("CRYPTO_STORE_PATH"), "{}", done.err);
    let store = Path::new(&world.env["CRYPTO_STORE_PATH"]);
    assert_eq!(std::fs::read_dir(store).unwrap().count(), 0);
    assert_eq!(world.hs.requests("").len(), 0);
}
