//! Is it done? A pure judgement of one look at a workload.
//!
//! It asks what `kubectl rollout status` asks, and what that leaves out: pods that are
//! not available yet, pods that have not ended yet, a paused rollout.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status>,
//! <https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/>.

use super::{Observation, UpdateStrategy};
use crate::control::Kind;

/// The state that a workload was asked to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// Its kind.
    pub kind: Kind,
    /// The number of replicas that was asked for.
    pub replicas: i32,
    /// The object's uid when it was asked; empty if it is not known.
    pub uid: String,
    /// The generation that the request made; 0 if it is not known. Where the controller
    /// has only seen an older one, all counts are of before.
    pub generation: i64,
    /// The number of replicas before.
    pub previous: i32,
}

/// The direction: pods have to come, or to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Pods have to come up, or to be replaced.
    Up,
    /// Pods have to end.
    Down,
}

/// The verdict of a look at a workload about a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is reached.
    Done {
        /// A remark that should be told with it.
        remark: Option<Remark>,
    },
    /// It is not reached yet.
    Waiting {
        /// The pods that are ready, or that are left (of a workload that goes down).
        done: i32,
        /// The pods that there should be.
        of: i32,
        /// The thing that has to happen next, where that can be seen.
        waits_for: Option<WaitsFor>,
    },
    /// It was created paused, so no pod will ever come.
    PausedEmpty,
    /// Something else has set another number of replicas.
    CountChanged {
        /// That number.
        to: i32,
    },
    /// It is another object of the same name.
    Replaced,
}

/// A remark that should be told with a goal that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remark {
    /// The rollout is paused, so these pods run the version of before.
    PausedOld,
    /// Pods that nobody has deleted yet run the version of before (`OnDelete`).
    OldPods {
        /// Their number.
        pods: i32,
    },
    /// The pods are there; whether they are ready is not known of this kind.
    ReadinessUnknown,
    /// The pods were told to end; the API server does not say whether they have.
    MayLinger {
        /// The time that they have for it, in seconds.
        grace_secs: u32,
    },
}

/// The thing that has to happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitsFor {
    /// The controller has to see the change.
    Controller,
    /// Pods have to be made.
    NewPods,
    /// Pods of the version of before have to be replaced, or to end.
    OldPods,
    /// Pods have to become ready.
    Readiness,
    /// Pods have to stay ready for a while (`minReadySeconds`).
    Availability,
    /// The pod of this ordinal has to become ready before others are made
    /// (`OrderedReady`).
    Pod {
        /// The number at the end of its name.
        ordinal: u32,
    },
}

impl Goal {
    /// The direction: pods have to come, or to go.
    pub fn direction(&self) -> Direction {
        if self.replicas <= 0 || self.replicas < self.previous {
            Direction::Down
        } else {
            Direction::Up
        }
    }
}

/// Judges a workload that was asked for `goal`, by how it looked after that.
pub fn judge(goal: &Goal, seen: &Observation) -> State {
    if !goal.uid.is_empty() && !seen.uid.is_empty() && goal.uid != seen.uid {
        return State::Replaced;
    }
    let is_old_look = !seen.is_scale_only && seen.generation < goal.generation;
    if !is_old_look && seen.desired != goal.replicas {
        return State::CountChanged { to: seen.desired };
    }
    let direction = goal.direction();
    let waits_for = if is_old_look || is_not_seen(seen) {
        Some(WaitsFor::Controller)
    } else {
        match (direction, &goal.kind) {
            _ if seen.is_scale_only => return of_scale(goal, seen),
            (Direction::Up, Kind::Deployment) => return deployment_up(seen),
            (Direction::Down, Kind::Deployment) => return deployment_down(goal, seen),
            (Direction::Up, Kind::StatefulSet) => return stateful_set_up(seen),
            (Direction::Down, Kind::StatefulSet) => return down(goal, seen, None),
            (_, Kind::Other(_)) => return of_scale(goal, seen),
        }
    };
    let done = match direction {
        Direction::Up => seen.ready.min(goal.replicas),
        Direction::Down => seen.replicas,
    };
    State::Waiting {
        done,
        of: goal.replicas,
        waits_for,
    }
}

/// True if the controller has not seen the specification, so that all counts are of before.
fn is_not_seen(seen: &Observation) -> bool {
    !seen.is_scale_only && seen.observed_generation < seen.generation
}

