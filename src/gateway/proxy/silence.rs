//! The time in which the next piece of a body has to come.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// The time in which the next piece of a body has to come. It costs nothing while pieces
/// are there when they are asked for.
pub(super) struct Silence {
    limit: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
    is_running: bool,
}

impl Silence {
    /// This time; None for any.
    pub(super) const fn new(limit: Option<Duration>) -> Self {
        Self {
            limit,
            timer: None,
            is_running: false,
        }
    }

    /// Something came.
    pub(super) const fn broken(&mut self) {
        self.is_running = false;
    }

    /// Returns whether it has lasted too long; wakes the task when it has.
    pub(super) fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let Some(limit) = self.limit else {
            return false;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !self.is_running {
            self.is_running = true;
            timer.as_mut().reset(Instant::now() + limit);
        }
        timer.as_mut().poll(context).is_ready()
    }
}
