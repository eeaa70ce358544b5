//! Texts that are no command.

use std::fmt;

use crate::util::is_deceptive;

/// Longest part of an unknown command that is kept, in characters.
const MAX_UNKNOWN_CHARS: usize = 200;

/// A text that is not understood, fit to be quoted in a reply: at most 200
/// characters, control and direction characters replaced by spaces. `Debug`
/// hides it, for what people write is not logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Unknown(String);

impl Unknown {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn new(text: &str) -> Self {
        let shown = |c| if is_deceptive(c) { ' ' } else { c };
        let mut kept: String = text.chars().map(shown).take(MAX_UNKNOWN_CHARS).collect();
        if text.chars().nth(MAX_UNKNOWN_CHARS).is_some() {
            kept.pop();
            kept.push('…');
        }
        Self(kept)
    }
}

impl fmt::Debug for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unknown({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Command;

    #[test]
    fn an_unknown_text_is_trimmed_and_keeps_its_case() {
        let unknown = Command::parse_reference("  Do it 🦞\n").unwrap_err();
        assert_eq!(unknown.as_str(), "Do it 🦞");
    }

    #[test]
    fn an_unknown_text_is_bounded_and_harmless() {
        let unknown = Command::parse_reference("a\nb\u{1b}[2J\u{202e}c").unwrap_err();
        assert_eq!(unknown.as_str(), "a b [2J c");

        let fits = "é".repeat(200);
        assert_eq!(Command::parse_reference(&fits).unwrap_err().as_str(), fits);
        let unknown = Command::parse_reference(&"é".repeat(201)).unwrap_err();
        assert_eq!(unknown.as_str().chars().count(), 200);
        assert!(unknown.as_str().ends_with("é…"));
    }

    #[test]
    fn debug_does_not_show_what_was_written() {
        let shown = format!("{:?}", Command::parse_reference("my pin is 1234"));
        assert_eq!(shown, "Err(Unknown(14 bytes))");
    }
}
