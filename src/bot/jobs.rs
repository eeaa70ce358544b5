//! Jobs: commands that were accepted and wait in the journal for their turn, one at a
//! time, in the order they came. They belong to the process, not to a session: one that
//! is under way goes on when the session ends.

use std::sync::Arc;

use log::{error, info, warn};
use ruma::{EventId, OwnedEventId};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, timeout_at},
};

use super::{
    chat::{self, Door},
    replies,
};
use crate::{
    control::{Age, Command, Decision, Denial, Distrust, Outcome, Proof, Request, Stage, Target},
    kube::{self, DryRun, Preflight},
    matrix::{
        client::in_thread,
        e2ee::{Error, Turn},
    },
    store::{Encryption, JournalEntry},
    telemetry::{CommandOutcome, HealthState, MetricEvent, MetricEvents},
};

/// So many questions may wait before what changes something goes first: a flood of
/// `status` keeps no `stop` from being done in time.
const QUESTIONS_BEFORE_SCALING: i64 = 4;

/// Longest wait for a job under way when its session ends.
const LAST_JOB: Duration = Duration::from_secs(15);

/// A command whose turn has come, and the decision about it.
pub(super) struct Job {
    entry: JournalEntry,
    decision: Decision,
}

impl Job {
    /// Returns true if its answer tells what the bot can be known by.
    pub(super) const fn tells_fingerprints(&self) -> bool {
        matches!(self.decision, Decision::Execute(Command::Help))
    }
}

/// The end of a job: its answer, to be written down.
pub(super) struct Answered {
    entry: JournalEntry,
    answer: String,
    command: Option<Command>,
    metric: MetricEvent,
}

/// The jobs of the process.
pub struct Jobs {
    kube: kube::Api,
    target: Target,
    health: Arc<HealthState>,
    /// The job under way, which ends with its answer, and the look at the cluster at the
    /// start of a session, which ends with none.
    pub(super) tasks: JoinSet<Option<Answered>>,
    /// The job under way, until its answer is written down.
    running: Option<OwnedEventId>,
    /// Its answer, while the store refuses to take it.
    pub(super) unsaved: Option<Answered>,
}

impl Jobs {
    /// Jobs on this workload, at this API server.
    pub fn new(kube: kube::Api, target: Target, health: Arc<HealthState>) -> Self {
        Self {
            kube,
            target,
            health,
            tasks: JoinSet::new(),
            running: None,
            unsaved: None,
        }
    }

    /// The event of the job under way.
    pub(super) fn running(&self) -> Option<&EventId> {
        self.running.as_deref()
    }

    /// The job to start, unless one is under way. None while its sender's devices are
    /// being asked for.
    pub(super) fn next(&self, door: Door<'_>, started_at: u64) -> Result<Option<Job>, Error> {
        let (policy, tx, own_now) = (&door.chat.policy, door.turn.tx, door.turn.own_now);
        if self.running.is_some() {
            return Ok(None);
        }
        let Some(oldest) = tx.journal().next_unfinished("")? else {
            return Ok(None);
        };
        let question = Command::Status.as_str();
        let is_flooded = oldest.payload == question
            && tx.journal().count_unfinished(question)? > QUESTIONS_BEFORE_SCALING;
        let urgent = match is_flooded {
            true => tx.journal().next_unfinished(question)?,
            false => None,
        };
        let entry = urgent.unwrap_or(oldest);
        let mut request = Request {
            principal: &entry.sender,
            room: &entry.room,
            text: &entry.payload,
            proof: Proof::Encrypted,
            age: Age::told(entry.age_ms),
            overdue_ms: 0,
            received_at: entry.received_at,
            stage: Stage::Due {
                interrupted: entry.received_at < started_at,
            },
        };
        let mut decision = policy.decide(&request, own_now);
        // What is too old is told so without asking for its sender's devices.
        if !matches!(&decision, Decision::Deny(denial) if denial.is_about_time()) {
            let Some(proof) = proof(door.turn, &entry)? else {
                return Ok(None);
            };
            request.proof = proof;
            decision = policy.decide(&request, own_now);
        }
        if let Decision::Deny(denial) = &decision {
            chat::log_denial(denial, &entry);
            if matches!(denial, Denial::NoLongerAllowed | Denial::Unproven(_)) {
                warn!(
                    "{} may no longer command: {} is not run",
                    entry.sender, entry.payload
                );
            }
        }
        Ok(Some(Job { entry, decision }))
    }

