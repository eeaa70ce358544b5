//! The thing that a call is about.

use crate::control::{Kind, Namespace, ObjectName};

/// The thing that a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    /// A workload of this kind in this namespace, or what belongs to it.
    Workload(Kind, Namespace),
    /// Something else.
    Other(Object),
}

/// An object that is no workload, or all objects of its kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Object {
    /// Its namespace; None where it is of the whole cluster.
    pub(super) namespace: Option<Namespace>,
    /// Its name; None for all of them.
    pub(super) name: Option<ObjectName>,
}

impl About {
    /// The namespace, if it is in one.
    pub(super) const fn namespace(&self) -> Option<&Namespace> {
        match self {
            Self::Workload(_, namespace) => Some(namespace),
            Self::Other(object) => object.namespace.as_ref(),
        }
    }

    /// The object, if it is no workload: an error has it, since who hears of the error knows
    /// the workload alone.
    pub(super) fn object(&self) -> Option<Box<Object>> {
        match self {
            Self::Workload(..) => None,
            Self::Other(object) => Some(Box::new(object.clone())),
        }
    }
}

impl Object {
    /// One object of a namespace.
    pub(super) fn named(namespace: &Namespace, name: &ObjectName) -> Self {
        Self {
            namespace: Some(namespace.clone()),
            name: Some(name.clone()),
        }
    }

    /// All objects of a namespace.
    pub(super) fn all(namespace: &Namespace) -> Self {
        Self {
            namespace: Some(namespace.clone()),
            name: None,
        }
    }
}
