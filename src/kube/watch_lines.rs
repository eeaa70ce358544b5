//! The body of a watch, line by line
//! (<https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>):
//! the bytes of a connection into events, without any input or output.

use serde_json::Value;

use super::node::Node;
use super::object::{INITIAL_STATE_ENDS, MAX_KEPT, WORD, WORKLOAD, observation};
use crate::control::Kind;
use crate::control::progress::Observation;
use crate::json::{Open, Shape, Sieve};

/// The longest line in bytes, as the longest answer.
const MAX_LINE: usize = 4 * 1024 * 1024;

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

/// A line is no event of this watch, or too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoEvent;

/// Reads the events of one watch. Of the line under way only what is looked at is in
/// memory, at most 16 KiB and one item.
pub(super) struct Lines {
    kind: Kind,
    line: Option<Sieve>,
    /// The length of the line so far.
    length: usize,
    /// True once there was an object.
    has_object: bool,
}

impl Lines {
    /// The lines of a watch of a workload of this kind.
    pub(super) fn new(kind: &Kind) -> Self {
        Self {
            kind: kind.clone(),
            line: None,
            length: 0,
            has_object: false,
        }
    }

    /// Takes in bytes up to the end of a line, and leaves the rest. None where the line
    /// goes on, or has nothing to say.
    ///
    /// # Errors
    /// [`NoEvent`]: what follows is not to be trusted either.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Event>, NoEvent> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (part, rest) = match end.and_then(|end| bytes.split_at_checked(end)) {
            Some((part, rest)) => (part, rest.get(1..).unwrap_or_default()),
            None => (*bytes, <&[u8]>::default()),
        };
        *bytes = rest;
        self.length = self.length.saturating_add(part.len());
        if self.length > MAX_LINE {
            return Err(NoEvent);
        }
        if self.line.is_some() || !part.trim_ascii().is_empty() {
            let new = || Sieve::new(&EVENT, MAX_KEPT, Box::new(Open));
            let line = self.line.get_or_insert_with(new);
            line.push(part).map_err(|_| NoEvent)?;
        }
        if end.is_none() {
            return Ok(None);
        }
        self.length = 0;
        match self.line.take() {
            Some(line) => self.event(line),
            None => Ok(None),
        }
    }

    fn event(&mut self, line: Sieve) -> Result<Option<Event>, NoEvent> {
        let line = line.finish().map_err(|_| NoEvent)?;
        let event: Value = serde_json::from_slice(&line.body).map_err(|_| NoEvent)?;
        let event = Node::new(&event);
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
