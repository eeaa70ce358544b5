//! The autoscaler of a workload, as far as it tells who has set its number of replicas
//! (<https://kubernetes.io/docs/reference/kubernetes-api/autoscaling-resources/horizontal-pod-autoscaler-v2/>).

use std::time::Instant;

use serde_json::Value;

use super::api::Api;
use super::call::Call;
use super::error::Error;
use super::node::Node;
use super::object::{OWNERS, WORD};
use super::operation::Operation;
use crate::control::{Kind, Workload};
use crate::json::{Many, Shape};

/// The most autoscalers of a namespace that are looked at.
const MAX_AUTOSCALERS: usize = 100;

/// Bytes kept of a list of them.
const MAX_KEPT: usize = 64 * 1024;

const AUTOSCALERS: Many = Many {
    what: "autoscaler",
    item: Shape::Object(&[
        (
            "metadata",
            Shape::Object(&[("ownerReferences", Shape::List(&OWNERS))]),
        ),
        (
            "spec",
            Shape::Object(&[
                (
                    "scaleTargetRef",
                    Shape::Object(&[("kind", WORD), ("name", Shape::Lenient(256))]),
                ),
                ("minReplicas", WORD),
                ("maxReplicas", WORD),
            ]),
        ),
    ]),
    size: 2048,
    count: MAX_AUTOSCALERS,
};

const AUTOSCALER_LIST: Shape = Shape::Object(&[("items", Shape::List(&AUTOSCALERS))]);

impl Api {
    /// Returns true if a workload has an autoscaler that may have set its number of replicas
    /// from `from` to `to`. Where that cannot be seen, it returns false; where it may not,
    /// it does not look again for a while.
    pub async fn is_autoscaled(&self, target: &Workload, from: i32, to: i32) -> bool {
        let (kind, namespace) = (&target.kind, &target.namespace);
        let path = format!(
            "/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers?limit={MAX_AUTOSCALERS}"
        );
        let call = Call::get(
            Operation::Autoscalers,
            kind,
            namespace,
            path,
            &AUTOSCALER_LIST,
        )
        .keeping(MAX_KEPT);
        if self.refusals.has(&call, Instant::now()) {
            return false;
        }
        match self.api_client.call(&call).await.map_err(Error::from) {
            Ok(answer) => {
                let list: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                let mut all = Node::new(&list).at("items").items();
                all.any(|one| scales(one, target) && may_set(one, from, to))
            }
            Err(fault) => {
                if matches!(fault, Error::Forbidden { .. }) {
                    self.refusals.note(&call, Instant::now());
                }
                log::debug!("{target}: {}", fault.detail());
                false
            }
        }
    }
}

/// True for an autoscaler of this workload.
fn scales(autoscaler: Node<'_>, target: &Workload) -> bool {
    let of = autoscaler.at("spec").at("scaleTargetRef");
    let kind = of.at("kind").raw().to_ascii_lowercase();
    let is_kind = match &target.kind {
        // The plural of a kind is mostly that with a letter or two.
        Kind::Other(resource) => !kind.is_empty() && resource.plural.as_str().starts_with(&kind),
        known => known.word() == kind,
    };
    is_kind && of.at("name").raw() == target.name.as_str()
}

/// An autoscaler is off while there are no replicas, and keeps to its bounds. KEDA, which
/// makes one for each of its own, starts from none and goes to none.
fn may_set(autoscaler: Node<'_>, from: i32, to: i32) -> bool {
    let spec = autoscaler.at("spec");
    let bound = |name: &str| spec.at(name).count().unwrap_or(1);
    let mut owners = autoscaler.at("metadata").at("ownerReferences").items();
    owners.any(|owner| owner.at("kind").raw() == "ScaledObject")
        || from > 0 && (bound("minReplicas")..=bound("maxReplicas")).contains(&to)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::control::{Namespace, ObjectName, ResourceType};

    fn autoscaler(kind: &str, name: &str, owner: &str) -> Value {
        json!({
            "metadata": {"ownerReferences": [{"kind": owner}]},
            "spec": {
                "scaleTargetRef": {"kind": kind, "name": name},
                "minReplicas": 2, "maxReplicas": 5,
            },
        })
    }

    #[test]
    fn an_autoscaler_is_of_one_object() {
        let name = |name: &str| ObjectName::parse(name).unwrap();
        let namespace = |name: &str| Namespace::parse(name).unwrap();
        let rollouts = Kind::Other(ResourceType {
            group: name("argoproj.io"),
            version: namespace("v1alpha1"),
            plural: name("rollouts"),
        });
        for (kind, of, is_of) in [
            (Kind::Deployment, ("Deployment", "web"), true),
            (Kind::Deployment, ("StatefulSet", "web"), false),
            (Kind::Deployment, ("Deployment", "web-2"), false),
            (Kind::StatefulSet, ("StatefulSet", "web"), true),
            (rollouts.clone(), ("Rollout", "web"), true),
            (rollouts.clone(), ("Deployment", "web"), false),
            (rollouts, ("", "web"), false),
        ] {
            let target = Workload {
                kind,
                namespace: namespace("claw"),
                name: name("web"),
            };
            let one = autoscaler(of.0, of.1, "");
            assert_eq!(scales(Node::new(&one), &target), is_of, "{of:?} {target}");
        }
    }

    #[test]
    fn an_autoscaler_keeps_to_its_bounds_and_is_off_at_none() {
        for (owner, from, to, may) in [
            ("", 1, 2, true),
            ("", 9, 5, true),
            ("", 3, 1, false),
            ("", 3, 6, false),
            ("", 3, 0, false),
            ("", 0, 2, false),
            ("ScaledObject", 0, 1, true),
            ("ScaledObject", 1, 0, true),
        ] {
            let one = autoscaler("Deployment", "web", owner);
            let said = may_set(Node::new(&one), from, to);
            assert_eq!(said, may, "{owner} {from} {to}");
        }
        let least = json!({"spec": {"maxReplicas": 3}});
        assert!(may_set(Node::new(&least), 2, 1));
        assert!(!may_set(Node::new(&json!({"spec": 5})), 1, 2));
    }
}
