//! The means of one attempt of a request.

use crate::net::Client;
use crate::util::Secret;

/// The API server and the identity that one attempt of a request uses.
pub(super) struct Access {
    /// Believes the cluster's CA and nobody else.
    pub(super) client: Client,
    /// `https://host:port`, without a slash at the end.
    pub(super) base: String,
    pub(super) token: Secret,
}
