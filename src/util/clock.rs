//! The wall clock, by which everything that is stored counts time, and how far a
//! server's is from it. Nothing else asks the system for the time, but the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The least change of a difference that is taken over, in milliseconds: a `Date` has whole
/// seconds, and was on its way for a while.
const CLOSE_MS: u64 = 2_000;

/// The wall clock, made once by the program and handed down.
#[derive(Debug, Clone, Copy)]
pub struct Clock(fn() -> SystemTime);

impl Clock {
    /// This machine's clock: it may be wrong, and it may jump.
    pub const fn system() -> Self {
        Self(system_time)
    }

    /// A clock that a test sets.
    #[cfg(test)]
    pub(crate) const fn of(now: fn() -> SystemTime) -> Self {
        Self(now)
    }

    /// A clock that shows one time for ever.
    #[cfg(test)]
    pub(crate) const fn stopped() -> Self {
        Self(|| UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000))
    }

    /// The time.
    pub fn now(self) -> SystemTime {
        (self.0)()
    }

    /// Milliseconds since the Unix epoch; a clock before the epoch is taken for the epoch.
    pub fn now_ms(self) -> u64 {
        ms(self.now())
    }
}

fn ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(not(debug_assertions))]
fn system_time() -> SystemTime {
    SystemTime::now()
}

/// In debug builds `OPENCLAW_TEST_CLOCK` can name a file with the milliseconds
/// that the clock is wrong by: a test that lets it jump can neither set the
/// machine's clock nor wait for a year.
#[cfg(debug_assertions)]
fn system_time() -> SystemTime {
    let now = SystemTime::now();
    let offset: Option<i64> = std::env::var_os("OPENCLAW_TEST_CLOCK")
        .and_then(|file| std::fs::read_to_string(file).ok())
        .and_then(|text| text.trim().parse().ok());
    moved(now, offset.unwrap_or_default())
}

/// A time moved ahead by these milliseconds, as far as it can be shown.
fn moved(time: SystemTime, ms: i64) -> SystemTime {
    let by = Duration::from_millis(ms.unsigned_abs());
    let moved = match ms < 0 {
        true => time.checked_sub(by),
        false => time.checked_add(by),
    };
    moved.unwrap_or(time)
}

/// The milliseconds by which a server's clock is ahead of this machine's, as its answers
/// show it: none until there is one. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Ahead(Arc<AtomicI64>);

impl Ahead {
    /// Takes in the difference that an answer shows.
    pub fn compared(&self, difference: ClockDifference) {
        let ms = i64::try_from(difference.ms).unwrap_or(i64::MAX);
        let ms = if difference.server_is_ahead { ms } else { -ms };
        if ms.abs_diff(self.0.load(Relaxed)) >= CLOSE_MS {
            self.0.store(ms, Relaxed);
        }
    }
}

/// A server's clock: this machine's, put right by what the server's answers show.
#[derive(Debug, Clone)]
pub struct ServerClock {
    /// This machine's clock.
    pub own: Clock,
    ahead: Ahead,
}

impl ServerClock {
    /// The clock that is so far ahead of this one.
    pub const fn new(own: Clock, ahead: Ahead) -> Self {
        Self { own, ahead }
    }

    /// The time.
    pub fn now(&self) -> SystemTime {
        moved(self.own.now(), self.ahead.0.load(Relaxed))
    }

    /// Milliseconds since the Unix epoch, as [`Clock::now_ms`] has them.
    pub fn now_ms(&self) -> u64 {
        ms(self.now())
    }
}

/// The difference between a server's clock and this machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockDifference {
    /// The distance between the clocks, in milliseconds.
    pub ms: u64,
    /// True if the server's clock is the one that is ahead.
    pub server_is_ahead: bool,
}

impl ClockDifference {
    /// The difference between what a server's clock and this machine's show.
    pub fn between(server: SystemTime, own: SystemTime) -> Self {
        let apart = server.duration_since(own);
        let server_is_ahead = apart.is_ok();
        let apart = apart.unwrap_or_else(|error| error.duration());
        Self {
            ms: u64::try_from(apart.as_millis()).unwrap_or(u64::MAX),
            server_is_ahead,
        }
    }

    /// The difference where the server's clock is ahead by this many milliseconds; a
    /// negative number is behind.
    pub const fn of_ahead(ms: i64) -> Self {
        Self {
            ms: ms.unsigned_abs(),
            server_is_ahead: ms > 0,
        }
    }

    /// The difference where it is `there` by the server's clock, as the `Date` header of
    /// an answer shows it, and `here` by this machine's.
    pub fn of_date(there: SystemTime, here: SystemTime) -> Self {
        let (apart, server_is_ahead) = match there.duration_since(here) {
            Ok(ahead) => (ahead, true),
            Err(behind) => (behind.duration(), false),
        };
        Self {
            ms: u64::try_from(apart.as_millis()).unwrap_or(u64::MAX),
            server_is_ahead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_clock_is_this_machines_put_right() {
        let (ahead, own) = (Ahead::default(), Clock::stopped());
        let clock = ServerClock::new(own, ahead.clone());
        for (shown_ms, believed_ms) in [
            // Nothing but the way of the answer.
            (-1_900, 0),
            (3_600_000, 3_600_000),
            (3_599_000, 3_600_000),
            (3_598_000, 3_598_000),
            (-3_600_000, -3_600_000),
            (0, 0),
        ] {
            ahead.compared(ClockDifference::of_ahead(shown_ms));
            let apart = ClockDifference::between(clock.now(), own.now());
            assert_eq!(apart.ms, ClockDifference::of_ahead(believed_ms).ms);
            assert!(believed_ms == 0 || apart.server_is_ahead == (believed_ms > 0));
        }
    }

    #[test]
    fn clocks_differ_in_milliseconds_and_in_a_direction() {
        let noon = UNIX_EPOCH + Duration::from_secs(1_000);
        let later = noon + Duration::from_millis(1_500);
        for (there, here, ahead_ms) in [(later, noon, 1_500), (noon, later, -1_500)] {
            let difference = ClockDifference::of_date(there, here);
            assert_eq!(difference, ClockDifference::of_ahead(ahead_ms));
            assert_eq!(difference.ms, 1_500);
            assert_eq!(difference.server_is_ahead, ahead_ms > 0);
        }
        assert_eq!(ClockDifference::of_date(noon, noon).ms, 0);
    }
}
