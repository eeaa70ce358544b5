//! Asking the API server for one of this program's own rights
//! (<https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/self-subject-access-review-v1/>).

use http::Method;
use serde_json::{Value, json};

use super::about::Object;
use super::api::Api;
use super::call::Call;
use super::error::Error;
use super::node::Node;
use super::operation::Act;
use crate::control::Namespace;
use crate::json::Shape;

const ACT: Act = Act {
    verb: "create",
    resource: "selfsubjectaccessreviews",
    word: "ask for",
    noun: "my own rights",
    cure: "check that this is a Kubernetes API server",
    is_write: false,
};

const PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

const REVIEW: Shape = Shape::Object(&[
    ("kind", Shape::Lenient(64)),
    ("status", Shape::Object(&[("allowed", Shape::Lenient(8))])),
]);

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
    /// Asks whether this program has a right. Everybody may ask.
    ///
    /// # Errors
    /// The API server did not say.
    pub async fn may(&self, right: &Right<'_>) -> Result<bool, Error> {
        let namespace = right.namespace.map(Namespace::as_str);
        // What is empty means all.
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "verb": right.verb,
                "group": right.group,
                "resource": right.resource,
                "subresource": right.subresource,
                "namespace": namespace.unwrap_or_default(),
                "name": right.name,
            }},
        });
        let call = Call::other(&ACT, Object::default(), PATH.to_owned(), &REVIEW).sending(
            Method::POST,
            "application/json",
            review.to_string(),
        );
        let answer = self.api_client.call(&call).await?;
        let review: Result<Value, _> = serde_json::from_slice(&answer.body);
        let review = self.understood(&call, &answer, review)?;
        let review = Node::new(&review);
        let allowed = match review.at("kind").raw() {
            "SelfSubjectAccessReview" => Ok(review.at("status").at("allowed").is_true()),
            _ => Err("no SelfSubjectAccessReview"),
        };
        self.understood(&call, &answer, allowed)
    }
}
