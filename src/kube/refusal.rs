//! Reads an answer of the API server that is no success: the one place that does.

use std::time::Duration;

use http::header::LOCATION;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Status, StatusDetails};
use serde_json::{Map, Value};

use super::about::About;
use super::access::Identity;
use super::call::Call;
use super::error::{Detail, Error, Missing};
use super::node::Node;
use crate::control::Kind;
use crate::json::Lenient;
use crate::net::Response;
use crate::util::{printable, words};

/// The longest reason shown to a person, in characters.
const MAX_REASON: usize = 200;

/// The most owners of a field that are told of.
const MAX_OWNERS: usize = 8;

/// The longest name of an owner, in bytes: the API server allows 128.
const MAX_OWNER: usize = 128;

/// Shown instead of an answer that may repeat a secret.
const HIDDEN: &str = "(what it says is not shown, since it may repeat what was asked)";

/// Translates an answer outside 2xx. Its body is a `Status`
/// (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>), or
/// plain text: that of priority-and-fairness, or of whatever stands in front of the API
/// server.
pub(super) fn refusal(call: &Call, identity: Identity, response: &Response) -> Error {
    let (operation, object) = (call.operation, call.about.object());
    let code = response.status;
    // The type takes any JSON object; this field makes it a refusal.
    let status =
        read(&response.body).filter(|status: &Status| status.status.as_deref() == Some("Failure"));
    let detail = detail(call, response, status.as_ref());
    match (code, status) {
        (401, _) => Error::Unauthorized { identity, detail },
        (403, Some(status)) if is_admission(&status) => refused(call, code, &status, detail),
        (403, _) => Error::Forbidden {
            operation,
            object,
            identity,
            detail,
        },
        // Without a `Status` it is the page of some other web server.
        (404, status) if status.is_some() || has_no_path(call, response) => Error::NotFound {
            operation,
            object,
            what: missing(call, status.as_ref()),
            detail,
        },
        (429 | 503, status) => Error::Overloaded {
            status: code,
            retry_after: response
                .retry_after()
                .or_else(|| status.as_ref().and_then(retry_after)),
            detail,
        },
        (500..=599, _) => Error::Failing {
            status: code,
            detail,
        },
        (400..=499, Some(status)) => refused(call, code, &status, detail),
        _ => Error::Broken { identity, detail },
    }
}

/// True for the answer of an API server to a path that nobody serves, which of its own
/// kinds it never gives.
fn has_no_path(call: &Call, response: &Response) -> bool {
    let is_known = matches!(
        call.about,
        About::Workload(Kind::Deployment | Kind::StatefulSet, _)
    );
    !is_known && response.body.starts_with(b"404 page not found")
}

/// The thing that a 404 says is not there.
fn missing(call: &Call, status: Option<&Status>) -> Missing {
    let details = status.and_then(|status| status.details.as_ref());
    let kind = details.and_then(|details| details.kind.as_deref());
    let name = details.and_then(|details| details.name.as_deref());
    match call.about {
        _ if kind == Some("namespaces") => Missing::Namespace,
        About::Workload(Kind::Other(_), _) | About::Other(_)
            if name.unwrap_or_default().is_empty() =>
        {
            Missing::Kind
        }
        _ => Missing::Object,
    }
}

/// Reads the fields of a `Status` that are used. One of another kind is as good as
/// absent.
fn read(body: &[u8]) -> Option<Status> {
    let object: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let text = |name: &str| Some(object.get(name)?.as_str()?.to_owned());
    let detail = |name: &str| object.get("details")?.as_object()?.get(name);
    let seconds = detail("retryAfterSeconds")
        .and_then(|seconds| <i64 as Lenient>::of(seconds.clone())?.try_into().ok());
    let word = |name: &str| Some(detail(name)?.as_str()?.to_owned());
    Some(Status {
        status: text("status"),
        message: text("message"),
        reason: text("reason"),
        details: Some(StatusDetails {
            retry_after_seconds: seconds,
            kind: word("kind"),
            name: word("name"),
            ..StatusDetails::default()
        }),
        ..Status::default()
    })
}

/// True for the message of an admission plugin or a webhook. Missing rights read `… is forbidden: User "…" cannot patch resource …`;
/// any other message with a 403 is of that kind.
fn is_admission(status: &Status) -> bool {
    let message = status.message.as_deref().unwrap_or_default();
    !message.is_empty() && !message.contains("forbidden: User \"")
}

fn refused(call: &Call, code: u16, status: &Status, detail: Detail) -> Error {
    let message = status.message.as_ref().filter(|_| !call.is_secret);
    let said = [message, status.reason.as_ref()]
        .into_iter()
        .flatten()
        .map(|said| words(said, MAX_REASON))
        .find(|said| !said.is_empty());
    Error::Refused {
        operation: call.operation,
        object: call.about.object(),
        reason: said.unwrap_or_else(|| format!("status {code}")),
        detail,
    }
}

fn retry_after(status: &Status) -> Option<Duration> {
    let seconds = status.details.as_ref()?.retry_after_seconds?;
    let asked = u64::try_from(seconds).ok().filter(|&seconds| seconds > 0)?;
    Some(Duration::from_secs(asked).min(crate::net::MAX_RETRY_AFTER))
}

fn detail(call: &Call, response: &Response, status: Option<&Status>) -> Detail {
    let said = match status {
        _ if call.is_secret => HIDDEN.to_owned(),
        Some(status) => format!(
            "{} {}",
            status.reason.as_deref().unwrap_or("without reason"),
            status.message.as_deref().unwrap_or("without message")
        ),
        None => start_of(&response.body),
    };
    let (asked, code) = (call.asked(), response.status);
    // Where it leads, so that the log says whose address this is.
    let to = response
        .headers
        .get(LOCATION)
        .filter(|_| (300..400).contains(&code))
        .map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
    let to = to.map(|to| format!(", redirects to {}", to.split('?').next().unwrap_or(&to)));
    let to = to.unwrap_or_default();
    Detail::new(&format!("{asked}: status {code}{to}: {said}"))
}

/// The names of the field managers that an apply is in conflict with
/// (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts>), each
/// once; none where the conflict is of another kind.
pub(super) fn owners(body: &[u8]) -> Vec<String> {
    let status: Value = serde_json::from_slice(body).unwrap_or_default();
    let causes = Node::new(&status).at("details").at("causes").items();
    let mut owners: Vec<String> = Vec::new();
    for cause in causes.filter(|cause| cause.at("reason").raw() == "FieldManagerConflict") {
        // `conflict with "kubectl" with subresource "scale" using apps/v1`.
        let owner = cause.at("message").raw().split('"').nth(1);
        let owner = printable(owner.unwrap_or("unknown"), MAX_OWNER);
        if owners.len() < MAX_OWNERS && !owners.contains(&owner) {
            owners.push(owner);
        }
    }
    owners
}

/// The part of the body of an answer that can be shown.
pub(super) fn shown(call: &Call, body: &[u8]) -> String {
    match call.is_secret {
        true => HIDDEN.to_owned(),
        false => start_of(body),
    }
}

/// As much of a body as a detail can show.
fn start_of(body: &[u8]) -> String {
    const BYTES: usize = 2048;
    String::from_utf8_lossy(body.get(..BYTES).unwrap_or(body)).into_owned()
}
