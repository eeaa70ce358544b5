//! Sessions: refreshed, expired, ended, and made of tokens that were there
//! before.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::faults::Fault;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, OFF, ON, ROOM, World};

/// The life of an access token in these tests; it is renewed after three quarters of it.
const LIFE: Duration = Duration::from_millis(1200);

const REFRESH: &str = "POST /refresh";
const LOGIN: &str = "POST /login";

/// Alice and the bot in an encrypted room, with access tokens that expire; the
/// bot is not started.
fn refreshing() -> World {
    let mut world = World::new();
    world.pace(5);
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.hs.with(|state| state.sessions.life = Some(LIFE));
    world
}

/// The session goes on with the same device, without a login.
fn assert_unbroken(world: &mut World, device: &str) {
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(world.bot_device(), device);
    assert_eq!(world.hs.requests(LOGIN).len(), 1);
}

#[test]
fn tokens_are_renewed_before_they_expire() {
    let mut world = refreshing();
    // A quarter of it is what a slow machine has to renew them.
    world
        .hs
        .with(|state| state.sessions.life = Some(Duration::from_secs(4)));
    world.start();
    let device = world.bot_device();
    world.hs.wait_requests(REFRESH, 2);
    assert_unbroken(&mut world, &device);
    assert!(!world.bot().log().contains("expired"), "never too late");
    // What was asked with the old token while there was a newer one goes out again.
    let refused = world.hs.with(|state| {
        let of_bot = state.log.iter().filter(|entry| entry.status == Some(401));
        of_bot.count()
    });
    assert!(refused <= 3, "{refused} requests were refused");
}

#[test]
fn an_expired_token_is_renewed_without_a_login() {
    let mut world = refreshing();
    world.start();
    let device = world.bot_device();
    world.hs.with(|state| state.expire_all());
    assert_eq!(world.ask("start"), ON);
    assert_unbroken(&mut world, &device);
}

#[test]
fn a_token_that_expired_while_nobody_was_there_is_renewed_at_the_start() {
    let mut world = refreshing();
    world.start();
    let device = world.bot_device();
    world.stop();
    std::thread::sleep(LIFE);
    world.start();
    assert_eq!(world.ask("start"), ON);
    assert_unbroken(&mut world, &device);
}

/// If the refresh token is no good any more, the password is: the device stays.
#[test]
fn a_refresh_token_that_is_refused_leads_to_a_login_as_the_same_device() {
    let mut world = refreshing();
    world.start();
    let device = world.bot_device();
    world.hs.with(|state| {
        state.forget_refresh_tokens();
        state.expire_all();
    });
    world.hs.wait_requests(LOGIN, 2);
    assert_eq!(world.ask("start"), ON);
    assert_eq!(world.bot_device(), device);
}

/// A server that says "no such token" without `soft_logout` may still renew it.
#[test]
fn a_hard_logout_is_believed_only_when_no_token_renews_it() {
    let mut world = refreshing();
    world.start();
    let device = world.bot_device();
    let unknown = Fault::matrix(401, "M_UNKNOWN_TOKEN");
    world.hs.fault("GET /sync", 1, unknown);
    world.hs.nudge();
    world.hs.wait_requests(REFRESH, 1);
    assert_eq!(world.ask("start"), ON);
    assert_unbroken(&mut world, &device);

    world.hs.revoke(BOT, None);
    world.hs.wait_requests(LOGIN, 2);
    world.wait_new_device();
    assert_ne!(world.bot_device(), device);
    assert_eq!(world.ask("start"), ON);
}

/// As the last one, with the process gone between the logout and what it means.
#[test]
fn a_hard_logout_is_remembered_over_a_crash() {
    let mut world = refreshing();
    world.start();
    let device = world.bot_device();
    let bot = world.bot();
    let victim = bot.victim();
    world.hs.fault(REFRESH, 1, Fault::Kill(victim));
    world.hs.revoke(BOT, None);
    world.hs.wait_requests(REFRESH, 1);
    world.bot().wait_exit(Duration::from_secs(5));
    world.start();
    assert_ne!(
        world.bot_device(),
        device,
        "a device that is gone stays gone"
    );
    assert_eq!(world.ask("start"), ON);
}

