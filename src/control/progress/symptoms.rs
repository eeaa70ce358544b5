//! The meaning of the words of API servers, schedulers and container runtimes. Only these
//! meanings are told to a room, never the words.

use super::cause::{Barrier, NoNode, PullFault, Resource, SetupFault};

/// Reads why a controller could not make a pod, by the message of a failed creation
/// (`ReplicaFailure`, or the Event `FailedCreate`).
pub(super) fn barrier(message: &str) -> Barrier {
    let says = says(message);
    if says("exceeded quota") || says("failed quota") || says("maximum ") && says("usage per") {
        Barrier::Quota
    } else if says("violates podsecurity") || says("security context constraint") {
        Barrier::SecurityPolicy
    } else if says("admission webhook")
        || says("failed calling webhook")
        || says("validatingadmissionpolicy")
        || says("mutatingadmissionpolicy")
    {
        Barrier::AdmissionRule
    } else if says("serviceaccount") || says("service account") {
        Barrier::ServiceAccount
    } else if says("minimum ") && says("usage per") || says("limit to request ratio") {
        Barrier::Quota
    } else {
        Barrier::Other
    }
}

/// Reads why no node takes a pod, by the message of its condition `PodScheduled`; `None` if
/// that is because of a volume.
pub(super) fn no_node(message: &str) -> Option<NoNode> {
    let says = says(message);
    let resource = if says("insufficient cpu") {
        Some(Resource::Cpu)
    } else if says("insufficient memory") {
        Some(Resource::Memory)
    } else if says("too many pods") {
        Some(Resource::Pods)
    } else {
        says("insufficient ").then_some(Resource::Other)
    };
    if let Some(resource) = resource {
        return Some(NoNode::NoRoom(resource));
    }
    if says("persistentvolume") || says("persistent volume") || says("volume node affinity") {
        return None;
    }
    let rules = [
        "untolerated taint",
        "didn't match",
        "didn't satisfy",
        "unschedulable",
    ];
    Some(if says("no nodes available") || says("0/0 nodes") {
        NoNode::NoNodes
    } else if rules.into_iter().any(says) {
        NoNode::NoMatch
    } else {
        NoNode::Other
    })
}

/// Reads why an image cannot be pulled, by the reason and the message of the container that
/// waits for it; `None` if it waits for something else.
pub(super) fn pull_fault(reason: &str, message: &str) -> Option<PullFault> {
    match reason {
        "InvalidImageName" => return Some(PullFault::InvalidName),
        "ErrImageNeverPull" => return Some(PullFault::NeverPull),
        "RegistryUnavailable" => return Some(PullFault::Unreachable),
        "ErrImagePull" | "ImagePullBackOff" | "ImageInspectError" | "SignatureValidationFailed" => {
        }
        _ => return None,
    }
    let says = says(message);
    let any = |words: &[&str]| words.iter().any(|word| says(word));
    Some(if any(&["toomanyrequests", "too many requests"]) {
        PullFault::TooMany
    } else if any(&[
        "does not exist or may require authorization",
        "insufficient_scope",
        "anonymous token",
    ]) {
        PullFault::NotThereOrNotAllowed
    } else if any(&[
        "unauthorized",
        "authentication required",
        "denied",
        "forbidden",
    ]) {
        PullFault::NotAllowed
    } else if any(&["no match for platform", "no matching manifest"]) {
        PullFault::OtherPlatform
    } else if any(&[
        "no such host",
        "i/o timeout",
        "connection refused",
        "connection reset",
        "no route to host",
        "network is unreachable",
        "tls handshake",
        "x509:",
        "deadline exceeded",
        "server misbehaving",
        "bad gateway",
        "service unavailable",
        "gateway timeout",
        "internal server error",
    ]) {
        PullFault::Unreachable
    } else if any(&["not found", "manifest unknown", "name unknown"]) {
        PullFault::NotThere
    } else {
        PullFault::Other
    })
}

/// Reads why a container cannot be made or run, by the reason and the message that it waits or
/// has ended with; `None` if that is another trouble.
pub(super) fn setup_fault(reason: &str, message: &str) -> Option<SetupFault> {
    let reasons = [
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "StartError",
        "ContainerCannotRun",
        "PreCreateHookError",
    ];
    if !reasons.contains(&reason) {
        return None;
    }
    let says = says(message);
    Some(missing_object(message).unwrap_or_else(|| {
        if says("runasnonroot") || says("run as root") || says("non-numeric user") {
            SetupFault::RunsAsRoot
        } else if ["StartError", "ContainerCannotRun"].contains(&reason)
            || says("executable file not found")
            || says("exec format error")
            || says("exec: ")
        {
            SetupFault::Program
        } else {
            SetupFault::Other
        }
    }))
}

/// The kind of object that a message says is missing.
pub(super) fn missing_object(message: &str) -> Option<SetupFault> {
    let says = says(message);
    let is_missing =
        says("not found") || says("couldn't find key") || says("non-existent config key");
    if !is_missing {
        None
    } else if says("secret") {
        Some(SetupFault::Secret)
    } else if says("configmap") {
        Some(SetupFault::ConfigMap)
    } else {
        None
    }
}

/// A question whether a message has some words, which are in lower case.
fn says(message: &str) -> impl Fn(&str) -> bool + use<> {
    let message = message.to_ascii_lowercase();
    move |words| message.contains(words)
}
