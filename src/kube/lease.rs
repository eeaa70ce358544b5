//! Leases: the replicas of the gateway agree by them
//! (<https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/>).

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::about::Object;
use super::api::Api;
use super::api_client::Answer;
use super::call::{Call, FIELD_MANAGER, Patch};
use super::collection::{Collection, LIST_METADATA};
use super::error::Error;
use super::node::Node;
use super::object::{MESSAGE, WORD};
use super::operation::Act;
use super::scale::MAX_ID;
use crate::control::{Namespace, ObjectName};
use crate::json::{Admission, Gate, Many, Shape};
use crate::util::{SortedMap, gathered, rfc3339_micros};

/// The beginning of the annotations of this program.
pub const ANNOTATIONS: &str = "openclaw-k8s-toggle-operator/";

const NOUN: &str = "lease";
const CURE: &str = "the gateway's chart makes one for each target";

const READ: Act = Act {
    verb: "get",
    resource: "leases",
    word: "read",
    noun: NOUN,
    cure: CURE,
    is_write: false,
};

const CHANGE: Act = Act {
    verb: "patch",
    resource: "leases",
    word: "change",
    noun: NOUN,
    cure: CURE,
    is_write: true,
};

const LIST: Act = Act {
    verb: "list",
    resource: "leases",
    word: "list",
    noun: "the leases",
    cure: CURE,
    is_write: false,
};

const WATCH: Act = Act {
    verb: "watch",
    resource: "leases",
    word: "watch",
    noun: "the leases",
    cure: CURE,
    is_write: false,
};

/// The longest value of an annotation, in bytes.
const MAX_ANNOTATION: usize = 512;

/// The Leases of a page of a list; a target has one.
const MAX_PAGE: usize = 250;

/// Bytes kept of a page, and of one Lease.
const MAX_KEPT: usize = 256 * 1024;
const MAX_LEASE: usize = 8 * 1024;

/// Our annotations: others are not let in.
const OURS: Many = Many {
    what: "annotation",
    item: Shape::Lenient(MAX_ANNOTATION + 2),
    size: MAX_ANNOTATION + 2,
    count: 16,
};

/// The parts of a Lease that are read; the last three are a Status's.
const LEASE: Shape = Shape::Object(&[
    ("kind", WORD),
    (
        "metadata",
        Shape::Object(&[
            ("name", Shape::Lenient(256)),
            ("resourceVersion", Shape::Lenient(MAX_ID + 2)),
            ("annotations", Shape::Map(&OURS)),
        ]),
    ),
    (
        "spec",
        Shape::Object(&[("holderIdentity", Shape::Lenient(256)), ("renewTime", WORD)]),
    ),
    ("code", WORD),
    ("reason", WORD),
    ("message", MESSAGE),
]);

const LEASES: Many = Many {
    what: "lease",
    item: LEASE,
    size: MAX_LEASE,
    count: MAX_PAGE,
};

const LIST_SHAPE: Shape =
    Shape::Object(&[("metadata", LIST_METADATA), ("items", Shape::List(&LEASES))]);

const EVENT_SHAPE: Shape = Shape::Object(&[("type", WORD), ("object", LEASE)]);

/// A Lease as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lease {
    /// Its name.
    pub name: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `spec.renewTime`, to the byte; empty if there is none. Never compared with a clock.
    pub renew_time: String,
    /// `spec.holderIdentity`; empty if there is none.
    pub holder: String,
    /// The annotations that begin with [`ANNOTATIONS`], without that beginning: at most 16,
    /// each at most 512 bytes and without control characters.
    pub annotations: SortedMap<String, String>,
}

/// A change of a Lease: what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaseChange {
    /// The version that it is a change of: it fails if there is a newer one. Empty for any.
    pub resource_version: String,
    /// `spec.renewTime`.
    pub renew_time: Option<SystemTime>,
    /// `spec.holderIdentity`; an empty text takes it away.
    pub holder: Option<String>,
    /// Annotations without their beginning; None takes one away.
    pub annotations: Vec<(&'static str, Option<String>)>,
}

/// The outcome of a change of a Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseWrite {
    /// It is so now.
    Done(Lease),
    /// Somebody else has changed it in between.
    Conflict,
}

impl Api {
    /// Reads a Lease.
    ///
    /// # Errors
    /// There is none, or the API server did not show it.
    pub async fn lease(&self, namespace: &Namespace, name: &ObjectName) -> Result<Lease, Error> {
        let call = call(&READ, namespace, name, "");
        let answer = self.api_client.call(&call).await?;
        self.understood(&call, &answer, whole(&answer))
    }

