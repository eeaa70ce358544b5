//! The traffic between a change that is followed and who follows it: questions for the
//! API server, what came of them, and what outlives a restart.

use std::time::Duration;

use super::pace::Stage;
use super::{Ending, EventView, PodView, Progress, ReadError, Right};

/// The next thing to do with a change that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The next question for the API server.
    pub next: Next,
    /// The progress that the message about it should say now; never with an outcome.
    pub edit: Option<Progress>,
    /// Its end. Another one may follow while `next` is not [`Next::End`]: up after
    /// all, or set back.
    pub outcome: Option<Ending>,
}

/// The next question for the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Read the workload after this time, or when a watch shows it.
    Observe(Duration),
    /// Read the workload, its newest pods and its Events now.
    Look,
    /// Nothing: it is over.
    End,
}

/// The pods and Events of a workload, as far as they may be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Its newest pods.
    pub pods: Result<Vec<PodView>, ReadError>,
    /// Events about it and its pods.
    pub events: Result<Vec<EventView>, ReadError>,
}

/// All that has to be kept of a change to follow it after a restart of the bot, beside what
/// the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// [`Goal::replicas`].
    pub replicas: i32,
    /// [`Goal::previous`].
    pub previous: i32,
    /// [`Goal::uid`].
    pub uid: String,
    /// [`Goal::generation`].
    pub generation: i64,
    /// The time at which it was asked for, in milliseconds since the Unix epoch.
    pub started_at: u64,
    /// The number of edits so far.
    pub edits: u8,
    /// The part that was told of its end.
    pub stage: Stage,
}

impl Look {
    /// The right with which more could be seen.
    pub(super) fn missing_right(&self) -> Option<Right> {
        if matches!(self.pods, Err(ReadError::Forbidden)) {
            return Some(Right::ListPods);
        }
        matches!(self.events, Err(ReadError::Forbidden)).then_some(Right::ListEvents)
    }
}

impl Step {
    pub(super) fn next(next: Next) -> Self {
        Self {
            next,
            edit: None,
            outcome: None,
        }
    }

    pub(super) fn ended(outcome: Ending) -> Self {
        Self {
            next: Next::End,
            edit: None,
            outcome: Some(outcome),
        }
    }
}
