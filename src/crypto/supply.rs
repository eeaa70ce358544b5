//! Ageing and replacing the keys that others start Olm sessions with.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#one-time-and-fallback-keys>.

use super::{
    account::{Account, FallbackOnServer},
    stored_account::with_new_keys,
};

/// A fallback key is replaced at this age even if nobody used it.
const FALLBACK_KEY_MAX_AGE_MS: u64 = 7 * 24 * 3_600_000;

/// Time for which the key before the current fallback key still opens messages that
/// were on their way when it was replaced.
const FALLBACK_KEY_GRACE_MS: u64 = 3_600_000;

impl Account {
    /// Replaces a fallback key that is old and forgets the one before when its time
    /// has come, whatever the server says or fails to do: a key that is kept as
    /// long as somebody else likes can be played recordings against as long.
    ///
    /// True when the account changed and must be stored.
    pub fn age(&mut self, own_now: u64) -> bool {
        if !self.needs_aging(own_now) {
            return false;
        }
        if !self.state.by_own_clock {
            // What was sent by the keys of an earlier version was remembered for a
            // while only.
            self.state.by_own_clock = true;
            self.replace_fallback_at_once(own_now);
            return true;
        }
        if self.may_forget_previous_fallback(own_now) {
            self.forget_previous_fallback();
        }
        if self.is_fallback_old(own_now) {
            self.replace_fallback(own_now);
        }
        true
    }

    /// Returns whether [`Account::age`] would change anything.
    pub fn needs_aging(&self, own_now: u64) -> bool {
        !self.state.by_own_clock
            || self.may_forget_previous_fallback(own_now)
            || self.is_fallback_old(own_now)
    }

    /// Makes a fallback key and forgets all earlier ones: no message opens by them
    /// any more.
    pub fn replace_fallback_at_once(&mut self, own_now: u64) {
        self.replace_fallback(own_now);
        self.forget_previous_fallback();
    }

    /// Time at which the oldest fallback key was made whose private half is still there. A
    /// pre-key message that came before opens nothing any more.
    pub fn oldest_fallback_made_at(&self) -> u64 {
        match self.state.forget_previous_fallback_at {
            Some(_) => self.state.previous_fallback_made_at.unwrap_or_default(),
            None => self.state.fallback_key_made_at,
        }
    }

    pub(super) fn replace_fallback(&mut self, own_now: u64) {
        let first = self.state.fallback_key_made_at == 0;
        self.inner.generate_fallback_key();
        if !first {
            let until = own_now.saturating_add(FALLBACK_KEY_GRACE_MS);
            self.state.forget_previous_fallback_at = Some(until);
            self.state.previous_fallback_made_at = Some(self.state.fallback_key_made_at);
        }
        self.state.fallback_key_made_at = own_now;
    }

    fn forget_previous_fallback(&mut self) {
        self.inner.forget_fallback_key();
        self.state.forget_previous_fallback_at = None;
        self.state.previous_fallback_made_at = None;
    }

    fn may_forget_previous_fallback(&self, own_now: u64) -> bool {
        self.state
            .forget_previous_fallback_at
            .is_some_and(|at| at <= own_now)
    }

    fn is_fallback_old(&self, own_now: u64) -> bool {
        own_now.saturating_sub(self.state.fallback_key_made_at) >= FALLBACK_KEY_MAX_AGE_MS
    }

    /// Replaces all one-time and fallback keys: whatever was encrypted by them opens
    /// nothing any more. The device stays the same. The new keys have ids that no
    /// other life of this device can have used. None, and nothing is replaced, if there
    /// is no randomness, or the account has no JSON form.
    pub fn replace_all_keys(&mut self, own_now: u64) -> Option<()> {
        let replaced = with_new_keys(&self.inner)?;
        let mut supply = [0_u8; 8];
        getrandom::fill(&mut supply).ok()?;
        self.inner = replaced;
        self.state.supply = supply.iter().map(|byte| format!("{byte:02x}")).collect();
        self.state.fallback_key_made_at = 0;
        self.forget_previous_fallback();
        self.replenish(0, FallbackOnServer::UsedOrMissing, own_now);
        Some(())
    }
}
