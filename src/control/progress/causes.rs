//! Finds the cause: from a workload, its pods and its Events to the trouble that is told.

use super::cause::{Cause, Finding, Image, NoNode};
use super::symptoms::{barrier, missing_object, no_node, pull_fault, setup_fault};
use super::{
    Condition, ConditionStatus, ContainerState, ContainerView, EventView, Observation, PodView,
    Termination,
};
use crate::util::sorted_by;

/// The most pods that are named as those that others wait for.
const MAX_BLOCKERS: usize = 3;

/// Finds the worst cause, by [`Cause::rank`]; of causes of one rank, that of the newest pod.
/// Pods that are not the workload's are left out: selectors are shared by mistake.
pub fn find(workload: &Observation, pods: &[PodView], events: &[EventView]) -> Option<Finding> {
    let owned = sorted_by(owned(workload, pods).collect(), |one, other| {
        other.created_at.cmp(&one.created_at)
    });
    // An Event lives for an hour, and may be about what is over.
    let lacks_pods = workload.replicas < workload.desired
        && (!workload.is_ordered || workload.ready >= workload.replicas);
    let is_pending = owned.is_empty() || owned.iter().any(|pod| pod.phase == "Pending");
    let is_current = |finding: &Finding| match finding.cause {
        Cause::NotCreated(_) => lacks_pods,
        _ => is_pending,
    };
    let events = sorted_by(events.iter().collect(), |one, other| {
        other.count.cmp(&one.count)
    });
    let of_events = events.into_iter().filter_map(of_event).filter(is_current);
    let of_pods = owned.iter().filter_map(|pod| of_pod(pod));
    of_workload(workload)
        .into_iter()
        .chain(of_pods)
        .chain(of_events)
        .min_by_key(|finding| finding.cause.rank())
}

/// The newest pod of a workload that has not begun and does not say itself what it waits
/// for: the Events about it may.
pub fn silent_pod<'a>(workload: &'a Observation, pods: &'a [PodView]) -> Option<&'a PodView> {
    owned(workload, pods)
        .filter(|pod| pod.phase == "Pending" && of_pod(pod).is_none())
        .max_by_key(|pod| pod.created_at)
}

/// The ordinals of a StatefulSet's pods that are not ready, lowest first.
pub(super) fn blockers(seen: &Observation, pods: &[PodView]) -> Vec<u32> {
    let ordinal = |pod: &PodView| pod.name.rsplit('-').next()?.parse::<u32>().ok();
    let unready = owned(seen, pods).filter(|pod| !is_ready(pod));
    let mut ordinals: Vec<u32> = match seen.is_ordered {
        true => unready.filter_map(ordinal).collect(),
        false => Vec::new(),
    };
    ordinals = sorted_by(ordinals, Ord::cmp);
    ordinals.truncate(MAX_BLOCKERS);
    ordinals
}

/// The pods that belong to a workload, by their owners.
fn owned<'a>(workload: &'a Observation, pods: &'a [PodView]) -> impl Iterator<Item = &'a PodView> {
    pods.iter().filter(|pod| is_owned(workload, pod))
}

/// True if a pod is of a workload: it owns the pod, or the ReplicaSet between them has
/// the name that the workload's controller gives to it.
pub fn is_owned(workload: &Observation, pod: &PodView) -> bool {
    let made_from = |owner: &str| {
        owner
            .strip_prefix(workload.name.as_str())
            .and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|hash| !hash.is_empty() && hash == pod.template_hash)
    };
    pod.owners.iter().any(|owner| {
        owner.uid == workload.uid || (owner.kind == "ReplicaSet" && made_from(&owner.name))
    })
}

/// True if a pod is ready and stays.
fn is_ready(pod: &PodView) -> bool {
    !pod.is_terminating
        && condition(&pod.conditions, "Ready")
            .is_some_and(|ready| ready.status == ConditionStatus::True)
}

fn of_workload(workload: &Observation) -> Option<Finding> {
    let failure = condition(&workload.conditions, "ReplicaFailure")?;
    let is_so = failure.status == ConditionStatus::True && failure.reason == "FailedCreate";
    is_so.then(|| {
        let words = &failure.message;
        Finding::new(Cause::NotCreated(barrier(words)), words)
    })
}

fn of_event(event: &EventView) -> Option<Finding> {
    let cause = match event.reason.as_str() {
        "FailedCreate" => Cause::NotCreated(barrier(&event.message)),
        // A volume that is a Secret or a ConfigMap cannot be mounted if there is none.
        "FailedMount" => missing_object(&event.message).map_or(Cause::Volume, Cause::Setup),
        "FailedAttachVolume" | "FailedMapVolume" | "ProvisioningFailed" | "FailedBinding" => {
            Cause::Volume
        }
        _ => return None,
    };
    Some(Finding::new(cause, &event.message))
}

