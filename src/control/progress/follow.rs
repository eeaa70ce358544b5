//! One change that is followed from its request to its end, as a state machine.
//!
//! It asks for nothing itself: each [`Step`] says what to ask the API server for, and
//! when. Times are in milliseconds of a monotonic clock.

use std::time::Duration;

use super::cause::{Cause, Finding};
use super::causes::{blockers, find};
use super::edits::Edits;
use super::pace::{self, Stage};
use super::step::{Look, Next, Snapshot, Step};
use super::{
    Direction, Ending, Goal, Lingering, Observation, Progress, ReadError, Remark, State, WaitsFor,
    judge,
};
use crate::control::Kind;

/// A change that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follow {
    goal: Goal,
    /// The time from the start after which it is told that it is not ready, in milliseconds.
    ready_timeout: u64,
    /// The time at which this process began to follow it.
    begun_at: u64,
    /// Its age at that time. All times below are ages.
    age_then: u64,
    stage: Stage,
    /// The end of the stage, but for [`Stage::Following`].
    stage_ends: u64,
    counts: Option<Counts>,
    changed_at: u64,
    looked_at: Option<u64>,
    /// A cause that was seen once, and has to be seen again before it is told.
    suspicion: Option<Finding>,
    cause: Option<Finding>,
    /// The ordinals of pods that are not ready, lowest first.
    blockers: Vec<u32>,
    edits: Edits,
    /// The number of reads in a row that failed.
    failures: u32,
}

/// The counts of a workload: where they stay the same, nothing moves.
type Counts = [i64; 6];

impl Follow {
    /// A change that was asked for at `started_at`, and should be done within
    /// `ready_timeout`.
    pub fn new(goal: Goal, started_at: u64, ready_timeout: Duration) -> Self {
        Self {
            goal,
            ready_timeout: u64::try_from(ready_timeout.as_millis()).unwrap_or(u64::MAX),
            begun_at: started_at,
            age_then: 0,
            stage: Stage::Following,
            stage_ends: 0,
            counts: None,
            changed_at: 0,
            looked_at: None,
            suspicion: None,
            cause: None,
            blockers: Vec::new(),
            edits: Edits::new(),
            failures: 0,
        }
    }

    /// Goes on at `now` (on the wall `wall_now`, since the Unix epoch) with a change that
    /// an earlier process followed. Ask for an observation first.
    pub fn restore(
        snapshot: Snapshot,
        kind: Kind,
        ready_timeout: Duration,
        now: u64,
        wall_now: u64,
    ) -> Self {
        let age = wall_now.saturating_sub(snapshot.started_at);
        let goal = Goal {
            kind,
            replicas: snapshot.replicas,
            uid: snapshot.uid,
            generation: snapshot.generation,
            previous: snapshot.previous,
        };
        let new = Self::new(goal, now, ready_timeout);
        let stage_ends = match snapshot.stage {
            Stage::Late => pace::LATE_MS.saturating_add(new.ready_timeout),
            Stage::Following | Stage::Settled => age.saturating_add(pace::SETTLED_MS),
        };
        Self {
            age_then: age,
            stage: snapshot.stage,
            stage_ends,
            changed_at: age,
            edits: Edits::resume(snapshot.edits, age),
            ..new
        }
    }

    /// All that has to be kept of it, at `now` (on the wall `wall_now`): after its start, an
    /// edit or an outcome.
    pub fn snapshot(&self, now: u64, wall_now: u64) -> Snapshot {
        Snapshot {
            replicas: self.goal.replicas,
            previous: self.goal.previous,
            uid: self.goal.uid.clone(),
            generation: self.goal.generation,
            started_at: wall_now.saturating_sub(self.age(now)),
            edits: self.edits.made(),
            stage: self.stage,
        }
    }

    /// The last edit found no message, or no room: it is due again.
    pub fn was_not_told(&mut self) {
        self.edits.was_not_told();
    }

    /// Takes in a read of the workload.
    pub fn on_observation(&mut self, now: u64, read: Result<&Observation, ReadError>) -> Step {
        let age = self.age(now);
        match read {
            Ok(seen) => self.advance(age, seen),
            Err(error) => self.unread(age, error),
        }
    }

