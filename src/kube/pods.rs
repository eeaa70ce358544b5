//! The pods of a workload, as far as they tell why it does not come up.

use std::time::Instant;

use k8s_openapi::jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::api::Api;
use super::api_client::Answer;
use super::call::Call;
use super::error::Error;
use super::node::Node;
use super::object::{CONDITIONS, MAX_MESSAGE, MAX_WORD, MESSAGE, OWNERS, WORD, conditions};
use super::operation::Operation;
use super::scale::MAX_ID;
use crate::control::progress::{ContainerState, ContainerView, PodOwner, PodView, Termination};
use crate::control::{Kind, Workload};
use crate::json::{Many, Shape};
use crate::util::sorted_by;

/// The most pods that are looked at.
const MAX_PODS: usize = 20;

/// Bytes kept of a list of pods.
const MAX_KEPT: usize = 64 * 1024;

/// The longest name of an object, in bytes.
const MAX_NAME: usize = 253;

/// The longest name of an image that is kept, in bytes.
const MAX_IMAGE: usize = 512;

/// The characters that are no part of a value in a query.
pub(super) const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const NAME: Shape = Shape::Lenient(MAX_NAME + 2);
const IMAGE: Shape = Shape::Lenient(MAX_IMAGE);

const TERMINATED: Shape = Shape::Object(&[("reason", WORD), ("exitCode", WORD)]);

const CONTAINERS: Many = Many {
    what: "container",
    item: Shape::Object(&[("name", NAME), ("image", IMAGE)]),
    size: 1024,
    count: 16,
};

const STATUSES: Many = Many {
    what: "container",
    item: Shape::Object(&[
        ("name", NAME),
        ("image", IMAGE),
        ("ready", WORD),
        ("restartCount", WORD),
        (
            "state",
            Shape::Object(&[
                (
                    "waiting",
                    Shape::Object(&[("reason", WORD), ("message", MESSAGE)]),
                ),
                ("running", Shape::Present),
                ("terminated", TERMINATED),
            ]),
        ),
        ("lastState", Shape::Object(&[("terminated", TERMINATED)])),
    ]),
    size: 4096,
    count: 16,
};

const POD: Shape = Shape::Object(&[
    (
        "metadata",
        Shape::Object(&[
            ("name", NAME),
            ("uid", WORD),
            ("creationTimestamp", WORD),
            ("deletionTimestamp", Shape::Present),
            (
                "labels",
                Shape::Object(&[
                    ("pod-template-hash", WORD),
                    ("rollouts-pod-template-hash", WORD),
                ]),
            ),
            ("ownerReferences", Shape::List(&OWNERS)),
        ]),
    ),
    (
        "spec",
        Shape::Object(&[
            ("initContainers", Shape::List(&CONTAINERS)),
            ("containers", Shape::List(&CONTAINERS)),
        ]),
    ),
    (
        "status",
        Shape::Object(&[
            ("phase", WORD),
            ("reason", WORD),
            ("conditions", Shape::List(&CONDITIONS)),
            ("initContainerStatuses", Shape::List(&STATUSES)),
            ("containerStatuses", Shape::List(&STATUSES)),
        ]),
    ),
]);

const PODS: Many = Many {
    what: "pod",
    item: POD,
    size: 16 * 1024,
    count: MAX_PODS,
};

const POD_LIST: Shape = Shape::Object(&[("items", Shape::List(&PODS))]);

/// The most owners of a pod.
const MAX_OWNERS: usize = 4;

impl Api {
    /// Reads pods that have the labels of a workload, at most 20, the newest first. `selector`
    /// is its [`ScaleAnswer`](super::ScaleAnswer)'s; other workloads may have the same. Of a
    /// StatefulSet whose namespace's pods may not be listed, its first pods are read by
    /// their names.
    ///
    /// # Errors
    /// The API server did not show them.
    pub async fn pods(&self, target: &Workload, selector: &str) -> Result<Vec<PodView>, Error> {
        // An empty selector would be all the pods of the namespace.
        if selector.is_empty() {
            return Ok(Vec::new());
        }
        let path = format!(
            "/api/v1/namespaces/{}/pods?labelSelector={}&limit={MAX_PODS}",
            target.namespace,
            utf8_percent_encode(selector, QUERY)
        );
        let (kind, namespace) = (&target.kind, &target.namespace);
        let call = Call::get(Operation::Pods, kind, namespace, path, &POD_LIST).keeping(MAX_KEPT);
        let may_try_names = target.kind == Kind::StatefulSet;
        if may_try_names && self.refusals.has(&call, Instant::now()) {
            return self.pods_by_name(target).await;
        }
        let pods = match self.api_client.call(&call).await.map_err(Error::from) {
            Ok(answer) => {
                let list = parsed(&answer);
                let list = self.understood(&call, &answer, list)?;
                let pods = Node::new(&list).at("items").items().map(pod);
                pods.collect::<Vec<_>>()
            }
            Err(Error::Forbidden { .. }) if may_try_names => {
                self.refusals.note(&call, Instant::now());
                return self.pods_by_name(target).await;
            }
            Err(error) => return Err(error),
        };
        Ok(sorted_by(pods, |one, other| {
            other.created_at.cmp(&one.created_at)
        }))
    }

