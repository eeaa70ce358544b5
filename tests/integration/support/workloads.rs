//! What the stand-in for an API server knows: workloads of any kind with their Scales,
//! pods, Events, and what the bot may do with them.

use serde_json::{Value, json};

use super::apiserver::failure;
use super::leases::Leases;
use super::watches::is_watch;
use super::wire::{Request, Response};

/// The annotation of a template by which its pods are replaced.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// A workload. Its path is `/apis/RESOURCE/namespaces/…` with the group and the version
/// in front of the plural.
pub struct Workload {
    /// Such as `apps/v1/statefulsets`.
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub replicas: i64,
    pub ready: i64,
    pub available: i64,
    /// True if the pods that a change asks for are ready at once.
    pub is_prompt: bool,
    /// The values that the annotation of a restart has had, in order.
    pub restarts: Vec<String>,
    /// The pods of the newest template; None for all.
    pub updated: Option<i64>,
    /// Who has set the number of replicas, by the names of field managers.
    pub owners: Vec<String>,
    /// Laid over what a GET shows, as a merge patch would.
    pub overlay: Value,
    version: i64,
}

impl Workload {
    /// One with no replicas, whose pods become ready when a test says so.
    pub fn new(resource: &str, namespace: &str, name: &str) -> Self {
        Self {
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: format!("uid-of-{namespace}-{name}"),
            replicas: 0,
            ready: 0,
            available: 0,
            is_prompt: false,
            restarts: Vec::new(),
            updated: None,
            owners: Vec::new(),
            overlay: json!({}),
            version: 0,
        }
    }

    fn kind(&self) -> &str {
        match self.resource.as_str() {
            "apps/v1/deployments" => "Deployment",
            "apps/v1/statefulsets" => "StatefulSet",
            _ => "Custom",
        }
    }

    pub(super) fn scale_to(&mut self, wanted: i64) {
        if wanted != self.replicas {
            self.version += 1;
        }
        self.replicas = wanted;
        if wanted < self.ready || self.is_prompt {
            self.ready = wanted;
            self.available = wanted;
        }
    }

    fn metadata(&self) -> Value {
        json!({
            "name": self.name, "namespace": self.namespace, "uid": self.uid,
            "generation": self.version, "resourceVersion": self.version.to_string(),
        })
    }

    pub fn shown(&self) -> Value {
        let (group_version, _) = self.resource.rsplit_once('/').expect("a path");
        let mut shown = json!({
            "kind": self.kind(), "apiVersion": group_version, "metadata": self.metadata(),
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": {"app": self.name}},
                "template": {"metadata": {"labels": {"app": self.name}}, "spec": {"containers": []}},
            },
            "status": {
                "observedGeneration": self.version, "replicas": self.replicas,
                "updatedReplicas": self.updated.unwrap_or(self.replicas),
                "readyReplicas": self.ready,
                "availableReplicas": self.available,
            },
        });
        if let Some(at) = self.restarts.last() {
            shown["spec"]["template"]["metadata"]["annotations"] = json!({RESTARTED_AT: at});
        }
        merge(&mut shown, &self.overlay);
        shown
    }

    /// Its Scale, which leaves out a number of replicas that is zero.
    pub(super) fn scale(&self, wanted: i64) -> Value {
        let mut scale = json!({
            "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": self.metadata(),
            "spec": {},
            "status": {"replicas": self.ready, "selector": format!("app={}", self.name)},
        });
        if wanted != 0 {
            scale["spec"]["replicas"] = json!(wanted);
        }
        scale
    }

    /// A merge patch of the object itself, of which nothing but a restart is known. Its
    /// pods are replaced when a test says so.
    fn patch_object(&mut self, request: &Request) -> Response {
        let patch = request.json();
        let at = &patch["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT];
        let is_merge = request.header("content-type") == Some("application/merge-patch+json");
        let Some(at) = at.as_str().filter(|_| is_merge) else {
            let body = failure(415, "UnsupportedMediaType", "no restart");
            return Response::json(415, &body);
        };
        if patch["metadata"]["uid"] != self.uid {
            let body = failure(422, "Invalid", "metadata.uid: field is immutable");
            return Response::json(422, &body);
        }
        if self.restarts.last().is_none_or(|last| last != at) {
            self.version += 1;
            self.restarts.push(at.to_owned());
            self.updated = (!self.is_prompt).then_some(0);
        }
        Response::json(200, &self.shown())
    }

    fn patch(&mut self, request: &Request) -> Response {
        let mut scale = self.scale(self.replicas);
        let patch = request.json();
        match request.header("content-type") {
            Some("application/apply-patch+yaml") => return self.apply(request),
            Some("application/merge-patch+json") => merge(&mut scale, &patch),
            Some("application/json-patch+json") => {
                let steps = patch.as_array().cloned().unwrap_or_default();
                if !steps.iter().all(|step| apply_step(&mut scale, step)) {
                    let words = "the server rejected our request due to an error in our request";
                    return Response::json(422, &failure(422, "Invalid", words));
                }
            }
            _ => {
                let body = failure(415, "UnsupportedMediaType", "no patch");
                return Response::json(415, &body);
            }
        }
        let wanted = scale["spec"]["replicas"].as_i64().unwrap_or(0);
        if wanted < 0 {
            return Response::json(422, &failure(422, "Invalid", "spec.replicas"));
        }
        if !request.target.contains("dryRun=All") {
            let mut answer = self.scale(wanted);
            self.patched(wanted);
            self.scale_to(wanted);
            answer["metadata"] = self.metadata();
            return Response::json(200, &answer);
        }
        Response::json(200, &self.scale(wanted))
    }
}

