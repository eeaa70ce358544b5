//! Times at which targets stop. [`control::time`](crate::control::time) decides; what is
//! here looks at the clocks, asks the cluster and speaks. The row of a timer is deleted with
//! what is told of its end: a crash before that is gone on from, and a stop that was made
//! is made once more, which changes nothing.

use log::{info, warn};
use tokio::time::{Duration, Instant};

use super::{
    chat::Door,
    execute::Cluster,
    gateway::{Told, Wish, Wisher},
    jobs::{Ended, Jobs},
    session::Session,
    timed::{CLOCK_ANSWER, Fired, RECENT_MS, RETRY, Stopped},
    words,
};
use crate::{
    control::{
        Kind, Target, TargetName, Targets,
        progress::Stage,
        time::{ClockView, ClockWatch, Timer, TimerStep},
    },
    kube::{self, Conditional},
    matrix::e2ee::{Error, Place, Speech},
    store::{FollowedChange, HistoryEntry, StoredTimer},
    telemetry::{AuditEvent, AuditRecord},
    util::{boxed, paced},
};

impl Jobs {
    /// Stops a target whose time has come. `now` is in milliseconds since the Unix epoch.
    fn fire(&mut self, timer: StoredTimer, target: &Target, now: u64) {
        self.timers.firing.insert(timer.target.clone());
        let (cluster, target) = (self.cluster.clone(), target.clone());
        self.tasks.spawn(boxed(async move {
            let result = cluster.stop_timed(&timer, &target).await;
            let mut told = Told::Nothing;
            if let Stopped::Done(_) = &result {
                let wisher = Wisher::person(&timer.set_by, now);
                let (name, workload) = (&target.name, &target.workload);
                told = cluster
                    .settle(name, workload, Wish::Stop(true), &wisher)
                    .await;
            }
            Ended::Fired(Box::new(Fired {
                timer,
                result,
                told,
            }))
        }));
    }
}

impl Cluster {
    /// Stops a target if it still is what its timer was set for.
    async fn stop_timed(&self, timer: &StoredTimer, target: &Target) -> Stopped {
        let workload = &target.workload;
        let failed = |fault: &kube::Error| match fault {
            kube::Error::NotFound { .. } => Stopped::Gone,
            _ => {
                warn!("{}: {}", target.name, fault.detail());
                Stopped::Failed(fault.sentence(workload))
            }
        };
        if workload.kind == Kind::StatefulSet && !target.data_is_disposable {
            match self.kube.observe(workload).await {
                Ok(seen) if seen.deletes_volumes => return Stopped::LosesData,
                Ok(_) => {}
                Err(fault) => return failed(&fault),
            }
        }
        let began = Instant::now();
        let stopped = self
            .kube
            .set_replicas_if(workload, &timer.uid, timer.expected, 0)
            .await;
        self.health.scaled(stopped.is_ok(), began.elapsed());
        match stopped {
            Ok(Conditional::Done(scale)) => Stopped::Done(Box::new(scale)),
            Ok(Conditional::Changed(seen)) if seen.uid == timer.uid => {
                let (from, to) = (timer.expected, seen.desired);
                let is_autoscaled = to > 0 && self.kube.is_autoscaled(workload, from, to).await;
                Stopped::Rescaled(to, is_autoscaled)
            }
            Ok(Conditional::Changed(_) | Conditional::Gone) => Stopped::Gone,
            Err(fault) => failed(&fault),
        }
    }
}

