//! Stores of earlier formats, and of this one.

use super::*;

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
    let groups = tx
        .inbound_sessions()
        .shared_by(room(), &id, Some(alice()))
        .unwrap();
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
        tx.journal().next_unfinished("").unwrap().unwrap().thread,
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
            .shared_by(room(), id, Some(alice()))
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
    assert!(
        tx.journal()
            .next_unfinished("")
            .unwrap()
            .unwrap()
            .received_at
            // Its statements look at the clock one after the other.
            <= own_now + 1_000
    );
    tx.seen_olm_messages().forget_before(8).unwrap();
    assert!(
        tx.seen_olm_messages().contains(&[9; 32]).unwrap(),
        "what guards counts from now"
    );
    tx.own_clock().begin_life().unwrap();
    let life: i64 = tx.value("SELECT life FROM own_clock", []).unwrap();
    assert_eq!(life, 1);
}

/// A store of the fifth format that another build wrote is gone on with: nothing is lost,
/// nothing runs twice, and the migrations make the very same tables.
#[test]
fn a_store_of_the_fifth_format_is_gone_on_with() {
    let directory = Directory::new();
    fs::create_dir_all(&directory.0).unwrap();
    let other = rusqlite::Connection::open(directory.0.join("store.sqlite3")).unwrap();
    other.execute_batch(include_str!("format5.sql")).unwrap();
    drop(other);
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let session = tx.session().load().unwrap().unwrap();
    assert_eq!(session.user, own());
    assert_eq!(session.device.as_str(), "OLDDEVICE");
    assert_eq!(tx.session().next_batch().unwrap().as_deref(), Some("s42"));
    assert_eq!(tx.devices().known(alice()).unwrap().len(), 1);
    assert_eq!(tx.outbox().heads().unwrap(), [(1, room().to_string())]);
    let (done, open) = (event_id!("$done"), event_id!("$open"));
    let next = tx.journal().next_unfinished("").unwrap().unwrap();
    assert_eq!(next.event_id, open);
    let due = tx.journal().next_due(&[]).unwrap().unwrap();
    assert_eq!((due.event_id.as_str(), due.part), ("$open", 0));
    assert_eq!(
        due.target, "",
        "a command of before is about no named target"
    );
    tx.journal().finish(open).unwrap();
    for event in [done, open] {
        assert!(!tx.journal().record(&entry(event)).unwrap(), "{event}");
    }
    assert!(tx.journal().next_unfinished("").unwrap().is_none());
    let new = Directory::new();
    let mut new = new.open();
    assert_eq!(tables(&tx), tables(&new.begin().unwrap()));
}

fn tables(tx: &Transaction<'_>) -> Vec<String> {
    tx.all(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name",
        [],
        |row| row.get(0),
    )
    .unwrap()
}
