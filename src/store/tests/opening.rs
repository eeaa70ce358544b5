//! Opening a store, committing to it, and what a session leaves in it.

use super::*;
use crate::crypto::Seed;
use crate::util::Tokens;

fn seed(byte: u8) -> Seed {
    Seed::copied(&[byte; 32]).unwrap()
}

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
    assert!(
        matches!(refused, OpenError::TooNew { found: 99, .. }),
        "{refused}"
    );
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

/// What is wrong with a volume is no fault of the store's: nobody is told to give
/// it up.
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

pub(super) fn tokens(access: &str) -> Tokens {
    Tokens {
        access: Secret::new(access.to_owned()),
        refresh: Some(Secret::new("r".to_owned())),
        refresh_at: Some(7),
    }
}

fn proof(store: &mut Store) -> LoginCredential {
    store
        .begin()
        .unwrap()
        .session()
        .load()
        .unwrap()
        .unwrap()
        .proof
}

/// A refresh token outlives the access token, and the way it ended is known
/// until there is another one.
#[test]
fn a_lost_access_token_leaves_what_may_make_another() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.session()
        .put(alice(), "DEV".into(), &tokens("t"))
        .unwrap();
    tx.commit().unwrap();
    assert_eq!(proof(&mut store), LoginCredential::Tokens(tokens("t")));
    for ended in [true, false] {
        let tx = store.begin().unwrap();
        tx.session().lose_access_token(ended).unwrap();
        tx.commit().unwrap();
        let refresh = Some(Secret::new("r".to_owned()));
        assert_eq!(proof(&mut store), LoginCredential::Lost { refresh, ended });
    }
    let tx = store.begin().unwrap();
    tx.session().put_tokens(&tokens("u")).unwrap();
    tx.commit().unwrap();
    assert_eq!(proof(&mut store), LoginCredential::Tokens(tokens("u")));
    let tx = store.begin().unwrap();
    tx.session().lose_refresh_token().unwrap();
    tx.commit().unwrap();
    let LoginCredential::Tokens(left) = proof(&mut store) else {
        panic!("the access token is still there");
    };
    assert_eq!((left.refresh, left.refresh_at), (None, None));
}

#[test]
fn what_is_not_committed_never_happened() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    tx.session()
        .put(alice(), "DEV".into(), &tokens("t"))
        .unwrap();
    tx.session().set_next_batch("s1").unwrap();
    drop(tx);
    let tx = store.begin().unwrap();
    assert!(tx.session().load().unwrap().is_none());
    assert_eq!(tx.session().next_batch().unwrap(), None);
}

#[test]
fn every_state_of_the_own_identity_is_read_back() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    assert_eq!(
        tx.cross_signing().load().unwrap().state,
        CrossSigningState::Unknown
    );
    tx.cross_signing().put_seed(&seed(7)).unwrap();
    let master = Ed25519SecretKey::new().public_key();
    tx.cross_signing().put_master(&master).unwrap();
    tx.cross_signing().put_self_signing(&seed(8)).unwrap();
    let proven = tx.cross_signing().load().unwrap().master;
    assert_eq!(proven, None, "it was that of another self-signing key");
    tx.cross_signing().put_master(&master).unwrap();
    for state in [
        CrossSigningState::Upload { uia_session: None },
        CrossSigningState::Upload {
            uia_session: Some("s".to_owned()),
        },
        CrossSigningState::Sign,
        CrossSigningState::FindKeyId,
        CrossSigningState::FindKey("k".to_owned()),
        CrossSigningState::FindSecret("k".to_owned()),
        CrossSigningState::FindMaster("k".to_owned()),
        CrossSigningState::Recovered,
        CrossSigningState::Unsigned("why".to_owned()),
        CrossSigningState::Reset,
        CrossSigningState::Signed,
        CrossSigningState::Unknown,
    ] {
        tx.cross_signing().delay().unwrap();
        assert!(tx.cross_signing().load().unwrap().delayed);
        tx.cross_signing().set_state(&state).unwrap();
        let stored = tx.cross_signing().load().unwrap();
        assert_eq!(stored.state, state);
        assert!(!stored.delayed);
        assert_eq!(stored.seed.as_ref().map(Seed::as_bytes), Some(&[7; 32]));
        let self_signing = stored.self_signing.as_ref();
        assert_eq!(self_signing.map(Seed::as_bytes), Some(&[8; 32]));
        assert_eq!(stored.master, Some(master));
    }
}

