//! One call to the API server, which may have to be sent several times.

use std::fmt::Display;
use std::time::Duration;

use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};

use super::access::Access;
use super::error::{Detail, Error, Operation};
use crate::control::Target;
use crate::json::{Open, Shape, Sieve};
use crate::net::{Limits, Request};

/// The largest answer in bytes. A Deployment is at most about 1.5 MiB, the
/// limit of etcd.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// Bytes kept of an answer.
const MAX_KEPT: usize = 4 * 1024;

/// A number of replicas, or the name of a kind or version, in bytes of JSON text.
const VALUE: Shape = Shape::Scalar(64);

/// The parts of a Deployment and of a Scale that are read.
const OBJECT: Shape = Shape::Object(&[
    ("apiVersion", VALUE),
    ("kind", VALUE),
    ("spec", Shape::Object(&[("replicas", VALUE)])),
    (
        "status",
        Shape::Object(&[
            ("replicas", VALUE),
            ("readyReplicas", VALUE),
            ("availableReplicas", VALUE),
        ]),
    ),
]);

/// The name of this program in the object's `managedFields`
/// (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers>).
const FIELD_MANAGER: &str = "openclaw-k8s-toggle-operator";

/// Chooses between a change and its rehearsal
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DryRun {
    /// The change is to happen.
    No,
    /// The API server goes through all the motions, and changes nothing.
    Yes,
}

/// One call. All of them are idempotent.
pub(super) struct Call {
    pub(super) operation: Operation,
    method: Method,
    path: String,
    body: String,
}

impl Call {
    pub(super) fn read(target: &Target) -> Self {
        Self {
            operation: Operation::Read,
            method: Method::GET,
            path: path(target),
            body: String::new(),
        }
    }

    pub(super) fn scale(target: &Target, body: String, dry_run: DryRun) -> Self {
        let dry_run = match dry_run {
            DryRun::No => "",
            DryRun::Yes => "&dryRun=All",
        };
        Self {
            operation: Operation::Scale,
            method: Method::PATCH,
            path: format!(
                "{}/scale?fieldManager={FIELD_MANAGER}{dry_run}",
                path(target)
            ),
            body,
        }
    }

    /// The sieve that keeps the parts of the answer that are read.
    pub(super) fn sieve(&self) -> Sieve {
        Sieve::new(&OBJECT, MAX_KEPT, Box::new(Open))
    }

    /// The request for one attempt.
    pub(super) fn request(&self, access: &Access, deadline: Duration) -> Result<Request, Error> {
        // Neither can fail: the credentials checked their address and token, and
        // the names in the path are made of harmless characters.
        let unusable = |fault: &dyn Display| Error::Broken {
            identity: access.identity,
            detail: Detail::new(&fault.to_string()),
        };
        let url = format!("{}{}", access.base, self.path);
        let body = self.body.clone().into_bytes();
        let limits = Limits {
            deadline,
            body: MAX_BODY,
        };
        let mut request = Request::new(self.method.clone(), &url, body, limits)
            .map_err(|fault| unusable(&fault))?;
        if let Some(token) = &access.token {
            request = request.bearer(token).map_err(|fault| unusable(&fault))?;
        }
        let request = request.header(ACCEPT, HeaderValue::from_static("application/json"));
        Ok(match self.operation {
            Operation::Read => request,
            Operation::Scale => request.header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/merge-patch+json"),
            ),
        })
    }
}

fn path(target: &Target) -> String {
    let Target { namespace, name } = target;
    format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
}