/// A merge patch (RFC 7396).
pub fn merge(target: &mut Value, patch: &Value) {
    let Some(members) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in members {
        match value {
            Value::Null => {
                target.as_object_mut().expect("an object").remove(name);
            }
            value => merge(&mut target[name], value),
        }
    }
}

/// A step of a JSON patch (RFC 6902); what is absent is equal to null. False if it fails.
pub fn apply_step(target: &mut Value, step: &Value) -> bool {
    let path = step["path"].as_str().unwrap_or_default();
    let (parent, name) = path.rsplit_once('/').unwrap_or_default();
    let Some(parent) = target.pointer_mut(parent) else {
        return false;
    };
    match step["op"].as_str() {
        Some("test") => parent[name] == step["value"],
        Some("add" | "replace") => {
            parent[name] = step["value"].clone();
            true
        }
        _ => false,
    }
}

/// All that is there.
#[derive(Default)]
pub struct Objects {
    pub workloads: Vec<Workload>,
    /// Pods as they are shown.
    pub pods: Vec<Value>,
    /// Events as they are shown.
    pub events: Vec<Value>,
    /// Events that the bot has written.
    pub written: Vec<Value>,
    pub leases: Leases,
    /// Autoscalers as they are shown.
    pub autoscalers: Vec<Value>,
    /// What the bot may not do: a verb and a resource, such as `list` and `pods`.
    pub forbidden: Vec<(&'static str, &'static str)>,
    /// True if workloads may be watched.
    pub may_watch: bool,
    /// True if watches tell nothing but the lines below.
    pub is_mute: bool,
    /// Lines for those who watch the workload of this name; an `ERROR` ends the watch.
    pub lines: Vec<(String, String)>,
}

/// The parts of a path below a namespace.
struct Place<'a> {
    /// Empty for the core API, or such as `apps/v1`.
    group_version: String,
    namespace: &'a str,
    plural: &'a str,
    name: Option<&'a str>,
    subresource: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn of(segments: &[&'a str]) -> Option<Self> {
        let (group_version, rest) = match segments {
            ["api", "v1", rest @ ..] => (String::new(), rest),
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            _ => return None,
        };
        let ["namespaces", namespace, plural, rest @ ..] = rest else {
            return None;
        };
        Some(Self {
            group_version,
            namespace,
            plural,
            name: rest.first().copied(),
            subresource: rest.get(1).copied(),
        })
    }

    fn not_found(&self) -> Response {
        let name = self.name.unwrap_or_default();
        let mut body = failure(
            404,
            "NotFound",
            &format!("{} {name:?} not found", self.plural),
        );
        body["details"] = json!({"name": name, "kind": self.plural});
        Response::json(404, &body)
    }
}

