//! How long one turn of the loop may take.

use std::time::{Duration, Instant};

/// A long answer is taken in for this long at a time; then others have their turn.
const TURN: Duration = Duration::from_millis(20);

/// One turn of the loop.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    ends: Option<Instant>,
}

impl Turn {
    /// A turn that begins now.
    pub fn begin() -> Self {
        Self {
            ends: Instant::now().checked_add(TURN),
        }
    }

    /// A turn that ends when everything is done.
    pub fn endless() -> Self {
        Self { ends: None }
    }

    /// The rest has to wait for the next turn.
    pub fn is_over(&self) -> bool {
        self.ends.is_some_and(|ends| Instant::now() >= ends)
    }
}
