//! The age of a request, and how far it can be known.
//!
//! A homeserver usually states the age of an event itself (`unsigned.age`,
//! <https://spec.matrix.org/v1.11/client-server-api/#room-event-format>). Some do not:
//! then the age is computed from `origin_server_ts`, and is wrong by as much as the
//! clocks are apart.

use crate::util::ClockDifference;

/// Smallest difference of two clocks that is taken for one, in milliseconds: a `Date`
/// has whole seconds, and an answer is on its way for a while.
const CLOSE_MS: u64 = 3_000;

/// The age of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Age {
    /// In milliseconds, at most: by the clock of the two by which it is older.
    pub ms: u64,
    /// The part of it that may only be the difference between the clocks.
    pub doubt: Option<ClockDifference>,
}

impl Age {
    /// The age that the homeserver states (`unsigned.age`), in milliseconds.
    pub fn told(ms: u64) -> Self {
        Self { ms, doubt: None }
    }

    /// The age at `now` (this machine's clock) of an event sent at `sent` (the
    /// homeserver's clock), which is `ahead` of this machine's; all in milliseconds.
    ///
    /// A `Date` can make it older, never younger than by this machine's own clock:
    /// it is the homeserver's word. Where there is none, an event from the future is
    /// as old as that is far.
    pub fn reckoned(sent: u64, now: u64, ahead: Option<i64>) -> Self {
        let by_own = now.saturating_sub(sent);
        let Some(ahead) = ahead else {
            let early = sent.saturating_sub(now);
            return Self {
                ms: by_own.max(early),
                doubt: doubt(early, true),
            };
        };
        let by_server = now.saturating_add_signed(ahead).saturating_sub(sent);
        let behind = ahead.min(0).unsigned_abs();
        Self {
            ms: by_own.max(by_server),
            doubt: doubt(behind, false),
        }
    }

    /// The difference of the clocks, if only that may make it as old as `limit_ms`.
    pub fn is_doubtful(self, limit_ms: u64) -> Option<ClockDifference> {
        self.doubt
            .filter(|doubt| self.ms.saturating_sub(doubt.ms) < limit_ms)
    }
}

/// The doubt that comes of clocks that are this far apart, unless they are close.
fn doubt(ms: u64, server_is_ahead: bool) -> Option<ClockDifference> {
    (ms >= CLOSE_MS).then_some(ClockDifference {
        ms,
        server_is_ahead,
    })
}

#[cfg(test)]
mod tests {
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
}
