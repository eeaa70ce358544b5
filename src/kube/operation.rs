//! The requests to the API server, and the rights that they take.

use crate::control::Kind;

/// A request to the API server, and so the right that it takes
/// (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Reads the one Deployment of the environment.
    Read,
    /// Changes its number of replicas.
    Scale,
    /// Reads the workload of a target.
    Observe,
    /// Changes its number of replicas.
    Change,
    /// Has the pods of a workload replaced.
    Restart,
    /// Reads all workloads of a kind in a namespace.
    List,
    /// Is told of each change of a workload.
    Watch,
    /// Reads the pods of a workload.
    Pods,
    /// Reads a pod of a StatefulSet by its name.
    Pod,
    /// Reads the events about a workload or one of its pods.
    Events,
    /// Writes an Event about a workload.
    Trace,
    /// Reads the autoscalers of a namespace.
    Autoscalers,
    /// Asks for this program's own rights.
    Rules,
}

impl Operation {
    /// The verb of the RBAC rule that allows it.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Read | Self::Observe | Self::Pod => "get",
            Self::Scale | Self::Change | Self::Restart => "patch",
            Self::List | Self::Pods | Self::Events | Self::Autoscalers => "list",
            Self::Watch => "watch",
            Self::Trace | Self::Rules => "create",
        }
    }

    /// The resource of the RBAC rule that allows it, for a workload of this kind.
    pub fn resource(self, kind: &Kind) -> String {
        let resource = kind.resource();
        match (self, kind) {
            // Of a kind that is not known the Scale is all that is understood.
            (Self::Observe, Kind::Other(_)) | (Self::Scale | Self::Change, _) => {
                format!("{resource}/scale")
            }
            (Self::Read | Self::Observe | Self::Restart | Self::List | Self::Watch, _) => {
                resource.to_owned()
            }
            (Self::Pods | Self::Pod, _) => "pods".to_owned(),
            (Self::Events | Self::Trace, _) => "events".to_owned(),
            (Self::Autoscalers, _) => "horizontalpodautoscalers".to_owned(),
            (Self::Rules, _) => "selfsubjectrulesreviews".to_owned(),
        }
    }

    /// True if it changes something, so that its outcome is unknown without an answer.
    pub(super) const fn is_write(self) -> bool {
        matches!(
            self,
            Self::Scale | Self::Change | Self::Restart | Self::Trace
        )
    }

    /// True if it is about the one Deployment that the environment names.
    pub(super) const fn is_of_environment(self) -> bool {
        matches!(self, Self::Read | Self::Scale)
    }

    /// The words for what is done to the workload, between "I may not" and its kind.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Read | Self::Observe => "read",
            Self::Scale | Self::Change => "scale",
            Self::Restart => "restart",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Pods | Self::Pod => "look at the pods of",
            Self::Events => "read the events about",
            Self::Trace => "write events about",
            Self::Autoscalers => "look for an autoscaler of",
            Self::Rules => "ask for my rights on",
        }
    }
}
