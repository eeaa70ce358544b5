//! Changes that wait for the next commit cost none of their own, and a crash loses
//! nothing by it.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::support::monitor::poll;
use crate::support::scenario::Scenario;
use crate::support::world::{OFF, ON, World};

fn commits(world: &mut World) -> usize {
    let log = world.bot().log();
    log.matches("store::crash::armed: commit ").count()
}

/// The position in the homeserver's events that the store holds.
fn position(world: &World) -> String {
    let store = world.dir.path().join("store/store.sqlite3");
    let database = Connection::open(store).unwrap();
    let sql = "SELECT next_batch FROM session";
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The positions from which the homeserver was asked for syncs, in their order.
fn asked(world: &World) -> Vec<String> {
    let of_sync = |target: &str| {
        let query = target.split_once("/sync?")?.1;
        let mut fields = query.split('&');
        let since = fields.find_map(|field| field.strip_prefix("since="))?;
        Some(since.to_owned())
    };
    let requests = world.hs.requests("sync");
    requests.iter().filter_map(|r| of_sync(&r.target)).collect()
}

/// The time after which an idle bot writes down what it deferred.
const IDLE: Duration = Duration::from_secs(3);

#[test]
fn a_sync_that_shows_only_the_bots_reply_waits_for_the_next_commit() {
    let mut world = Scenario::encrypted()
        .set("OPENCLAW_TEST_CRASH", "after:1000000")
        .set("LOG_LEVEL", "DEBUG")
        .start();
    assert_eq!(world.ask("start"), ON);
    // A machine that has much else to do may need longer than the bot waits.
    let in_time = (0..10).any(|_| {
        world.settle();
        let (before, began) = (commits(&mut world), Instant::now());
        assert_eq!(world.ask("stop"), OFF);
        world.hs.wait_next_sync();
        let made = commits(&mut world) - before;
        world.bot().kill();
        let is_in_time = began.elapsed() < IDLE;
        if is_in_time {
            assert_eq!(made, 2, "the command, its answer");
            let stored = position(&world);
            let asked_before = asked(&world);
            assert_ne!(asked_before.last(), Some(&stored));
            world.start();
            assert_eq!(asked(&world)[asked_before.len()], stored);
        } else {
            world.start();
        }
        is_in_time
    });
    assert!(in_time, "the machine is too slow to see it");
    let status = world.ask("status");
    assert!(
        status.starts_with("Deployment is off"),
        "no second answer: {status}"
    );

    world.hs.wait_next_sync();
    poll("the position in the store of an idle bot", || {
        (asked(&world).pop()? == position(&world)).then_some(())
    });
}