impl Objects {
    /// The workload of this name.
    pub fn workload(&mut self, name: &str) -> &mut Workload {
        let found = self.workloads.iter_mut().find(|known| known.name == name);
        found.expect("there is such a workload")
    }

    pub fn handle(&mut self, request: &Request) -> Response {
        let path = request.path();
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if segments.last() == Some(&"selfsubjectrulesreviews") {
            return Response::json(201, &self.review());
        }
        let Some(place) = Place::of(&segments) else {
            return Response::text(404, "text/plain", "404 page not found\n");
        };
        let verb = match (request.method.as_str(), place.name) {
            ("GET", None) if is_watch(request) => "watch",
            ("GET", Some(_)) => "get",
            ("GET", None) => "list",
            ("PATCH", _) => "patch",
            _ => "create",
        };
        let resource = match place.subresource {
            Some(below) => format!("{}/{below}", place.plural),
            None => place.plural.to_owned(),
        };
        if !self.may(verb, &resource) {
            let words = format!(
                "{resource} is forbidden: User \"system:serviceaccount:x:y\" cannot {verb} \
                 resource \"{resource}\""
            );
            return Response::json(403, &failure(403, "Forbidden", &words));
        }
        match (verb, place.plural, place.name) {
            (_, "leases", name) => self.leases.handle(request, verb, place.namespace, name),
            ("list", "pods", _) => self.list_pods(request, &place),
            ("list", "events", _) => self.list_events(request),
            ("create", "events", _) => self.write_event(request, &place),
            ("list", "horizontalpodautoscalers", _) => {
                let items = &self.autoscalers;
                let kind = "HorizontalPodAutoscalerList";
                let body = json!({"kind": kind, "apiVersion": "autoscaling/v2", "items": items});
                Response::json(200, &body)
            }
            ("get", "pods", Some(name)) => {
                let pod = self.pods.iter().find(|pod| {
                    pod["metadata"]["name"] == name
                        && pod["metadata"]["namespace"] == place.namespace
                });
                pod.map_or_else(|| place.not_found(), |pod| Response::json(200, pod))
            }
            // The head: what follows comes from a watcher.
            ("watch", ..) => Response::json(200, &json!(null)),
            ("list", ..) => self.list(request, &place),
            _ => self.one(request, verb, &place),
        }
    }

    /// True if the bot may do this.
    fn may(&self, verb: &str, resource: &str) -> bool {
        let is_forbidden = |(no, of): &(&str, &str)| *no == verb && *of == resource;
        (verb != "watch" || self.may_watch || resource == "leases")
            && !self.forbidden.iter().any(is_forbidden)
    }

    fn one(&mut self, request: &Request, verb: &str, place: &Place<'_>) -> Response {
        let resource = format!("{}/{}", place.group_version, place.plural);
        let known = self.workloads.iter_mut().find(|known| {
            known.resource == resource
                && known.namespace == place.namespace
                && Some(known.name.as_str()) == place.name
        });
        let Some(known) = known else {
            return place.not_found();
        };
        match (verb, place.subresource) {
            ("get", None) => Response::json(200, &known.shown()),
            ("get", Some("scale")) => Response::json(200, &known.scale(known.replicas)),
            ("patch", Some("scale")) => known.patch(request),
            ("patch", None) => known.patch_object(request),
            _ => Response::json(405, &failure(405, "MethodNotAllowed", "not allowed")),
        }
    }

