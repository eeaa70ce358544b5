//! What the loop begins: requests, syncs, commands.

use std::{sync::Arc, time::Duration};

use log::{debug, info, warn};

use super::{
    command::Command,
    operator::{Finished, Operator, Work},
    outcome::Outcome,
    policy::{Decision, Policy},
    work::execute,
};
use crate::kube;
use crate::matrix::client::{Answer, Call, SYNC_TIMEOUT, sync_call};
use crate::matrix::e2ee::{self, Engine, OutgoingRequest, RequestContext};
use crate::store::{JournalEntry, Transaction};
use crate::telemetry::{CommandOutcome, MetricEvent};

/// So many questions may wait before what changes something goes first: a flood of
/// "status" keeps no "stop" from being done in time.
const QUESTIONS_BEFORE_SCALING: i64 = 4;

/// The oldest command that is not done. One at a time, in the order they came:
/// "start" and "stop" must not overtake each other.
pub(super) fn next_work(
    engine: &Engine,
    policy: &Policy,
    tx: &Transaction<'_>,
    started_at: u64,
    now: u64,
) -> Result<Option<Work>, e2ee::Error> {
    let question = Command::Status.as_str();
    let is_flooded = tx.journal().count_unfinished(question)? > QUESTIONS_BEFORE_SCALING;
    let urgent = match is_flooded {
        true => tx.journal().next_unfinished_but(question)?,
        false => None,
    };
    let next = match urgent {
        Some(urgent) => Some(urgent),
        None => tx.journal().next_unfinished()?,
    };
    let Some(entry) = next else {
        return Ok(None);
    };
    let decision = policy.reconsider(tx, engine, &entry, started_at, now)?;
    Ok(decision.map(|decision| Work { entry, decision }))
}

impl Operator<'_> {
    pub(super) fn spawn_requests(&mut self, outgoing: Vec<OutgoingRequest>) {
        for OutgoingRequest { key, call, about } in outgoing {
            if let RequestContext::Outbox(row, _) = &about
                && self.delivered.contains(row)
            {
                continue;
            }
            if self.in_flight.start(&key) {
                debug!("asking: {key:?}");
                let homeserver = self.homeserver.clone();
                let token = self.access.tokens.access.clone();
                let generation = self.renewal.generation;
                let sieve = about.answer().sieve(&self.audience);
                self.tasks.spawn(async move {
                    let sent = homeserver.send(call, Some(&token), Duration::ZERO, sieve);
                    let result = sent.await;
                    Finished::Answer {
                        key,
                        about,
                        generation,
                        result,
                    }
                });
            }
        }
    }

    pub(super) fn spawn_sync(&mut self) {
        self.syncing = true;
        self.uploaded_meanwhile = false;
        // After a failure it is to show at once that the homeserver is back.
        let wait = self.synced && !self.recount && !self.sync_backoff.has_failed();
        let call: Call = sync_call(self.since.as_deref(), wait);
        let homeserver = self.homeserver.clone();
        let token = self.access.tokens.access.clone();
        let generation = self.renewal.generation;
        let sieve = Answer::Sync.sieve(&self.audience);
        let held_back = if wait { SYNC_TIMEOUT } else { Duration::ZERO };
        self.tasks.spawn(async move {
            let result = homeserver.send(call, Some(&token), held_back, sieve).await;
            Finished::Sync { generation, result }
        });
    }

    pub(super) fn spawn_work(&mut self, work: Work) {
        let Work { entry, decision } = work;
        let JournalEntry {
            event_id,
            room,
            thread,
            ..
        } = entry;
        self.working = Some(event_id.clone());
        let (kube, target) = (self.kube.clone(), self.target.clone());
        let health = Arc::clone(&self.health);
        self.tasks.spawn(async move {
            let is_status = matches!(decision, Decision::Run(Command::Status));
            let (answer, metric) = match decision {
                Decision::Run(command) => {
                    let (answer, done) = execute(&kube, &target, command, &health).await;
                    let outcome = match done {
                        true => CommandOutcome::Done,
                        false => CommandOutcome::Failed,
                    };
                    (answer, MetricEvent::Command(command.into(), outcome))
                }
                Decision::Answer { answer, metric } => (answer, metric),
            };
            Finished::Command(Outcome {
                event_id,
                room,
                thread,
                answer,
                is_status,
                metric,
            })
        });
    }

    pub(super) fn spawn_preflight(&mut self) {
        let (kube, target) = (self.kube.clone(), self.target.clone());
        self.tasks
            .spawn(async move { Finished::Preflight(kube.preflight(&target).await) });
    }

    pub(super) fn log_preflight(&self, preflight: &kube::Preflight) {
        match preflight {
            kube::Preflight::Ready(status) => {
                info!(
                    "deployment {}: may be read and scaled (replicas: {})",
                    self.target, status.desired
                );
            }
            kube::Preflight::Faulty(faults) => {
                for fault in faults {
                    warn!("{} ({})", fault.sentence(self.target), fault.detail());
                }
            }
        }
    }
}
