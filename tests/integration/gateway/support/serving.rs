//! The requests that the stand-in for an API server understands.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::fields::{Replicas, conflict, stale};
use super::reviews::{Denied, Token, unknown};
use super::store::{Store, collection};
use crate::support::apiserver::failure;
use crate::support::wire::{Request, Response};
use crate::support::workloads::{apply_step, merge};

/// Everything that a cluster has.
#[derive(Default)]
pub struct Objects {
    pub store: Store,
    /// The tokens that are known, by their texts.
    pub tokens: BTreeMap<String, Token>,
    /// The tokens that were asked about and are not known.
    pub unknown_tokens: usize,
    pub denied: Vec<Denied>,
    /// The number of replicas of each workload, by its collection and name.
    pub replicas: BTreeMap<(String, String), Replicas>,
}

/// A path below a namespace.
pub struct Place {
    /// The path of the collection.
    pub collection: String,
    pub namespace: String,
    pub plural: String,
    pub name: Option<String>,
    pub subresource: Option<String>,
}

impl Place {
    pub fn of(request: &Request) -> Option<Self> {
        let segments = request.segments();
        let at = segments.iter().position(|part| part == "namespaces")?;
        let part = |n: usize| segments.get(at + n).cloned();
        let (namespace, plural) = (part(1)?, part(2)?);
        Some(Self {
            collection: collection(&plural, &namespace),
            namespace,
            plural,
            name: part(3),
            subresource: part(4),
        })
    }

    fn resource(&self) -> String {
        match &self.subresource {
            Some(below) => format!("{}/{below}", self.plural),
            None => self.plural.clone(),
        }
    }

    fn not_found(&self) -> Response {
        let name = self.name.clone().unwrap_or_default();
        let words = format!("{} {name:?} not found", self.plural);
        let mut body = failure(404, "NotFound", &words);
        body["details"] = json!({"name": name, "kind": self.plural});
        Response::json(404, &body)
    }
}

/// The verb of a request, as RBAC has it.
pub fn verb(request: &Request, place: &Place) -> &'static str {
    match (request.method.as_str(), &place.name) {
        ("GET", Some(_)) => "get",
        ("GET", None) if request.query("watch").as_deref() == Some("true") => "watch",
        ("GET", None) => "list",
        ("PATCH", _) => "patch",
        ("PUT", _) => "update",
        ("DELETE", _) => "delete",
        _ => "create",
    }
}

fn forbidden(verb: &str, resource: &str) -> Response {
    let words = format!(
        "{resource} is forbidden: User \"system:serviceaccount:gateway:gateway\" cannot {verb} \
         resource \"{resource}\""
    );
    Response::json(403, &failure(403, "Forbidden", &words))
}

impl Objects {
    fn denies(&self, verb: &str, resource: &str, namespace: &str) -> bool {
        let mut denied = self.denied.iter();
        denied.any(|denied| denied.is(verb, resource, namespace))
    }

    /// Answers a request, and says how long that takes beyond what it takes.
    pub fn handle(&mut self, request: &Request) -> (Response, Duration) {
        let path = request.path();
        let review = path.rsplit('/').next().unwrap_or_default();
        let response = match (request.method.as_str(), review) {
            ("POST", "tokenreviews") => return self.review(request),
            ("POST", "selfsubjectaccessreviews") => self.access(request),
            _ => match Place::of(request) {
                Some(place) => self.at(request, &place),
                None => Response::text(404, "text/plain", "404 page not found\n"),
            },
        };
        (response, Duration::ZERO)
    }

