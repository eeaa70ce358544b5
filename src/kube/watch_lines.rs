//! The body of a watch, line by line
//! (<https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>):
//! the bytes of a connection into JSON values, without any input or output.

use serde_json::Value;

use crate::json::{Gates, Shape, Sieve};

/// The longest line in bytes, as the longest answer.
const MAX_LINE: usize = 4 * 1024 * 1024;

/// A line is no event of this watch, or too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoEvent;

/// Reads the lines of one watch. Of the line under way only what is looked at is in
/// memory.
pub(super) struct Lines {
    shape: &'static Shape,
    /// Bytes kept of a line, and one item.
    kept: usize,
    gates: Gates,
    line: Option<Sieve>,
    /// The length of the line so far.
    length: usize,
}

impl Lines {
    /// The lines of a watch, of whose events the parts of this shape are kept.
    pub(super) fn new(shape: &'static Shape, kept: usize, gates: Gates) -> Self {
        Self {
            shape,
            kept,
            gates,
            line: None,
            length: 0,
        }
    }

    /// Takes in bytes up to the end of a line, and leaves the rest. None where the line
    /// goes on, or has nothing to say.
    ///
    /// # Errors
    /// [`NoEvent`]: what follows is not to be trusted either.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Value>, NoEvent> {
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
            let new = || Sieve::new(self.shape, self.kept, (self.gates)());
            let line = self.line.get_or_insert_with(new);
            line.push(part).map_err(|_| NoEvent)?;
        }
        if end.is_none() {
            return Ok(None);
        }
        self.length = 0;
        let Some(line) = self.line.take() else {
            return Ok(None);
        };
        let line = line.finish().map_err(|_| NoEvent)?;
        let value = serde_json::from_slice(&line.body).map_err(|_| NoEvent)?;
        Ok(Some(value))
    }
}
