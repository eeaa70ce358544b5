//! One call to the API server, which may have to be sent several times.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use zeroize::Zeroizing;

use super::about::{About, Object};
use super::access::Access;
use super::error::{Detail, Error};
use super::operation::{Act, Operation};
use super::scale::SCALE;
use super::watch_events::EVENT;
use crate::control::{Kind, Namespace, Workload};
use crate::json::{Gates, Open, Shape, Sieve};
use crate::net::{Limits, Request};

/// The largest answer in bytes. A Deployment is at most about 1.5 MiB, the
/// limit of etcd.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// Bytes kept of an answer, if its call says nothing else.
const MAX_KEPT: usize = 4 * 1024;

/// The seconds after which a watch ends: load balancers cut longer ones off.
pub(super) const WATCH_SECONDS: u32 = 240;

/// A number of replicas, or the name of a kind or version, in bytes of JSON text.
const VALUE: Shape = Shape::Scalar(64);

/// The parts of a Deployment that are read.
const DEPLOYMENT: Shape = Shape::Object(&[
    ("apiVersion", VALUE),
    ("kind", VALUE),
    ("spec", Shape::Object(&[("replicas", VALUE)])),
    (
        "status",
        Shape::Object(&[("readyReplicas", VALUE), ("availableReplicas", VALUE)]),
    ),
]);

/// The name of this program in the object's `managedFields`
/// (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers>).
pub(super) const FIELD_MANAGER: &str = "openclaw-k8s-toggle-operator";

/// Chooses between a change and its rehearsal
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DryRun {
    /// The change is to happen.
    No,
    /// The API server goes through all the motions, and changes nothing.
    Yes,
}

/// A patch, by its media type
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply>).
pub(super) enum Patch {
    /// The members that it has to get (RFC 7396).
    Merge(String),
    /// The conditions, and the changes to make where they hold (RFC 6902).
    Json(String),
    /// What this field manager wants the object to be
    /// (<https://kubernetes.io/docs/reference/using-api/server-side-apply/>).
    Apply(String),
}

/// One call. A merge patch sets an absolute number and a JSON patch is tested first, so
/// that all of them may be sent again.
pub(super) struct Call {
    pub(super) operation: Operation,
    pub(super) about: About,
    method: Method,
    path: String,
    accept: &'static str,
    /// The media type of the body, where there is one.
    content_type: Option<&'static str>,
    /// Wiped from memory, since it may hold a secret.
    body: Zeroizing<Vec<u8>>,
    /// Nothing of an answer is shown that may repeat the body.
    pub(super) is_secret: bool,
    shape: &'static Shape,
    kept: usize,
    /// The largest answer, in bytes.
    most: usize,
    gates: Gates,
}

impl Call {
    /// A GET of a path, of whose answer the parts of this shape are kept, at most 4 KiB.
    pub(super) fn get(
        operation: Operation,
        kind: &Kind,
        namespace: &Namespace,
        path: String,
        shape: &'static Shape,
    ) -> Self {
        let about = About::Workload(kind.clone(), namespace.clone());
        Self::new(operation, about, path, shape)
    }

    /// As [`Call::get`], of something else than a workload.
    pub(super) fn other(
        act: &'static Act,
        object: Object,
        path: String,
        shape: &'static Shape,
    ) -> Self {
        Self::new(Operation::Other(act), About::Other(object), path, shape)
    }

    fn new(operation: Operation, about: About, path: String, shape: &'static Shape) -> Self {
        Self {
            operation,
            about,
            method: Method::GET,
            path,
            accept: "application/json",
            content_type: None,
            body: Zeroizing::default(),
            is_secret: false,
            shape,
            kept: MAX_KEPT,
            most: MAX_BODY,
            gates: Arc::new(|| Box::new(Open)),
        }
    }

    /// A GET of a workload, or of what is below it in the path.
    pub(super) fn of(
        operation: Operation,
        target: &Workload,
        below: &str,
        shape: &'static Shape,
    ) -> Self {
        let path = format!("{}{below}", path(target));
        Self::get(operation, &target.kind, &target.namespace, path, shape)
    }

    /// A watch of one workload: what comes after a version or, without one, how it is and
    /// then what comes after
    /// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>).
    /// With this field selector a right by name is enough.
    pub(super) fn watch(target: &Workload, version: Option<&str>) -> Self {
        let Workload {
            kind,
            namespace,
            name,
        } = target;
        let version = version.map(|version| format!("&resourceVersion={version}"));
        let path = format!(
            "{}?watch=true&fieldSelector=metadata.name%3D{name}&allowWatchBookmarks=true\
             &timeoutSeconds={WATCH_SECONDS}{}",
            collection(kind, namespace),
            version.unwrap_or_default()
        );
        Self::get(Operation::Watch, kind, namespace, path, &EVENT)
    }

