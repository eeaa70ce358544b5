//! The length of a wait that the program itself has chosen: before another attempt, or
//! for something that may still come. A test of what follows it need not wait as long.

use std::time::Duration;

/// The wait as it is.
#[cfg(not(debug_assertions))]
pub const fn paced(wait: Duration) -> Duration {
    wait
}

/// The wait; in debug builds it is as many times shorter as `OPENCLAW_TEST_PACE` says.
#[cfg(debug_assertions)]
pub fn paced(wait: Duration) -> Duration {
    static PACE: std::sync::LazyLock<u32> = std::sync::LazyLock::new(|| {
        let pace = std::env::var("OPENCLAW_TEST_PACE").ok();
        pace.and_then(|pace| pace.parse().ok()).unwrap_or(1).max(1)
    });
    wait / *PACE
}

/// A wait for others as it is.
#[cfg(not(debug_assertions))]
pub const fn patience(wait: Duration) -> Duration {
    wait
}

/// A wait for others; in debug builds it is as many times longer as
/// `OPENCLAW_TEST_PATIENCE` says: a test of what comes within it may run on a machine that
/// does much else.
#[cfg(debug_assertions)]
pub fn patience(wait: Duration) -> Duration {
    static TIMES: std::sync::LazyLock<u32> = std::sync::LazyLock::new(|| {
        let times = std::env::var("OPENCLAW_TEST_PATIENCE").ok();
        times.and_then(|times| times.parse().ok()).unwrap_or(1)
    });
    wait.saturating_mul(*TIMES)
}
