//! The homeserver's clock against this machine's, read from the header `Date` of its
//! answers: <https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1>.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::SystemTime,
};

/// No answer has told the time yet.
const UNKNOWN: i64 = i64::MIN;

/// By how much a homeserver's clock is ahead. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct ServerClock(Arc<AtomicI64>);

impl Default for ServerClock {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(UNKNOWN)))
    }
}

impl ServerClock {
    /// Notes the `Date` of an answer that arrived at `now` (milliseconds since the
    /// Unix epoch). It has whole seconds: the true time is up to a second later.
    pub(crate) fn note(&self, date: Option<SystemTime>, now: u64) {
        let date = date.and_then(|date| date.duration_since(SystemTime::UNIX_EPOCH).ok());
        let Some(date) = date.and_then(|date| i64::try_from(date.as_millis()).ok()) else {
            return;
        };
        self.0.store(date.saturating_sub_unsigned(now), Relaxed);
    }

    /// In milliseconds; negative where it is behind; None where it is not known.
    pub(crate) fn ahead_ms(&self) -> Option<i64> {
        Some(self.0.load(Relaxed)).filter(|ahead| *ahead != UNKNOWN)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_clock_is_as_the_last_answer_told() {
        let clock = ServerClock::default();
        assert_eq!(clock.ahead_ms(), None);
        clock.note(None, 5);
        assert_eq!(clock.ahead_ms(), None);
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let shared = clock.clone();
        clock.note(at(100), 40_000);
        assert_eq!(shared.ahead_ms(), Some(60_000));
        clock.note(at(100), 160_500);
        clock.note(None, 5);
        assert_eq!(shared.ahead_ms(), Some(-60_500));
    }
}
