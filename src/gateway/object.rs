//! Writing the JSON of answers.

use std::fmt::{Display, Write as _};

/// A JSON object that is written member by member.
pub(in crate::gateway) struct Object(String);

impl Object {
    /// An object without members.
    pub(in crate::gateway) fn new() -> Self {
        Self("{".to_owned())
    }

    /// Adds a text.
    pub(in crate::gateway) fn text(&mut self, name: &str, value: &str) {
        // A text is always JSON.
        let text = serde_json::to_string(value).unwrap_or_default();
        self.raw(name, &text);
    }

    /// Adds what is JSON already, such as a number.
    pub(in crate::gateway) fn raw(&mut self, name: &str, value: &dyn Display) {
        let comma = if self.0.len() > 1 { "," } else { "" };
        // Writing into a string cannot fail.
        let _ = write!(self.0, "{comma}\"{name}\":{value}");
    }

    /// The JSON.
    pub(in crate::gateway) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}
