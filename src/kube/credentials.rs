//! The credentials for the API server.

use std::time::Instant;

use super::access::{Access, Identity};
use super::kubeconfig::KubeconfigAccess;
use super::service_account::ServiceAccount;

/// The API server and the identity of this program to it.
#[derive(Debug)]
pub enum Credentials {
    /// A pod's own service account.
    InCluster(ServiceAccount),
    /// Those of a kubeconfig.
    Kubeconfig(KubeconfigAccess),
}

impl Credentials {
    /// The means of the next attempt; reads files again if it is time.
    pub(super) fn access(&mut self, now: Instant) -> Access {
        match self {
            Self::InCluster(account) => account.access(now),
            Self::Kubeconfig(access) => access.access(now),
        }
    }

    /// Reads all files again, after the current credentials did not work.
    pub(super) fn renew(&mut self, now: Instant) {
        match self {
            Self::InCluster(account) => account.renew(now),
            Self::Kubeconfig(access) => access.renew(now),
        }
    }

    /// The proof of who asks.
    pub(super) fn identity(&self) -> Identity {
        match self {
            Self::InCluster(_) => Identity::ServiceAccount,
            Self::Kubeconfig(access) => access.identity(),
        }
    }
}
