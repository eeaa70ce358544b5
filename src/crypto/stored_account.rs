//! vodozemac's stored form of an account, where it has no call for what is needed:
//! dropping private one-time keys that were handed out and not used, and replacing
//! all keys that others start sessions with.
//!
//! Anybody can claim one-time keys and never use them. vodozemac keeps 5,000 of
//! their private halves and does a curve operation for each when the account is
//! read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use vodozemac::olm;

use crate::util::wiped_json;

/// Private one-time keys kept; beyond it the oldest go. A key that was claimed is
/// used within moments, so this is how many others may be claimed meanwhile.
const KEPT: usize = 300;

/// Keys beyond that before the oldest are dropped, since that costs as much as
/// reading the account.
const SLACK: usize = 50;

#[derive(Serialize, Deserialize)]
struct StoredAccount<'a> {
    #[serde(borrow)]
    signing_key: &'a RawValue,
    #[serde(borrow)]
    diffie_hellman_key: &'a RawValue,
    #[serde(borrow)]
    one_time_keys: &'a RawValue,
    #[serde(borrow)]
    fallback_keys: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct StoredKeys<'a> {
    next_key_id: u64,
    #[serde(borrow)]
    public_keys: &'a RawValue,
    #[serde(borrow)]
    private_keys: BTreeMap<u64, &'a RawValue>,
}

/// The account with its newest private one-time keys alone; none if there is
/// nothing to drop, or no way to.
pub(super) fn without_old_keys(account: &olm::Account) -> Option<olm::Account> {
    if account.stored_one_time_key_count() <= KEPT + SLACK {
        return None;
    }
    let stored = wiped_json(&account.pickle()).ok()?;
    let parts: StoredAccount<'_> = serde_json::from_slice(&stored).ok()?;
    let mut keys: StoredKeys<'_> =
        serde_json::from_slice(parts.one_time_keys.get().as_bytes()).ok()?;
    while keys.private_keys.len() > KEPT {
        keys.private_keys.pop_first();
    }
    let keys = wiped_json(&keys).ok()?;
    let one_time_keys = serde_json::from_slice(&keys).ok()?;
    account_of(&StoredAccount {
        one_time_keys,
        ..parts
    })
}

/// The account with the one-time and fallback keys of a new one in place of its own;
/// none if there is no way to.
pub(super) fn with_new_keys(account: &olm::Account) -> Option<olm::Account> {
    let own = wiped_json(&account.pickle()).ok()?;
    let new = wiped_json(&olm::Account::new().pickle()).ok()?;
    let own: StoredAccount<'_> = serde_json::from_slice(&own).ok()?;
    let new: StoredAccount<'_> = serde_json::from_slice(&new).ok()?;
    account_of(&StoredAccount {
        one_time_keys: new.one_time_keys,
        fallback_keys: new.fallback_keys,
        ..own
    })
}

fn account_of(stored: &StoredAccount<'_>) -> Option<olm::Account> {
    let stored = serde_json::from_slice(&wiped_json(stored).ok()?).ok()?;
    Some(olm::Account::from_pickle(stored))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_keys_are_kept_and_nothing_else_changes() {
        let mut account = olm::Account::new();
        account.generate_fallback_key();
        for _ in 0..8 {
            account.generate_one_time_keys(50);
            account.mark_keys_as_published();
        }
        account.generate_one_time_keys(7);
        let kept = without_old_keys(&account).unwrap();
        assert_eq!(kept.stored_one_time_key_count(), KEPT);
        assert_eq!(kept.one_time_keys(), account.one_time_keys());
        assert_eq!(kept.identity_keys(), account.identity_keys());
        assert_eq!(kept.fallback_key(), account.fallback_key());
        assert!(without_old_keys(&kept).is_none());
    }
}
