//! A watch that is open: its connection, and the lines that come over it.

use serde_json::Value;

use super::watch_lines::{Lines, NoEvent};
use crate::net::{Bytes, Stream};

/// A watch that is open. Dropped, it closes its connection.
pub(super) struct WatchStream {
    stream: Stream,
    lines: Lines,
    /// Bytes that have come and are not read yet.
    rest: Bytes,
}

impl WatchStream {
    /// A watch of which nothing was read yet.
    pub(super) fn new(stream: Stream, lines: Lines) -> Self {
        Self {
            stream,
            lines,
            rest: Bytes::new(),
        }
    }

    /// The next line; None at the end of the body. May be dropped while it waits.
    ///
    /// # Errors
    /// The connection broke, or what comes over it is no watch.
    pub(super) async fn next(&mut self) -> Result<Option<Value>, String> {
        loop {
            while !self.rest.is_empty() {
                let mut rest: &[u8] = &self.rest;
                let line = self.lines.next(&mut rest);
                self.rest = self.rest.slice_ref(rest);
                match line {
                    Ok(None) => {}
                    Ok(line) => return Ok(line),
                    Err(NoEvent) => return Err("what came is no event".to_owned()),
                }
            }
            self.rest = match self.stream.next().await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return Ok(None),
                Err(error) => return Err(error.to_string()),
            };
        }
    }
}