    /// A GET of the Deployment of the environment.
    pub(super) fn read(target: &Workload) -> Self {
        Self::of(Operation::Read, target, "", &DEPLOYMENT)
    }

    /// A PATCH of a workload's Scale.
    pub(super) fn scale(
        operation: Operation,
        target: &Workload,
        patch: Patch,
        dry_run: DryRun,
    ) -> Self {
        let dry_run = match dry_run {
            DryRun::No => "",
            DryRun::Yes => "&dryRun=All",
        };
        let below = format!("/scale?fieldManager={FIELD_MANAGER}{dry_run}");
        Self::of(operation, target, &below, &SCALE).patching(patch)
    }

    /// Sends a patch instead of a GET.
    pub(super) fn patching(self, patch: Patch) -> Self {
        let (content_type, body) = match patch {
            Patch::Merge(body) => ("application/merge-patch+json", body),
            Patch::Json(body) => ("application/json-patch+json", body),
            Patch::Apply(body) => ("application/apply-patch+yaml", body),
        };
        self.sending(Method::PATCH, content_type, body)
    }

    /// Sends a body instead of a GET.
    pub(super) fn sending(self, method: Method, content_type: &'static str, body: String) -> Self {
        Self {
            method,
            content_type: Some(content_type),
            body: Zeroizing::new(body.into_bytes()),
            ..self
        }
    }

    /// Posts a JSON body that holds a secret.
    #[cfg(feature = "gateway")]
    pub(super) fn confiding(self, body: Zeroizing<Vec<u8>>) -> Self {
        Self {
            method: Method::POST,
            content_type: Some("application/json"),
            body,
            is_secret: true,
            ..self
        }
    }

    /// Reads this many bytes of the answer instead of 4 MiB.
    pub(super) fn reading(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// Asks for another form of the answer than plain JSON.
    pub(super) fn accepting(self, accept: &'static str) -> Self {
        Self { accept, ..self }
    }

    /// Keeps this many bytes of the answer.
    pub(super) fn keeping(self, kept: usize) -> Self {
        Self { kept, ..self }
    }

    /// Keeps only the items that pass a gate.
    pub(super) fn gated(self, gates: Gates) -> Self {
        Self { gates, ..self }
    }

    /// The verb and the resource, for the log.
    pub(super) fn asked(&self) -> String {
        let operation = self.operation;
        let kind = match &self.about {
            About::Workload(kind, _) => Some(kind),
            About::Other(_) => None,
        };
        let resource = operation.resource_of(kind).unwrap_or_default();
        format!("{} {resource}", operation.verb())
    }

    /// The sieve that keeps the parts of the answer that are read.
    pub(super) fn sieve(&self) -> Sieve {
        Sieve::new(self.shape, self.kept, (self.gates)())
    }

    /// The request for one attempt.
    pub(super) fn request(&self, access: &Access, deadline: Duration) -> Result<Request, Error> {
        // Neither can fail: the credentials checked their address and token, and
        // the names in the path are made of harmless characters, or written as such.
        let unusable = |fault: &dyn Display| Error::Broken {
            identity: access.identity,
            detail: Detail::new(&fault.to_string()),
        };
        let url = format!("{}{}", access.base, self.path);
        let body = self.body.to_vec();
        let limits = Limits {
            deadline,
            body: self.most,
        };
        let mut request = Request::new(self.method.clone(), &url, body, limits)
            .map_err(|fault| unusable(&fault))?;
        if let Some(token) = &access.token {
            request = request.bearer(token).map_err(|fault| unusable(&fault))?;
        }
        let request = request.header(ACCEPT, HeaderValue::from_static(self.accept));
        Ok(match self.content_type {
            None => request,
            Some(content_type) => {
                request.header(CONTENT_TYPE, HeaderValue::from_static(content_type))
            }
        })
    }
}

/// The path of a workload.
fn path(workload: &Workload) -> String {
    let Workload {
        kind,
        namespace,
        name,
    } = workload;
    format!("{}/{name}", collection(kind, namespace))
}

/// The path of all workloads of a kind in a namespace.
pub(super) fn collection(kind: &Kind, namespace: &Namespace) -> String {
    let (group, version, resource) = (kind.group(), kind.version(), kind.resource());
    format!("/apis/{group}/{version}/namespaces/{namespace}/{resource}")
}