    /// Starts a job. What needs no cluster has its answer at once; it comes to its end
    /// like any other. `fingerprints` are what `help` tells the bot can be known by.
    pub(super) fn start(&mut self, job: Job, fingerprints: Vec<String>) {
        let Job { entry, decision } = job;
        self.running = Some(entry.event_id.clone());
        match decision {
            Decision::Execute(command) => {
                let (kube, target) = (self.kube.clone(), self.target.clone());
                let health = Arc::clone(&self.health);
                self.tasks.spawn(async move {
                    let (outcome, answer) = match execute(&kube, &target, command, &health).await {
                        Ok(done) => (CommandOutcome::Done, replies::done(&done, &fingerprints)),
                        Err(sentence) => (CommandOutcome::Failed, replies::failure(&sentence)),
                    };
                    if outcome == CommandOutcome::Done && command != Command::Help {
                        info!("{command}: {}", answer.lines().next().unwrap_or_default());
                    }
                    Some(Answered {
                        entry,
                        answer,
                        command: Some(command),
                        metric: MetricEvent::Command(Some(command), outcome),
                    })
                });
            }
            // A request from the journal was not ignored when it came.
            Decision::Ignore => self.running = None,
            Decision::Deny(denial) => {
                let answered = Answered {
                    answer: chat::words(&denial, &entry, None),
                    metric: chat::denied(&denial, &entry.payload),
                    command: None,
                    entry,
                };
                self.tasks.spawn(async move { Some(answered) });
            }
        }
    }

    /// Looks whether the workload can be read and scaled, and logs it.
    pub(super) fn spawn_preflight(&mut self) {
        let (kube, target) = (self.kube.clone(), self.target.clone());
        self.tasks.spawn(async move {
            match kube.preflight(&target).await {
                Preflight::Ready(status) => info!(
                    "deployment {target}: may be read and scaled (replicas: {})",
                    status.desired
                ),
                Preflight::Faulty(faults) => {
                    for fault in faults {
                        warn!("{} ({})", fault.sentence(&target), fault.detail());
                    }
                }
            }
            None
        });
    }

    /// Takes the answer that is to be written down. [`Jobs::put_back`] follows where the
    /// store refused it: without its answer the job would be executed once more.
    pub(super) fn take_unsaved(&mut self) -> Option<Answered> {
        let answered = self.unsaved.take()?;
        self.running = None;
        Some(answered)
    }

    pub(super) fn put_back(&mut self, answered: Answered) {
        self.running = Some(answered.entry.event_id.clone());
        self.unsaved = Some(answered);
    }

    /// Drops the job under way: the store that it is to be written into is an older copy.
    pub(super) fn abandon(&mut self) {
        self.tasks = JoinSet::new();
        (self.running, self.unsaved) = (None, None);
    }

    /// Waits for the job under way, and takes its answer, which is to be written down.
    pub(super) async fn last_answer(&mut self) -> Option<Answered> {
        let until = Instant::now() + LAST_JOB;
        while self.running.is_some() && self.unsaved.is_none() {
            match timeout_at(until, self.tasks.join_next()).await {
                Ok(Some(finished)) => self.unsaved = finished.ok().flatten(),
                Ok(None) | Err(_) => return None,
            }
        }
        self.take_unsaved()
    }
}

/// Proof, as of now, that the sender wrote a command of the journal. None while
/// their devices are being asked for.
fn proof(turn: Turn<'_>, entry: &JournalEntry) -> Result<Option<Proof>, Error> {
    let tx = turn.tx;
    let Some(device) = entry.device else {
        return Ok(Some(match tx.rooms().encryption(&entry.room)? {
            Encryption::Plaintext => Proof::Unencrypted,
            _ => Proof::Missing(Distrust::UnencryptedInEncryptedRoom),
        }));
    };
    if tx.device_lists().must_query(&entry.sender, turn.now)? {
        return Ok(None);
    }
    let distrust = turn.distrust(&entry.sender, &device)?;
    Ok(Some(
        distrust.map_or(Proof::Encrypted, |kind| chat::proof(&kind)),
    ))
}

/// Does what was asked for.
///
/// # Errors
/// The cluster did not do it: one bounded sentence for the person who asked, without
/// internals of the cluster.
async fn execute(
    kube: &kube::Api,
    target: &Target,
    command: Command,
    health: &HealthState,
) -> Result<Outcome, String> {
    let scale = async |replicas| {
        let started = Instant::now();
        let scaled = kube.scale(target, replicas, DryRun::No).await;
        health.scaled(scaled.is_ok(), started.elapsed());
        scaled.map(|scaled| Outcome::Scaled {
            replicas: scaled.replicas,
        })
    };
    let result = match command {
        Command::Start => scale(1).await,
        Command::Stop => scale(0).await,
        Command::Status => kube.deployment(target).await.map(|status| Outcome::Status {
            desired: status.desired,
            ready: status.ready,
            available: status.available,
        }),
        Command::Help => Ok(Outcome::Help),
    };
    result.map_err(|fault| {
        error!("{command} {target}: {}", fault.detail());
        fault.sentence(target)
    })
}

/// Writes down the answer of a job, and that it is done.
pub(super) fn put_answer(turn: Turn<'_>, answered: &Answered) -> Result<MetricEvents, Error> {
    let Answered { entry, answer, .. } = answered;
    let fault = match answered.command {
        Some(Command::Status) => turn.cross_signing_fault()?,
        _ => None,
    };
    let answer = match fault {
        Some(fault) => &format!("{answer}\n\n⚠ {fault}"),
        None => answer,
    };
    let thread = in_thread(entry.thread.as_deref(), &entry.event_id);
    turn.reply(&entry.room, thread, answer)?;
    turn.tx.journal().finish(&entry.event_id)?;
    Ok([answered.metric].into_iter().collect())
}
