//! Changes whose outcome is waited for: the looks at the cluster that this takes, and what
//! is told of them. [`control::progress`](crate::control::progress) judges; what is here
//! asks, writes down and speaks.

use std::time::Duration;

use log::{debug, info};

use super::{
    chat::Door,
    followed::{Followed, Looked},
    jobs::{Ended, Jobs},
    session::Session,
    words,
};
use crate::{
    control::{
        Target, TargetName, Targets,
        progress::{Details, Ending, Follow, Goal, Next, Owner, Snapshot, Stage, Step},
    },
    kube::LookAt,
    matrix::e2ee::{Error, Place, Speech},
    store::{Anchor, FollowedChange},
    telemetry::{AuditEvent, AuditRecord},
    util::boxed,
};

/// The wait for a command about the same target, which mostly ends what is followed.
const BUSY_WAIT: Duration = Duration::from_secs(1);

impl Jobs {
    /// Begins to follow a change, in the place of the one before of its target. `version` is
    /// that of the object after it, or empty.
    fn follow(&mut self, row: FollowedChange, target: &Target, version: &str, wall_now: u64) {
        let now = self.follows.now();
        let kind = target.workload.kind.clone();
        let stage = Stage::parse(&row.stage).unwrap_or(Stage::Following);
        let snapshot = Snapshot {
            replicas: row.replicas,
            previous: row.previous,
            uid: row.uid.clone(),
            generation: row.generation,
            started_at: row.started_ms,
            edits: u8::try_from(row.edits).unwrap_or(u8::MAX),
            stage,
        };
        let is_new = stage == Stage::Following && wall_now.saturating_sub(row.started_ms) < 1_000;
        let follow = match is_new {
            true => Follow::new(
                Goal {
                    kind,
                    replicas: row.replicas,
                    uid: row.uid.clone(),
                    generation: row.generation,
                    previous: row.previous,
                },
                now,
                target.ready_timeout,
            ),
            false => Follow::restore(snapshot, kind, target.ready_timeout, now, wall_now),
        };
        self.follows.last += 1;
        let followed = Followed {
            number: self.follows.last,
            follow,
            workload: target.workload.clone(),
            details: match target.full_details {
                true => Details::Full,
                false => Details::Short,
            },
            row,
            watch: Some(self.cluster.kube.watch(&target.workload, version)),
        };
        let name = followed.row.target.clone();
        self.follows.by_target.insert(name.clone(), followed);
        self.look(&name, Next::Observe(Duration::ZERO));
    }

    /// Asks the API server for what is needed next.
    fn look(&mut self, target: &str, next: Next) {
        let Some(followed) = self.follows.by_target.get_mut(target) else {
            return;
        };
        let (number, target) = (followed.number, target.to_owned());
        let (cluster, workload) = (self.cluster.clone(), followed.workload.clone());
        let (selector, asked) = (followed.row.selector.clone(), followed.row.replicas);
        let Some(mut watch) = followed.watch.take() else {
            return;
        };
        if next == Next::End {
            self.follows.by_target.remove(&target);
            return;
        }
        self.tasks.spawn(boxed(async move {
            let mut seen = match next {
                Next::Observe(wait) => watch.next(wait).await,
                Next::Look | Next::End => watch.read().await,
            };
            if let Ok(seen) = &mut seen
                && seen.desired != asked
                && cluster
                    .kube
                    .is_autoscaled(&workload, asked, seen.desired)
                    .await
            {
                seen.owner = Some(Owner::Autoscaler);
            }
            let look = match &seen {
                Ok(seen) if next == Next::Look => Some(
                    cluster
                        .kube
                        .look(&workload, &selector, seen, LookAt::ALL)
                        .await,
                ),
                _ => None,
            };
            Ended::Looked(Box::new(Looked {
                target,
                number,
                seen: seen.map_err(|fault| {
                    debug!("{workload}: {}", fault.detail());
                    fault.read_error()
                }),
                look,
                watch,
            }))
        }));
    }
}