    fn review(&mut self, request: &Request) -> (Response, Duration) {
        if self.denies("create", "tokenreviews", "") {
            return (forbidden("create", "tokenreviews"), Duration::ZERO);
        }
        let mut review = request.json();
        let text = review["spec"]["token"].as_str().unwrap_or_default();
        if text.is_empty() {
            let body = failure(400, "BadRequest", "token is required for TokenReview");
            return (Response::json(400, &body), Duration::ZERO);
        }
        let wanted = review["spec"]["audiences"].as_array().cloned();
        let mut wanted: Vec<String> = wanted
            .unwrap_or_default()
            .iter()
            .filter_map(|audience| Some(audience.as_str()?.to_owned()))
            .collect();
        if wanted.is_empty() {
            wanted.push("https://kubernetes.default.svc".to_owned());
        }
        let (status, delay) = match self.tokens.get_mut(text) {
            Some(token) => {
                token.reviews += 1;
                (token.status(&wanted), token.delay)
            }
            None => {
                self.unknown_tokens += 1;
                (unknown(), Duration::ZERO)
            }
        };
        review["status"] = status;
        review["metadata"] = json!({"managedFields": []});
        (Response::json(201, &review), delay)
    }

    fn access(&self, request: &Request) -> Response {
        let mut review = request.json();
        let asked = &review["spec"]["resourceAttributes"];
        let text = |name: &str| asked[name].as_str().unwrap_or_default();
        let resource = match text("subresource") {
            "" => text("resource").to_owned(),
            below => format!("{}/{below}", text("resource")),
        };
        let allowed = !self.denies(text("verb"), &resource, text("namespace"));
        review["status"] = json!({"allowed": allowed});
        Response::json(201, &review)
    }

    fn at(&mut self, request: &Request, place: &Place) -> Response {
        let verb = verb(request, place);
        if self.denies(verb, &place.resource(), &place.namespace) {
            return forbidden(verb, &place.resource());
        }
        match (verb, place.name.as_deref(), place.subresource.as_deref()) {
            ("watch", ..) => Response::json(200, &Value::Null),
            ("list", ..) => self.list(request, place),
            (_, Some(name), below) if self.store.get(&place.collection, name).is_some() => {
                match (verb, below) {
                    ("get", None) => {
                        let object = self.store.get(&place.collection, name);
                        Response::json(200, object.expect("it is there"))
                    }
                    ("patch", None) => self.patch(request, place, name),
                    ("get", Some("scale")) => {
                        let scale = self.scale(place, name);
                        Response::json(200, &scale)
                    }
                    ("patch", Some("scale")) => self.patch_scale(request, place, name),
                    _ => Response::json(405, &failure(405, "MethodNotAllowed", "not allowed")),
                }
            }
            _ => place.not_found(),
        }
    }

    /// A list, in pages where that is asked for; a token is the number of objects before.
    fn list(&self, request: &Request, place: &Place) -> Response {
        let all = self.store.list(&place.collection);
        let number = |name: &str| request.query(name)?.parse::<usize>().ok();
        let (limit, from) = (number("limit"), number("continue").unwrap_or(0));
        let end = limit.map_or(all.len(), |limit| (from + limit).min(all.len()));
        let mut metadata = json!({"resourceVersion": self.store.version().to_string()});
        if end < all.len() {
            metadata["continue"] = json!(end.to_string());
        }
        let body = json!({
            "kind": "List", "apiVersion": "v1", "metadata": metadata,
            "items": all.get(from..end).unwrap_or_default(),
        });
        Response::json(200, &body)
    }

    /// A merge patch of an object, by whoever knows its version or does not care.
    fn patch(&mut self, request: &Request, place: &Place, name: &str) -> Response {
        if request.header("content-type") != Some("application/merge-patch+json") {
            return Response::json(415, &failure(415, "UnsupportedMediaType", "no patch"));
        }
        let mut object = self.store.get(&place.collection, name).cloned();
        let object = object.as_mut().expect("it is there");
        let patch = request.json();
        let version = &patch["metadata"]["resourceVersion"];
        if !version.is_null() && *version != object["metadata"]["resourceVersion"] {
            return Response::json(409, &stale(&place.plural, name));
        }
        let time = &patch["spec"]["renewTime"];
        if time.as_str().is_some_and(|time| !is_micro_time(time)) {
            let words = format!("parsing time {time} as \"2006-01-02T15:04:05.000000Z07:00\"");
            return Response::json(400, &failure(400, "BadRequest", &words));
        }
        merge(object, &patch);
        Response::json(200, &self.store.put(&place.collection, object.clone()))
    }

