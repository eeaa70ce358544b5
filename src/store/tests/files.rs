//! Tests of the bytes in the files, whatever the rows say.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

/// Parts of a pickle, and whether any file of the store holds one of them.
pub(super) fn is_in_files(directory: &Path, secret: &[u8]) -> bool {
    fs::read_dir(directory).unwrap().any(|file| {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        let parts = secret.chunks_exact(48);
        let mut parts = parts.map(|part| bytes.windows(48).any(|window| window == part));
        parts.any(|found| found)
    })
}

/// The ratchets of a session that is used again and again among others, as they
/// were before its last use. What is the same in the last one is no secret of
/// before.
fn use_session(store: &mut Store, times: u32) -> Vec<Vec<u8>> {
    let tx = store.begin().unwrap();
    let (outbound, inbound) = shared_session();
    let id = outbound.session_id();
    tx.inbound_sessions().put(room(), &id, &inbound, 1).unwrap();
    for number in 0..20 {
        let (outbound, other) = shared_session();
        let name = format!("{number}{}", outbound.session_id());
        tx.inbound_sessions().put(room(), &name, &other, 1).unwrap();
    }
    tx.commit().unwrap();
    let mut pickles = Vec::new();
    for index in 0..times {
        let tx = store.begin().unwrap();
        let group = stored(&tx, &id);
        pickles.push(group.pickle().unwrap().to_vec());
        tx.inbound_sessions()
            .use_up_message_index(room(), &id, index * 300)
            .unwrap();
        tx.commit().unwrap();
    }
    let tx = store.begin().unwrap();
    let last = stored(&tx, &id).pickle().unwrap();
    for pickle in &mut pickles {
        let same = pickle
            .iter()
            .zip(last.iter())
            .take_while(|(a, b)| a == b)
            .count();
        pickle.drain(..same);
        pickle.truncate(200);
    }
    pickles
}

fn stored(tx: &Transaction<'_>, id: &str) -> InboundGroupSession {
    let mut groups = tx
        .inbound_sessions()
        .shared_by(room(), id, Some(alice()))
        .unwrap();
    groups.remove(0).session
}

/// A copy of the store as a kill leaves it: the files as they are.
fn copy_of(directory: &Directory) -> Directory {
    let copy = Directory::new();
    fs::create_dir_all(&copy.0).unwrap();
    for name in ["store.sqlite3", "store.sqlite3-wal"] {
        fs::copy(directory.0.join(name), copy.0.join(name)).unwrap();
    }
    copy
}

#[test]
fn an_emptied_log_leaves_no_ratchet_of_before() {
    let directory = Directory::new();
    let mut store = directory.open();
    let pickles = use_session(&mut store, 10);
    let still = |pickle: &&Vec<u8>| is_in_files(&directory.0, pickle);
    assert!(pickles.iter().any(|pickle| still(&pickle)), "in the log");
    assert!(store.checkpoint().unwrap());
    assert_eq!(pickles.iter().filter(still).count(), 0);
    let log = fs::read(directory.0.join("store.sqlite3-wal")).unwrap();
    assert!(!log.is_empty() && log.iter().all(|byte| *byte == 0));
    // What is written into it next is as durable as before.
    let tx = store.begin().unwrap();
    tx.replies()
        .put(room(), "t", "m.room.message", "{}", 0, true)
        .unwrap();
    tx.commit().unwrap();
    let copy = copy_of(&directory);
    let tx_of_copy = |store: &mut Store| {
        store
            .begin()
            .unwrap()
            .replies()
            .unprepared(room())
            .unwrap()
            .len()
    };
    assert_eq!(tx_of_copy(&mut copy.open()), 1);
}

#[test]
fn a_start_empties_the_log_that_a_killed_process_left() {
    let directory = Directory::new();
    let mut store = directory.open();
    let pickles = use_session(&mut store, 5);
    let copy = copy_of(&directory);
    let still = |pickle: &&Vec<u8>| is_in_files(&copy.0, pickle);
    assert!(pickles.iter().any(|pickle| still(&pickle)));
    let _store = copy.open();
    assert_eq!(pickles.iter().filter(still).count(), 0);
}

