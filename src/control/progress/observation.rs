//! The view that the API server gives of a workload and of its pods, as far as it is judged.

/// A workload at one moment. Of a kind that is not known, only what its Scale has is
/// there: `is_scale_only`. No count is negative.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observation {
    /// The object's name.
    pub name: String,
    /// The object's uid.
    pub uid: String,
    /// The version of its specification.
    pub generation: i64,
    /// The version that its controller has seen.
    pub observed_generation: i64,
    /// True if only the Scale could be read: of all counts, only `desired` and
    /// `replicas` mean something.
    pub is_scale_only: bool,
    /// True if its rollout is paused (Deployment).
    pub is_paused: bool,
    /// True if none of its versions was ever rolled out: a Deployment without the
    /// annotation `deployment.kubernetes.io/revision`, as one that was created paused.
    pub was_never_rolled_out: bool,
    /// `spec.replicas`.
    pub desired: i32,
    /// `status.replicas`.
    pub replicas: i32,
    /// `status.updatedReplicas`.
    pub updated: i32,
    /// `status.readyReplicas`.
    pub ready: i32,
    /// `status.availableReplicas`.
    pub available: i32,
    /// `status.terminatingReplicas`, where the API server tells it (Deployment, since 1.35).
    pub terminating: Option<i32>,
    /// The way in which its pods are replaced.
    pub strategy: UpdateStrategy,
    /// True if its pods start one after the other (StatefulSet, `OrderedReady`).
    pub is_ordered: bool,
    /// True if scaling it down deletes its volumes (StatefulSet,
    /// `persistentVolumeClaimRetentionPolicy.whenScaled: Delete`).
    pub deletes_volumes: bool,
    /// True if its pods have another template than it has by now
    /// (`currentRevision` and `updateRevision` differ, StatefulSet).
    pub has_old_revision: bool,
    /// The time that a pod has to end, in seconds.
    pub grace_period_secs: u32,
    /// Its conditions, at most 16.
    pub conditions: Vec<Condition>,
    /// The owner that may put its count back.
    pub owner: Option<Owner>,
}

/// The way in which pods are replaced when the template changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UpdateStrategy {
    /// One after the other; of a StatefulSet, those from this ordinal on.
    Rolling {
        /// `rollingUpdate.partition`; 0 for a Deployment.
        partition: i32,
    },
    /// Only as a person deletes them (StatefulSet).
    OnDelete,
    /// All at once (Deployment, `Recreate`), or the kind is not known.
    #[default]
    Other,
}

/// A condition of a workload or of a pod. Texts are bounded (64 bytes, the message 512)
/// and hold no control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its `type`.
    pub kind: String,
    /// Its status.
    pub status: ConditionStatus,
    /// Its `reason`; may be empty.
    pub reason: String,
    /// Its `message`; may be empty. For the log only.
    pub message: String,
}

/// The status of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionStatus {
    /// `True`.
    True,
    /// `False`.
    False,
    /// `Unknown`, or anything else.
    Unknown,
}

/// The controller or tool that a workload belongs to, and that may put its count back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// An object of this kind (`ownerReferences` with `controller: true`).
    Controller {
        /// Its kind, at most 64 bytes.
        kind: String,
    },
    /// Argo CD.
    ArgoCd,
    /// Flux.
    Flux,
    /// Helm.
    Helm,
    /// K3s's deploy controller.
    K3s,
    /// Its HorizontalPodAutoscaler, which keeps to bounds of its own.
    Autoscaler,
}

/// A pod of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its owners, at most 4.
    pub owners: Vec<PodOwner>,
    /// Its label `pod-template-hash`, or `rollouts-pod-template-hash`; may be empty.
    pub template_hash: String,
    /// Its creation time, in milliseconds since the Unix epoch.
    pub created_at: u64,
    /// True if it is being deleted.
    pub is_terminating: bool,
    /// `status.phase`.
    pub phase: String,
    /// `status.reason`, such as `Evicted`; may be empty.
    pub reason: String,
    /// Its conditions, at most 16.
    pub conditions: Vec<Condition>,
    /// Its init containers.
    pub init_containers: Vec<ContainerView>,
    /// Its containers.
    pub containers: Vec<ContainerView>,
}

/// An owner of a pod (`metadata.ownerReferences`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodOwner {
    /// Its kind, such as `ReplicaSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// An Event of type `Warning` about a workload or one of its pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventView {
    /// Its reason, such as `FailedMount`.
    pub reason: String,
    /// The server's words, at most 512 bytes; for a judgement and the log only.
    pub message: String,
    /// The number of times that it happened, at least 1.
    pub count: i32,
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerView {
    /// Its image, as the pod names it.
    pub image: String,
    /// True if it is ready; of an init container, if it has ended well.
    pub is_ready: bool,
    /// The number of times that it was started again.
    pub restarts: i32,
    /// Its state.
    pub state: ContainerState,
    /// Its last end, if there was one.
    pub last: Option<Termination>,
}

/// The state of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// It waits, for this reason.
    Waiting {
        /// Such as `ImagePullBackOff`; may be empty.
        reason: String,
        /// For the log only; at most 512 bytes.
        message: String,
    },
    /// It runs.
    Running,
    /// It has ended.
    Terminated(Termination),
}

/// The end of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    /// Such as `OOMKilled`; may be empty.
    pub reason: String,
    /// Its exit code.
    pub exit_code: i32,
}