/// Of a kind that is not known: the pods are there, or gone.
fn of_scale(goal: &Goal, seen: &Observation) -> State {
    let of = goal.replicas;
    match goal.direction() {
        Direction::Down => down(goal, seen, None),
        Direction::Up if seen.replicas >= of => done(Some(Remark::ReadinessUnknown)),
        Direction::Up => waiting(seen.replicas, of, Some(WaitsFor::NewPods)),
    }
}

fn deployment_up(seen: &Observation) -> State {
    let of = seen.desired;
    if seen.is_paused && seen.was_never_rolled_out {
        return State::PausedEmpty;
    }
    if seen.updated >= of && seen.replicas <= seen.updated && seen.available >= of {
        return done(None);
    }
    if seen.is_paused && seen.updated < of {
        // Its template was changed while it was paused: the pods are of the one before.
        return match seen.available >= of {
            true => done(Some(Remark::PausedOld)),
            false => waiting(seen.ready.min(of), of, waits_for(seen)),
        };
    }
    // Ready pods of the version of before are counted by the API server, too.
    let new_and_ready = seen.ready.min(seen.updated).min(of);
    let waits_for = match () {
        () if seen.updated < of && seen.replicas > seen.updated => Some(WaitsFor::OldPods),
        () => waits_for(seen).or(Some(WaitsFor::OldPods)),
    };
    waiting(new_and_ready, of, waits_for)
}

fn stateful_set_up(seen: &Observation) -> State {
    let of = seen.desired;
    let is_up = seen.ready >= of && seen.available >= of;
    match seen.strategy {
        UpdateStrategy::OnDelete if is_up => {
            let pods = seen.replicas.min(of).saturating_sub(seen.updated).max(0);
            let has_old = seen.has_old_revision && pods > 0;
            done(has_old.then_some(Remark::OldPods { pods }))
        }
        UpdateStrategy::OnDelete => waiting(seen.ready.min(of), of, waits_for(seen)),
        UpdateStrategy::Rolling { .. } | UpdateStrategy::Other => {
            let partition = match seen.strategy {
                UpdateStrategy::Rolling { partition } => partition.max(0),
                UpdateStrategy::OnDelete | UpdateStrategy::Other => 0,
            };
            let new = of.saturating_sub(partition).max(0);
            // For a moment of a restart all are ready and none is new.
            if is_up && seen.updated >= new {
                return done(None);
            }
            let waits_for = waits_for(seen).or(Some(WaitsFor::OldPods));
            let old_that_stay = of.saturating_sub(new);
            let done = seen.ready.min(seen.updated.saturating_add(old_that_stay));
            waiting(done.min(of), of, waits_for)
        }
    }
}

fn deployment_down(goal: &Goal, seen: &Observation) -> State {
    match seen.terminating {
        Some(ending) => {
            let left = seen.replicas.saturating_add(ending);
            match left <= goal.replicas {
                true => done(None),
                false => waiting(left, goal.replicas, None),
            }
        }
        None => {
            let grace_secs = seen.grace_period_secs;
            let stops_pods = goal.previous > goal.replicas;
            down(
                goal,
                seen,
                stops_pods.then_some(Remark::MayLinger { grace_secs }),
            )
        }
    }
}

/// Done when no more pods are left than there should be. A StatefulSet's
/// `status.replicas` counts those that have not ended yet.
fn down(goal: &Goal, seen: &Observation, remark: Option<Remark>) -> State {
    match seen.replicas <= goal.replicas {
        true => done(remark),
        false => waiting(seen.replicas, goal.replicas, None),
    }
}

/// The thing that pods that have to come wait for, by the counts.
fn waits_for(seen: &Observation) -> Option<WaitsFor> {
    let of = seen.desired;
    if seen.replicas < of && seen.ready >= seen.replicas {
        Some(WaitsFor::NewPods)
    } else if seen.ready < of {
        Some(WaitsFor::Readiness)
    } else if seen.available < of {
        Some(WaitsFor::Availability)
    } else {
        None
    }
}

pub(super) fn done(remark: Option<Remark>) -> State {
    State::Done { remark }
}

pub(super) fn waiting(done: i32, of: i32, waits_for: Option<WaitsFor>) -> State {
    State::Waiting {
        done,
        of,
        waits_for,
    }
}