#[test]
fn a_reader_beside_neither_stops_nor_breaks_it() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.replies()
        .put(room(), "t", "m.room.message", "{}", 0, true)
        .unwrap();
    tx.commit().unwrap();
    let reader = rusqlite::Connection::open(directory.0.join("store.sqlite3")).unwrap();
    reader
        .execute_batch("BEGIN; SELECT * FROM replies")
        .unwrap();
    let tx = store.begin().unwrap();
    tx.replies()
        .put(room(), "u", "m.room.message", "{}", 0, true)
        .unwrap();
    tx.commit().unwrap();
    let began = std::time::Instant::now();
    assert!(!store.checkpoint().unwrap(), "somebody reads");
    assert!(began.elapsed() < std::time::Duration::from_secs(1));
    let tx = store.begin().unwrap();
    tx.replies()
        .put(room(), "v", "m.room.message", "{}", 0, true)
        .unwrap();
    tx.commit().unwrap();
    drop(reader);
    assert!(store.checkpoint().unwrap());
    let mut beside = Store::open_beside(&directory.0).unwrap();
    let tx = beside.begin().unwrap();
    assert!(store.checkpoint().is_ok(), "nor a transaction of another");
    assert_eq!(tx.replies().unprepared(room()).unwrap().len(), 3);
}

/// A start wipes what a kill in the middle of the wiping left, and reads none of it.
#[test]
fn a_log_that_is_half_overwritten_is_overwritten_at_the_next_start() {
    let directory = Directory::new();
    let mut store = directory.open();
    let pickles = use_session(&mut store, 10);
    assert!(store.checkpoint().unwrap());
    let database = fs::read(directory.0.join("store.sqlite3")).unwrap();
    let tx = store.begin().unwrap();
    tx.replies()
        .put(room(), "t", "m.room.message", "{}", 0, true)
        .unwrap();
    tx.commit().unwrap();
    let copy = copy_of(&directory);
    let path = copy.0.join("store.sqlite3-wal");
    let mut log = fs::read(&path).unwrap();
    log[..32].fill(0);
    fs::write(&path, &log).unwrap();
    fs::write(copy.0.join("store.sqlite3"), &database).unwrap();
    let mut store = copy.open();
    assert_eq!(
        store
            .begin()
            .unwrap()
            .replies()
            .unprepared(room())
            .unwrap()
            .len(),
        0
    );
    let log = fs::read(&path).unwrap();
    assert!(log.iter().all(|byte| *byte == 0));
    let still = |pickle: &&Vec<u8>| is_in_files(&copy.0, pickle);
    assert_eq!(pickles.iter().filter(still).count(), 0);
}

/// A commit of another process between the folding and the overwriting stays.
#[test]
fn a_commit_beside_is_never_overwritten() {
    let directory = Directory::new();
    let mut store = directory.open();
    let stop = AtomicBool::new(false);
    let count = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut beside = Store::open_beside(&directory.0).unwrap();
            while !stop.load(Ordering::Relaxed) {
                let Ok(tx) = beside.begin() else { continue };
                let name = format!("t{}", count.load(Ordering::Relaxed));
                tx.replies()
                    .put(room(), &name, "m.room.message", "{}", 0, true)
                    .unwrap();
                tx.commit().unwrap();
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        while count.load(Ordering::Relaxed) < 100 {
            let _ = store.checkpoint().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let written = count.into_inner();
    let rows = |store: &mut Store| {
        let tx = store.begin().unwrap();
        usize::try_from(tx.value::<i64>("SELECT count(*) FROM replies", []).unwrap()).unwrap()
    };
    assert_eq!(rows(&mut store), written);
    assert_eq!(rows(&mut copy_of(&directory).open()), written);
}
