//! A Deployment or StatefulSet as it is judged: the parts that are kept of it, whatever
//! its size, and what they say.

use serde_json::Value;

use super::node::Node;
use super::scale::{MAX_ID, replicas};
use crate::control::Kind;
use crate::control::progress::{Condition, ConditionStatus, Observation, Owner, UpdateStrategy};
use crate::json::{Many, Shape};

/// Bytes kept of a workload.
pub(super) const MAX_KEPT: usize = 16 * 1024;

/// The longest word of the API that is kept, such as a condition's reason, in bytes.
pub(super) const MAX_WORD: usize = 64;

/// The longest message that is kept, in bytes.
pub(super) const MAX_MESSAGE: usize = 512;

/// The annotation of the bookmark behind the initial state of a watch
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists>).
pub(super) const INITIAL_STATE_ENDS: &str = "k8s.io/initial-events-end";

/// The time that a pod has to end if nothing else is said, in seconds.
const DEFAULT_GRACE_PERIOD: u32 = 30;

/// A number, or a word of the API, in bytes of JSON text.
pub(super) const WORD: Shape = Shape::Lenient(128);

/// A message, in bytes of JSON text, of which only a part is shown.
pub(super) const MESSAGE: Shape = Shape::Lenient(2048);

/// The name of a kind or version, which has to be right, in bytes of JSON text.
const VALUE: Shape = Shape::Scalar(64);

/// Conditions of a workload or of a pod.
pub(super) const CONDITIONS: Many = Many {
    what: "condition",
    item: Shape::Object(&[
        ("type", WORD),
        ("status", WORD),
        ("reason", WORD),
        ("message", MESSAGE),
    ]),
    size: 2560,
    count: 16,
};

/// The owners of an object.
pub(super) const OWNERS: Many = Many {
    what: "owner",
    item: Shape::Object(&[
        ("kind", WORD),
        ("name", Shape::Lenient(256)),
        ("uid", WORD),
        ("controller", WORD),
    ]),
    size: 512,
    count: 8,
};

/// The labels and annotations by which the tools are known that put a count back, each
/// with the tool. Argo CD's other label, `app.kubernetes.io/instance`, is everybody's.
const LABELS: [(&str, Owner); 4] = [
    ("argocd.argoproj.io/instance", Owner::ArgoCd),
    ("kustomize.toolkit.fluxcd.io/name", Owner::Flux),
    ("helm.toolkit.fluxcd.io/name", Owner::Flux),
    ("objectset.rio.cattle.io/hash", Owner::K3s),
];
const ANNOTATIONS: [(&str, Owner); 2] = [
    ("argocd.argoproj.io/tracking-id", Owner::ArgoCd),
    ("meta.helm.sh/release-name", Owner::Helm),
];

/// The parts of a Deployment or StatefulSet that are read. The whole type of k8s-openapi
/// has the pod template too, which alone would be 270 KiB of the program.
pub(super) const WORKLOAD: Shape = Shape::Object(&[
    ("apiVersion", VALUE),
    ("kind", VALUE),
    (
        "metadata",
        Shape::Object(&[
            ("name", Shape::Lenient(256)),
            ("uid", Shape::Lenient(MAX_ID + 2)),
            ("resourceVersion", Shape::Lenient(MAX_ID + 2)),
            ("generation", WORD),
            (
                "labels",
                Shape::Object(&[
                    ("argocd.argoproj.io/instance", Shape::Present),
                    ("kustomize.toolkit.fluxcd.io/name", Shape::Present),
                    ("helm.toolkit.fluxcd.io/name", Shape::Present),
                    ("objectset.rio.cattle.io/hash", Shape::Present),
                ]),
            ),
            (
                "annotations",
                Shape::Object(&[
                    ("argocd.argoproj.io/tracking-id", Shape::Present),
                    ("meta.helm.sh/release-name", Shape::Present),
                    ("deployment.kubernetes.io/revision", Shape::Present),
                    (INITIAL_STATE_ENDS, Shape::Present),
                ]),
            ),
            ("ownerReferences", Shape::List(&OWNERS)),
        ]),
    ),
    (
        "spec",
        Shape::Object(&[
            ("replicas", VALUE),
            ("paused", WORD),
            ("strategy", Shape::Object(&[("type", WORD)])),
            (
                "updateStrategy",
                Shape::Object(&[
                    ("type", WORD),
                    ("rollingUpdate", Shape::Object(&[("partition", WORD)])),
                ]),
            ),
            ("podManagementPolicy", WORD),
            (
                "persistentVolumeClaimRetentionPolicy",
                Shape::Object(&[("whenScaled", WORD)]),
            ),
            ("volumeClaimTemplates", Shape::Present),
            (
                "template",
                Shape::Object(&[(
                    "spec",
                    Shape::Object(&[("terminationGracePeriodSeconds", WORD)]),
                )]),
            ),
        ]),
    ),
    (
        "status",
        Shape::Object(&[
            ("observedGeneration", WORD),
            ("replicas", WORD),
            ("updatedReplicas", WORD),
            ("readyReplicas", WORD),
            ("availableReplicas", WORD),
            ("terminatingReplicas", WORD),
            ("currentRevision", Shape::Lenient(320)),
            ("updateRevision", Shape::Lenient(320)),
            ("conditions", Shape::List(&CONDITIONS)),
        ]),
    ),
]);

