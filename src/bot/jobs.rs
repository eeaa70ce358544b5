//! Jobs: commands that were accepted and wait in the journal for their turn. What is about
//! one target is done one after the other, in the order it came; targets go side by side.
//! They belong to the process, not to a session: one that is under way goes on when the
//! session ends.

use std::{collections::VecDeque, sync::Arc};

use log::info;
use ruma::{OwnedEventId, OwnedRoomId};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::{
    announced::{Announcements, Heard},
    chat::Door,
    denied,
    due::{Job, decide},
    execute::{Cluster, Done},
    followed::{Follows, Looked},
    gateway::{Told, Wisher},
    preflight, replies,
    timed::{Fired, Scheduled, Timers},
};
use crate::{
    control::{Command, Decision, Namespace, TargetName, Targets, Traces, Verb},
    kube,
    matrix::e2ee::Error,
    store::JournalEntry,
    telemetry::{CommandOutcome, HealthState, MetricEvent},
    util::{SortedMap, boxed},
};

/// So many questions may wait before what changes something goes first: a flood of
/// `status` keeps no `stop` from being done in time.
const QUESTIONS_BEFORE_SCALING: i64 = 4;

/// Targets on which something is done at the same time. More than there are calls to the
/// API server at once: most of what a job does is to wait.
const SIDE_BY_SIDE: usize = 16;

/// Those of one namespace: where its calls hang, those of others have places left.
const SIDE_BY_SIDE_IN_NAMESPACE: usize = 6;

/// The end of a job, to be written down.
pub(super) struct Answered {
    pub(super) entry: JournalEntry,
    pub(super) command: Option<Command>,
    pub(super) end: End,
    /// The wish that the gateway was told.
    pub(super) told: Told,
    pub(super) metric: MetricEvent,
}

impl Answered {
    /// The target whose number of replicas it has changed, and the version of its object
    /// after that.
    pub(super) fn changed(&self) -> Option<(&TargetName, &str)> {
        match (&self.end, &self.command) {
            (End::Done(Done::Changed(change)), Some(command)) => {
                Some((command.targets().first()?, &change.version))
            }
            _ => None,
        }
    }
}

/// The end of a job, as its answer needs it.
pub(super) enum End {
    /// With an answer that says everything.
    Told(String),
    /// With what the cluster did for a target that has a name.
    Done(Done),
    /// The cluster did not do it: this sentence.
    Failed(String),
}

/// The end of a task.
pub(super) enum Ended {
    /// What nothing follows from: the look at the cluster at the start of a session, an
    /// Event that was written.
    Aside,
    /// A job.
    Job(Box<Answered>),
    /// A look at a workload that is followed.
    Looked(Box<Looked>),
    /// The stop of a target whose time had come.
    Fired(Box<Fired>),
    /// The edge of a target's schedule.
    Scheduled(Box<Scheduled>),
    /// A change of the gateway's Leases.
    Heard(Box<Heard>),
}

/// A job under way, until its answer is written down.
struct Running {
    event_id: OwnedEventId,
    part: i64,
    /// The target, whose other jobs wait.
    lane: String,
    room: OwnedRoomId,
    since: Instant,
}

/// The jobs of the process.
pub struct Jobs {
    pub(super) cluster: Cluster,
    pub(super) targets: Targets,
    /// The Events that tell of changes (`WORKLOAD_EVENTS`).
    pub traces: Traces,
    /// The tasks under way.
    pub(super) tasks: JoinSet<Ended>,
    running: Vec<Running>,
    /// Answers that the store has not taken yet.
    pub(super) unsaved: VecDeque<Answered>,
    /// The changes whose outcome is waited for.
    pub(super) follows: Follows,
    /// The times at which targets stop.
    pub(super) timers: Timers,
    /// The room that is told what the gateway does, if there is one.
    pub(super) announcements: Option<Announcements>,
}

impl Jobs {
    /// Jobs on these workloads, at this API server.
    pub fn new(kube: kube::Api, targets: Targets, health: Arc<HealthState>) -> Self {
        Self {
            cluster: Cluster {
                kube,
                health,
                leases: None,
            },
            targets,
            traces: Traces::None,
            tasks: JoinSet::new(),
            running: Vec::new(),
            unsaved: VecDeque::new(),
            follows: Follows::default(),
            timers: Timers::default(),
            announcements: None,
        }
    }

