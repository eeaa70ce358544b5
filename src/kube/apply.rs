//! Server-side apply of a number of replicas: the API server compares who set it, and
//! refuses where it was somebody else
//! (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts>).

use super::api::Api;
use super::error::Error;
use super::scale::ScaleAnswer;
use crate::control::Workload;

/// A number of replicas to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Apply<'a> {
    /// The number of replicas; always sent, also as 0.
    pub replicas: i32,
    /// The field manager.
    pub manager: &'a str,
    /// True if what others have set is overridden.
    pub force: bool,
    /// The version of the Scale that it is a change of: it fails if there is a newer one.
    /// Empty for any.
    pub resource_version: &'a str,
}

/// The outcome of an [`Apply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It has this number of replicas now.
    Done(ScaleAnswer),
    /// Others have set another number: the names of their field managers, at most a few.
    Owned(Vec<String>),
    /// There is a newer version.
    Stale,
}

impl Api {
    /// Applies a number of replicas to the Scale of a workload.
    ///
    /// # Errors
    /// The API server did not do it for another reason, or its answer does not say so.
    pub async fn apply_replicas(
        &self,
        target: &Workload,
        apply: &Apply<'_>,
    ) -> Result<Applied, Error> {
        let _ = (target, apply);
        todo!()
    }

    /// Reads the Scale of a workload.
    ///
    /// # Errors
    /// There is none, or the API server did not show it.
    pub async fn read_scale(&self, target: &Workload) -> Result<ScaleAnswer, Error> {
        let _ = target;
        todo!()
    }
}
