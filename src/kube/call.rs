//! One call to the API server, as often as it may have to be sent.

use std::fmt::Display;
use std::time::Duration;

use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};

use super::api::DryRun;
use super::credentials::Access;
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

/// Of a Deployment and of a Scale alike, as far as they are looked at.
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

/// Who changed the field, in the object's `managedFields`.
const FIELD_MANAGER: &str = "openclaw-k8s-toggle-operator";

/// One call. All of them are idempotent.
pub(super) struct Call {
    pub(super) act: Operation,
    method: Method,
    path: String,
    body: String,
}

impl Call {
    pub(super) fn read(target: &Target) -> Self {
        Self {
            act: Operation::Read,
            method: Method::GET,
            path: path(target),
            body: String::new(),
        }
    }

    pub(super) fn scale(target: &Target, body: String, run: DryRun) -> Self {
        let dry = match run {
            DryRun::No => "",
            DryRun::Yes => "&dryRun=All",
        };
        Self {
            act: Operation::Scale,
            method: Method::PATCH,
            path: format!("{}/scale?fieldManager={FIELD_MANAGER}{dry}", path(target)),
            body,
        }
    }

    /// Keeps of the answer what is looked at.
    pub(super) fn sieve(&self) -> Sieve {
        Sieve::new(&OBJECT, MAX_KEPT, Box::new(Open))
    }

    /// The request for one attempt.
    pub(super) fn request(&self, access: &Access, deadline: Duration) -> Result<Request, Error> {
        // Neither can fail: the account checked its address and its token, and
        // the names in the path are made of harmless characters.
        let unusable = |fault: &dyn Display| Error::Broken {
            detail: Detail::new(&fault.to_string()),
        };
        let url = format!("{}{}", access.base, self.path);
        let body = self.body.clone().into_bytes();
        let limits = Limits {
            deadline,
            body: MAX_BODY,
        };
        let request = Request::new(self.method.clone(), &url, body, limits)
            .map_err(|fault| unusable(&fault))?
            .bearer(&access.token)
            .map_err(|fault| unusable(&fault))?
            .header(ACCEPT, HeaderValue::from_static("application/json"));
        Ok(match self.act {
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
