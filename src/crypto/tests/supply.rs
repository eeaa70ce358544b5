//! Fallback keys that age, and keys that are all given up.

use super::*;

const WEEK: u64 = 7 * 24 * 3600 * 1000;
const HOUR: u64 = 3600 * 1000;

#[test]
fn a_fallback_key_is_replaced_when_used_and_when_old() {
    let mut account = bot();
    account.mark_as_uploaded(true);
    assert!(!account.age(NOW + WEEK - 1));
    assert!(account.age(NOW + WEEK));
    account.mark_as_uploaded(true);
    let made = NOW + WEEK + 1;
    for unused in [FallbackOnServer::NotSupported, FallbackOnServer::Unused] {
        assert!(!account.replenish(50, unused, made));
    }
    assert!(account.replenish(50, FallbackOnServer::UsedOrMissing, made));
}

/// By the bot's own clock, whatever became of the one before on its way.
#[test]
fn a_fallback_key_whose_upload_is_not_answered_is_replaced_all_the_same() {
    let mut account = bot();
    let first = account.unpublished_fallback().unwrap();
    assert!(account.age(NOW + WEEK));
    let second = account.unpublished_fallback().unwrap();
    assert_ne!(first, second);
    let upload = account.upload().unwrap().unwrap();
    assert!(upload.fallback_keys.contains_key(&second));
    assert_eq!(upload.one_time_keys.len(), 50, "they wait on");
}

/// The record that guards the messages of a key is kept as long as any key that
/// opens them.
#[test]
fn the_oldest_fallback_key_is_known_until_it_is_forgotten() {
    let mut account = bot();
    assert_eq!(account.oldest_fallback_made_at(), NOW);
    let later = NOW + WEEK;
    assert!(account.age(later));
    assert_eq!(account.oldest_fallback_made_at(), NOW);
    assert!(!account.age(later + HOUR - 1));
    assert!(account.age(later + HOUR));
    assert_eq!(account.oldest_fallback_made_at(), later);
    account.replace_fallback_at_once(later + HOUR);
    assert_eq!(account.oldest_fallback_made_at(), later + HOUR);
}

/// An account that an earlier version stored: its times are by another clock, and
/// it does not remember all of the key's messages.
#[test]
fn the_fallback_key_of_an_earlier_version_is_replaced_at_once() {
    let account = bot();
    let pickle = account.pickle().unwrap();
    let mut old: Value = serde_json::from_slice(&pickle).unwrap();
    let state = old["state"].as_object_mut().unwrap();
    for field in ["previous_fallback_made_at", "by_own_clock", "supply"] {
        state.remove(field).unwrap();
    }
    state.insert("fallback_key_made_at".to_owned(), json!(NOW + 9 * WEEK));
    let (user, device) = (account.user().to_owned(), account.device().to_owned());
    let mut old = Account::from_pickle(user, device, old.to_string().as_bytes()).unwrap();
    let first = old.unpublished_fallback();
    assert!(old.age(NOW));
    assert_ne!(old.unpublished_fallback(), first);
    assert_eq!(old.oldest_fallback_made_at(), NOW);
    assert!(!old.age(NOW));
}

/// The device stays itself, and none of the keys that it had shown opens anything.
#[test]
fn all_keys_can_be_replaced_but_those_that_name_the_device() {
    let mut account = bot();
    let before = account.upload().unwrap().unwrap();
    let named = (account.curve25519(), account.ed25519());
    let alice = alice();
    let sealed = |account: &Account| {
        let key = claimed_key(account);
        let mut session = outbound_session(&alice, account.curve25519(), key).unwrap();
        olm_event(&alice, account, &mut session, |_| {})
    };
    let recorded = sealed(&account);
    account.replace_all_keys(NOW + 1).unwrap();
    let after = account.upload().unwrap().unwrap();
    assert_eq!((account.curve25519(), account.ed25519()), named);
    assert_eq!(after.one_time_keys.len(), 50);
    assert_eq!(after.fallback_keys.len(), 1);
    let used = |id: &String| before.one_time_keys.contains_key(id);
    assert!(
        !after.one_time_keys.keys().any(used),
        "ids are not used twice"
    );
    assert_eq!(
        decrypt(&mut account, Vec::new(), &recorded).map(drop),
        Err(OlmError::NoSession)
    );
    let fresh = sealed(&account);
    assert!(decrypt(&mut account, Vec::new(), &fresh).is_ok());
    assert_eq!(account.oldest_fallback_made_at(), NOW + 1);
}
