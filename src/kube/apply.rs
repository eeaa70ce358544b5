//! Server-side apply of a number of replicas: the API server compares who set it, and
//! refuses where it was somebody else
//! (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts>).

use percent_encoding::utf8_percent_encode;
use serde_json::{Value, json};

use super::api::Api;
use super::call::{Call, Patch};
use super::error::Error;
use super::operation::Operation;
use super::pods::QUERY;
use super::scale::{SCALE, ScaleAnswer};
use crate::control::Workload;

/// A number of replicas to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Apply<'a> {
    /// The number of replicas; always sent, also as 0: without it, the count of a sole
    /// owner would become 0.
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
    /// Others have set another number: the names of their field managers, at most 8, each
    /// at most 128 bytes. One that nobody is recorded for is `before-first-apply`.
    Owned(Vec<String>),
    /// There is a newer version.
    Stale,
}

impl Api {
    /// Applies a number of replicas to the Scale of a workload. A conflict is not tried
    /// again.
    ///
    /// # Errors
    /// The API server did not do it for another reason, or its answer does not say so.
    pub async fn apply_replicas(
        &self,
        target: &Workload,
        apply: &Apply<'_>,
    ) -> Result<Applied, Error> {
        let force = match apply.force {
            true => "&force=true",
            false => "",
        };
        let manager = utf8_percent_encode(apply.manager, QUERY);
        let below = format!("/scale?fieldManager={manager}{force}");
        let call = Call::of(Operation::Apply, target, &below, &SCALE)
            .patching(Patch::Apply(scale(target, apply)));
        match self.api_client.call(&call).await {
            Ok(answer) => {
                let scale = ScaleAnswer::read(&answer.body);
                self.understood(&call, &answer, scale).map(Applied::Done)
            }
            Err(failed) if failed.status != Some(409) => Err(failed.error),
            Err(failed) if !failed.owners.is_empty() => Ok(Applied::Owned(failed.owners)),
            Err(_) if !apply.resource_version.is_empty() => Ok(Applied::Stale),
            Err(failed) => Err(failed.error),
        }
    }

    /// Reads the Scale of a workload.
    ///
    /// # Errors
    /// There is none, or the API server did not show it.
    pub async fn read_scale(&self, target: &Workload) -> Result<ScaleAnswer, Error> {
        let call = Call::of(Operation::ReadScale, target, "/scale", &SCALE);
        let answer = self.api_client.call(&call).await?;
        self.understood(&call, &answer, ScaleAnswer::read(&answer.body))
    }
}

/// The Scale that is applied.
fn scale(target: &Workload, apply: &Apply<'_>) -> String {
    let mut scale = json!({
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": target.name.as_str(), "namespace": target.namespace.as_str()},
        "spec": {"replicas": apply.replicas},
    });
    if !apply.resource_version.is_empty()
        && let Some(metadata) = scale.get_mut("metadata").and_then(Value::as_object_mut)
    {
        let version = Value::from(apply.resource_version);
        metadata.insert("resourceVersion".to_owned(), version);
    }
    scale.to_string()
}
