//! Read receipts and typing notifications: a command is seen to have come, and one that
//! takes long to be worked on. Nobody waits for them, and what becomes of one is no trouble.

use std::time::Duration;

use tokio::time::Instant;

use super::session::Session;
use crate::{control::Targets, matrix::e2ee::RequestKey};

/// A command that takes no longer than this is answered, and nothing else.
const UNSEEN: Duration = Duration::from_secs(1);

/// A notification counts for 30 s: before that it is sent again.
const AGAIN: Duration = Duration::from_secs(25);

impl Session<'_> {
    /// Sends the receipts that are due. Tells the rooms in which a command takes long that
    /// it is worked on, and those in which none is any more. Where targets have no names
    /// nothing is told.
    pub(super) fn show_signals(&mut self) {
        if matches!(self.chat.policy.targets, Targets::Reference(_)) {
            return;
        }
        let now = Instant::now();
        let mut requests = Vec::new();
        for read in self.receipts.take_due(now) {
            let thread = read.thread.as_deref();
            requests.push(self.engine.read_receipt(&read.room, &read.event_id, thread));
        }
        let mut told = Vec::new();
        for (room, since) in self.jobs.rooms() {
            let told_at = self.typing.get(room);
            if told_at.map_or(since + UNSEEN, |at| *at + AGAIN) <= now {
                self.typing.insert(room.clone(), now);
                told.push((room.clone(), true));
            }
        }
        let (jobs, in_flight) = (&self.jobs, &self.requests.in_flight);
        self.typing.retain(|room, _| {
            let is_over = jobs.rooms().all(|(busy, _)| busy != room)
                && !in_flight.is_busy(&RequestKey::Typing(room.clone()));
            if is_over {
                told.push((room.clone(), false));
            }
            !is_over
        });
        for (room, is_typing) in told {
            requests.push(self.engine.typing(&room, is_typing));
        }
        self.requests.send(requests);
    }

    /// The time at which a receipt is due, or the next room is to be told.
    pub(super) fn signals_due(&self) -> Option<Instant> {
        if matches!(self.chat.policy.targets, Targets::Reference(_)) {
            return None;
        }
        let due = self.jobs.rooms().map(|(room, since)| {
            let told_at = self.typing.get(room);
            told_at.map_or(since + UNSEEN, |at| *at + AGAIN)
        });
        due.chain(self.receipts.due()).min()
    }
}
