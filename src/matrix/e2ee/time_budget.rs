//! The time that one turn of the session's loop may take.

use std::time::{Duration, Instant};

/// A long answer is taken in for this long at a time; the loop serves others between.
const LIMIT: Duration = Duration::from_millis(20);

/// The time left for taking in an answer.
#[derive(Debug, Clone, Copy)]
pub struct TimeBudget {
    ends: Option<Instant>,
}

impl TimeBudget {
    /// A budget of 20 ms from now.
    pub fn start() -> Self {
        Self {
            ends: Instant::now().checked_add(LIMIT),
        }
    }

    /// A budget without an end.
    pub fn unlimited() -> Self {
        Self { ends: None }
    }

    /// True if the rest has to wait for the next turn of the loop.
    pub fn is_spent(&self) -> bool {
        self.ends.is_some_and(|ends| Instant::now() >= ends)
    }
}
