//! The watches of collections that the stand-in for an API server serves.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::serving::Place;
use super::state::State;
use crate::support::apiserver::failure;
use crate::support::monitor::Monitor;
use crate::support::wire::{Answer, Request};

/// The longest time that a watch of a test waits for something to tell.
const LASTS: Duration = Duration::from_secs(240);

/// A watch under way.
pub struct Watcher {
    shared: Arc<Monitor<State>>,
    collection: String,
    /// The only object that is told of, if there is one.
    name: Option<String>,
    version: u64,
    bookmarked: u64,
    ended: usize,
    is_over: bool,
}

impl Watcher {
    pub fn begin(shared: &Arc<Monitor<State>>, request: &Request, place: &Place) -> Answer {
        let selector = request.query("fieldSelector").unwrap_or_default();
        let name = selector.strip_prefix("metadata.name=").map(str::to_owned);
        let asked = request.query("resourceVersion");
        let (version, ended) = shared.with(|state| {
            let newest = state.objects.store.version();
            let asked = asked.and_then(|version| version.parse().ok());
            (asked.unwrap_or(newest), state.ended)
        });
        let mut watcher = Self {
            shared: Arc::clone(shared),
            collection: place.collection.clone(),
            name,
            version,
            bookmarked: version,
            ended,
            is_over: false,
        };
        Answer::Pieces(Box::new(move || watcher.next()))
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let shared = Arc::clone(&self.shared);
        shared
            .wait_within(LASTS, |state| self.look(state))?
            .map(String::into_bytes)
    }

    /// None while there is nothing to tell; Some(None) at the end.
    fn look(&mut self, state: &mut State) -> Option<Option<String>> {
        if self.is_over || state.faults.is_closed() || state.ended != self.ended {
            return Some(None);
        }
        let store = &state.objects.store;
        let Some(changes) = store.after(&self.collection, self.version) else {
            self.is_over = true;
            let object = failure(410, "Expired", "too old resource version");
            return Some(Some(line("ERROR", &object)));
        };
        let mut text = String::new();
        for change in changes {
            self.version = change.version;
            let name = change.object["metadata"]["name"].as_str();
            if self.name.is_none() || self.name.as_deref() == name {
                text += &line(change.kind, &change.object);
            }
        }
        // Nothing else has happened, and that is told, too.
        let newest = store.version();
        if text.is_empty() && newest > self.version.max(self.bookmarked) {
            self.bookmarked = newest;
            self.version = newest;
            let object = json!({"metadata": {"resourceVersion": newest.to_string()}});
            text = line("BOOKMARK", &object);
        }
        (!text.is_empty()).then_some(Some(text))
    }
}

fn line(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}