    /// Changes a Lease by a merge patch. `renewTime` has six decimals. A conflict is not
    /// tried again.
    ///
    /// # Errors
    /// The API server did not do it.
    pub async fn change_lease(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
        change: &LeaseChange,
    ) -> Result<LeaseWrite, Error> {
        let query = format!("?fieldManager={FIELD_MANAGER}");
        let call = call(&CHANGE, namespace, name, &query).patching(Patch::Merge(change.patch()));
        let failed = match self.api_client.call(&call).await {
            Ok(answer) => {
                let lease = self.understood(&call, &answer, whole(&answer))?;
                return Ok(LeaseWrite::Done(lease));
            }
            Err(failed) if failed.status == Some(409) => failed,
            Err(failed) => return Err(failed.error),
        };
        // The attempt whose answer was lost may be the somebody.
        if failed.is_repeated {
            let lease = self.lease(namespace, name).await?;
            if change.made(&lease) {
                return Ok(LeaseWrite::Done(lease));
            }
        }
        Ok(LeaseWrite::Conflict)
    }
}

impl LeaseChange {
    /// The merge patch (<https://www.rfc-editor.org/rfc/rfc7396>).
    fn patch(&self) -> String {
        let mut metadata = Map::new();
        if !self.resource_version.is_empty() {
            let version = Value::from(self.resource_version.as_str());
            metadata.insert("resourceVersion".to_owned(), version);
        }
        if !self.annotations.is_empty() {
            let annotations = self.annotations.iter();
            let annotations = annotations
                .map(|(name, value)| (format!("{ANNOTATIONS}{name}"), Value::from(value.clone())));
            let annotations: Map<_, _> = gathered(annotations);
            metadata.insert("annotations".to_owned(), annotations.into());
        }
        let mut spec = Map::new();
        if let Some(at) = self.renew_time {
            spec.insert("renewTime".to_owned(), Value::from(rfc3339_micros(at)));
        }
        if let Some(holder) = &self.holder {
            // An empty one is refused.
            let holder = Some(holder.as_str()).filter(|holder| !holder.is_empty());
            spec.insert("holderIdentity".to_owned(), Value::from(holder));
        }
        json!({"metadata": metadata, "spec": spec}).to_string()
    }

    /// True if this change, and nobody else's, made the Lease what it is. The time of a
    /// renewal, to the microsecond, tells the replicas apart.
    fn made(&self, lease: &Lease) -> bool {
        let is_time = |at| lease.renew_time == rfc3339_micros(at);
        let is_holder = |holder: &String| *holder == lease.holder;
        self.renew_time.is_some_and(is_time)
            && self.holder.as_ref().is_none_or(is_holder)
            && self
                .annotations
                .iter()
                .all(|(name, value)| lease.annotations.get(*name) == value.as_ref())
    }
}

impl Lease {
    /// Reads a Lease; None if it has no name.
    pub(super) fn read(lease: Node<'_>) -> Option<Self> {
        let (metadata, spec) = (lease.at("metadata"), lease.at("spec"));
        let name = metadata.at("name").raw();
        let annotations = metadata.at("annotations").members();
        let annotations = annotations.filter_map(|(name, value)| {
            let name = name.strip_prefix(ANNOTATIONS)?;
            Some((name.to_owned(), value.text(MAX_ANNOTATION)))
        });
        (!name.is_empty()).then(|| Self {
            name: name.to_owned(),
            resource_version: metadata.at("resourceVersion").text(MAX_ID),
            renew_time: spec.at("renewTime").raw().to_owned(),
            holder: spec.at("holderIdentity").raw().to_owned(),
            annotations: gathered(annotations),
        })
    }

    /// The Leases of a namespace whose names begin with `prefix`.
    pub(super) fn collection(namespace: &Namespace, prefix: &str) -> Collection {
        let begin = format!("\"name\":\"{prefix}");
        Collection {
            path: format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"),
            namespace: namespace.clone(),
            prefix: prefix.to_owned(),
            list: &LIST,
            watch: &WATCH,
            list_shape: &LIST_SHAPE,
            event_shape: &EVENT_SHAPE,
            item: LEASES.what,
            page: MAX_PAGE,
            kept: MAX_KEPT,
            gates: Arc::new(move || Box::new(Ours(begin.clone()))),
        }
    }
}

fn call(act: &'static Act, namespace: &Namespace, name: &ObjectName, query: &str) -> Call {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}{query}");
    Call::other(act, Object::named(namespace, name), path, &LEASE)
        .keeping(MAX_LEASE)
        .gated(Arc::new(|| Box::new(Ours(String::new()))))
}

/// The Lease that is a whole answer.
fn whole(answer: &Answer) -> Result<Lease, String> {
    let value: Value = serde_json::from_slice(&answer.body).map_err(|fault| fault.to_string())?;
    let lease = Node::new(&value);
    let lease = Lease::read(lease).filter(|_| lease.at("kind").raw() == "Lease");
    lease.ok_or_else(|| "no Lease".to_owned())
}

/// Lets in our annotations, and the Leases that have this in their JSON text. Inside of a
/// text, a quote would be escaped.
struct Ours(String);

impl Gate for Ours {
    fn admit(&mut self, what: &'static str, name: &[u8], item: &[u8]) -> Admission {
        let begin = self.0.as_bytes();
        let is_ours = match what == OURS.what {
            true => name.starts_with(ANNOTATIONS.as_bytes()),
            false => begin.is_empty() || item.windows(begin.len()).any(|part| part == begin),
        };
        match is_ours {
            true => Admission::Keep,
            false => Admission::Irrelevant,
        }
    }
}