    /// The events of the jobs under way.
    pub(super) fn running(&self) -> Vec<OwnedEventId> {
        let events = self.running.iter().map(|running| running.event_id.clone());
        events.collect()
    }

    /// The rooms of the jobs under way, each with the time at which its job began.
    pub(super) fn rooms(&self) -> impl Iterator<Item = (&OwnedRoomId, Instant)> {
        self.running.iter().map(|job| (&job.room, job.since))
    }

    /// Returns true while a job is under way.
    pub(super) const fn is_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// The most jobs under way at the same time: those of the Python program's grammar go
    /// one after the other.
    const fn most(&self) -> usize {
        match self.targets {
            Targets::Reference(_) => 1,
            Targets::Named(_) => SIDE_BY_SIDE,
        }
    }

    /// The jobs to start now. One whose sender's devices are being asked for waits, and so
    /// do those behind it.
    pub(super) fn next(&self, door: Door<'_>, started_at: u64) -> Result<Vec<Job>, Error> {
        let mut jobs = Vec::new();
        let mut lanes: Vec<String> = self.running.iter().map(|job| job.lane.clone()).collect();
        while self.running.len() + jobs.len() < self.most() {
            let Some(entry) = self.next_entry(door, &self.busy(&lanes))? else {
                break;
            };
            lanes.push(entry.target.clone());
            if let Some(job) = decide(door, entry, started_at)? {
                jobs.push(job);
            }
        }
        Ok(jobs)
    }

    /// The lanes in which nothing can be started: in which something is done (`lanes`), by
    /// the clock too, and those of a namespace in which enough is done.
    fn busy(&self, lanes: &[String]) -> Vec<String> {
        let mut busy = lanes.to_vec();
        busy.extend(self.timers.firing.iter().cloned());
        let Targets::Named(targets) = &self.targets else {
            return busy;
        };
        let mut in_namespace: SortedMap<&Namespace, usize> = SortedMap::new();
        for target in targets {
            if busy.iter().any(|lane| lane == target.name.as_str()) {
                *in_namespace.or_default(&target.workload.namespace) += 1;
            }
        }
        in_namespace.retain(|_, count| *count >= SIDE_BY_SIDE_IN_NAMESPACE);
        let crowded = targets
            .iter()
            .filter(|target| in_namespace.contains_key(&target.workload.namespace));
        busy.extend(crowded.map(|target| target.name.as_str().to_owned()));
        busy
    }

    /// Returns true while a job is under way on this target.
    pub(super) fn is_running_on(&self, target: &str) -> bool {
        self.running.iter().any(|job| job.lane == target)
    }

    /// The command whose turn it is among those whose lane is not busy.
    fn next_entry(&self, door: Door<'_>, busy: &[String]) -> Result<Option<JournalEntry>, Error> {
        let journal = door.turn.tx.journal();
        let Some(oldest) = journal.next_due(busy)? else {
            return Ok(None);
        };
        let question = Verb::Status.as_str();
        let is_flooded = matches!(self.targets, Targets::Reference(_))
            && oldest.payload == question
            && journal.count_unfinished(question)? > QUESTIONS_BEFORE_SCALING;
        let urgent = match is_flooded {
            true => journal.next_unfinished(question)?,
            false => None,
        };
        Ok(Some(urgent.unwrap_or(oldest)))
    }

