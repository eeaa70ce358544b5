//! The requests to the API server, and the rights that they take.

use crate::control::Kind;

/// A request about something else than a workload, and so the right that it takes. Each is
/// a constant of the file that makes the request.
#[derive(Debug, PartialEq, Eq)]
pub struct Act {
    /// The verb of the RBAC rule that allows it.
    pub(super) verb: &'static str,
    /// The resource of that rule.
    pub(super) resource: &'static str,
    /// The words for it, between "I may not" and the noun.
    pub(super) word: &'static str,
    /// The noun for the object, or for all of them.
    pub(super) noun: &'static str,
    /// The cure where there is no such object.
    pub(super) cure: &'static str,
    /// True if it changes something.
    pub(super) is_write: bool,
}

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
    /// Applies its number of replicas, and so becomes an owner of it.
    Apply,
    /// Reads its Scale.
    ReadScale,
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
    /// Does something with an object that is no workload.
    Other(&'static Act),
}

impl Operation {
    /// The verb of the RBAC rule that allows it.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Read | Self::Observe | Self::ReadScale | Self::Pod => "get",
            Self::Scale | Self::Change | Self::Apply | Self::Restart => "patch",
            Self::List | Self::Pods | Self::Events | Self::Autoscalers => "list",
            Self::Watch => "watch",
            Self::Trace | Self::Rules => "create",
            Self::Other(act) => act.verb,
        }
    }

    /// The resource of the RBAC rule that allows it, for a workload of this kind; None where
    /// it would have to have one and has not.
    pub(super) fn resource_of(self, kind: Option<&Kind>) -> Option<String> {
        let own = match self {
            Self::Pods | Self::Pod => "pods",
            Self::Events | Self::Trace => "events",
            Self::Autoscalers => "horizontalpodautoscalers",
            Self::Rules => "selfsubjectrulesreviews",
            Self::Other(act) => act.resource,
            _ => return kind.map(|kind| self.resource(kind)),
        };
        Some(own.to_owned())
    }

    /// The resource of the RBAC rule that allows it, for a workload of this kind.
    pub fn resource(self, kind: &Kind) -> String {
        let resource = kind.resource();
        match (self, kind) {
            // Of a kind that is not known the Scale is all that is understood.
            (Self::Observe, Kind::Other(_))
            | (Self::Scale | Self::Change | Self::Apply | Self::ReadScale, _) => {
                format!("{resource}/scale")
            }
            (Self::Read | Self::Observe | Self::Restart | Self::List | Self::Watch, _) => {
                resource.to_owned()
            }
            _ => self.resource_of(None).unwrap_or_default(),
        }
    }

    /// True if it changes something, so that its outcome is unknown without an answer.
    pub(super) const fn is_write(self) -> bool {
        match self {
            Self::Scale | Self::Change | Self::Apply | Self::Restart | Self::Trace => true,
            Self::Other(act) => act.is_write,
            _ => false,
        }
    }

    /// True if a conflict is an answer, and no reason to try again.
    pub(super) const fn is_compared(self) -> bool {
        match self {
            // An Event of that name was written before.
            Self::Trace | Self::Apply => true,
            Self::Other(act) => act.is_write,
            _ => false,
        }
    }

    /// True if it is about the one Deployment that the environment names.
    pub(super) const fn is_of_environment(self) -> bool {
        matches!(self, Self::Read | Self::Scale)
    }

    /// The words for what is done to the workload, between "I may not" and its kind.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Read | Self::Observe => "read",
            Self::Scale | Self::Change | Self::Apply => "scale",
            Self::ReadScale => "read the scale of",
            Self::Restart => "restart",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Pods | Self::Pod => "look at the pods of",
            Self::Events => "read the events about",
            Self::Trace => "write events about",
            Self::Autoscalers => "look for an autoscaler of",
            Self::Rules => "ask for my rights on",
            Self::Other(act) => act.word,
        }
    }
}