    fn list(&self, request: &Request, place: &Place<'_>) -> Response {
        let resource = format!("{}/{}", place.group_version, place.plural);
        let there = self
            .workloads
            .iter()
            .filter(|known| known.resource == resource && known.namespace == place.namespace);
        if !request
            .header("accept")
            .unwrap_or_default()
            .contains("as=Table")
        {
            let items: Vec<Value> = there.map(Workload::shown).collect();
            let body = json!({"kind": "List", "apiVersion": "v1", "items": items});
            return Response::json(200, &body);
        }
        let is_deployment = resource == "apps/v1/deployments";
        let names: &[&str] = match is_deployment {
            true => &["Name", "Ready", "Up-to-date", "Available", "Age"],
            false => &["Name", "Ready", "Age"],
        };
        let columns: Vec<Value> = names
            .iter()
            .map(|name| json!({"name": name, "type": "string", "priority": 0}))
            .collect();
        let rows: Vec<Value> = there
            .map(|known| {
                let ready = format!("{}/{}", known.ready, known.replicas);
                let cells = match is_deployment {
                    true => json!([known.name, ready, known.replicas, known.available, "5d"]),
                    false => json!([known.name, ready, "5d"]),
                };
                json!({"cells": cells, "object": null})
            })
            .collect();
        let table = json!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {},
            "columnDefinitions": columns, "rows": rows,
        });
        Response::json(200, &table)
    }

    fn list_pods(&self, request: &Request, place: &Place<'_>) -> Response {
        let selector = request.query("labelSelector").unwrap_or_default();
        let has_labels = |pod: &&Value| {
            pod["metadata"]["namespace"] == place.namespace
                && selector
                    .split(',')
                    .filter_map(|part| part.split_once('='))
                    .all(|(label, value)| pod["metadata"]["labels"][label] == value)
        };
        let items: Vec<&Value> = self.pods.iter().filter(has_labels).collect();
        let body = json!({"kind": "PodList", "apiVersion": "v1", "items": items});
        Response::json(200, &body)
    }

    fn list_events(&self, request: &Request) -> Response {
        let selector = request.query("fieldSelector").unwrap_or_default();
        let is_meant = |event: &&Value| {
            selector
                .split(',')
                .filter_map(|part| part.split_once('='))
                .all(|(field, value)| {
                    let pointer = format!("/{}", field.replace('.', "/"));
                    event.pointer(&pointer).and_then(Value::as_str) == Some(value)
                })
        };
        let items: Vec<&Value> = self.events.iter().filter(is_meant).collect();
        let body = json!({"kind": "EventList", "apiVersion": "v1", "items": items});
        Response::json(200, &body)
    }

    /// An Event is about an object of its own namespace, and its name is its own.
    fn write_event(&mut self, request: &Request, place: &Place<'_>) -> Response {
        let event = request.json();
        let namespaces = [&event["metadata"], &event["involvedObject"]];
        if namespaces
            .iter()
            .any(|of| of["namespace"] != place.namespace)
        {
            return Response::json(
                422,
                &failure(422, "Invalid", "does not match event.namespace"),
            );
        }
        let name = &event["metadata"]["name"];
        if self
            .written
            .iter()
            .any(|known| known["metadata"]["name"] == *name)
        {
            return Response::json(409, &failure(409, "AlreadyExists", "events already exists"));
        }
        self.written.push(event.clone());
        Response::json(201, &event)
    }

    /// A rule for each resource that is asked for, with the verbs that are left.
    fn review(&self) -> Value {
        let mut rules = Vec::new();
        let mut add = |group: &str, resource: &str| {
            let verbs: Vec<&str> = ["get", "list", "watch", "patch"]
                .into_iter()
                .filter(|verb| self.may(verb, resource))
                .collect();
            rules.push(json!({"verbs": verbs, "apiGroups": [group], "resources": [resource]}));
        };
        add("", "pods");
        add("", "events");
        for known in &self.workloads {
            let mut parts = known.resource.split('/');
            let (group, plural) = (parts.next(), parts.nth(1));
            let (group, plural) = (group.unwrap_or_default(), plural.unwrap_or_default());
            add(group, plural);
            add(group, &format!("{plural}/scale"));
        }
        json!({
            "kind": "SelfSubjectRulesReview", "apiVersion": "authorization.k8s.io/v1",
            "metadata": {}, "spec": {},
            "status": {"resourceRules": rules, "nonResourceRules": [], "incomplete": false},
        })
    }
}
