//! The object of the cluster that is scaled.

use std::fmt;

use super::{Namespace, ObjectName};

/// An object with a number of replicas. What it is made of is safe in a URL's path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workload {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: ObjectName,
}

/// The kinds of objects that can be scaled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/>
    Deployment,
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/>
    StatefulSet,
    /// Anything else with a `scale` subresource.
    Other(ResourceType),
}

/// A namespaced resource with a `scale` subresource, as it is named in the path of the API
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris>).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceType {
    /// Its API group, such as `argoproj.io`.
    pub group: ObjectName,
    /// Its version, such as `v1alpha1`.
    pub version: Namespace,
    /// Its plural, such as `rollouts`.
    pub plural: ObjectName,
}

impl Kind {
    /// The word for it in a sentence: `deployment`, or the plural of a resource.
    pub fn word(&self) -> &str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::Other(resource) => resource.plural.as_str(),
        }
    }

    /// Its resource as RBAC rules and paths name it.
    pub fn resource(&self) -> &str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::Other(resource) => resource.plural.as_str(),
        }
    }

    /// True if a count can be applied to its Scale, so that who has set it is on record. The
    /// API server (1.36) answers 500 to that for a custom resource, and so no gateway takes one.
    pub const fn takes_apply(&self) -> bool {
        !matches!(self, Self::Other(_))
    }

    /// Its API group.
    pub fn group(&self) -> &str {
        match self {
            Self::Deployment | Self::StatefulSet => "apps",
            Self::Other(resource) => resource.group.as_str(),
        }
    }

    /// The version of the API that it is asked for in.
    pub fn version(&self) -> &str {
        match self {
            Self::Deployment | Self::StatefulSet => "v1",
            Self::Other(resource) => resource.version.as_str(),
        }
    }
}

/// `namespace/name`, behind its kind unless it is a Deployment.
impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind != Kind::Deployment {
            write!(f, "{} ", self.kind.word())?;
        }
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