/// A store of the version before: what it knew of replays and of devices holds.
#[test]
fn a_store_of_the_first_format_is_taken_over() {
    let directory = Directory::new();
    fs::create_dir_all(&directory.0).unwrap();
    let (outbound, inbound) = shared_session();
    let id = outbound.session_id();
    let author = (inbound.curve25519.to_bytes(), *inbound.ed25519.as_bytes());
    let old = rusqlite::Connection::open(directory.0.join("store.sqlite3")).unwrap();
    old.execute_batch(schema::MIGRATIONS[0]).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    old.execute(
        "INSERT INTO inbound_groups VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1)",
        (
            room().as_str(),
            &id,
            alice().as_str(),
            author.0,
            author.1,
            inbound.pickle().unwrap(),
        ),
    )
    .unwrap();
    for index in [0, 4] {
        old.execute(
            "INSERT INTO message_indices VALUES (?1, ?2, ?3, '$e', 1)",
            (room().as_str(), &id, index),
        )
        .unwrap();
    }
    old.execute(
        "INSERT INTO outbound_groups VALUES (?1, 'in use', x'00')",
        [room().as_str()],
    )
    .unwrap();
    old.execute_batch(
        "INSERT INTO rooms (room_id, joined, encryption_checked)
         VALUES ('!a:test', 1, 1), ('!plain:test', 1, 1);
         INSERT INTO replies (id, room_id, txn_id, kind, content)
         VALUES (1, '!plain:test', 't', 'm.room.message', '{}');
         INSERT INTO outbox (lane, path, body, reply_id) VALUES
             ('!plain:test', '/_matrix/client/v3/rooms/%21plain:test/send/m.room.message/t', x'', 1),
             ('!a:test', '/_matrix/client/v3/rooms/%21ops:test/send/m.room.encrypted/u', x'', 1);",
    )
    .unwrap();
    old.execute(
        "INSERT INTO users (user_id, outdated) VALUES (?1, 0)",
        [alice().as_str()],
    )
    .unwrap();
    old.close().unwrap();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    assert_eq!(
        tx.inbound_sessions()
            .next_message_index(room(), &id)
            .unwrap(),
        5
    );
    let groups = tx.inbound_sessions().of_user(room(), &id, alice()).unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].session.curve25519, inbound.curve25519);
    assert!(
        tx.device_lists().is_outdated(alice()).unwrap(),
        "who signed what is asked for"
    );
    assert_eq!(
        tx.cross_signing().load().unwrap().state,
        CrossSigningState::Unknown
    );
    assert!(
        tx.outbound_sessions().has_sent("in use", 7).unwrap(),
        "what the version before sent is no trace of another life"
    );
    let encrypted = |room| matches!(tx.rooms().encryption(room).unwrap(), Encryption::Megolm(_));
    assert!(encrypted(room()), "a key came for it");
    assert!(!encrypted(room_id!("!plain:test")));
    assert_eq!(tx.outbox().lanes_in_clear().unwrap(), ["!plain:test"]);
}

/// A room that a key came for is an encrypted one, in whatever order things come.
#[test]
fn a_room_is_proven_encrypted_before_and_after_the_bot_is_in_it() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let (ahead, known) = (room_id!("!ahead:test"), room_id!("!known:test"));
    tx.rooms().enter(known).unwrap();
    tx.rooms().set_not_encrypted(known).unwrap();
    assert_eq!(tx.rooms().encryption(known).unwrap(), Encryption::Plaintext);
    for room in [ahead, known] {
        assert!(tx.rooms().prove_encrypted(room).unwrap());
        assert!(
            !tx.rooms().prove_encrypted(room).unwrap(),
            "that is no news"
        );
        tx.rooms().enter(room).unwrap();
        tx.rooms().set_not_encrypted(room).unwrap();
        tx.rooms().leave(room).unwrap();
        tx.forget_device().unwrap();
        tx.rooms().enter(room).unwrap();
        tx.rooms().set_not_encrypted(room).unwrap();
        let encryption = tx.rooms().encryption(room).unwrap();
        assert!(
            matches!(encryption, Encryption::Megolm(_)),
            "{encryption:?}"
        );
    }
    // With too many of them only the key itself tells, and what is left of it.
    for number in 0..1_000 {
        let id: ruma::OwnedRoomId = format!("!{number}:test").try_into().unwrap();
        tx.rooms().prove_encrypted(&id).unwrap();
    }
    let (_, inbound) = shared_session();
    let late = room_id!("!late:test");
    tx.inbound_sessions().put(late, "id", &inbound, 1).unwrap();
    assert!(!tx.rooms().prove_encrypted(late).unwrap());
    tx.forget_device().unwrap();
    tx.rooms().enter(late).unwrap();
    assert!(matches!(
        tx.rooms().encryption(late).unwrap(),
        Encryption::Megolm(_)
    ));
}

