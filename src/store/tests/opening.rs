//! Opening a store, committing to it, and what a session leaves in it.

use super::{
    states::{log_in, tokens},
    *,
};

#[test]
fn only_the_owner_may_look_at_it() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.session().put_pending_device("DEV".into()).unwrap();
    tx.commit().unwrap();
    assert_eq!(mode(&directory.0), 0o700);
    for file in fs::read_dir(&directory.0).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_second_process_is_refused() {
    let directory = Directory::new();
    let store = directory.open();
    let refused = Store::open(&directory.0).map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::InUse(_)));
    assert!(
        refused
            .to_string()
            .contains("another process is using the store")
    );
    store.close().unwrap();
    directory.open();
}

#[test]
fn a_later_format_is_left_alone() {
    let directory = Directory::new();
    directory.open().close().unwrap();
    let database = rusqlite::Connection::open(directory.0.join("store.sqlite3")).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    let refused = Store::open(&directory.0).map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::TooNew(_, 99)), "{refused}");
}

#[test]
fn something_else_than_a_database_is_named() {
    let directory = Directory::new();
    fs::create_dir_all(&directory.0).unwrap();
    fs::write(
        directory.0.join("store.sqlite3"),
        "not a database, but long enough",
    )
    .unwrap();
    let refused = Store::open(&directory.0).map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::Database(..)), "{refused}");
    let told = refused.to_string();
    assert!(
        told.contains("is not the bot's: check CRYPTO_STORE_PATH"),
        "{told}"
    );
}

/// A fault of the volume is no fault of the store: nobody is told to give the store up.
#[test]
fn a_volume_that_lacks_something_is_told_from_a_damaged_store() {
    let directory = Directory::new();
    directory.open().close().unwrap();
    let lock = directory.0.join("store.lock");
    // ENOLCK, EOPNOTSUPP, ENOSYS, EINVAL: what network file systems and FUSE answer.
    for code in [37, 95, 38, 22] {
        let error = std::io::Error::from_raw_os_error(code);
        let told = OpenError::NoLocks(lock.clone(), error).to_string();
        let start = format!("no lock is to be had on {}: ", lock.display());
        assert!(told.starts_with(&start), "{told}");
        assert!(told.contains(" (file system "), "{told}");
        assert!(
            told.contains("not NFS, SMB or FUSE") && !told.contains("device"),
            "{told}"
        );
    }
    let refused = |code: i32| {
        let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        OpenError::Database(directory.0.clone(), error).to_string()
    };
    for (code, cure) in [
        (rusqlite::ffi::SQLITE_IOERR_RDLOCK, "knows no locks"),
        (rusqlite::ffi::SQLITE_BUSY, "knows no locks"),
        (
            rusqlite::ffi::SQLITE_IOERR_SHMMAP,
            "no file be shared in memory",
        ),
        (rusqlite::ffi::SQLITE_IOERR_FSYNC, "bring to the disk"),
        (
            rusqlite::ffi::SQLITE_CANTOPEN,
            "give all files there to user id ",
        ),
        (rusqlite::ffi::SQLITE_NOMEM, "keep its files"),
    ] {
        let told = refused(code);
        assert!(
            told.contains(cure) && !told.contains("new device"),
            "{told}"
        );
    }
}

#[test]
fn a_page_that_was_overwritten_is_damage() {
    let directory = Directory::new();
    directory.open().close().unwrap();
    let path = directory.0.join("store.sqlite3");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100..4096].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let told = Store::open(&directory.0).map(drop).unwrap_err().to_string();
    assert!(told.contains("keep all files of the store"), "{told}");
    assert!(told.contains("is damaged"), "{told}");
}

