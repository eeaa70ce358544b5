//! The homeserver's clock, as its answers tell it (`Date`), against this machine's.
//!
//! How old an event is the homeserver usually says itself (`unsigned.age`). Some do
//! not: then its age is reckoned from `origin_server_ts`, and is wrong by as much as
//! the clocks are apart.
//!
//! Specification: client-server API, "Room Event Format"; RFC 9110, 6.6.1 "Date".

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::SystemTime,
};

/// Clocks that seem less apart than this, in milliseconds, are not: a `Date` has whole
/// seconds, and an answer is on its way.
const CLOSE_MS: u64 = 3_000;

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

/// How old an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Age {
    /// In milliseconds, at most: by the clock of the two by which it is older.
    pub ms: u64,
    /// How much of that may only be the difference between the clocks.
    pub doubt: Option<ClocksDiffer>,
}

/// The homeserver's clock and this machine's are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClocksDiffer {
    /// By how much, in milliseconds.
    pub ms: u64,
    /// The homeserver's is the one that is ahead.
    pub server_is_ahead: bool,
}

impl Age {
    /// The age that the homeserver gives.
    pub(crate) fn told(ms: u64) -> Self {
        Self { ms, doubt: None }
    }

    /// The age of an event that is from `sent` by the homeserver's clock, at `now` by
    /// this machine's, of which the homeserver's is `ahead` (all in milliseconds).
    ///
    /// A `Date` can make it older, never younger than by this machine's own clock:
    /// it is the homeserver's word. Where there is none, an event from the future is
    /// as old as that is far.
    pub(crate) fn reckoned(sent: u64, now: u64, ahead: Option<i64>) -> Self {
        let by_own = now.saturating_sub(sent);
        let Some(ahead) = ahead else {
            let early = sent.saturating_sub(now);
            return Self {
                ms: by_own.max(early),
                doubt: ClocksDiffer::by(early, true),
            };
        };
        let by_server = now.saturating_add_signed(ahead).saturating_sub(sent);
        let behind = ahead.min(0).unsigned_abs();
        Self {
            ms: by_own.max(by_server),
            doubt: ClocksDiffer::by(behind, false),
        }
    }

    /// Whether it is this old only if the clocks are not apart.
    pub fn is_doubtful(self, limit_ms: u64) -> Option<ClocksDiffer> {
        self.doubt
            .filter(|doubt| self.ms.saturating_sub(doubt.ms) < limit_ms)
    }
}

impl ClocksDiffer {
    fn by(ms: u64, server_is_ahead: bool) -> Option<Self> {
        (ms >= CLOSE_MS).then_some(Self {
            ms,
            server_is_ahead,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MINUTE: u64 = 60_000;
    /// A time of both clocks.
    const NOON: u64 = 1_000 * MINUTE;

    fn age(sent: u64, ahead: Option<i64>) -> (u64, Option<u64>) {
        let age = Age::reckoned(sent, NOON, ahead);
        let doubt = age.is_doubtful(2 * MINUTE);
        (age.ms / MINUTE, doubt.map(|doubt| doubt.ms / MINUTE))
    }

    #[test]
    fn the_age_is_by_the_clock_by_which_it_is_older() {
        let minutes = |minutes: i64| Some(minutes * 60_000);
        // Clocks that agree, or of which nothing is known.
        for ahead in [None, minutes(0)] {
            assert_eq!(age(NOON, ahead), (0, None));
            assert_eq!(age(NOON - 5 * MINUTE, ahead), (5, None));
        }
        // A new event of a server that is behind looks old, and nobody can tell.
        assert_eq!(age(NOON - 5 * MINUTE, minutes(-5)), (5, Some(5)));
        assert_eq!(
            age(NOON - 9 * MINUTE, minutes(-5)),
            (9, None),
            "four minutes old"
        );
        // An old event of a server that is ahead looks new, and is not.
        assert_eq!(age(NOON + 5 * MINUTE, minutes(5)), (0, None));
        assert_eq!(age(NOON, minutes(5)), (5, None));
        assert_eq!(
            age(NOON + 5 * MINUTE, None),
            (5, Some(5)),
            "nobody can tell"
        );
        assert_eq!(
            Age::reckoned(NOON, NOON, Some(-1_999)).doubt,
            None,
            "whole seconds"
        );
        // A date that lies makes nothing younger.
        for lie in [i64::MIN + 1, -1_000_000_000, 0] {
            assert_eq!(age(NOON - 5 * MINUTE, Some(lie)).0, 5, "{lie}");
        }
        assert!(age(NOON, Some(i64::MAX)).0 > 1_000_000);
        assert!(age(0, None).0 > 500);
        assert_eq!(age(u64::MAX, Some(0)), (0, None));
    }

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