impl Session<'_> {
    /// Looks at the timers, if it is time for that.
    pub(super) fn check_timers(&mut self) {
        let now = Instant::now();
        let Targets::Named(targets) = &self.chat.policy.targets else {
            self.jobs.timers.next = None;
            return;
        };
        if self.jobs.timers.next.is_none_or(|next| next > now) {
            return;
        }
        let read = self.read(|turn| {
            let newest = turn.tx.own_clock().load()?.wall_time;
            Ok((turn.tx.timers().all()?, newest))
        });
        let Some((rows, newest)) = read else {
            self.jobs.timers.next = Some(now + RETRY);
            return;
        };
        let has_schedules = targets.iter().any(|target| target.schedule.is_some());
        if rows.is_empty() && !has_schedules {
            self.jobs.timers.next = None;
            return;
        }
        let doubted = self.jobs.timers.doubts;
        let view = self.clock_view(newest);
        let has_synced = self.requests.phase.has_synced() || self.jobs.timers.has_waited();
        let mut next = match self.jobs.timers.doubts && !doubted {
            true => CLOCK_ANSWER,
            false => RETRY,
        };
        match view.jump {
            Some(jump) if has_schedules => {
                warn!("{jump}: no schedule is followed until the API server's agrees");
                if let Some(target) = targets.first() {
                    self.jobs.look_at_clock(target);
                }
            }
            _ => {
                let wait = self.check_schedules(targets, view.wall_ms);
                next = next.min(wait.unwrap_or(RETRY));
            }
        }
        for row in rows {
            let target = targets
                .iter()
                .find(|target| target.name.as_str() == row.target);
            let Some(target) = target else {
                continue;
            };
            if self.jobs.timers.firing.contains(&row.target) {
                continue;
            }
            match times(&row).decide(view, has_synced) {
                TimerStep::Wait(wait) => next = next.min(wait),
                TimerStep::Warn => {
                    next = Duration::ZERO;
                    if !self.attempt(|door| warn_of(door, &row, &target.name)) {
                        next = RETRY;
                    }
                }
                // What was said of it counts first, such as an `extend`.
                TimerStep::Fire if self.has_word_of(&row.target) => {}
                TimerStep::Fire => self.jobs.fire(row, target, view.wall_ms),
                TimerStep::AskInstead => {
                    self.attempt(|door| ask_instead(door, &row, &target.name));
                }
                TimerStep::Hold(jump) => {
                    warn!("{jump}: nothing is stopped by it until the API server's agrees");
                    self.jobs.look_at_clock(target);
                    // It is so for all of them.
                    break;
                }
            }
        }
        self.jobs.timers.next = Some(now + paced(next));
    }

    /// Returns true while something is done about this target, or waits for that: when it
    /// is done, there is another look.
    pub(super) fn has_word_of(&mut self, target: &str) -> bool {
        let waits = self.read(|turn| {
            let since = turn.own_now.saturating_sub(RECENT_MS);
            Ok(turn.tx.journal().waits_for(target, since)?)
        });
        self.jobs.is_running_on(target) || waits != Some(false)
    }

    /// Both clocks, and whether the wall clock is believed. What the API server has said of
    /// its own before there was a doubt does not end it.
    fn clock_view(&mut self, newest: u64) -> ClockView {
        let wall_ms = self.clock.now_ms();
        let difference = self.jobs.cluster.kube.take_clock_difference();
        let timers = &mut self.jobs.timers;
        let up_ms = timers.up_ms();
        let watch = timers
            .watch
            .get_or_insert_with(|| ClockWatch::new(wall_ms, up_ms, newest));
        let mut view = watch.view(wall_ms, up_ms);
        if let Some(difference) = difference.filter(|_| timers.doubts && view.jump.is_some()) {
            watch.compared(difference, wall_ms, up_ms);
            view = watch.view(wall_ms, up_ms);
        }
        timers.doubts = view.jump.is_some();
        view
    }

    /// Takes in what came of a stop.
    pub(super) fn fired(&mut self, fired: Fired) {
        let Fired {
            timer,
            result,
            told,
        } = fired;
        self.jobs.timers.firing.remove(&timer.target);
        let Ok(name) = TargetName::parse(&timer.target) else {
            return;
        };
        if let Stopped::Failed(sentence) = &result {
            self.jobs.timers.next = Some(Instant::now() + RETRY);
            let sentence = words::cannot_stop(&name, sentence);
            if !self.jobs.timers.told.contains(&timer.target)
                && self.attempt(|door| say(door, &timer, &sentence))
            {
                self.jobs.timers.told.insert(timer.target);
            }
            return;
        }
        self.jobs.timers.told.remove(&timer.target);
        if self.attempt(|door| end(door, &timer, &name, (&result, &told))) {
            let version = match &result {
                Stopped::Done(scale) => &scale.resource_version,
                _ => "",
            };
            self.take_up_followed(Some((&name, version)));
        } else {
            // It is fired once more, which changes nothing in the cluster.
            self.jobs.timers.touch();
        }
    }
}

