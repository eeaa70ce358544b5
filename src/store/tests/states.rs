//! Session, cross-signing and rooms are read back as they were written.

use super::*;
use crate::crypto::Seed;
use crate::util::Tokens;

fn seed(byte: u8) -> Seed {
    Seed::copied(&[byte; 32]).unwrap()
}

pub(super) fn tokens(access: &str) -> Tokens {
    Tokens {
        access: Secret::new(access.to_owned()),
        refresh: Some(Secret::new("r".to_owned())),
        refresh_at: Some(7),
    }
}

/// Stores a session of Alice's.
pub(super) fn log_in(tx: &Transaction<'_>) {
    let device = "DEV".into();
    tx.session().put(alice(), device, &tokens("t")).unwrap();
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
    log_in(&tx);
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
    tx.cross_signing().put_self_signing(Some(&seed(8))).unwrap();
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

/// A deferred change alone is no reason to commit; with another change it is committed.
#[test]
fn what_is_deferred_waits_for_another_change() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    log_in(&tx);
    tx.session().set_next_batch("s1").unwrap();
    assert!(tx.has_changes() && !tx.has_deferred());
    tx.commit().unwrap();
    let move_on = |tx: &Transaction<'_>| tx.defer(|| tx.session().set_next_batch("s2")).unwrap();
    let position = |tx: &Transaction<'_>| tx.session().next_batch().unwrap();

    let tx = store.begin().unwrap();
    move_on(&tx);
    assert!(!tx.has_changes() && tx.has_deferred());
    assert_eq!(position(&tx).as_deref(), Some("s2"));
    drop(tx);
    let tx = store.begin().unwrap();
    assert_eq!(position(&tx).as_deref(), Some("s1"));
    move_on(&tx);
    tx.session().lose_refresh_token().unwrap();
    assert!(tx.has_changes());
    tx.commit().unwrap();
    let tx = store.begin().unwrap();
    assert_eq!(position(&tx).as_deref(), Some("s2"));
    move_on(&tx);
    assert!(!tx.has_changes() && !tx.has_deferred(), "nothing is new");
}
