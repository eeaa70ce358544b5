//! The wall clock, by which everything that is stored counts time, and how far a
//! server's is from it. Nothing else asks the system for the time, but the log.

use std::time::{SystemTime, UNIX_EPOCH};

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
        let since = self.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
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
    let moved = offset.and_then(|ms| {
        let by = std::time::Duration::from_millis(ms.unsigned_abs());
        if ms < 0 {
            now.checked_sub(by)
        } else {
            now.checked_add(by)
        }
    });
    moved.unwrap_or(now)
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
    use std::time::Duration;

    use super::*;

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
