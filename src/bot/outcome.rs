//! What came of a command, from the moment it is known until it is written down.

use log::error;
use ruma::{EventId, OwnedEventId, OwnedRoomId};
use tokio::time::{Duration, Instant, timeout_at};

use super::operator::{Finished, Operator};
use crate::matrix::client::InThread;
use crate::matrix::e2ee::{self, Engine};
use crate::store::Transaction;
use crate::telemetry::{MetricEvent, MetricEvents};

/// A command under way when the session ends is waited for this long.
const LAST_WORK: Duration = Duration::from_secs(15);

/// What came of a command.
pub(super) struct Outcome {
    pub(super) event_id: OwnedEventId,
    pub(super) room: OwnedRoomId,
    /// The first message of the thread that it was asked in.
    pub(super) thread: Option<OwnedEventId>,
    pub(super) answer: String,
    pub(super) is_status: bool,
    pub(super) metric: MetricEvent,
}

impl Operator<'_> {
    /// Writes down what came of a command. While the store refuses, the command
    /// stays the one under way: without its answer it would be run once more.
    pub(super) fn save_answer(&mut self) {
        let Some(outcome) = self.unsaved.take() else {
            return;
        };
        self.working = None;
        let saved = self.attempt(|engine, _, tx, _| put_outcome(engine, tx, &outcome));
        if !saved {
            self.working = Some(outcome.event_id.clone());
            self.unsaved = Some(outcome);
        }
    }

    /// The session is over, and a command may be under way: what comes of it is
    /// written down, or the next session would run it once more.
    pub(super) async fn finish_work(&mut self) {
        let until = Instant::now() + LAST_WORK;
        while self.working.is_some() && self.unsaved.is_none() {
            match timeout_at(until, self.tasks.join_next()).await {
                Ok(Some(Ok(Finished::Command(outcome)))) => self.unsaved = Some(outcome),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            }
        }
        let Some(outcome) = &self.unsaved else {
            return;
        };
        let saved = self
            .store
            .begin()
            .map_err(e2ee::Error::from)
            .and_then(|tx| {
                let metrics = put_outcome(&self.engine, &tx, outcome)?;
                tx.commit()?;
                Ok(metrics)
            });
        match saved {
            Ok(metrics) => {
                self.health.stored();
                self.health.count(&metrics);
            }
            Err(error) => {
                error!("{error}");
                self.health.store_refused();
            }
        }
    }
}

/// The thread that the answer to a message belongs into.
pub(super) fn in_thread<'a>(
    root: Option<&'a EventId>,
    answered: &'a EventId,
) -> Option<InThread<'a>> {
    let root = root?;
    Some(InThread { root, answered })
}

/// Writes down what came of a command, and that it is done.
fn put_outcome(
    engine: &Engine,
    tx: &Transaction<'_>,
    outcome: &Outcome,
) -> Result<MetricEvents, e2ee::Error> {
    let fault = match outcome.is_status {
        true => engine.cross_signing_fault(tx)?,
        false => None,
    };
    let answer = match fault {
        Some(fault) => &format!("{}\n\n⚠ {fault}", outcome.answer),
        None => &outcome.answer,
    };
    let thread = in_thread(outcome.thread.as_deref(), &outcome.event_id);
    engine.reply(tx, &outcome.room, thread, answer)?;
    tx.journal().finish(&outcome.event_id)?;
    Ok([outcome.metric].into_iter().collect())
}