/// A store of the fourth format kept no invites but those that were to be taken.
#[test]
fn a_store_of_the_fourth_format_is_taken_over() {
    let directory = Directory::new();
    fs::create_dir_all(&directory.0).unwrap();
    let old = rusqlite::Connection::open(directory.0.join("store.sqlite3")).unwrap();
    for migration in &schema::MIGRATIONS[..4] {
        old.execute_batch(migration).unwrap();
    }
    old.pragma_update(None, "user_version", 4).unwrap();
    old.execute_batch(
        "INSERT INTO session (id, user_id, device_id, next_batch) VALUES (1, '@bot:test', 'D', 's1');
         INSERT INTO invites (room_id, inviter) VALUES ('!i:test', '@alice:test');
         INSERT INTO journal (event_id, room_id, sender, payload, received_at, age_ms)
         VALUES ('$e', '!i:test', '@alice:test', 'start', 1, 0);",
    )
    .unwrap();
    old.close().unwrap();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    assert_eq!(tx.invites().rooms_to_join().unwrap(), ["!i:test"]);
    assert!(
        !tx.invites().are_listed().unwrap(),
        "those that stand are asked for"
    );
    assert_eq!(tx.session().next_batch().unwrap().as_deref(), Some("s1"));
    assert_eq!(
        tx.journal().next_unfinished().unwrap().unwrap().thread,
        None
    );
}

/// A store of the third format: its times are not in the future of the bot's own
/// clock, and its sessions keep their order.
#[test]
fn a_store_of_the_third_format_is_taken_over() {
    let directory = Directory::new();
    fs::create_dir_all(&directory.0).unwrap();
    let (outbound, inbound) = shared_session();
    let (_, earlier) = shared_session();
    let id = outbound.session_id();
    let old = rusqlite::Connection::open(directory.0.join("store.sqlite3")).unwrap();
    for migration in &schema::MIGRATIONS[..3] {
        old.execute_batch(migration).unwrap();
    }
    old.pragma_update(None, "user_version", 3).unwrap();
    let future = i64::MAX / 2;
    for (id, group, received_at) in [(id.as_str(), &inbound, future), ("earlier", &earlier, 7)] {
        old.execute(
            "INSERT INTO inbound_groups VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 5)",
            (
                room().as_str(),
                id,
                alice().as_str(),
                group.curve25519.as_bytes(),
                group.ed25519.as_bytes(),
                group.pickle().unwrap(),
                received_at,
            ),
        )
        .unwrap();
    }
    old.execute("INSERT INTO olm_seen VALUES (?1, 7)", [[9_u8; 32]])
        .unwrap();
    old.execute(
        "INSERT INTO journal (event_id, room_id, sender, payload, received_at, age_ms)
         VALUES ('$e', ?1, ?2, 'start', ?3, 0)",
        (room().as_str(), alice().as_str(), future),
    )
    .unwrap();
    old.close().unwrap();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let own_now = tx.own_clock().load().unwrap().own_time;
    let group = |id| {
        tx.inbound_sessions()
            .of_user(room(), id, alice())
            .unwrap()
            .remove(0)
    };
    assert_eq!(
        tx.inbound_sessions()
            .next_message_index(room(), &id)
            .unwrap(),
        5
    );
    assert!(group(&id).received_at <= own_now);
    assert_eq!(group("earlier").received_at, 7);
    assert!(group("earlier").ordinal < group(&id).ordinal);
    assert!(tx.journal().next_unfinished().unwrap().unwrap().received_at <= own_now);
    tx.seen_olm_messages().forget_before(8).unwrap();
    assert!(
        tx.seen_olm_messages().contains(&[9; 32]).unwrap(),
        "what guards counts from now"
    );
    tx.own_clock().begin_life().unwrap();
    assert_eq!(tx.own_clock().life().unwrap(), 1);
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

/// What a commit says about the disk depends on it.
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
        tx.replies()
            .put(room(), name, "m.room.message", &"x".repeat(100_000), 0)?;
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