#[test]
fn what_cannot_be_written_is_named_with_its_cure() {
    let said = |path: &std::path::Path| Store::open(path).map(drop).unwrap_err().to_string();
    let directory = Directory::new();
    fs::create_dir_all(directory.0.join("store.lock")).unwrap();
    let text = said(&directory.0);
    assert!(text.contains("store.lock: Is a directory"), "{text}");
    assert!(text.contains("a directory in its place"), "{text}");
    fs::remove_dir(directory.0.join("store.lock")).unwrap();
    fs::write(directory.0.join("file"), "").unwrap();
    let text = said(&directory.0.join("file"));
    assert!(text.contains("there is no directory "), "{text}");
    assert!(text.contains("a file in its place"), "{text}");

    let refused = |code: i32| {
        OpenError::NotWritable(
            directory.0.join("store.lock"),
            std::io::Error::from_raw_os_error(code),
        )
        .to_string()
    };
    let (denied, read_only, full) = (refused(13), refused(30), refused(28));
    assert!(denied.contains(" belongs to user id "), "{denied}");
    assert!(denied.contains("fsGroup"), "{denied}");
    assert!(read_only.contains("without readOnly"), "{read_only}");
    for full in [full, refused(122), refused(5), refused(116)] {
        assert!(full.contains("make room on the volume"), "{full}");
    }
}

#[test]
fn what_is_not_committed_never_happened() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    log_in(&tx);
    tx.session().set_next_batch("s1").unwrap();
    drop(tx);
    let tx = store.begin().unwrap();
    assert!(tx.session().load().unwrap().is_none());
    assert_eq!(tx.session().next_batch().unwrap(), None);
}

#[test]
fn a_second_process_may_look_beside_the_first() {
    let directory = Directory::new();
    assert!(matches!(
        Store::open_beside(&directory.0),
        Err(OpenError::Missing(..))
    ));
    let mut store = directory.open();
    let mut beside = Store::open_beside(&directory.0).unwrap();
    let pin = Pin {
        master: Ed25519SecretKey::from_slice(&[1; 32]).public_key(),
        source: PinSource::FirstUse,
    };
    let tx = store.begin().unwrap();
    tx.identities().pin(alice(), &pin, 1).unwrap();
    tx.commit().unwrap();
    let tx = beside.begin().unwrap();
    assert!(tx.identities().forget_pin(alice()).unwrap());
    tx.commit().unwrap();
    let tx = store.begin().unwrap();
    assert_eq!(tx.identities().of_user(alice()).unwrap().pin, None);
}

/// The message of a commit about the disk depends on this.
#[test]
fn a_transaction_knows_whether_it_has_changes() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.session().put(alice(), "D".into(), &tokens("t")).unwrap();
    tx.session().set_next_batch("s1").unwrap();
    assert!(tx.has_changes());
    tx.commit().unwrap();
    let tx = store.begin().unwrap();
    tx.session().set_next_batch("s1").unwrap();
    assert!(!tx.has_changes(), "the same again");
    tx.session().set_next_batch("s2").unwrap();
    assert!(tx.has_changes());
}

/// SQLite itself says that there is no room; with room again all goes on.
#[test]
fn a_full_database_names_the_cure_and_keeps_what_it_had() {
    let directory = Directory::new();
    let mut store = directory.open();
    let fill = |store: &mut Store, name: &str| {
        let tx = store.begin()?;
        tx.replies().put(
            room(),
            name,
            "m.room.message",
            &"x".repeat(100_000),
            0,
            true,
        )?;
        tx.commit()
    };
    let limit = |store: &mut Store, pages: u32| {
        let tx = store.begin().unwrap();
        let sql = format!("PRAGMA max_page_count = {pages}");
        tx.inner.query_row(&sql, [], |_| Ok(())).unwrap();
    };
    fill(&mut store, "1").unwrap();
    limit(&mut store, 1);
    let told = fill(&mut store, "2").unwrap_err().to_string();
    assert!(
        told.contains("is full") && told.contains("make room"),
        "{told}"
    );
    limit(&mut store, 1 << 20);
    fill(&mut store, "3").unwrap();
    let replies = store.begin().unwrap().replies().unprepared(room()).unwrap();
    let names: Vec<&str> = replies.iter().map(|reply| reply.txn_id.as_str()).collect();
    assert_eq!(names, ["1", "3"]);
}
