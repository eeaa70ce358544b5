//! The wall clock, as everything that is stored counts time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch, by this machine's clock: it may be wrong,
/// and it may jump. A clock before the epoch is taken for the epoch.
pub fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    jumped(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(not(debug_assertions))]
fn jumped(now: u64) -> u64 {
    now
}

/// In debug builds `OPENCLAW_TEST_CLOCK` can name a file with the milliseconds
/// that the clock is wrong by: a test that lets it jump can neither set the
/// machine's clock nor wait for a year.
#[cfg(debug_assertions)]
fn jumped(now: u64) -> u64 {
    std::env::var_os("OPENCLAW_TEST_CLOCK")
        .and_then(|file| std::fs::read_to_string(file).ok())
        .and_then(|text| text.trim().parse().ok())
        .map_or(now, |offset| now.saturating_add_signed(offset))
}
