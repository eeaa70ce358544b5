//! The length of a wait that the program itself has chosen: before another attempt, or
//! for something that may still come. A test of what follows it need not wait as long.

#[cfg(debug_assertions)]
use std::sync::LazyLock;
use std::time::Duration;

/// The wait as it is.
#[cfg(not(debug_assertions))]
pub const fn paced(wait: Duration) -> Duration {
    wait
}

/// The wait; in debug builds it is as many times shorter as `OPENCLAW_TEST_PACE` says.
#[cfg(debug_assertions)]
pub fn paced(wait: Duration) -> Duration {
    static PACE: LazyLock<u32> = LazyLock::new(|| times("OPENCLAW_TEST_PACE"));
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
    static PATIENCE: LazyLock<u32> = LazyLock::new(|| times("OPENCLAW_TEST_PATIENCE"));
    wait.saturating_mul(*PATIENCE)
}

/// The number that a variable has; 1 where it has none.
#[cfg(debug_assertions)]
fn times(variable: &str) -> u32 {
    let times = std::env::var(variable).ok();
    times
        .and_then(|times| times.parse().ok())
        .unwrap_or(1)
        .max(1)
}
