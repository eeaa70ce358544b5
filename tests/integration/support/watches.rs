//! The watches that the stand-in for an API server serves, each of one workload.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::apiserver::State;
use super::monitor::Monitor;
use super::wire::Request;

/// How long a watch lasts: longer than a test.
const LASTS: Duration = Duration::from_secs(240);

/// True if a request is one for a watch.
pub fn is_watch(request: &Request) -> bool {
    request.query("watch").as_deref() == Some("true")
}

/// A watch under way.
pub struct Watcher {
    shared: Arc<Monitor<State>>,
    namespace: String,
    name: String,
    /// It began after a version: its first event is what the controller does then.
    has_version: bool,
    /// The initial state was told, or was not asked for.
    has_begun: bool,
    shown: Option<Value>,
    /// The lines of the test that were there before, or are told.
    lines: usize,
    is_over: bool,
}

impl Watcher {
    /// Begins a watch of the workload that the request's field selector names.
    pub fn new(shared: &Arc<Monitor<State>>, request: &Request) -> Self {
        let selector = request.query("fieldSelector").unwrap_or_default();
        let name = selector.strip_prefix("metadata.name=").expect("one object");
        let segments = request.segments();
        let at = segments.iter().position(|part| part == "namespaces");
        let has_version = request.query("resourceVersion").is_some();
        Self {
            shared: Arc::clone(shared),
            namespace: segments[at.expect("a namespace") + 1].clone(),
            name: name.to_owned(),
            has_version,
            has_begun: has_version,
            shown: None,
            lines: shared.with(|state| state.objects.lines.len()),
            is_over: false,
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
        if self.is_over || state.faults.is_closed() {
            return Some(None);
        }
        let objects = &state.objects;
        let lines = objects.lines.iter().enumerate().skip(self.lines);
        if let Some((at, (_, line))) = lines.clone().find(|(_, (name, _))| *name == self.name) {
            self.lines = at + 1;
            self.is_over = line.contains("ERROR");
            return Some(Some(format!("{line}\n")));
        }
        if objects.is_mute {
            return None;
        }
        let found = objects
            .workloads
            .iter()
            .find(|known| known.name == self.name && known.namespace == self.namespace);
        let now = found.map(|known| known.shown());
        let mut text = String::new();
        if now != self.shown {
            let kind = match (&self.shown, &now) {
                (None, _) if !self.has_version => "ADDED",
                (_, Some(_)) => "MODIFIED",
                (_, None) => "DELETED",
            };
            let object = now.as_ref().or(self.shown.as_ref());
            text = format!("{}\n", json!({"type": kind, "object": object}));
            self.shown = now;
        }
        if !self.has_begun {
            self.has_begun = true;
            let annotations = json!({"k8s.io/initial-events-end": "true"});
            let object = json!({"metadata": {"resourceVersion": "1", "annotations": annotations}});
            text += &format!("{}\n", json!({"type": "BOOKMARK", "object": object}));
        }
        (!text.is_empty()).then_some(Some(text))
    }
}