impl Jobs {
    /// Asks the API server for anything, for the sake of its clock.
    fn look_at_clock(&mut self, target: &Target) {
        let (kube, workload) = (self.cluster.kube.clone(), target.workload.clone());
        self.tasks.spawn(boxed(async move {
            if let Err(fault) = kube.observe(&workload).await {
                info!("{workload}: {}", fault.detail());
            }
            Ended::Aside
        }));
    }
}

/// The times of a timer.
const fn times(row: &StoredTimer) -> Timer {
    Timer {
        deadline_ms: row.deadline_ms,
        set_at_ms: row.set_at_ms,
        warned_at: row.warned_at_ms,
    }
}

/// Says something about a timer to who has set it.
fn say(door: Door<'_>, timer: &StoredTimer, sentence: &str) -> Result<(), Error> {
    let place = Place::answering(timer.thread.as_deref(), &timer.command);
    let mut speech = Speech::new(sentence, place);
    speech.mentions = vec![timer.set_by.clone()];
    door.turn.say(&timer.room, &speech, true)
}

fn warn_of(door: Door<'_>, timer: &StoredTimer, name: &TargetName) -> Result<(), Error> {
    let now = door.turn.now;
    let sentence = words::about_to_stop(name, timer.deadline_ms, now, &door.chat.policy.zone);
    say(door, timer, &sentence)?;
    Ok(door.turn.tx.timers().mark_warned(&timer.target, now)?)
}

fn ask_instead(door: Door<'_>, timer: &StoredTimer, name: &TargetName) -> Result<(), Error> {
    let zone = &door.chat.policy.zone;
    let sentence = words::stopped_too_late(name, timer.deadline_ms, door.turn.now, zone);
    say(door, timer, &sentence)?;
    door.turn.tx.timers().remove(&timer.target)?;
    Ok(())
}

/// Writes down the end of a timer.
fn end(
    door: Door<'_>,
    timer: &StoredTimer,
    name: &TargetName,
    (result, told): (&Stopped, &Told),
) -> Result<(), Error> {
    let tx = door.turn.tx;
    let (sentence, outcome, to) = match result {
        Stopped::Done(_) => {
            let sentence = words::time_is_up(name, timer.expected) + words::not_told(told);
            (sentence, "", Some(0))
        }
        Stopped::Rescaled(0, _) => (words::was_off_already(name), "was off already", None),
        Stopped::Rescaled(count, is_autoscaled) => (
            words::was_rescaled(name, *count, *is_autoscaled),
            "left alone",
            None,
        ),
        Stopped::Gone => (words::is_gone(name), "object gone", None),
        Stopped::LosesData => (
            words::would_lose_data(name),
            "refused: would lose data",
            None,
        ),
        Stopped::Failed(_) => return Ok(()),
    };
    say(door, timer, &sentence)?;
    info!("{sentence}");
    tx.timers().remove(&timer.target)?;
    let actor = format!("timer of {}", timer.set_by);
    let audit = AuditRecord {
        actor: &actor,
        room: timer.room.as_str(),
        command: "stop",
        target: &timer.target,
        outcome: if to.is_some() { "changed" } else { outcome },
        from: to.map(|_| timer.expected),
        to,
        message: timer.command.as_str(),
        ..AuditRecord::new(AuditEvent::Timer)
    };
    door.chat.audit.record(door.turn.now, &audit);
    let line = HistoryEntry {
        event_id: timer.command.clone(),
        at_ms: door.turn.now,
        actor,
        room: timer.room.clone(),
        verb: "stop".to_owned(),
        from: to.map(|_| timer.expected),
        to,
        outcome: outcome.to_owned(),
        seconds: None,
    };
    tx.history().put(&timer.target, &line)?;
    if let Stopped::Done(scale) = result {
        let previous = tx.previous_replicas();
        previous.note_change(&timer.target, &timer.uid, timer.expected, 0)?;
        if !door.chat.progress {
            tx.followed().remove(&timer.target)?;
            return Ok(());
        }
        tx.followed().put(&FollowedChange {
            target: timer.target.clone(),
            command: timer.command.clone(),
            room: timer.room.clone(),
            sender: timer.set_by.clone(),
            thread: timer.thread.clone(),
            verb: "stop".to_owned(),
            uid: timer.uid.clone(),
            generation: 0,
            replicas: 0,
            started_ms: door.turn.now,
            edits: 0,
            stage: Stage::Following.as_str().to_owned(),
            previous: timer.expected,
            selector: scale.selector.clone(),
        })?;
    }
    Ok(())
}