impl Session<'_> {
    /// Takes up what is followed by the store: all of it at a start, and what a command has
    /// just begun, with the version of its object after it.
    pub(super) fn take_up_followed(&mut self, changed: Option<(&TargetName, &str)>) {
        let Targets::Named(targets) = &self.chat.policy.targets else {
            return;
        };
        let is_loaded = self.jobs.follows.is_loaded;
        if is_loaded && changed.is_none() {
            return;
        }
        let now = self.clock.now_ms();
        let Some(rows) = self.read(|turn| Ok(turn.tx.followed().all()?)) else {
            // They are taken up with the next change.
            self.jobs.follows.is_loaded = false;
            return;
        };
        let changed = changed.filter(|_| is_loaded);
        let follows = &mut self.jobs.follows;
        follows.is_loaded = true;
        // What is not there any more was replaced by a command that is not followed.
        follows
            .by_target
            .retain(|name, _| changed.is_some_and(|(target, _)| target.as_str() != name));
        for row in rows {
            let version = match changed {
                None => Some(""),
                Some((target, version)) => (target.as_str() == row.target).then_some(version),
            };
            let configured = targets
                .iter()
                .find(|known| known.name.as_str() == row.target);
            if let (Some(configured), Some(version)) = (configured, version) {
                self.jobs.follow(row, configured, version, now);
            }
        }
    }

    /// Takes in a look at a workload.
    pub(super) fn looked(&mut self, looked: Looked) {
        // What is seen then need not be somebody else's doing.
        let is_busy =
            self.jobs.is_running_on(&looked.target) || self.jobs.timers.is_acting(&looked.target);
        let follows = &mut self.jobs.follows;
        let now = follows.now();
        let Some(followed) = follows.by_target.get_mut(&looked.target) else {
            return;
        };
        if followed.number != looked.number {
            return;
        }
        if is_busy {
            followed.watch = Some(looked.watch);
            self.jobs.look(&looked.target, Next::Observe(BUSY_WAIT));
            return;
        }
        let step = match (&looked.seen, &looked.look) {
            (Ok(seen), Some(look)) => followed.follow.on_look(now, seen, look),
            (Ok(seen), None) => followed.follow.on_observation(now, Ok(seen)),
            (Err(error), _) => followed.follow.on_observation(now, Err(*error)),
        };
        followed.watch = Some(looked.watch);
        if step.edit.is_some() || step.outcome.is_some() {
            follows.untold.push((looked.target, looked.number, step));
            self.tell_followed();
        } else {
            self.jobs.look(&looked.target, step.next);
        }
    }

    /// Tells what is not told yet. While the store refuses, it stays so.
    pub(super) fn tell_followed(&mut self) {
        while let Some((target, number, step)) = self.jobs.follows.untold.pop() {
            let follows = &self.jobs.follows;
            let Some(followed) = follows.by_target.get(&target) else {
                continue;
            };
            if followed.number != number {
                continue;
            }
            let (now, wall_now) = (follows.now(), self.clock.now_ms());
            let snapshot = followed.follow.snapshot(now, wall_now);
            let row = FollowedChange {
                edits: u32::from(snapshot.edits),
                generation: snapshot.generation,
                stage: snapshot.stage.as_str().to_owned(),
                ..followed.row.clone()
            };
            let details = followed.details;
            let mut is_queued = true;
            let is_told = self.attempt(|door| {
                is_queued = tell(door, &row, &step, details)?;
                Ok(())
            });
            if !is_told {
                self.jobs.follows.untold.push((target, number, step));
                return;
            }
            if let Some(followed) = self.jobs.follows.by_target.get_mut(&target) {
                followed.row = row;
                if !is_queued {
                    followed.follow.was_not_told();
                }
            }
            self.jobs.look(&target, step.next);
        }
    }
}

/// Writes down what there is to tell of a change, and that it was told. False if there was
/// no message to edit, or no room for the edit.
fn tell(
    door: Door<'_>,
    row: &FollowedChange,
    step: &Step,
    details: Details,
) -> Result<bool, Error> {
    let Ok(name) = TargetName::parse(&row.target) else {
        return Ok(true);
    };
    let tx = door.turn.tx;
    let mut is_queued = true;
    if let Some(progress) = &step.edit {
        let speech = Speech::new(progress.sentence(&name, details), Place::Room);
        let anchor = Anchor::new(&row.command, &row.target);
        is_queued = door.turn.edit(&anchor, &row.room, &speech)?;
    }
    if let Some(ending) = &step.outcome {
        let sentence = ending.sentence(&name, details);
        info!("{sentence}");
        tell_ending(door, row, ending, &sentence)?;
    }
    match step.next {
        Next::End => tx.followed().remove(&row.target).map(drop)?,
        Next::Observe(_) | Next::Look => {
            tx.followed().put(row)?;
        }
    }
    Ok(is_queued)
}

fn tell_ending(
    door: Door<'_>,
    row: &FollowedChange,
    ending: &Ending,
    sentence: &str,
) -> Result<(), Error> {
    let mut speech = Speech::new(
        sentence,
        Place::answering(row.thread.as_deref(), &row.command),
    );
    speech.mentions = vec![row.sender.clone()];
    let anchor = Anchor::new(&row.command, &row.target);
    door.turn.drop_edits(&anchor)?;
    door.turn.say(&row.room, &speech, true)?;
    let seconds = door.turn.now.saturating_sub(row.started_ms) / 1_000;
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    let outcome = words::outcome(ending);
    let audit = AuditRecord {
        actor: row.sender.as_str(),
        room: row.room.as_str(),
        command: &row.verb,
        target: &row.target,
        outcome,
        seconds: Some(u64::from(seconds)),
        message: row.command.as_str(),
        ..AuditRecord::new(AuditEvent::Outcome)
    };
    door.chat.audit.record(door.turn.now, &audit);
    door.turn
        .tx
        .history()
        .end(&row.target, &row.command, outcome, Some(seconds))?;
    Ok(())
}
