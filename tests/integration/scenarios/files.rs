//! The bytes that a thief of the volume finds in the files, whatever the rows say.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use crate::support::monitor::poll;
use crate::support::world::{OFF, ON, World};

/// All ratchets that the store holds.
fn ratchets(directory: &Path) -> Vec<Vec<u8>> {
    let database = Connection::open(directory.join("store.sqlite3")).unwrap();
    let sql = "SELECT pickle FROM olm_sessions UNION ALL SELECT pickle FROM inbound_groups
               UNION ALL SELECT pickle FROM outbound_groups
               UNION ALL SELECT first_pickle FROM outbound_groups WHERE first_pickle IS NOT NULL
               UNION ALL SELECT pickle FROM account";
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Pieces of what `before` holds and `now` does not: numbers only, since what
/// stands around them is the same everywhere.
fn gone(before: &[Vec<u8>], now: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let holds = |all: &[Vec<u8>], piece: &[u8]| {
        all.iter()
            .any(|one| one.windows(piece.len()).any(|window| window == piece))
    };
    let pieces = before.iter().flat_map(|ratchet| ratchet.chunks_exact(24));
    let is_secret = |piece: &&[u8]| piece.iter().all(|c| c.is_ascii_digit() || *c == b',');
    let gone: Vec<Vec<u8>> = pieces
        .filter(is_secret)
        .filter(|piece| !holds(now, piece))
        .map(<[u8]>::to_vec)
        .collect();
    assert!(gone.len() >= 2, "the ratchets have moved on");
    gone
}

/// The number of these pieces that are in one of the files.
fn in_files(directory: &Path, pieces: &[Vec<u8>]) -> usize {
    let files = fs::read_dir(directory).unwrap();
    let files: Vec<Vec<u8>> = files
        .map(|file| fs::read(file.unwrap().path()).unwrap())
        .collect();
    let is_there = |piece: &&Vec<u8>| {
        files
            .iter()
            .any(|file| file.windows(piece.len()).any(|window| window == &piece[..]))
    };
    pieces.iter().filter(is_there).count()
}

fn wait_for_an_empty_log(directory: &Path) {
    let log = directory.join("store.sqlite3-wal");
    poll("an empty write-ahead log", || {
        let log = fs::read(&log).ok()?;
        log.iter().all(|byte| *byte == 0).then_some(())
    });
}

#[test]
fn an_idle_bot_keeps_no_ratchet_of_before() {
    let mut world = World::encrypted();
    let directory = world.dir.path().join("store");
    assert_eq!(world.ask("start"), ON);
    let before = ratchets(&directory);
    assert_eq!(world.ask("stop"), OFF);
    assert_eq!(
        world.identities(&["list"]).0,
        Some(0),
        "somebody reads beside"
    );
    wait_for_an_empty_log(&directory);
    let gone = gone(&before, &ratchets(&directory));
    assert_eq!(in_files(&directory, &gone), 0);
    assert_eq!(world.ask("start"), ON);
    assert!(!world.bot().log().contains(" ERROR "));
}

#[test]
fn a_start_leaves_no_ratchet_of_the_run_that_was_killed() {
    let mut world = World::encrypted();
    let directory = world.dir.path().join("store");
    assert_eq!(world.ask("start"), ON);
    let before = ratchets(&directory);
    assert_eq!(world.ask("stop"), OFF);
    world.bot().kill();
    let copy = world.dir.sub("copy");
    for name in ["store.sqlite3", "store.sqlite3-wal"] {
        fs::copy(directory.join(name), copy.join(name)).unwrap();
    }
    let left = gone(&before, &ratchets(&copy));
    assert!(in_files(&directory, &left) > 0, "what a kill leaves");
    world.start();
    let gone = gone(&left, &ratchets(&directory));
    assert_eq!(in_files(&directory, &gone), 0);
}