    /// Starts a job. What needs no cluster has its answer at once; it comes to its end
    /// like any other. `fingerprints` are what `help` tells the bot can be known by, `now` is
    /// the time in milliseconds since the Unix epoch.
    pub(super) fn start(&mut self, job: Job, fingerprints: Vec<String>, now: u64) {
        let Job {
            entry,
            decision,
            order,
        } = job;
        let running = Running::of(&entry);
        match decision {
            Decision::Execute(command) | Decision::Ask(command) => {
                let cluster = self.cluster.clone();
                let verb = command.verb();
                self.tasks.spawn(boxed(async move {
                    let mut told = Told::Nothing;
                    let (outcome, end) = match order {
                        None => (CommandOutcome::Done, End::Done(Done::Store)),
                        Some(order) => match order.execute(&cluster).await {
                            Ok(Done::Reference(done)) => {
                                let answer = replies::done(&done, &fingerprints);
                                if verb != Verb::Help {
                                    info!("{verb}: {}", answer.lines().next().unwrap_or_default());
                                }
                                (CommandOutcome::Done, End::Told(answer))
                            }
                            Ok(done) => {
                                let wisher = Wisher::person(&entry.sender, now);
                                told = order.settle(&cluster, &command, &done, &wisher).await;
                                (CommandOutcome::Done, End::Done(done))
                            }
                            Err(sentence) => (CommandOutcome::Failed, End::Failed(sentence)),
                        },
                    };
                    Ended::Job(Box::new(Answered {
                        entry,
                        command: Some(command),
                        end,
                        told,
                        metric: MetricEvent::Command(Some(verb), outcome),
                    }))
                }));
            }
            // A request from the journal was not ignored when it came.
            Decision::Ignore => return,
            Decision::Deny(denial) => {
                let answered = Answered {
                    end: End::Told(denied::denial_words(&denial, &entry, None)),
                    metric: denied::denied(&denial, &entry.payload),
                    command: None,
                    told: Told::Nothing,
                    entry,
                };
                self.tasks
                    .spawn(boxed(async move { Ended::Job(Box::new(answered)) }));
            }
        }
        self.running.push(running);
    }

    /// Looks whether the workloads can be read and scaled, and logs it.
    pub(super) fn spawn_preflight(&mut self) {
        let (kube, targets) = (self.cluster.kube.clone(), self.targets.clone());
        self.tasks.spawn(boxed(async move {
            match targets {
                Targets::Reference(workload) => preflight::of_deployment(&kube, &workload).await,
                Targets::Named(targets) => preflight::of_targets(&kube, &targets).await,
            }
            Ended::Aside
        }));
    }

    /// Takes the answer that is to be written down. [`Jobs::put_back`] follows where the
    /// store refused it: without its answer the job would be executed once more.
    pub(super) fn take_unsaved(&mut self) -> Option<Answered> {
        let answered = self.unsaved.pop_front()?;
        self.running.retain(|running| !is_of(running, &answered));
        Some(answered)
    }

    pub(super) fn put_back(&mut self, answered: Answered) {
        self.running.push(Running::of(&answered.entry));
        self.unsaved.push_front(answered);
    }

    /// Drops the jobs under way: the store that they are to be written into is an older
    /// copy.
    pub(super) fn abandon(&mut self) {
        self.tasks = JoinSet::new();
        self.running.clear();
        self.unsaved.clear();
        self.follows.abandon();
        self.timers = Timers::default();
        if let Some(announcements) = &mut self.announcements {
            announcements.begin_anew();
        }
    }

    /// Waits for a job under way until then, and takes its answer, which is to be written
    /// down. None if none is under way, or none has ended.
    pub(super) async fn last_answer(&mut self, until: Instant) -> Option<Answered> {
        while !self.running.is_empty() && self.unsaved.is_empty() {
            match timeout_at(until, self.tasks.join_next()).await {
                Ok(Some(Ok(Ended::Job(answered)))) => self.unsaved.push_back(*answered),
                Ok(Some(Ok(Ended::Looked(looked)))) => self.follows.keep(*looked),
                // Its row is still there: the next session fires it once more.
                Ok(Some(Ok(Ended::Fired(_) | Ended::Scheduled(_)))) => {
                    self.timers = Timers::default()
                }
                // The next session looks anew.
                Ok(Some(Ok(Ended::Heard(_)))) => {
                    if let Some(announcements) = &mut self.announcements {
                        announcements.begin_anew();
                    }
                }
                Ok(Some(Ok(Ended::Aside) | Err(_))) => {}
                Ok(None) | Err(_) => return None,
            }
        }
        self.take_unsaved()
    }
}

impl Running {
    fn of(entry: &JournalEntry) -> Self {
        Self {
            event_id: entry.event_id.clone(),
            part: entry.part,
            lane: entry.target.clone(),
            room: entry.room.clone(),
            since: Instant::now(),
        }
    }
}

fn is_of(running: &Running, answered: &Answered) -> bool {
    running.event_id == answered.entry.event_id && running.part == answered.entry.part
}
