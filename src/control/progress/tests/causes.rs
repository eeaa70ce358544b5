//! Causes, a row for each sign that a cluster was seen to give.

use super::super::{ConditionStatus, ContainerState, ContainerView, Observation, PodView, find};
use super::samples::{
    condition, container, crashing, end, event, ordered, pod, seen, stuck, waiting,
};

fn of_pod(pod: PodView) -> Option<String> {
    find(&stuck(), &[pod], &[]).map(|found| found.cause.sentence())
}

fn of_state(state: ContainerState) -> Option<String> {
    of_pod(pod(vec![container(state)]))
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn pods_that_cannot_be_made_have_a_reason_without_names() {
    for (message, sentence) in [
        (
            "pods \"web-1\" is forbidden: exceeded quota: team-a, requested: pods=1, used: pods=9, limited: pods=9",
            "its pods cannot be made: a quota or limit of the namespace",
        ),
        (
            "pods \"web-1\" is forbidden: failed quota: team-a: must specify limits.cpu for: app",
            "its pods cannot be made: a quota or limit of the namespace",
        ),
        (
            "pods \"web-1\" is forbidden: maximum cpu usage per Container is 1, but limit is 2",
            "its pods cannot be made: a quota or limit of the namespace",
        ),
        (
            "pods \"web-1\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true",
            "its pods cannot be made: the security policy of the namespace",
        ),
        (
            "admission webhook \"rules.example.org\" denied the request: no",
            "its pods cannot be made: an admission rule",
        ),
        (
            "Internal error occurred: failed calling webhook \"rules.example.org\": dial tcp 10.0.0.1:443",
            "its pods cannot be made: an admission rule",
        ),
        (
            "pods \"web-1\" is forbidden: error looking up service account team/web: serviceaccount \"web\" not found",
            "its pods cannot be made: their service account is missing",
        ),
        (
            "something new",
            "its pods cannot be made: the cluster refuses them",
        ),
    ] {
        let failure = condition(
            "ReplicaFailure",
            ConditionStatus::True,
            "FailedCreate",
            message,
        );
        let deployment = Observation {
            conditions: vec![failure],
            ..seen([3, 0, 0, 0, 0])
        };
        let found = find(&deployment, &[], &[]).map(|found| found.cause.sentence());
        assert_eq!(found.as_deref(), Some(sentence), "{message}");
        // A StatefulSet has no conditions, only an Event.
        let set = ordered([3, 0, 0, 0, 0]);
        let found = find(&set, &[], &[event("FailedCreate", message)]);
        let found = found.map(|found| found.cause.sentence());
        assert_eq!(found.as_deref(), Some(sentence), "{message}");
    }
}

#[test]
fn a_pod_that_no_node_takes_says_what_is_short() {
    for (reason, message, sentence) in [
        (
            "Unschedulable",
            "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {a: b}.",
            "no node has room for it (cpu)",
        ),
        (
            "Unschedulable",
            "0/3 nodes are available: 3 Insufficient memory.",
            "no node has room for it (memory)",
        ),
        (
            "Unschedulable",
            "0/3 nodes are available: 3 Too many pods.",
            "no node has room for it (number of pods)",
        ),
        (
            "Unschedulable",
            "0/3 nodes are available: 3 Insufficient vendor.example/gpu.",
            "no node has room for it",
        ),
        (
            "Unschedulable",
            "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
            "no node matches its rules",
        ),
        (
            "Unschedulable",
            "0/1 nodes are available: 1 node(s) were unschedulable.",
            "no node matches its rules",
        ),
        (
            "Unschedulable",
            "no nodes available to schedule pods",
            "there is no node for it",
        ),
        (
            "Unschedulable",
            "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
            "it waits for its volume",
        ),
        (
            "Unschedulable",
            "0/1 nodes are available: persistentvolumeclaim \"data\" not found.",
            "it waits for its volume",
        ),
        (
            "SchedulingGated",
            "Scheduling is blocked",
            "a scheduling gate holds it back",
        ),
        ("Unschedulable", "words of tomorrow", "no node takes it"),
    ] {
        let pod = PodView {
            phase: "Pending".to_owned(),
            conditions: vec![condition(
                "PodScheduled",
                ConditionStatus::False,
                reason,
                message,
            )],
            ..pod(Vec::new())
        };
        assert_eq!(of_pod(pod).as_deref(), Some(sentence), "{message}");
    }
}

#[test]
fn an_image_is_named_without_registry_path_and_digest() {
    for (reason, message, fault) in [
        (
            "ErrImagePull",
            "failed to pull and unpack image \"r.example.org/app:1.2\": failed to resolve reference: r.example.org/app:1.2: not found",
            "not there",
        ),
        (
            "ImagePullBackOff",
            "Back-off pulling image \"app:1.2\": ErrImagePull: manifest unknown",
            "not there",
        ),
        (
            "ErrImagePull",
            "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
            "not there, or not allowed",
        ),
        (
            "ErrImagePull",
            "unexpected status from HEAD request: 401 Unauthorized",
            "not allowed",
        ),
        (
            "ErrImagePull",
            "dial tcp: lookup r.example.org on 10.0.0.10:53: no such host",
            "its registry cannot be reached",
        ),
        (
            "ErrImagePull",
            "429 Too Many Requests - toomanyrequests",
            "its registry's limit is used up",
        ),
        (
            "ErrImagePull",
            "no match for platform in manifest: not found",
            "there is none for this kind of node",
        ),
        (
            "InvalidImageName",
            "couldn't parse image reference",
            "that is no name of an image",
        ),
        (
            "ErrImageNeverPull",
            "",
            "it is not on the node, and must not be pulled",
        ),
        ("ImagePullBackOff", "", "the node does not get it"),
    ] {
        let sentence = format!("image app:1.2 cannot be pulled: {fault}");
        let found = of_state(waiting(reason, message));
        assert_eq!(found, Some(sentence), "{reason} {message}");
    }
    let hostile = ContainerView {
        image: "<b>x</b>\n@here".to_owned(),
        ..container(waiting("InvalidImageName", ""))
    };
    assert_eq!(
        of_pod(pod(vec![hostile])),
        some("image b cannot be pulled: that is no name of an image")
    );
}

#[test]
fn a_container_that_cannot_be_made_says_which_kind_of_setting() {
    let secret = "a Secret that it needs is missing";
    let program = "its program is not in its image, or cannot be run";
    for (reason, message, sentence) in [
        (
            "CreateContainerConfigError",
            "secret \"db-password\" not found",
            secret,
        ),
        (
            "CreateContainerConfigError",
            "couldn't find key password in Secret team/db-password",
            secret,
        ),
        (
            "CreateContainerConfigError",
            "configmap \"settings\" not found",
            "a ConfigMap that it needs is missing",
        ),
        (
            "CreateContainerConfigError",
            "container has runAsNonRoot and image will run as root",
            "it must not run as root, and its image does",
        ),
        (
            "RunContainerError",
            "exec: \"serve\": executable file not found in $PATH",
            program,
        ),
        (
            "CreateContainerError",
            "context deadline exceeded",
            "a Secret or setting that it needs is missing or wrong",
        ),
    ] {
        let found = of_state(waiting(reason, message));
        assert_eq!(found.as_deref(), Some(sentence), "{message}");
    }
    let unstartable = pod(vec![crashing("StartError", 128, 2)]);
    assert_eq!(of_pod(unstartable), some(program));
    let pending = PodView {
        phase: "Pending".to_owned(),
        ..pod(vec![container(waiting("ContainerCreating", ""))])
    };
    let mount = event(
        "FailedMount",
        "MountVolume.SetUp failed for volume \"v\" : secret \"tls\" not found",
    );
    let found = find(&stuck(), &[pending], &[mount]);
    assert_eq!(found.map(|found| found.cause.sentence()), some(secret));
}

#[test]
fn a_container_that_ends_says_how_and_how_often() {
    let again = "it starts and ends again";
    for (container, sentence) in [
        (
            crashing("OOMKilled", 137, 3),
            "it runs out of memory, 4 times".to_owned(),
        ),
        (crashing("Error", 1, 3), format!("{again}: exit 1, 4 times")),
        (
            crashing("Error", 137, 3),
            format!("{again}: killed, 4 times"),
        ),
        (
            crashing("Completed", 0, 1),
            format!("{again}: exit 0, 2 times"),
        ),
        (
            container(ContainerState::Terminated(end("Error", 2))),
            format!("{again}: exit 2"),
        ),
        // Between two crashes.
        (
            ContainerView {
                state: ContainerState::Running,
                ..crashing("Error", 1, 3)
            },
            format!("{again}: exit 1, 3 times"),
        ),
    ] {
        assert_eq!(of_pod(pod(vec![container])), Some(sentence));
    }
}

#[test]
fn an_init_container_is_a_step_of_the_preparation() {
    let in_preparation = |init_containers| PodView {
        phase: "Pending".to_owned(),
        conditions: vec![condition(
            "Initialized",
            ConditionStatus::False,
            "ContainersNotInitialized",
            "",
        )],
        init_containers,
        ..pod(vec![container(waiting("PodInitializing", ""))])
    };
    let ended = ContainerView {
        is_ready: true,
        ..container(ContainerState::Terminated(end("Completed", 0)))
    };
    let running = container(ContainerState::Running);
    assert_eq!(
        of_pod(in_preparation(vec![ended.clone(), running])),
        some("it is still at its preparation step 2 of 2")
    );
    assert_eq!(
        of_pod(in_preparation(vec![crashing("Error", 3, 2), ended.clone()])),
        some("its preparation step 1 of 2 fails: exit 3")
    );
    assert_eq!(
        of_pod(in_preparation(vec![ended, crashing("OOMKilled", 137, 0)])),
        some("it runs out of memory")
    );
    assert_eq!(
        of_pod(in_preparation(vec![container(waiting(
            "ImagePullBackOff",
            "not found"
        ))])),
        some("image app:1.2 cannot be pulled: not there")
    );
}

#[test]
fn pods_that_run_or_go_are_told_last() {
    let running = pod(vec![container(ContainerState::Running)]);
    let not_ready = "it runs, but does not say that it is ready";
    assert_eq!(of_pod(running.clone()), some(not_ready));
    let evicted = PodView {
        phase: "Failed".to_owned(),
        reason: "Evicted".to_owned(),
        ..pod(Vec::new())
    };
    assert_eq!(of_pod(evicted), some("its pod was taken off its node"));
    let going = PodView {
        is_terminating: true,
        ..running.clone()
    };
    assert_eq!(of_pod(going), some("it waits for pods of before to end"));
    let ready = PodView {
        conditions: vec![condition("Ready", ConditionStatus::True, "", "")],
        ..running
    };
    assert_eq!(of_pod(ready), None);
}
