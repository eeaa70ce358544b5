//! Who has set the number of replicas of a workload, as far as an API server keeps it, and
//! the server-side apply that goes by it.

use serde_json::json;

use super::apiserver::failure;
use super::wire::{Request, Response};
use super::workloads::Workload;

/// The name of the bot, as its requests have it.
const BOT: &str = "openclaw-k8s-toggle-operator";

impl Workload {
    /// A patch has set this number of replicas: nobody is recorded where it is the same, or
    /// none.
    pub(super) fn patched(&mut self, wanted: i64) {
        if wanted != self.replicas {
            self.owners = match wanted {
                0 => Vec::new(),
                _ => vec![format!("{BOT} (Update)")],
            };
        }
    }

    /// A server-side apply of a number of replicas.
    pub(super) fn apply(&mut self, request: &Request) -> Response {
        // The API server (1.36) knows no Scale to apply below a custom resource.
        if !self.resource.starts_with("apps/") {
            let body = failure(500, "InternalError", "Internal error occurred");
            return Response::json(500, &body);
        }
        let applied = request.json();
        let manager = request.query("fieldManager").expect("a manager");
        let wanted = applied["spec"]["replicas"].as_i64();
        let wanted = wanted.expect("a number: without one, it would be given up");
        let version = &applied["metadata"]["resourceVersion"];
        let mut now = self.scale(self.replicas);
        if !version.is_null() && *version != now["metadata"]["resourceVersion"] {
            let words = "the object has been modified";
            return Response::json(409, &failure(409, "Conflict", words));
        }
        let is_forced = request.query("force").as_deref() == Some("true");
        let is_owned = self.owners.iter().any(|owner| *owner != manager);
        if wanted != self.replicas {
            if is_owned && !is_forced {
                let words = "Apply failed with 1 conflict";
                return Response::json(409, &failure(409, "Conflict", words));
            }
            self.owners.clear();
        }
        if !self.owners.contains(&manager) {
            self.owners.push(manager);
        }
        self.scale_to(wanted);
        let metadata = self.scale(wanted)["metadata"].clone();
        now["metadata"] = metadata;
        now["spec"] = match wanted {
            0 => json!({}),
            _ => json!({"replicas": wanted}),
        };
        Response::json(200, &now)
    }
}