    /// Takes in what [`Next::Look`] asked for: the workload, and its pods and Events.
    pub fn on_look(&mut self, now: u64, seen: &Observation, look: &Look) -> Step {
        let age = self.age(now);
        self.looked_at = Some(age);
        let pods = look.pods.as_deref().unwrap_or_default();
        let events = look.events.as_deref().unwrap_or_default();
        let found = find(seen, pods, events);
        let found = found.or(look.missing_right().map(|right| {
            let missing = Some(right);
            Finding::new(Cause::Unknown { missing }, "")
        }));
        let is_agreed = |found: &Finding| {
            let before = self.suspicion.as_ref().or(self.cause.as_ref());
            !found.cause.needs_two_looks()
                || before.is_some_and(|before| before.cause.agrees_with(&found.cause))
        };
        (self.cause, self.suspicion) = match found {
            Some(found) if !is_agreed(&found) => (None, Some(found)),
            found => (found, None),
        };
        self.blockers = blockers(seen, pods);
        self.advance(age, seen)
    }

    /// The time since it was asked for.
    fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.begun_at)
            .saturating_add(self.age_then)
    }

    fn advance(&mut self, age: u64, seen: &Observation) -> Step {
        self.failures = 0;
        if self.goal.uid.is_empty() {
            self.goal.uid.clone_from(&seen.uid);
        }
        if self.goal.generation == 0 {
            self.goal.generation = seen.generation;
        }
        match judge(&self.goal, seen) {
            State::Done { remark } => self.done(age, remark),
            State::Waiting {
                done,
                of,
                waits_for,
            } => self.waiting(age, seen, (done, of, waits_for)),
            State::PausedEmpty => self.over(Ending::PausedEmpty),
            State::CountChanged { to } => Step::ended(Ending::CountChanged {
                from: self.goal.replicas,
                to,
                after: age,
                by: seen.owner.clone(),
            }),
            State::Replaced => self.over(Ending::Replaced),
        }
    }

    /// It is reached: tells it once, then looks for a while whether it stays so.
    fn done(&mut self, age: u64, remark: Option<Remark>) -> Step {
        if self.stage == Stage::Settled {
            return self.stay_until(age);
        }
        let is_late = self.stage == Stage::Late;
        let (replicas, after) = (self.goal.replicas, age);
        let ending = match self.goal.direction() {
            Direction::Up => Ending::Ready {
                replicas,
                after,
                remark,
                is_late,
            },
            Direction::Down => Ending::Stopped {
                replicas,
                after,
                remark,
                is_late,
            },
        };
        self.enter(Stage::Settled, age, ending)
    }

    fn waiting(
        &mut self,
        age: u64,
        seen: &Observation,
        (done, of, waits_for): (i32, i32, Option<WaitsFor>),
    ) -> Step {
        if self.stage != Stage::Following {
            return self.stay_until(age);
        }
        self.note_change(age, seen);
        if let Some(step) = match self.goal.direction() {
            Direction::Up => self.not_ready(age, (done, of)),
            Direction::Down => self.still_stopping(age, seen, waits_for),
        } {
            return step;
        }
        let blocker = self.blockers.first().filter(|_| seen.is_ordered);
        let progress = Progress {
            direction: self.goal.direction(),
            done,
            of,
            waits_for: blocker
                .map(|ordinal| WaitsFor::Pod { ordinal: *ordinal })
                .or(waits_for),
            cause: self.cause.clone().filter(|found| found.cause.is_known()),
        };
        let edit = self.edits.is_due(&progress, age).then_some(progress);
        let next = match self.is_look_due(age) {
            true => Next::Look,
            false => Next::Observe(pace::of_age(age)),
        };
        Step {
            next,
            edit,
            outcome: None,
        }
    }

    /// Notes whether anything has moved.
    fn note_change(&mut self, age: u64, seen: &Observation) {
        let counts = [
            seen.observed_generation,
            i64::from(seen.replicas),
            i64::from(seen.updated),
            i64::from(seen.ready),
            i64::from(seen.available),
            i64::from(seen.terminating.unwrap_or_default()),
        ];
        if self.counts.is_some_and(|before| before != counts) {
            self.changed_at = age;
            self.blockers.clear();
        }
        self.counts = Some(counts);
    }

    /// The time for which nothing has moved.
    fn stuck_for(&self, age: u64) -> u64 {
        age.saturating_sub(self.changed_at)
    }

    /// True if it is time to look for a cause.
    fn is_look_due(&self, age: u64) -> bool {
        let is_stuck = self.stuck_for(age) >= pace::STUCK_MS;
        let has_cause = self.cause.is_some() || self.suspicion.is_some();
        let gap = match self.suspicion {
            Some(_) => pace::SECOND_LOOK_MS,
            None => pace::LOOK_MS,
        };
        let is_up = self.goal.direction() == Direction::Up;
        is_up && (is_stuck || has_cause) && self.is_looked_before(age, gap)
    }

    /// True if the last look was before the last `gap` milliseconds.
    fn is_looked_before(&self, age: u64, gap: u64) -> bool {
        self.looked_at
            .is_none_or(|at| age.saturating_sub(at) >= gap)
    }

    /// The end of a start whose time is over, after a last look or two for the cause.
    fn not_ready(&mut self, age: u64, (done, of): (i32, i32)) -> Option<Step> {
        let overtime = age.checked_sub(self.ready_timeout)?;
        let is_known = self.suspicion.is_none() && !self.is_looked_before(age, pace::LOOK_MS);
        if is_known || overtime >= pace::OVERTIME_MS {
            let cause = self.cause.take();
            let ending = Ending::NotReady {
                done,
                of,
                after: age,
                cause,
            };
            return Some(self.enter(Stage::Late, age, ending));
        }
        let is_due = self.is_looked_before(age, pace::SECOND_LOOK_MS);
        Some(Step::next(match is_due {
            true => Next::Look,
            false => Next::Observe(pace::of_age(0)),
        }))
    }

    /// The end of a stop that does not go on.
    fn still_stopping(
        &mut self,
        age: u64,
        seen: &Observation,
        waits_for: Option<WaitsFor>,
    ) -> Option<Step> {
        let stuck = self.stuck_for(age);
        let unready = seen.replicas.saturating_sub(seen.ready);
        let is_blocked = self.goal.kind == Kind::StatefulSet && seen.is_ordered && unready >= 2;
        let why = if waits_for == Some(WaitsFor::Controller) {
            (stuck >= pace::NOT_BEGUN_MS).then_some(Lingering::NotBegun)
        } else if is_blocked {
            (stuck >= pace::BLOCKED_MS).then(|| Lingering::UnreadyPods {
                ordinals: self.blockers.clone(),
            })
        } else {
            (stuck >= pace::grace_ms(seen.grace_period_secs)).then_some(Lingering::GracePeriodOver)
        }?;
        let names_pods = matches!(why, Lingering::UnreadyPods { .. });
        if names_pods && self.is_looked_before(age, pace::LOOK_MS) {
            return Some(Step::next(Next::Look));
        }
        let left = seen
            .replicas
            .saturating_add(seen.terminating.unwrap_or_default())
            .saturating_sub(self.goal.replicas);
        let ending = Ending::StillStopping {
            pods: left.max(0),
            replicas: self.goal.replicas,
            after: age,
            why,
        };
        Some(self.enter(Stage::Late, age, ending))
    }

    /// A read that failed.
    fn unread(&mut self, age: u64, error: ReadError) -> Step {
        match error {
            ReadError::Forbidden => return self.over(Ending::MayNotLook),
            ReadError::NotFound => return self.over(Ending::Gone),
            ReadError::Failed => {}
        }
        if self.stage != Stage::Following {
            return self.stay_until(age);
        }
        let deadline = self.ready_timeout.saturating_add(pace::OVERTIME_MS);
        if age >= deadline {
            return self.enter(Stage::Late, age, Ending::NotSeen { after: age });
        }
        self.failures = self.failures.saturating_add(1);
        Step::next(Next::Observe(pace::after_failures(self.failures, age)))
    }

    /// Its end, which is told if none was told before.
    fn over(&self, ending: Ending) -> Step {
        match self.stage {
            Stage::Following => Step::ended(ending),
            Stage::Late | Stage::Settled => Step::next(Next::End),
        }
    }

    /// Tells an outcome, and goes on in another stage.
    fn enter(&mut self, stage: Stage, age: u64, outcome: Ending) -> Step {
        self.stage = stage;
        self.stage_ends = age.saturating_add(stage.lasts());
        self.cause = None;
        self.suspicion = None;
        self.blockers = Vec::new();
        Step {
            outcome: Some(outcome),
            ..self.stay()
        }
    }

    /// Goes on in a stage after an outcome, unless its time is over.
    fn stay_until(&self, age: u64) -> Step {
        match age >= self.stage_ends {
            true => Step::next(Next::End),
            false => self.stay(),
        }
    }

    fn stay(&self) -> Step {
        Step::next(Next::Observe(self.stage.gap()))
    }
}
