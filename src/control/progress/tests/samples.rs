//! Workloads and pods to judge, for tests.

use super::super::{
    Condition, ConditionStatus, ContainerState, ContainerView, EventView, Goal, Observation,
    PodOwner, PodView, Termination, UpdateStrategy,
};
use crate::control::{Kind, Namespace, ObjectName, ResourceType};

/// A goal for a Deployment named `web`.
pub(in crate::control::progress) fn goal(previous: i32, replicas: i32) -> Goal {
    Goal {
        kind: Kind::Deployment,
        replicas,
        uid: "uid-web".to_owned(),
        generation: 2,
        previous,
    }
}

/// The same for a StatefulSet.
pub(in crate::control::progress) fn set_goal(previous: i32, replicas: i32) -> Goal {
    Goal {
        kind: Kind::StatefulSet,
        ..goal(previous, replicas)
    }
}

/// The same for a kind that is not known.
pub(in crate::control::progress) fn other_goal(previous: i32, replicas: i32) -> Goal {
    Goal {
        kind: Kind::Other(ResourceType {
            group: ObjectName::parse("argoproj.io").unwrap(),
            version: Namespace::parse("v1alpha1").unwrap(),
            plural: ObjectName::parse("rollouts").unwrap(),
        }),
        ..goal(previous, replicas)
    }
}

/// A workload named `web` that its controller has seen, with these counts:
/// desired, replicas, updated, ready, available.
pub(in crate::control::progress) fn seen(
    [desired, replicas, updated, ready, available]: [i32; 5],
) -> Observation {
    Observation {
        name: "web".to_owned(),
        uid: "uid-web".to_owned(),
        generation: 2,
        observed_generation: 2,
        desired,
        replicas,
        updated,
        ready,
        available,
        strategy: UpdateStrategy::Rolling { partition: 0 },
        grace_period_secs: 30,
        ..Observation::default()
    }
}

/// The same whose pods start one after the other.
pub(in crate::control::progress) fn ordered(counts: [i32; 5]) -> Observation {
    Observation {
        is_ordered: true,
        ..seen(counts)
    }
}

/// A pod of `web`, running and not ready.
pub(in crate::control::progress) fn pod(containers: Vec<ContainerView>) -> PodView {
    PodView {
        name: "web-0".to_owned(),
        owners: vec![PodOwner {
            kind: "StatefulSet".to_owned(),
            name: "web".to_owned(),
            uid: "uid-web".to_owned(),
        }],
        phase: "Running".to_owned(),
        conditions: vec![
            condition("Ready", ConditionStatus::False, "ContainersNotReady", ""),
            condition("Initialized", ConditionStatus::True, "", ""),
        ],
        containers,
        ..PodView::default()
    }
}

pub(in crate::control::progress) fn condition(
    kind: &str,
    status: ConditionStatus,
    reason: &str,
    message: &str,
) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status,
        reason: reason.to_owned(),
        message: message.to_owned(),
    }
}

pub(in crate::control::progress) fn container(state: ContainerState) -> ContainerView {
    ContainerView {
        image: "registry.example.org:5000/team/app:1.2@sha256:0123".to_owned(),
        is_ready: false,
        restarts: 0,
        state,
        last: None,
    }
}

pub(in crate::control::progress) fn waiting(reason: &str, message: &str) -> ContainerState {
    ContainerState::Waiting {
        reason: reason.to_owned(),
        message: message.to_owned(),
    }
}

pub(in crate::control::progress) fn end(reason: &str, exit_code: i32) -> Termination {
    Termination {
        reason: reason.to_owned(),
        exit_code,
    }
}

/// A container that crashes, between two of its starts.
pub(in crate::control::progress) fn crashing(
    reason: &str,
    exit_code: i32,
    restarts: i32,
) -> ContainerView {
    ContainerView {
        restarts,
        last: Some(end(reason, exit_code)),
        ..container(waiting(
            "CrashLoopBackOff",
            "back-off 40s restarting failed",
        ))
    }
}

/// A workload that waits for its pods.
pub(in crate::control::progress) fn stuck() -> Observation {
    seen([3, 1, 1, 0, 0])
}

pub(in crate::control::progress) fn event(reason: &str, message: &str) -> EventView {
    EventView {
        reason: reason.to_owned(),
        message: message.to_owned(),
        count: 3,
    }
}
