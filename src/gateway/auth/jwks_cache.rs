//! The keys of the identity provider: which are used, and when they are asked for again.
//! Without IO.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::session::Digest;
use crate::auth::jwt::Jwks;

/// The time between two questions, whoever asks for what.
pub(super) const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// The age from which keys are asked for again.
pub(super) const REFRESH: Duration = Duration::from_secs(600);

/// The age up to which keys are used while the identity provider does not answer.
pub(super) const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// The keys that were read last, and the questions for them.
#[derive(Default)]
pub(super) struct JwksCache {
    held: Option<Held>,
    /// The beginning of the last question.
    asked: Option<Instant>,
    is_asking: bool,
}

struct Held {
    keys: Arc<Jwks>,
    digest: Digest,
    read: Instant,
}

/// The step for a token that is signed with a key of some id.
#[derive(Debug)]
pub(super) enum Look {
    /// These keys have it.
    Keys(Arc<Jwks>),
    /// Begin to ask for keys now; then wait for them.
    Ask,
    /// Wait for the question under way.
    Wait,
    /// There are keys, and none has this id.
    Unknown,
    /// There are no keys.
    None,
}

impl JwksCache {
    /// Looks for the key of this id. Whoever is told to ask has to.
    pub(super) fn look(&mut self, kid: &str, now: Instant) -> Look {
        let held = self.held.as_ref().filter(|held| now < held.read + MAX_AGE);
        let is_there = held.is_some();
        if let Some(held) = held.filter(|held| held.keys.has(kid)) {
            return Look::Keys(Arc::clone(&held.keys));
        }
        if self.is_asking {
            return Look::Wait;
        }
        if self.may_ask(now) {
            self.begin(now);
            return Look::Ask;
        }
        match is_there {
            true => Look::Unknown,
            false => Look::None,
        }
    }

    /// Returns true if it is time to ask for the keys although they serve; whoever is told
    /// so has to.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_old = self
            .held
            .as_ref()
            .is_none_or(|held| now >= held.read + REFRESH);
        let is_due = is_old && !self.is_asking && self.may_ask(now);
        if is_due {
            self.begin(now);
        }
        is_due
    }

    /// Takes the answer in, None for one without keys. Returns true if other keys than these
    /// were used before.
    pub(super) fn answered(&mut self, keys: Option<(Jwks, Digest)>, now: Instant) -> bool {
        self.is_asking = false;
        let Some((keys, digest)) = keys else {
            return false;
        };
        let before = self.held.replace(Held {
            keys: Arc::new(keys),
            digest,
            read: now,
        });
        before.is_some_and(|before| before.digest != digest)
    }

    fn may_ask(&self, now: Instant) -> bool {
        self.asked.is_none_or(|asked| now >= asked + MIN_INTERVAL)
    }

    fn begin(&mut self, now: Instant) {
        self.asked = Some(now);
        self.is_asking = true;
    }
}
