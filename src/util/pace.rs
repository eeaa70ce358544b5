//! The length of a wait that the program itself has chosen: before another attempt, or
//! for something that may still come. A test of what follows it need not wait as long.

use std::time::Duration;

/// The wait as it is.
#[cfg(not(debug_assertions))]
pub const fn paced(wait: Duration) -> Duration {
    wait
}

/// The wait; in debug builds it is as many times shorter as `OPENCLAW_TEST_PACE` says, or
/// longer where that is less than 1.
#[cfg(debug_assertions)]
pub fn paced(wait: Duration) -> Duration {
    static PACE: std::sync::LazyLock<f64> = std::sync::LazyLock::new(|| {
        let pace = std::env::var("OPENCLAW_TEST_PACE").ok();
        let pace: Option<f64> = pace.and_then(|pace| pace.parse().ok());
        pace.filter(|pace| *pace >= 0.01).unwrap_or(1.0)
    });
    wait.div_f64(*PACE)
}
