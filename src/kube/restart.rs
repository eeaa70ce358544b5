//! Replacing the pods of a workload one after another, as `kubectl rollout restart` does: by
//! an annotation of their template
//! (<https://kubernetes.io/docs/reference/labels-annotations-taints/#kubectl-k8s-io-restart-at>).

use serde_json::Value;

use super::api::Api;
use super::call::{Call, DryRun, FIELD_MANAGER, Patch};
use super::error::Error;
use super::object::{self, MAX_KEPT, WORKLOAD};
use super::operation::Operation;
use crate::control::Workload;
use crate::control::progress::Observation;

impl Api {
    /// Has the pods of a Deployment or StatefulSet replaced if it still is the object with
    /// this uid. `at` is what the annotation says then: the same once more changes nothing.
    /// Returns the workload and the label selector of its pods, which is empty if it could
    /// not be read.
    ///
    /// # Errors
    /// The API server did not do it, or its answer does not say so.
    pub async fn roll(
        &self,
        target: &Workload,
        uid: &str,
        at: &str,
    ) -> Result<(Observation, String), Error> {
        // The API server refuses to change a uid, and so all of it.
        let patch = format!(
            r#"{{"metadata":{{"uid":{}}},"spec":{{"template":{{"metadata":{{"annotations":{{"kubectl.kubernetes.io/restartedAt":{}}}}}}}}}}}"#,
            Value::from(uid),
            Value::from(at)
        );
        let below = format!("?fieldManager={FIELD_MANAGER}");
        let call = Call::of(Operation::Restart, target, &below, &WORKLOAD)
            .keeping(MAX_KEPT)
            .patching(Patch::Merge(patch));
        let answer = self.api_client.call(&call).await?;
        let seen = object::read(&target.kind, &answer.body);
        let seen = self.understood(&call, &answer, seen)?;
        let empty = Patch::Merge("{}".to_owned());
        let scale = self.change(target, empty, DryRun::Yes).await;
        let selector = scale.map(|scale| scale.selector).unwrap_or_default();
        Ok((seen, selector))
    }
}
