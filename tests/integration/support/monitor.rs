//! Waiting, for what several threads share or for what can only be looked at.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// No wait of a test is longer than this.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Held by a test that computes for seconds, so that only one of them does: most
/// tests wait beside it, and have limits of real time.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A value that threads share, and can wait for changes of.
#[derive(Default)]
pub struct Monitor<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Monitor<T> {
    pub fn new(value: T) -> Self {
        Self {
            value: Mutex::new(value),
            changed: Condvar::new(),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the value or changes it, and wakes whoever waits for a change.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let out = f(&mut self.lock());
        self.changed.notify_all();
        out
    }

    /// Waits until `f` finds something in the value; None if it did not in time.
    pub fn wait_within<R>(
        &self,
        time: Duration,
        mut f: impl FnMut(&mut T) -> Option<R>,
    ) -> Option<R> {
        let until = Instant::now() + time;
        let mut value = self.lock();
        loop {
            if let Some(found) = f(&mut value) {
                return Some(found);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let waited = self.changed.wait_timeout(value, left);
            value = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until `f` finds something in the value, and panics if it does not.
    pub fn wait<R>(&self, what: &str, f: impl FnMut(&mut T) -> Option<R>) -> R {
        self.wait_within(DEADLINE, f)
            .unwrap_or_else(|| panic!("waited {DEADLINE:?} for {what}"))
    }

    /// Waits as long as this is so.
    pub fn wait_while(&self, f: impl FnMut(&mut T) -> bool) {
        let waited = self.changed.wait_while(self.lock(), f);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// Looks again and again until there is something to see, within the deadline.
pub fn poll<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    poll_within(DEADLINE, what, look)
}

/// As [`poll`], within this time.
pub fn poll_within<T>(time: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + time;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "looked {time:?} for {what}");
        sleep(Duration::from_millis(10));
    }
}
