//! The events of a watch of one workload, without any input or output.

use serde_json::Value;

use super::node::Node;
use super::object::{INITIAL_STATE_ENDS, WORD, WORKLOAD, observation};
use super::watch_lines::NoEvent;
use crate::control::Kind;
use crate::control::progress::Observation;
use crate::json::Shape;

/// The parts of an event that are read. Where its object is a Status, nothing is.
pub(super) const EVENT: Shape = Shape::Object(&[("type", WORD), ("object", WORKLOAD)]);

/// An event of a watch of one workload.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The workload as it is (`ADDED`, `MODIFIED`).
    Seen(Box<Observation>),
    /// It is no more (`DELETED`), or the initial state has ended without it.
    Lost,
    /// The API server ends the watch (`ERROR`): mostly the version from which it was asked
    /// for is too old, which is a 410 in the body of a 200.
    Expired,
}

/// Reads the events of one watch.
pub(super) struct Events {
    kind: Kind,
    /// True once there was an object.
    has_object: bool,
}

impl Events {
    /// The events of a watch of a workload of this kind.
    pub(super) fn new(kind: &Kind) -> Self {
        Self {
            kind: kind.clone(),
            has_object: false,
        }
    }

    /// Reads a line. None where it has nothing to say.
    ///
    /// # Errors
    /// [`NoEvent`]: what follows is not to be trusted either.
    pub(super) fn event(&mut self, line: &Value) -> Result<Option<Event>, NoEvent> {
        let event = Node::new(line);
        let object = event.at("object");
        Ok(match event.at("type").raw() {
            "ADDED" | "MODIFIED" => {
                self.has_object = true;
                let seen = observation(&self.kind, object).map_err(|_| NoEvent)?;
                Some(Event::Seen(Box::new(seen)))
            }
            "DELETED" => Some(Event::Lost),
            "ERROR" => Some(Event::Expired),
            "BOOKMARK" => {
                let annotations = object.at("metadata").at("annotations");
                let is_end = annotations.at(INITIAL_STATE_ENDS).is_present();
                (is_end && !self.has_object).then_some(Event::Lost)
            }
            _ => return Err(NoEvent),
        })
    }
}
