//! Pre-key messages that were decrypted: one that is delivered again is known.

use crate::store::{Error, Transaction, caps};

/// Hashes of the pre-key messages that were decrypted.
pub struct SeenOlmMessages<'a>(pub(in crate::store) &'a Transaction<'a>);

impl SeenOlmMessages<'_> {
    /// Returns whether this pre-key message was decrypted before.
    pub fn contains(&self, hash: &[u8; 32]) -> Result<bool, Error> {
        self.0
            .exists("SELECT 1 FROM olm_seen WHERE hash = ?1", [hash])
    }

    /// Remembers a pre-key message that was decrypted, when by the bot's own clock.
    pub fn put(&self, hash: &[u8; 32], own_now: u64) -> Result<(), Error> {
        self.0.run(
            "INSERT OR IGNORE INTO olm_seen (hash, seen_at) VALUES (?1, ?2)",
            (hash, own_now.cast_signed()),
        )
    }

    /// Returns whether no more pre-key messages can be remembered.
    pub fn is_full(&self) -> Result<bool, Error> {
        let seen: i64 = self.0.value("SELECT count(*) FROM olm_seen", [])?;
        Ok(seen >= caps::OLM_SEEN)
    }

    /// Forgets pre-key messages seen before `before`: when the oldest fallback key
    /// was made whose private half is still there.
    pub fn forget_before(&self, before: u64) -> Result<(), Error> {
        self.0.run(
            "DELETE FROM olm_seen WHERE seen_at < ?1",
            [i64::try_from(before).unwrap_or(i64::MAX)],
        )
    }
}
