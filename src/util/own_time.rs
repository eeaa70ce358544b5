//! A clock that never goes back.

use std::time::Instant;

/// Goes on with the monotonic clock or the wall clock, whichever goes further:
/// a wall clock that is set back stops nothing, and a machine that was suspended
/// is noticed.
#[derive(Debug, Clone, Copy)]
pub struct OwnTime {
    own_ms: u64,
    wall_ms: u64,
    at: Instant,
}

impl OwnTime {
    /// Goes on from `own_ms`, which it was when the wall clock was `wall_before`
    /// and is now `wall_ms`. All in milliseconds.
    pub fn resume(own_ms: u64, wall_before: u64, wall_ms: u64) -> Self {
        Self {
            own_ms: own_ms.saturating_add(wall_ms.saturating_sub(wall_before)),
            wall_ms,
            at: Instant::now(),
        }
    }

    /// The time now, in milliseconds, when the wall clock is `wall_ms`.
    pub fn now(&mut self, wall_ms: u64) -> u64 {
        let at = Instant::now();
        let elapsed = at.saturating_duration_since(self.at).as_millis();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let by_wall = wall_ms.saturating_sub(self.wall_ms);
        self.wall_ms = wall_ms;
        let passed = elapsed.max(by_wall);
        if passed > 0 {
            self.own_ms = self.own_ms.saturating_add(passed);
            self.at = at;
        }
        self.own_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_wall_clock_forward_and_never_back() {
        let mut time = OwnTime::resume(1_000, 500, 700);
        let close = |time: u64, expected: u64| (expected..expected + 1_000).contains(&time);
        assert!(close(time.now(700), 1_200));
        assert!(close(time.now(5_700), 6_200));
        let before = time.now(100);
        assert!(close(before, 6_200));
        assert!(close(time.now(100), before));
        assert!(close(time.now(200), before + 100));
    }

    #[test]
    fn a_restart_with_a_clock_that_went_back_goes_on_from_where_it_was() {
        let resumed = OwnTime::resume(1_000, 900, 200).now(200);
        assert!((1_000..2_000).contains(&resumed));
    }
}
