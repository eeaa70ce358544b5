//! The Event that a change leaves on its workload
//! (<https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>).

use std::time::{Instant, SystemTime};

use http::Method;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::api::Api;
use super::call::{Call, FIELD_MANAGER};
use super::error::Error;
use super::operation::Operation;
use crate::control::{Kind, Workload};
use crate::json::Shape;
use crate::util::rfc3339;

/// The bytes of the hash in an Event's name.
const HASH: usize = 16;

/// A change that somebody commanded.
pub struct Trace {
    /// The id of the command's message, of which a hash is in the Event's name.
    pub command: String,
    /// The uid of the workload.
    pub uid: String,
    /// The change.
    pub message: String,
    /// Its time.
    pub at: SystemTime,
}

impl Api {
    /// Writes an Event about a workload. A repetition writes no second one. Where Events may
    /// not be written, that is an error the first time, and not tried again for a while.
    ///
    /// # Errors
    /// The API server did not take it.
    pub async fn leave_trace(&self, target: &Workload, trace: &Trace) -> Result<(), Error> {
        let (kind, namespace) = (&target.kind, &target.namespace);
        let path = format!("/api/v1/namespaces/{namespace}/events");
        let call = Call::get(Operation::Trace, kind, namespace, path, &Shape::Present).sending(
            Method::POST,
            "application/json",
            event(target, trace),
        );
        if self.refusals.has(&call, Instant::now()) {
            return Ok(());
        }
        let Err(failed) = self.api_client.call(&call).await else {
            return Ok(());
        };
        let is_told = failed.status == Some(409)
            || matches!(failed.error, Error::Forbidden { .. })
                && !self.refusals.note(&call, Instant::now());
        match is_told {
            true => Ok(()),
            false => Err(failed.error),
        }
    }
}

fn event(target: &Workload, trace: &Trace) -> String {
    let Workload {
        kind,
        namespace,
        name,
    } = target;
    // One command may change several objects of a namespace.
    let hash = Sha256::new()
        .chain_update(trace.command.as_bytes())
        .chain_update([0])
        .chain_update(trace.uid.as_bytes())
        .finalize();
    let hash: String = hash
        .iter()
        .take(HASH)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let singular = match kind {
        Kind::Deployment => Some("Deployment"),
        Kind::StatefulSet => Some("StatefulSet"),
        // It is not known how others are written.
        Kind::Other(_) => None,
    };
    let object = json!({
        "apiVersion": format!("{}/{}", kind.group(), kind.version()),
        "kind": singular,
        "name": name.as_str(),
        "namespace": namespace.as_str(),
        "uid": trace.uid,
    });
    let at = rfc3339(trace.at);
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": format!("{FIELD_MANAGER}.{hash}"), "namespace": namespace.as_str()},
        "involvedObject": object,
        "type": "Normal",
        "reason": "Commanded",
        "message": trace.message,
        "count": 1,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "source": {"component": FIELD_MANAGER},
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::Value;

    use super::*;
    use crate::control::{Namespace, ObjectName, ResourceType};

    fn written(kind: Kind, command: &str, uid: &str) -> Value {
        let target = Workload {
            kind,
            namespace: Namespace::parse("claw").unwrap(),
            name: ObjectName::parse("web").unwrap(),
        };
        let trace = Trace {
            command: command.to_owned(),
            uid: uid.to_owned(),
            message: "start".to_owned(),
            at: UNIX_EPOCH + Duration::from_secs(1),
        };
        serde_json::from_str(&event(&target, &trace)).unwrap()
    }

    #[test]
    fn an_event_is_about_an_object_and_named_after_its_command() {
        let one = written(Kind::Deployment, "$e", "u");
        let of = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "namespace": "claw", "name": "web",
            "uid": "u",
        });
        assert_eq!(one["involvedObject"], of);
        assert_eq!(one["metadata"]["namespace"], "claw");
        assert_eq!(one["firstTimestamp"], "1970-01-01T00:00:01.000Z");
        let name = one["metadata"]["name"].as_str().unwrap();
        let (front, hash) = name.split_once('.').unwrap();
        assert_eq!((front, hash.len()), (FIELD_MANAGER, 2 * HASH));
        let again = written(Kind::Deployment, "$e", "u");
        assert_eq!(again["metadata"], one["metadata"]);
        for (command, uid) in [("$f", "u"), ("$e", "v"), ("$eu", "")] {
            let other = written(Kind::StatefulSet, command, uid);
            assert_ne!(other["metadata"]["name"], one["metadata"]["name"]);
            assert_eq!(other["involvedObject"]["kind"], "StatefulSet");
        }
        let rollouts = Kind::Other(ResourceType {
            group: ObjectName::parse("argoproj.io").unwrap(),
            version: Namespace::parse("v1alpha1").unwrap(),
            plural: ObjectName::parse("rollouts").unwrap(),
        });
        let other = written(rollouts, "$e", "u");
        assert_eq!(
            other["involvedObject"]["apiVersion"],
            "argoproj.io/v1alpha1"
        );
        assert!(other["involvedObject"]["kind"].is_null());
    }
}
