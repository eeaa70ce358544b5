//! How the API server is reached and who we are to it.

use std::time::Instant;

use super::service_account::ServiceAccount;
use crate::net::Client;
use crate::util::Secret;

/// Where the API server is and who we are. A kubeconfig would be another
/// variant.
#[derive(Debug)]
pub enum Credentials {
    /// A pod's own service account.
    InCluster(ServiceAccount),
}

/// What one attempt of a request needs.
pub(super) struct Access {
    /// Believes the cluster's CA and nobody else.
    pub(super) client: Client,
    /// `https://host:port`, without a slash at the end.
    pub(super) base: String,
    pub(super) token: Secret,
}

impl Credentials {
    /// What to use now; takes up files that have changed, if it is time.
    pub(super) fn access(&mut self, now: Instant) -> Access {
        match self {
            Self::InCluster(account) => account.access(now),
        }
    }

    /// Looks at once for newer ones, after the current ones did not work.
    pub(super) fn renew(&mut self, now: Instant) {
        match self {
            Self::InCluster(account) => account.renew(now),
        }
    }
}