    /// Reads `NAME-0`, `NAME-1` and so on, up to the first that is not there or may not be
    /// read.
    async fn pods_by_name(&self, target: &Workload) -> Result<Vec<PodView>, Error> {
        let Workload {
            kind,
            namespace,
            name,
        } = target;
        let mut pods = Vec::new();
        for ordinal in 0..MAX_PODS {
            let path = format!("/api/v1/namespaces/{namespace}/pods/{name}-{ordinal}");
            let call = Call::get(Operation::Pod, kind, namespace, path, &POD).keeping(MAX_KEPT);
            let answer = match self.api_client.call(&call).await.map_err(Error::from) {
                Ok(answer) => answer,
                Err(Error::NotFound { .. }) => break,
                Err(Error::Forbidden { .. }) if ordinal > 0 => break,
                Err(error) => return Err(error),
            };
            let value = self.understood(&call, &answer, parsed(&answer))?;
            pods.push(pod(Node::new(&value)));
        }
        Ok(pods)
    }
}

fn parsed(answer: &Answer) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(&answer.body)
}

fn pod(pod: Node<'_>) -> PodView {
    let (metadata, spec, status) = (pod.at("metadata"), pod.at("spec"), pod.at("status"));
    let labels = metadata.at("labels");
    let hashes = ["pod-template-hash", "rollouts-pod-template-hash"];
    let hashes = hashes.map(|label| labels.at(label).text(MAX_WORD));
    let owners = metadata.at("ownerReferences").items().take(MAX_OWNERS);
    let owners = owners.map(|owner| PodOwner {
        kind: owner.at("kind").text(MAX_WORD),
        name: owner.at("name").text(MAX_NAME),
        uid: owner.at("uid").text(MAX_ID),
    });
    PodView {
        name: metadata.at("name").text(MAX_NAME),
        uid: metadata.at("uid").text(MAX_ID),
        owners: owners.collect(),
        template_hash: hashes
            .into_iter()
            .find(|hash| !hash.is_empty())
            .unwrap_or_default(),
        created_at: milliseconds(metadata.at("creationTimestamp")),
        is_terminating: metadata.at("deletionTimestamp").is_present(),
        phase: status.at("phase").text(MAX_WORD),
        reason: status.at("reason").text(MAX_WORD),
        conditions: conditions(status),
        init_containers: containers(
            spec.at("initContainers"),
            status.at("initContainerStatuses"),
        ),
        containers: containers(spec.at("containers"), status.at("containerStatuses")),
    }
}

/// A time in milliseconds since the Unix epoch; 0 if there is none.
pub(super) fn milliseconds(time: Node<'_>) -> u64 {
    let time: Option<Timestamp> = time.raw().parse().ok();
    let time = time.map_or(0, Timestamp::as_millisecond);
    u64::try_from(time).unwrap_or_default()
}

fn containers(spec: Node<'_>, statuses: Node<'_>) -> Vec<ContainerView> {
    let containers = statuses.items().map(|status| {
        // The status has the name that the node resolved.
        let name = status.at("name").raw();
        let own = spec.items().find(|own| own.at("name").raw() == name);
        let image = own.map(|own| own.at("image").text(MAX_IMAGE));
        let image = image.filter(|image| !image.is_empty());
        let state = state(status.at("state"));
        let has_ended_well = matches!(
            &state,
            ContainerState::Terminated(Termination { exit_code: 0, .. })
        );
        ContainerView {
            image: image.unwrap_or_else(|| status.at("image").text(MAX_IMAGE)),
            is_ready: status.at("ready").is_true() || has_ended_well,
            restarts: status.at("restartCount").count().unwrap_or_default(),
            state,
            last: termination(status.at("lastState").at("terminated")),
        }
    });
    containers.collect()
}

/// One that says nothing waits.
fn state(state: Node<'_>) -> ContainerState {
    if let Some(termination) = termination(state.at("terminated")) {
        return ContainerState::Terminated(termination);
    }
    if state.at("running").is_present() {
        return ContainerState::Running;
    }
    let waiting = state.at("waiting");
    ContainerState::Waiting {
        reason: waiting.at("reason").text(MAX_WORD),
        message: waiting.at("message").text(MAX_MESSAGE),
    }
}

fn termination(terminated: Node<'_>) -> Option<Termination> {
    let exit_code = terminated.at("exitCode").number();
    terminated.is_present().then(|| Termination {
        reason: terminated.at("reason").text(MAX_WORD),
        exit_code: exit_code
            .and_then(|code| i32::try_from(code).ok())
            .unwrap_or_default(),
    })
}
