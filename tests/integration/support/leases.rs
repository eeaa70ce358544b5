//! The Leases that the stand-in for an API server keeps, and those who watch them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::apiserver::{State, failure};
use super::monitor::Monitor;
use super::wire::{Request, Response};

/// The beginning of the annotations that are kept.
const ANNOTATIONS: &str = "openclaw-k8s-toggle-operator/";

/// How long a watch lasts: longer than a test.
const LASTS: Duration = Duration::from_secs(240);

/// A Lease.
#[derive(Clone, Default)]
pub struct Lease {
    pub namespace: String,
    pub name: String,
    pub renewed: Option<String>,
    /// Annotations without their beginning.
    pub annotations: BTreeMap<String, String>,
    version: u64,
}

/// All Leases.
#[derive(Default)]
pub struct Leases {
    leases: Vec<Lease>,
    /// Each Lease after each change, the oldest first: a watch tells of all of them, however
    /// fast one follows the other.
    changes: Vec<Lease>,
    /// The version of the newest change.
    version: u64,
}

impl Lease {
    /// An annotation; empty if there is none.
    pub fn of(&self, annotation: &str) -> &str {
        self.annotations.get(annotation).map_or("", String::as_str)
    }

    fn shown(&self) -> Value {
        let annotations: BTreeMap<String, &String> = self
            .annotations
            .iter()
            .map(|(name, value)| (format!("{ANNOTATIONS}{name}"), value))
            .collect();
        json!({
            "kind": "Lease", "apiVersion": "coordination.k8s.io/v1",
            "metadata": {
                "name": self.name, "namespace": self.namespace,
                "resourceVersion": self.version.to_string(), "annotations": annotations,
            },
            "spec": {"renewTime": self.renewed},
        })
    }
}

impl Leases {
    /// Adds a Lease without annotations.
    pub fn add(&mut self, namespace: &str, name: &str) {
        self.version += 1;
        let lease = Lease {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            version: self.version,
            ..Lease::default()
        };
        self.changes.push(lease.clone());
        self.leases.push(lease);
    }

    /// Looks at a Lease.
    pub fn get(&self, name: &str) -> &Lease {
        let found = self.leases.iter().find(|lease| lease.name == name);
        found.expect("there is such a Lease")
    }

    /// Sets annotations, as the gateway does; an empty value takes one away.
    pub fn set(&mut self, name: &str, renewed: &str, annotations: &[(&str, &str)]) {
        self.version += 1;
        let lease = self.leases.iter_mut().find(|lease| lease.name == name);
        let lease = lease.expect("there is such a Lease");
        lease.version = self.version;
        lease.renewed = Some(renewed.to_owned());
        for (name, value) in annotations {
            match value.is_empty() {
                true => lease.annotations.remove(*name),
                false => lease
                    .annotations
                    .insert((*name).to_owned(), (*value).to_owned()),
            };
        }
        self.changes.push(lease.clone());
    }

    /// Answers a request about them.
    pub fn handle(
        &mut self,
        request: &Request,
        verb: &str,
        namespace: &str,
        name: Option<&str>,
    ) -> Response {
        let Some(name) = name else {
            // Of a watch this is the head.
            return Response::json(200, &self.list(namespace));
        };
        let found = self
            .leases
            .iter_mut()
            .find(|lease| lease.namespace == namespace && lease.name == name);
        let Some(lease) = found else {
            let words = format!("leases.coordination.k8s.io {name:?} not found");
            let mut body = failure(404, "NotFound", &words);
            body["details"] = json!({"name": name, "kind": "leases"});
            return Response::json(404, &body);
        };
        if verb == "patch" {
            self.version += 1;
            lease.version = self.version;
            let patch = request.json();
            if let Some(renewed) = patch["spec"]["renewTime"].as_str() {
                // Six decimals, or the API server refuses.
                assert_eq!(renewed.len(), "2026-11-29T09:00:00.000000Z".len());
                lease.renewed = Some(renewed.to_owned());
            }
            let changes = patch["metadata"]["annotations"].as_object();
            for (name, value) in changes.into_iter().flatten() {
                let name = name.strip_prefix(ANNOTATIONS).expect("one of ours");
                match value.as_str() {
                    None => lease.annotations.remove(name),
                    Some(value) => lease.annotations.insert(name.to_owned(), value.to_owned()),
                };
            }
            self.changes.push(lease.clone());
        }
        Response::json(200, &lease.shown())
    }

    fn list(&self, namespace: &str) -> Value {
        let there = self.leases.iter();
        let there = there.filter(|lease| lease.namespace == namespace);
        let items: Vec<Value> = there.map(Lease::shown).collect();
        json!({
            "kind": "LeaseList", "apiVersion": "coordination.k8s.io/v1",
            "metadata": {"resourceVersion": self.version.to_string()}, "items": items,
        })
    }
}

/// A watch of all Leases, from a version on.
pub struct LeaseWatcher {
    shared: Arc<Monitor<State>>,
    version: u64,
}

impl LeaseWatcher {
    pub fn new(shared: &Arc<Monitor<State>>, request: &Request) -> Self {
        let version = request.query("resourceVersion").unwrap_or_default();
        Self {
            shared: Arc::clone(shared),
            version: version.parse().expect("the version of a list"),
        }
    }

    /// What comes next; None at the end of the body.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        let shared = Arc::clone(&self.shared);
        shared
            .wait_within(LASTS, |state| self.look(state))?
            .map(String::into_bytes)
    }

    /// None while there is nothing to tell; Some(None) at the end.
    fn look(&mut self, state: &mut State) -> Option<Option<String>> {
        if state.faults.is_closed() {
            return Some(None);
        }
        let mut changes = state.objects.leases.changes.iter();
        let next = changes.find(|lease| lease.version > self.version)?;
        self.version = next.version;
        let event = json!({"type": "MODIFIED", "object": next.shown()});
        Some(Some(format!("{event}\n")))
    }
}
