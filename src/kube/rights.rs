//! The rights of this program in a namespace, by one call that everybody may make
//! (<https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/self-subject-rules-review-v1/>).

use http::Method;
use serde_json::{Value, json};

use super::api::Api;
use super::call::Call;
use super::error::Error;
use super::node::Node;
use super::operation::Operation;
use crate::control::{Kind, Namespace, Workload};
use crate::json::{Many, Shape};

/// Bytes kept of an answer.
const MAX_KEPT: usize = 64 * 1024;

const WORDS: Many = Many {
    what: "rule",
    item: Shape::Lenient(256),
    size: 256,
    count: 256,
};

const RULES: Many = Many {
    what: "rule",
    item: Shape::Object(&[
        ("verbs", Shape::List(&WORDS)),
        ("apiGroups", Shape::List(&WORDS)),
        ("resources", Shape::List(&WORDS)),
        ("resourceNames", Shape::List(&WORDS)),
    ]),
    size: 16 * 1024,
    count: 256,
};

const REVIEW: Shape = Shape::Object(&[
    ("kind", Shape::Lenient(64)),
    (
        "status",
        Shape::Object(&[
            ("resourceRules", Shape::List(&RULES)),
            ("incomplete", Shape::Lenient(8)),
        ]),
    ),
]);

/// The rules of a namespace that apply to this program.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    rules: Vec<Rule>,
    is_incomplete: bool,
}

/// The rights on one workload and what belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkloadRights {
    /// It may be read.
    pub get: bool,
    /// All of its kind in its namespace may be read.
    pub list: bool,
    /// Each change of it may be told.
    pub watch: bool,
    /// It may be scaled.
    pub scale: bool,
    /// Its pods may be replaced one after another.
    pub restart: bool,
    /// Its pods may be read; of a StatefulSet, at least the first.
    pub pods: bool,
    /// The events of its namespace may be read.
    pub events: bool,
    /// The API server does not know all the rules: what is false here may be granted all
    /// the same.
    pub is_incomplete: bool,
}

/// Each of the lists is an alternative; names that are empty are all names
/// (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources>).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    verbs: Vec<String>,
    groups: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
}

impl Api {
    /// Asks for the rules of a namespace that apply to this program.
    ///
    /// # Errors
    /// The API server did not say.
    pub async fn rights(&self, namespace: &Namespace) -> Result<Rights, Error> {
        let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews".to_owned();
        let review = json!({
            "kind": "SelfSubjectRulesReview",
            "apiVersion": "authorization.k8s.io/v1",
            "spec": {"namespace": namespace.as_str()},
        });
        let kind = &Kind::Deployment;
        let call = Call::get(Operation::Rules, kind, namespace, path, &REVIEW)
            .keeping(MAX_KEPT)
            .sending(Method::POST, "application/json", review.to_string());
        let answer = self.api_client.call(&call).await?;
        let review: Result<Value, _> = serde_json::from_slice(&answer.body);
        let review = self.understood(&call, &answer, review)?;
        let review = Node::new(&review);
        let rights = match review.at("kind").raw() {
            "SelfSubjectRulesReview" => Ok(Rights::read(review.at("status"))),
            _ => Err("no SelfSubjectRulesReview"),
        };
        let mut rights = self.understood(&call, &answer, rights)?;
        rights.is_incomplete |= !answer.skipped.is_empty();
        Ok(rights)
    }
}

impl Rights {
    fn read(status: Node<'_>) -> Self {
        let words = |words: Node<'_>| -> Vec<String> {
            words.items().map(|word| word.raw().to_owned()).collect()
        };
        let rules = status.at("resourceRules").items().map(|rule| Rule {
            verbs: words(rule.at("verbs")),
            groups: words(rule.at("apiGroups")),
            resources: words(rule.at("resources")),
            names: words(rule.at("resourceNames")),
        });
        Self {
            rules: rules.collect(),
            is_incomplete: status.at("incomplete").is_true(),
        }
    }

    /// The rights on a workload of the namespace.
    pub fn on(&self, target: &Workload) -> WorkloadRights {
        let Workload { kind, name, .. } = target;
        let may = |operation: Operation, group: &str, name: Option<&str>| {
            let resource = operation.resource(kind);
            self.rules
                .iter()
                .any(|rule| rule.allows(operation.verb(), group, &resource, name))
        };
        let (group, name) = (kind.group(), Some(name.as_str()));
        let first_pod = format!("{}-0", target.name);
        WorkloadRights {
            get: may(Operation::Observe, group, name),
            list: may(Operation::List, group, None),
            watch: may(Operation::Watch, group, name),
            scale: may(Operation::Change, group, name),
            restart: !matches!(kind, Kind::Other(_)) && may(Operation::Restart, group, name),
            pods: may(Operation::Pods, "", None)
                || (*kind == Kind::StatefulSet && may(Operation::Pod, "", Some(&first_pod))),
            events: may(Operation::Events, "", None),
            is_incomplete: self.is_incomplete,
        }
    }
}

impl Rule {
    /// `name` is None for what no rule with names allows.
    fn allows(&self, verb: &str, group: &str, resource: &str, name: Option<&str>) -> bool {
        let has =
            |words: &[String], wanted: &str| words.iter().any(|word| word == "*" || word == wanted);
        // `*/scale` is the Scale of everything.
        let below = resource.split_once('/').map(|(_, below)| below);
        let has_below = below.is_some_and(|below| {
            let pattern = format!("*/{below}");
            self.resources.contains(&pattern)
        });
        let has_name = self.names.is_empty()
            || name.is_some_and(|name| self.names.iter().any(|named| named == name));
        has(&self.verbs, verb)
            && has(&self.groups, group)
            && (has_below || has(&self.resources, resource))
            && has_name
    }
}