/// Reads a workload of this kind, which is a Deployment or a StatefulSet; an error says
/// what is wrong with it.
pub(super) fn read(kind: &Kind, body: &[u8]) -> Result<Observation, String> {
    let value: Value = serde_json::from_slice(body).map_err(|fault| fault.to_string())?;
    observation(kind, Node::new(&value))
}

/// As [`read`], of an object that is a part of an answer.
pub(super) fn observation(kind: &Kind, object: Node<'_>) -> Result<Observation, String> {
    let is_stateful = *kind == Kind::StatefulSet;
    let name = match is_stateful {
        true => "StatefulSet",
        false => "Deployment",
    };
    if (object.at("apiVersion").raw(), object.at("kind").raw()) != ("apps/v1", name) {
        return Err(format!("no {name}"));
    }
    let (metadata, spec) = (object.at("metadata"), object.at("spec"));
    let status = object.at("status");
    let count = |name: &str| status.at(name).count().unwrap_or_default();
    let when_scaled = spec
        .at("persistentVolumeClaimRetentionPolicy")
        .at("whenScaled");
    let revisions = (
        status.at("currentRevision").raw(),
        status.at("updateRevision").raw(),
    );
    let grace_period = spec
        .at("template")
        .at("spec")
        .at("terminationGracePeriodSeconds")
        .count();
    let revision = metadata
        .at("annotations")
        .at("deployment.kubernetes.io/revision");
    Ok(Observation {
        name: metadata.at("name").raw().to_owned(),
        uid: metadata.at("uid").text(MAX_ID),
        generation: metadata.at("generation").number().unwrap_or_default(),
        observed_generation: status.at("observedGeneration").number().unwrap_or_default(),
        is_scale_only: false,
        is_paused: !is_stateful && spec.at("paused").is_true(),
        was_never_rolled_out: !is_stateful && !revision.is_present(),
        desired: replicas(object)?,
        replicas: count("replicas"),
        updated: count("updatedReplicas"),
        ready: count("readyReplicas"),
        available: count("availableReplicas"),
        terminating: status.at("terminatingReplicas").count(),
        strategy: strategy(spec, is_stateful),
        is_ordered: is_stateful && spec.at("podManagementPolicy").raw() != "Parallel",
        // Without a template it has no volumes of its own.
        deletes_volumes: is_stateful
            && when_scaled.raw() == "Delete"
            && spec.at("volumeClaimTemplates").is_present(),
        has_old_revision: is_stateful && revisions.0 != revisions.1,
        grace_period_secs: grace_period
            .and_then(|seconds| u32::try_from(seconds).ok())
            .unwrap_or(DEFAULT_GRACE_PERIOD),
        conditions: conditions(status),
        owner: owner(metadata),
    })
}

/// The conditions in a status.
pub(super) fn conditions(status: Node<'_>) -> Vec<Condition> {
    let conditions = status.at("conditions").items().map(|condition| Condition {
        kind: condition.at("type").text(MAX_WORD),
        status: match condition.at("status").raw() {
            "True" => ConditionStatus::True,
            "False" => ConditionStatus::False,
            _ => ConditionStatus::Unknown,
        },
        reason: condition.at("reason").text(MAX_WORD),
        message: condition.at("message").text(MAX_MESSAGE),
    });
    conditions.collect()
}

/// The API server fills in what a manifest leaves out: a rolling update.
fn strategy(spec: Node<'_>, is_stateful: bool) -> UpdateStrategy {
    let strategy = spec.at(match is_stateful {
        true => "updateStrategy",
        false => "strategy",
    });
    match strategy.at("type").raw() {
        "" | "RollingUpdate" => UpdateStrategy::Rolling {
            partition: strategy
                .at("rollingUpdate")
                .at("partition")
                .count()
                .unwrap_or_default(),
        },
        "OnDelete" => UpdateStrategy::OnDelete,
        _ => UpdateStrategy::Other,
    }
}

/// The controller first, since what it belongs to is no guess.
fn owner(metadata: Node<'_>) -> Option<Owner> {
    let controller = metadata
        .at("ownerReferences")
        .items()
        .find(|owner| owner.at("controller").is_true());
    if let Some(controller) = controller {
        return Some(Owner::Controller {
            kind: controller.at("kind").text(MAX_WORD),
        });
    }
    let (labels, annotations) = (metadata.at("labels"), metadata.at("annotations"));
    let by_label = LABELS.iter().find(|(name, _)| labels.at(name).is_present());
    let by_annotation = || {
        ANNOTATIONS
            .iter()
            .find(|(name, _)| annotations.at(name).is_present())
    };
    by_label
        .or_else(by_annotation)
        .map(|(_, owner)| owner.clone())
}