#[test]
fn a_homeserver_in_trouble_only_delays_the_renewal() {
    let faults = [
        Fault::html(502),
        Fault::Cut,
        Fault::CutAfter,
        Fault::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_vec()),
    ];
    std::thread::scope(|scope| {
        for fault in faults {
            scope.spawn(|| {
                let mut world = refreshing();
                world.start();
                let device = world.bot_device();
                world.hs.fault(REFRESH, 1, fault);
                world.hs.wait_requests(REFRESH, 2);
                assert_eq!(world.ask("start"), ON);
                assert_unbroken(&mut world, &device);
            });
        }
    });
}

/// Dies at the request or at the commit, before it and after, and goes on as the
/// same device without a login.
#[test]
fn a_crash_at_any_step_of_a_renewal_strands_nobody() {
    std::thread::scope(|scope| {
        for after in [false, true] {
            scope.spawn(move || {
                let mut world = refreshing();
                world.start();
                let device = world.bot_device();
                let victim = world.bot().victim();
                let fault = match after {
                    false => Fault::Kill(victim),
                    true => Fault::KillAfter(victim),
                };
                world.hs.fault(REFRESH, 1, fault);
                world.hs.wait_requests(REFRESH, 1);
                world.bot().wait_exit(Duration::from_secs(5));
                world.start();
                assert_eq!(world.ask("start"), ON);
                assert_unbroken(&mut world, &device);
            });
        }
        // Nothing happens while the token grows old: the next commits are the
        // renewal's, and what that of the loop adds to it.
        for when in ["before", "after"] {
            for commit in 1..=3 {
                scope.spawn(move || {
                    let mut world = refreshing();
                    world.start();
                    let device = world.bot_device();
                    world.stop();
                    std::thread::sleep(LIFE);
                    world.set("OPENCLAW_TEST_CRASH", &format!("{when}:{commit}"));
                    world.spawn();
                    world.hs.wait_requests(REFRESH, 1);
                    world.env.remove("OPENCLAW_TEST_CRASH");
                    world.bot().wait_exit(Duration::from_secs(5));
                    world.start();
                    assert_eq!(world.ask("start"), ON);
                    assert_unbroken(&mut world, &device);
                });
            }
        }
    });
}

#[test]
fn a_locked_account_is_waited_for() {
    let mut world = Scenario::encrypted().pace(5).start();
    let device = world.bot_device();
    world.hs.with(|state| state.sessions.locked = true);
    world.hs.nudge();
    world.bot().wait_log("M_USER_LOCKED");
    world.hs.with(|state| state.sessions.locked = false);
    assert_eq!(world.ask("start"), ON);
    assert_unbroken(&mut world, &device);
}

#[test]
fn a_deactivated_account_ends_the_program_with_a_sentence() {
    let mut world = World::new();
    world.hs.with(|state| state.sessions.deactivated = true);
    let status = world.spawn().wait_exit(Duration::from_secs(5));
    assert_eq!(status.code(), Some(1));
    let log = world.bot().log();
    assert!(log.contains("(to be fixed in: the homeserver)"), "{log}");
    assert!(log.contains("the account is deactivated; have"), "{log}");
}

/// The environment of a bot that was given a token of this device.
fn with_token(world: &mut World, device: &str) {
    let token = format!("made-for-{device}");
    world.hs.with(|state| {
        let who = (BOT.to_owned(), device.to_owned());
        state.tokens.insert(token.clone(), who.clone());
        state.devices.entry(who).or_default();
    });
    world.env.remove("MATRIX_PASSWORD");
    world.set("AUTH_METHOD", "token");
    world.set("MATRIX_ACCESS_TOKEN", &token);
    world.set("MATRIX_DEVICE_ID", device);
}

#[test]
fn a_token_made_beforehand_needs_no_login() {
    let mut world = World::new();
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    with_token(&mut world, "GIVEN");
    world.start();
    assert_eq!(world.ask("start"), ON);
    assert_eq!(world.bot_device(), "GIVEN");
    world.crash_and_restart();
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(world.hs.requests(LOGIN).len(), 0);
    assert_eq!(world.hs.requests("/account/whoami").len(), 1);
}