fn of_pod(pod: &PodView) -> Option<Finding> {
    if is_ready(pod) || pod.phase == "Succeeded" {
        return None;
    }
    if is_taken_off(pod) {
        return Some(Finding::new(Cause::TakenOff, &pod.reason));
    }
    if pod.is_terminating {
        return Some(Finding::new(Cause::OldPodsStay, ""));
    }
    if let Some(finding) = of_scheduling(pod) {
        return Some(finding);
    }
    let of_init = of_preparation(pod);
    let containers = pod.init_containers.iter().chain(&pod.containers);
    let of_containers = containers
        .filter(|container| !container.is_ready)
        .filter_map(of_container);
    // A crash of an init container is one of the preparation.
    let is_crash = |finding: &Finding| matches!(finding.cause, Cause::Crash { .. });
    let worst = of_containers
        .filter(|finding| of_init.is_none() || !is_crash(finding))
        .chain(of_init.clone())
        .min_by_key(|finding| finding.cause.rank());
    let runs = || {
        let running = |container: &ContainerView| container.state == ContainerState::Running;
        let all_run = !pod.containers.is_empty() && pod.containers.iter().all(running);
        all_run.then(|| Finding::new(Cause::NotReady, ""))
    };
    worst.or_else(runs)
}

/// The reasons and conditions of a pod that its node gave up, or that lost its node.
fn is_taken_off(pod: &PodView) -> bool {
    let reasons = [
        "Evicted",
        "NodeLost",
        "Preempting",
        "Preempted",
        "NodeAffinity",
        "NodeShutdown",
        "Terminated",
        "UnexpectedAdmissionError",
    ];
    let is_disrupted = condition(&pod.conditions, "DisruptionTarget")
        .is_some_and(|target| target.status == ConditionStatus::True);
    is_disrupted || pod.phase == "Unknown" || reasons.contains(&pod.reason.as_str())
}

fn of_scheduling(pod: &PodView) -> Option<Finding> {
    let scheduled = condition(&pod.conditions, "PodScheduled")?;
    if scheduled.status != ConditionStatus::False {
        return None;
    }
    let cause = match scheduled.reason.as_str() {
        "SchedulingGated" => Cause::NotScheduled(NoNode::Gated),
        _ => no_node(&scheduled.message).map_or(Cause::Volume, Cause::NotScheduled),
    };
    Some(Finding::new(cause, &scheduled.message))
}

/// The init container that a pod has not got past.
fn of_preparation(pod: &PodView) -> Option<Finding> {
    let initialized = condition(&pod.conditions, "Initialized")?;
    if initialized.status == ConditionStatus::True {
        return None;
    }
    let is_open = |container: &ContainerView| !container.is_ready;
    let index = pod.init_containers.iter().position(is_open)?;
    let container = pod.init_containers.get(index)?;
    // None can run before the pod's volumes are there.
    let waits = matches!(container.state, ContainerState::Waiting { .. });
    if waits && container.last.is_none() {
        return None;
    }
    let cause = Cause::Preparation {
        step: index.saturating_add(1),
        of: pod.init_containers.len(),
        exit_code: last_end(container)
            .filter(|end| end.exit_code != 0)
            .map(|end| end.exit_code),
    };
    Some(Finding::new(cause, ""))
}

/// The trouble of a container that is not ready.
fn of_container(container: &ContainerView) -> Option<Finding> {
    if let ContainerState::Waiting { reason, message } = &container.state {
        if let Some(fault) = pull_fault(reason, message) {
            let image = Image::of(&container.image);
            return Some(Finding::new(Cause::Image { image, fault }, message));
        }
        if let Some(fault) = setup_fault(reason, message) {
            return Some(Finding::new(Cause::Setup(fault), message));
        }
    }
    let end = last_end(container)?;
    if let Some(fault) = setup_fault(&end.reason, "") {
        return Some(Finding::new(Cause::Setup(fault), &end.reason));
    }
    let is_running = container.state == ContainerState::Running;
    let times = container.restarts.saturating_add(i32::from(!is_running));
    let cause = if end.reason == "OOMKilled" {
        Cause::OutOfMemory { times }
    } else {
        Cause::Crash {
            exit_code: end.exit_code,
            times,
        }
    };
    Some(Finding::new(cause, ""))
}

/// The end of a container, now or the time before.
fn last_end(container: &ContainerView) -> Option<&Termination> {
    match &container.state {
        ContainerState::Terminated(end) => Some(end),
        ContainerState::Waiting { .. } | ContainerState::Running => container.last.as_ref(),
    }
}

fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

#[cfg(test)]
mod tests {
    use super::super::tests::samples::{
        condition, container, crashing, event, ordered, pod, seen, stuck, waiting,
    };
    use super::super::{PodOwner, Right};
    use super::*;

