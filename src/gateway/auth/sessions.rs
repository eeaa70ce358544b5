//! The sessions that are remembered, so that one request in many is checked.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::session::{Digest, Session};
use crate::util::SortedMap;

/// The most sessions that are remembered; when it is full, the one goes that was used least
/// recently.
pub(super) const MAX_SESSIONS: usize = 4_096;

/// The most bytes of tokens that are kept to be checked again.
pub(super) const MAX_TOKEN_BYTES: usize = 4 * 1024 * 1024;

/// The time without use after which a session is forgotten.
pub(super) const MAX_IDLE: Duration = Duration::from_secs(120);

/// Sessions by the digests of their credentials. A session may outlive the time for which
/// its credential was checked: it then is the same session once that is done again.
#[derive(Default)]
pub(super) struct Sessions {
    by_digest: SortedMap<Digest, Entry>,
    token_bytes: usize,
}

struct Entry {
    session: Arc<Session>,
    /// Taken without a check until then.
    fresh_until: Instant,
    used: Instant,
}

impl Sessions {
    /// The session of a credential that need not be checked now.
    pub(super) fn fresh(&mut self, digest: &Digest, now: Instant) -> Option<&Arc<Session>> {
        let entry = self.by_digest.get_mut(digest)?;
        entry.used = now;
        (now < entry.fresh_until).then_some(&entry.session)
    }

    /// Remembers a session until then, and returns those that are forgotten for it. It may
    /// take the place of an older state of the same one, which is returned, too.
    pub(super) fn remember(
        &mut self,
        digest: Digest,
        session: Arc<Session>,
        fresh_until: Instant,
        now: Instant,
    ) -> Vec<Arc<Session>> {
        let mut gone = Vec::new();
        gone.extend(self.forget(&digest));
        let bytes = token_bytes(&session);
        while self.by_digest.len() >= MAX_SESSIONS || self.token_bytes + bytes > MAX_TOKEN_BYTES {
            let oldest = self.by_digest.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(digest, _)| *digest) else {
                break;
            };
            gone.extend(self.forget(&oldest));
        }
        self.token_bytes += bytes;
        let entry = Entry {
            session,
            fresh_until,
            used: now,
        };
        self.by_digest.insert(digest, entry);
        gone
    }

    /// Forgets the session of a credential.
    pub(super) fn forget(&mut self, digest: &Digest) -> Option<Arc<Session>> {
        let entry = self.by_digest.remove(digest)?;
        self.token_bytes -= token_bytes(&entry.session);
        Some(entry.session)
    }

    /// Forgets the sessions that nobody has used for a while or whose credential has
    /// expired.
    pub(super) fn sweep(
        &mut self,
        now: Instant,
        is_over: impl Fn(&Session) -> bool,
    ) -> Vec<Arc<Session>> {
        let over = |entry: &Entry| now >= entry.used + MAX_IDLE || is_over(&entry.session);
        let digests = self.by_digest.iter().filter(|(_, entry)| over(entry));
        let digests: Vec<Digest> = digests.map(|(digest, _)| *digest).collect();
        digests
            .iter()
            .filter_map(|digest| self.forget(digest))
            .collect()
    }

    /// Forgets those of people: the keys that proved them are used no more.
    pub(super) fn forget_persons(&mut self) {
        self.by_digest
            .retain(|_, entry| entry.session.account().is_some());
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) -> Vec<Arc<Session>> {
        self.token_bytes = 0;
        let known = std::mem::take(&mut self.by_digest).into_iter();
        known.map(|(_, entry)| entry.session).collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_digest.len()
    }
}

fn token_bytes(session: &Session) -> usize {
    session
        .token
        .as_ref()
        .map_or(0, |token| token.expose().len())
}