/// Another token with another device takes the place of the old one; another
/// one with the same device goes on with its keys.
#[test]
fn a_token_made_beforehand_may_be_replaced() {
    let mut world = World::new();
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    with_token(&mut world, "GIVEN");
    world.start();
    let keys = |world: &World| {
        world.hs.with(|state| {
            let device = &state.devices[&(BOT.to_owned(), world.env["MATRIX_DEVICE_ID"].clone())];
            device.keys.clone()
        })
    };
    let first = keys(&world);
    world.stop();
    world.hs.with(|state| {
        let token = "made-anew".to_owned();
        state.tokens.insert(token, (BOT.into(), "GIVEN".into()));
    });
    world.set("MATRIX_ACCESS_TOKEN", "made-anew");
    world.start();
    assert_eq!(world.ask("start"), ON);
    assert_eq!(keys(&world), first);
    // By then it has written down that the answer is sent: to the homeserver,
    // another device that sends it says it a second time.
    world.hs.wait_next_sync();
    world.stop();

    with_token(&mut world, "OTHER");
    world.hs.with(|state| {
        state.devices.remove(&(BOT.to_owned(), "GIVEN".to_owned()));
        state.device_changed(BOT);
    });
    world.start();
    assert!(world.bot().log().contains("device GIVEN is given up"));
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(world.bot_device(), "OTHER");
}

/// A token that is not good leaves the store as it is.
#[test]
fn a_token_that_is_not_good_ends_the_program_with_a_sentence() {
    let mut world = World::new();
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    with_token(&mut world, "GIVEN");
    world.start();
    world.stop();
    let good = world.env["MATRIX_ACCESS_TOKEN"].clone();
    world.hs.with(|state| {
        let other = ("@other:test".to_owned(), "GIVEN".to_owned());
        state.tokens.insert("of-another-user".into(), other);
        let device = (BOT.to_owned(), "ELSE".to_owned());
        state.tokens.insert("of-another-device".into(), device);
    });
    for (token, said) in [
        (
            "unknown-to-everybody",
            "does not know the token in MATRIX_ACCESS_TOKEN",
        ),
        (
            "of-another-user",
            "logged in @other:test, who is not MATRIX_USER",
        ),
        (
            "of-another-device",
            "is of device ELSE, not of MATRIX_DEVICE_ID",
        ),
    ] {
        world.set("MATRIX_ACCESS_TOKEN", token);
        let status = world.spawn().wait_exit(Duration::from_secs(5));
        assert_eq!(status.code(), Some(1));
        let log = world.bot().log();
        assert!(log.contains("(to be fixed in: this program's configuration)"));
        assert!(log.contains(said), "{log}");
    }
    world.set("MATRIX_ACCESS_TOKEN", &good);
    world.start();
    assert_eq!(world.ask("start"), ON);
}

#[test]
fn a_login_type_that_is_not_offered_is_named_with_those_that_are() {
    let mut world = World::new();
    world.hs.with(|state| {
        state.sessions.no_passwords = true;
        let verify = Box::new(|_: &Value| Ok("bot".to_owned()));
        state.sessions.by_token.insert("m.login.sso".into(), verify);
    });
    let status = world.spawn().wait_exit(Duration::from_secs(5));
    assert_eq!(status.code(), Some(1));
    let log = world.bot().log();
    let said =
        "offers no login of type m.login.password, only m.login.sso: turn password_config on";
    assert!(log.contains(said), "{log}");
    assert_eq!(world.hs.requests(LOGIN).len(), 0);
}

/// The user who is logged in must be the one who was asked for, and the device too.
#[test]
fn another_user_than_the_one_asked_for_is_not_gone_on_with() {
    let mut world = World::new();
    world
        .hs
        .rewrite("/login", |body| body["user_id"] = json!("@other:test"));
    let status = world.spawn().wait_exit(Duration::from_secs(5));
    assert_eq!(status.code(), Some(1));
    assert!(
        world
            .bot()
            .log()
            .contains("@other:test, who is not MATRIX_USER")
    );
    assert_eq!(world.hs.requests("/sync").len(), 0);
}
