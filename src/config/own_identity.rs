//! What the bot's own cross-signing identity comes from, besides the store.

use std::rc::Rc;

use super::fault::Flaw;
use crate::crypto::{RecoveryKey, Seed};

/// The key that opens the account's secret storage, as people keep it.
pub(super) fn recovery_key(text: &str) -> Result<Rc<RecoveryKey>, Flaw> {
    RecoveryKey::parse(text).map(Rc::new).map_err(|fault| {
        Flaw::new(
            format!("is no recovery key: {fault}"),
            "give the account's recovery key as the client showed it, 12 groups of 4 characters",
        )
    })
}

/// The seed of the bot's cross-signing keys: base64 of 32 bytes.
pub(super) fn seed(text: &str) -> Result<Rc<Seed>, Flaw> {
    Seed::from_base64(text).map(Rc::new).map_err(|fault| {
        Flaw::new(
            format!("names a file whose content is no seed: {fault}"),
            "make one by: head -c 32 /dev/urandom | base64",
        )
    })
}