    #[test]
    fn the_worst_of_all_pods_is_told() {
        let pods = [
            pod(vec![container(ContainerState::Running)]),
            PodView {
                created_at: 1,
                ..pod(vec![crashing("Error", 1, 3)])
            },
            PodView {
                created_at: 2,
                ..pod(vec![crashing("Error", 2, 3)])
            },
        ];
        let times = 4;
        let exit_code = 2;
        let found = find(&stuck(), &pods, &[]).map(|found| found.cause);
        assert_eq!(found, Some(Cause::Crash { exit_code, times }));
    }

    #[test]
    fn pods_of_others_under_the_same_labels_are_left_out() {
        let owned_by = |kind: &str, name: &str, uid: &str, hash: &str| PodView {
            owners: vec![PodOwner {
                kind: kind.to_owned(),
                name: name.to_owned(),
                uid: uid.to_owned(),
            }],
            template_hash: hash.to_owned(),
            ..pod(vec![crashing("Error", 1, 3)])
        };
        for (pod, is_found) in [
            (owned_by("StatefulSet", "web", "uid-web", ""), true),
            (owned_by("StatefulSet", "web", "uid-of-before", ""), false),
            (owned_by("ReplicaSet", "web-6f9", "uid-rs", "6f9"), true),
            (
                owned_by("ReplicaSet", "web-api-6f9", "uid-rs", "6f9"),
                false,
            ),
            (owned_by("ReplicaSet", "web-6f9", "uid-rs", "77a"), false),
            (owned_by("ReplicaSet", "web-", "uid-rs", ""), false),
            (owned_by("Job", "web-6f9", "uid-job", "6f9"), false),
            (
                PodView {
                    owners: Vec::new(),
                    ..owned_by("", "", "", "")
                },
                false,
            ),
        ] {
            let found = find(&stuck(), std::slice::from_ref(&pod), &[]);
            assert_eq!(found.is_some(), is_found, "{:?}", pod.owners);
        }
    }

    #[test]
    fn only_what_heals_by_itself_has_to_be_seen_twice() {
        let crash = |exit_code, times| Cause::Crash { exit_code, times };
        assert!(crash(1, 2).needs_two_looks());
        assert!(crash(1, 2).agrees_with(&crash(2, 5)));
        assert!(!crash(1, 2).agrees_with(&Cause::OutOfMemory { times: 2 }));
        assert!(!Cause::Volume.needs_two_looks());
        let unknown = Cause::Unknown {
            missing: Some(Right::ListPods),
        };
        assert_eq!(unknown.missing_right(), Some(Right::ListPods));
        assert_eq!(crash(1, 2).missing_right(), None);
    }

    #[test]
    fn the_events_are_asked_for_of_a_pod_that_does_not_say_what_it_waits_for() {
        let waits = |reason: &str| container(waiting(reason, ""));
        let pending = |uid: &str, created_at, containers| PodView {
            uid: uid.to_owned(),
            created_at,
            phase: "Pending".to_owned(),
            ..pod(containers)
        };
        let unprepared = PodView {
            conditions: vec![condition("Initialized", ConditionStatus::False, "", "")],
            init_containers: vec![waits("PodInitializing")],
            ..pending("b", 2, vec![waits("PodInitializing")])
        };
        let pods = [
            pending("a", 1, vec![waits("ContainerCreating")]),
            unprepared.clone(),
            pending("c", 3, vec![waits("InvalidImageName")]),
            PodView {
                owners: Vec::new(),
                ..pending("d", 4, Vec::new())
            },
            pod(vec![container(ContainerState::Running)]),
        ];
        let uid = |pods| silent_pod(&stuck(), pods).map(|pod| pod.uid.clone());
        assert_eq!(uid(&pods).as_deref(), Some("b"));
        assert_eq!(uid(&pods[2..]), None);
        let mount = [event("FailedMount", "timed out waiting for the condition")];
        let found = find(&stuck(), &[unprepared], &mount);
        assert_eq!(found.map(|found| found.cause), Some(Cause::Volume));
    }

    #[test]
    fn an_event_about_what_is_over_is_no_cause() {
        let created = [event("FailedCreate", "exceeded quota: team-a")];
        assert_eq!(find(&seen([3, 3, 3, 1, 1]), &[], &created), None);
        // The next pod of a StatefulSet is not made before this one is ready.
        assert_eq!(find(&ordered([3, 1, 1, 0, 0]), &[], &created), None);
        let mount = [event("FailedMount", "timed out waiting for the condition")];
        let running = pod(vec![container(ContainerState::Running)]);
        let found = find(&stuck(), &[running], &mount);
        assert_eq!(found.map(|found| found.cause), Some(Cause::NotReady));
        let healed = condition("ReplicaFailure", ConditionStatus::False, "FailedCreate", "");
        let healed = Observation {
            conditions: vec![healed],
            ..stuck()
        };
        assert_eq!(find(&healed, &[], &[]), None);
    }
}
