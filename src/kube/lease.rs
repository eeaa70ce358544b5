//! Leases: what replicas of the gateway agree on
//! (<https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/>).

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::api::Api;
use super::error::Error;
use crate::control::{Namespace, ObjectName};

/// What the annotations of this program begin with.
pub const ANNOTATIONS: &str = "openclaw-k8s-toggle-operator/";

/// A Lease as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lease {
    /// Its name.
    pub name: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `spec.renewTime`, to the byte; empty if there is none. Never compared with a clock.
    pub renew_time: String,
    /// `spec.holderIdentity`; empty if there is none.
    pub holder: String,
    /// The annotations that begin with [`ANNOTATIONS`], without that beginning.
    pub annotations: BTreeMap<String, String>,
}

/// A change of a Lease: what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaseChange {
    /// The version that it is a change of: it fails if there is a newer one. Empty for any.
    pub resource_version: String,
    /// `spec.renewTime`.
    pub renew_time: Option<SystemTime>,
    /// `spec.holderIdentity`.
    pub holder: Option<String>,
    /// Annotations without their beginning; None takes one away.
    pub annotations: Vec<(&'static str, Option<String>)>,
}

/// The outcome of a change of a Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseWrite {
    /// It is so now.
    Done(Lease),
    /// Somebody else has changed it in between.
    Conflict,
}

impl Api {
    /// Reads a Lease.
    ///
    /// # Errors
    /// There is none, or the API server did not show it.
    pub async fn lease(&self, namespace: &Namespace, name: &ObjectName) -> Result<Lease, Error> {
        let _ = (namespace, name);
        todo!()
    }

    /// Changes a Lease by a merge patch. `renewTime` has six decimals.
    ///
    /// # Errors
    /// The API server did not do it.
    pub async fn change_lease(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
        change: &LeaseChange,
    ) -> Result<LeaseWrite, Error> {
        let _ = (namespace, name, change);
        todo!()
    }
}
