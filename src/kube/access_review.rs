//! Asking the API server for one of this program's own rights
//! (<https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/self-subject-access-review-v1/>).

use super::api::Api;
use super::error::Error;
use crate::control::Namespace;

/// A right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right<'a> {
    /// `get`, `patch` and so on.
    pub verb: &'a str,
    /// The API group; empty for the core group.
    pub group: &'a str,
    /// The resource.
    pub resource: &'a str,
    /// The subresource; empty for none.
    pub subresource: &'a str,
    /// The namespace; None for the whole cluster.
    pub namespace: Option<&'a Namespace>,
    /// The name of the object; empty for all.
    pub name: &'a str,
}

impl Api {
    /// Asks whether this program has a right.
    ///
    /// # Errors
    /// The API server did not say.
    pub async fn may(&self, right: &Right<'_>) -> Result<bool, Error> {
        let _ = right;
        todo!()
    }
}