    fn replicas(&mut self, place: &Place, name: &str) -> &mut Replicas {
        let key = (place.collection.clone(), name.to_owned());
        self.replicas.entry(key).or_default()
    }

    /// The Scale of a workload, which leaves out a number of replicas that is zero.
    fn scale(&mut self, place: &Place, name: &str) -> Value {
        let count = self.replicas(place, name).count;
        let object = self.store.get(&place.collection, name);
        let metadata = &object.expect("it is there")["metadata"];
        let mut scale = json!({
            "kind": "Scale", "apiVersion": "autoscaling/v1",
            "metadata": {
                "name": name, "namespace": place.namespace, "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
            "spec": {}, "status": {"replicas": count, "selector": format!("app={name}")},
        });
        if count != 0 {
            scale["spec"]["replicas"] = json!(count);
        }
        scale
    }

    fn patch_scale(&mut self, request: &Request, place: &Place, name: &str) -> Response {
        let mut scale = self.scale(place, name);
        let patch = request.json();
        let manager = request
            .query("fieldManager")
            .unwrap_or("unknown".to_owned());
        let version = &patch["metadata"]["resourceVersion"];
        if !version.is_null() && *version != scale["metadata"]["resourceVersion"] {
            return Response::json(409, &stale(&place.plural, name));
        }
        let wanted = match request.header("content-type") {
            Some("application/apply-patch+yaml") => {
                let names = (
                    &patch["apiVersion"],
                    &patch["kind"],
                    &patch["metadata"]["name"],
                );
                if names != (&json!("autoscaling/v1"), &json!("Scale"), &json!(name)) {
                    return Response::json(400, &failure(400, "BadRequest", "no such object"));
                }
                let count = patch["spec"]["replicas"].as_i64().unwrap_or(0);
                let force = request.query("force").as_deref() == Some("true");
                let dry = request.target.contains("dryRun=All");
                let mut replicas = self.replicas(place, name).clone();
                if let Err(managers) = replicas.apply(&manager, count, force) {
                    return Response::json(409, &conflict(&managers));
                }
                if !dry {
                    *self.replicas(place, name) = replicas;
                }
                count
            }
            Some("application/merge-patch+json") => {
                merge(&mut scale, &patch);
                scale["spec"]["replicas"].as_i64().unwrap_or(0)
            }
            Some("application/json-patch+json") => {
                let steps = patch.as_array().cloned().unwrap_or_default();
                if !steps.iter().all(|step| apply_step(&mut scale, step)) {
                    let words = "the server rejected our request due to an error in our request";
                    return Response::json(422, &failure(422, "Invalid", words));
                }
                scale["spec"]["replicas"].as_i64().unwrap_or(0)
            }
            _ => return Response::json(415, &failure(415, "UnsupportedMediaType", "no patch")),
        };
        if wanted < 0 {
            return Response::json(422, &failure(422, "Invalid", "spec.replicas"));
        }
        if !request.target.contains("dryRun=All") {
            self.replicas(place, name).update(&manager, wanted);
            self.show(&place.collection, name);
        }
        Response::json(200, &self.scale(place, name))
    }

    /// Writes the number of replicas of a workload, and who owns it, into its object.
    pub fn show(&mut self, collection: &str, name: &str) {
        let key = (collection.to_owned(), name.to_owned());
        let replicas = self.replicas.entry(key).or_default().clone();
        let object = self.store.get(collection, name).expect("it is there");
        let mut object = object.clone();
        if object["spec"]["replicas"] != json!(replicas.count) {
            let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
            object["metadata"]["generation"] = json!(generation + 1);
        }
        object["spec"]["replicas"] = json!(replicas.count);
        object["metadata"]["managedFields"] = replicas.managed();
        self.store.put(collection, object);
    }
}

/// `2006-01-02T15:04:05.000000Z`, with exactly six decimals.
fn is_micro_time(text: &str) -> bool {
    let shape = text.chars().map(|c| match c {
        '0'..='9' => '0',
        c => c,
    });
    shape.eq("0000-00-00T00:00:00.000000Z".chars())
}
