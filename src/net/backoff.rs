//! The wait before the next attempt.

use std::time::Duration;

use super::response::MAX_RETRY_AFTER;
use crate::util::paced;

/// The first wait that grows out of failures, before jitter.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// The longest wait that grows out of failures alone, before jitter.
pub const MAX_WAIT: Duration = Duration::from_secs(60);

/// The number of failures in a row after which there is no next attempt.
pub const MAX_ATTEMPTS: u32 = 20;

/// The first wait of [`Backoff::fail_slowly`], before jitter.
const FIRST_SLOW_WAIT: Duration = Duration::from_secs(5);

/// The longest wait of [`Backoff::fail_slowly`], before jitter.
const MAX_SLOW_WAIT: Duration = Duration::from_secs(3600);

/// The first wait of [`Backoff::fail_eagerly`], before jitter.
#[cfg(feature = "gateway")]
const FIRST_EAGER_WAIT: Duration = Duration::from_millis(500);

/// The longest wait of [`Backoff::fail_eagerly`], before jitter.
#[cfg(feature = "gateway")]
const MAX_EAGER_WAIT: Duration = Duration::from_secs(5);

/// The first wait of [`Backoff::fail_soon`], before jitter.
const FIRST_SOON_WAIT: Duration = Duration::from_secs(1);

/// The longest wait of [`Backoff::fail_soon`], before jitter.
const MAX_SOON_WAIT: Duration = Duration::from_secs(30);

/// Jitter is at most the wait divided by this: 20 %.
const JITTER_DIVISOR: u64 = 5;

/// Counts failures in a row and turns them into waits: after the n-th one
/// min(2ⁿ, 60) s, plus up to 20 % at random so that clients that lost the
/// same server do not come back in step.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Notes a failure. Returns how long to wait before the next attempt, or
    /// `None` once [`MAX_ATTEMPTS`] waits have been given without a success.
    ///
    /// `asked` is what the server asked for (`Retry-After`): the wait is at
    /// least that, but a server can ask for [`MAX_RETRY_AFTER`] at most.
    pub fn fail(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let is_next = self.failures < MAX_ATTEMPTS;
        is_next.then(|| self.grow(FIRST_WAIT, MAX_WAIT, asked))
    }

    /// Notes a failure that is not likely to pass soon, and returns how long to wait
    /// before the next attempt, without an end to them: after the n-th one
    /// min(5 · 2ⁿ⁻¹ s, 1 h), plus jitter; at least what the server asked for, as
    /// [`Backoff::fail`] has it.
    pub fn fail_slowly(&mut self, asked: Option<Duration>) -> Duration {
        self.grow(FIRST_SLOW_WAIT, MAX_SLOW_WAIT, asked)
    }

    /// Notes a failure that somebody waits for the end of, and returns how long to wait
    /// before the next attempt, without an end to them: after the n-th one
    /// min(2ⁿ⁻² s, 5 s), plus jitter; at least what the server asked for, as
    /// [`Backoff::fail`] has it.
    #[cfg(feature = "gateway")]
    pub fn fail_eagerly(&mut self, asked: Option<Duration>) -> Duration {
        self.grow(FIRST_EAGER_WAIT, MAX_EAGER_WAIT, asked)
    }

    /// Notes a failure of what has to be there again soon, and returns how long to wait
    /// before the next attempt, without an end to them: after the n-th one
    /// min(2ⁿ⁻¹, 30) s, plus jitter; at least what the server asked for, as
    /// [`Backoff::fail`] has it.
    pub fn fail_soon(&mut self, asked: Option<Duration>) -> Duration {
        self.grow(FIRST_SOON_WAIT, MAX_SOON_WAIT, asked)
    }

    fn grow(&mut self, first: Duration, most: Duration, asked: Option<Duration>) -> Duration {
        let times = 2_u32.saturating_pow(self.failures);
        let grown = paced(first.saturating_mul(times).min(most));
        self.failures = self.failures.saturating_add(1);
        let asked = asked.unwrap_or_default().min(MAX_RETRY_AFTER);
        grown.max(asked) + jitter(grown)
    }

    /// Returns whether the last attempt failed.
    pub const fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Forgets all failures.
    pub fn succeed(&mut self) {
        self.failures = 0;
    }
}

fn jitter(wait: Duration) -> Duration {
    // Jitter is a courtesy: without randomness there is none, and no error.
    let random = u64::from(getrandom::u32().unwrap_or_default());
    let most = u64::try_from(wait.as_millis()).unwrap_or_default() / JITTER_DIVISOR;
    Duration::from_millis(most.saturating_mul(random) / u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_end_after_twenty() {
        let mut backoff = Backoff::default();
        for n in 1..=MAX_ATTEMPTS {
            let base = Duration::from_secs(2_u64.pow(n).min(60));
            let wait = backoff.fail(None).unwrap();
            assert!(
                wait >= base && wait <= base + base / 5,
                "failure {n}: {wait:?}"
            );
        }
        assert_eq!(backoff.fail(None), None);
        assert_eq!(backoff.fail(None), None);
    }

    #[test]
    fn other_waits_double_up_to_their_longest_without_an_end() {
        let mut backoff = Backoff::default();
        for n in 0..100 {
            let base = Duration::from_secs(5 * 2_u64.pow(n.min(20))).min(MAX_SLOW_WAIT);
            let wait = backoff.fail_slowly(None);
            assert!(
                wait >= base && wait <= base + base / 5,
                "failure {n}: {wait:?}"
            );
        }
        let mut soon = Backoff::default();
        for n in 0..100 {
            let base = Duration::from_secs(2_u64.pow(n.min(20)).min(30));
            let wait = soon.fail_soon(None);
            assert!(
                wait >= base && wait <= base + base / 5,
                "failure {n}: {wait:?}"
            );
        }
        let asked = Backoff::default().fail_slowly(Some(Duration::from_secs(90)));
        assert!(asked >= Duration::from_secs(90) && asked < Duration::from_secs(92));
    }

    #[test]
    #[cfg(feature = "gateway")]
    fn eager_waits_stay_short() {
        let mut backoff = Backoff::default();
        for base in [500, 1_000, 2_000, 4_000, 5_000, 5_000] {
            let base = Duration::from_millis(base);
            let wait = backoff.fail_eagerly(None);
            assert!(wait >= base && wait <= base + base / 5, "{wait:?}");
        }
        let asked = Backoff::default().fail_eagerly(Some(Duration::from_secs(9)));
        assert!(asked >= Duration::from_secs(9) && asked < Duration::from_secs(10));
    }

    #[test]
    fn a_success_starts_again() {
        let mut backoff = Backoff::default();
        while backoff.fail(None).is_some() {}
        backoff.succeed();
        assert!(backoff.fail(None).unwrap() < Duration::from_secs(3));
    }

    #[test]
    fn the_server_can_raise_a_wait_within_a_limit_and_not_lower_it() {
        let mut backoff = Backoff::default();
        assert!(backoff.fail(Some(Duration::ZERO)).unwrap() >= Duration::from_secs(2));
        let raised = backoff.fail(Some(Duration::from_secs(90))).unwrap();
        assert!(raised >= Duration::from_secs(90) && raised < Duration::from_secs(91));
        let capped = backoff.fail(Some(Duration::from_secs(86_400))).unwrap();
        assert!(capped >= MAX_RETRY_AFTER && capped < MAX_RETRY_AFTER + Duration::from_secs(2));
    }
}
