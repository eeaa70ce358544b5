//! The credentials for the API server.

use std::time::Instant;

use super::access::Access;
use super::service_account::ServiceAccount;

/// The API server and the identity of this program to it. A kubeconfig would be another
/// variant.
#[derive(Debug)]
pub enum Credentials {
    /// A pod's own service account.
    InCluster(ServiceAccount),
}

impl Credentials {
    /// The means of the next attempt; reads files again if it is time.
    pub(super) fn access(&mut self, now: Instant) -> Access {
        match self {
            Self::InCluster(account) => account.access(now),
        }
    }

    /// Reads all files again, after the current credentials did not work.
    pub(super) fn renew(&mut self, now: Instant) {
        match self {
            Self::InCluster(account) => account.renew(now),
        }
    }
}
