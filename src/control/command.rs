//! The grammar of commands.

use std::fmt;

use crate::util::is_deceptive;

/// Longest part of an unknown command that is kept, in characters.
const MAX_UNKNOWN_CHARS: usize = 200;

/// A thing that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Scale to one replica.
    Start,
    /// Scale to none.
    Stop,
    /// Tell how the Deployment is.
    Status,
    /// Tell what can be asked for.
    Help,
}

impl Command {
    /// Reads the text of a message: one word, in any case, white space around
    /// it ignored.
    ///
    /// # Errors
    /// The text, if it is anything else.
    pub fn parse(body: &str) -> Result<Self, Unknown> {
        let word = body.trim();
        match word.to_ascii_lowercase().as_str() {
            "start" | "on" => Ok(Self::Start),
            "stop" | "off" => Ok(Self::Stop),
            "status" => Ok(Self::Status),
            "help" => Ok(Self::Help),
            _ => Err(Unknown::new(word)),
        }
    }

    /// Its name, the first of its words: fit for logs and for the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Status => "status",
            Self::Help => "help",
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no command, fit to be quoted in a reply: at most 200
/// characters, control and direction characters replaced by spaces. `Debug`
/// hides it, for what people write is not logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Unknown(String);

impl Unknown {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn new(text: &str) -> Self {
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
    use super::*;

    #[test]
    fn every_word_in_any_case_and_with_white_space_around() {
        for (words, command) in [
            (["start", "on", " START\n"], Command::Start),
            (["stop", "off", "\tOff "], Command::Stop),
            (["status", "Status", "STATUS"], Command::Status),
            (["help", "Help", " help "], Command::Help),
        ] {
            for word in words {
                assert_eq!(Command::parse(word), Ok(command), "{word:?}");
            }
            assert_eq!(Command::parse(command.as_str()), Ok(command));
        }
    }

    #[test]
    fn nothing_else_is_a_command() {
        for body in [
            "",
            "starts",
            "start now",
            "st art",
            "start\u{200b}",
            "/start",
            "ｓtart",
        ] {
            assert!(Command::parse(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn an_unknown_text_is_trimmed_and_keeps_its_case() {
        let unknown = Command::parse("  Do it 🦞\n").unwrap_err();
        assert_eq!(unknown.as_str(), "Do it 🦞");
    }

    #[test]
    fn an_unknown_text_is_bounded_and_harmless() {
        let unknown = Command::parse("a\nb\u{1b}[2J\u{202e}c").unwrap_err();
        assert_eq!(unknown.as_str(), "a b [2J c");

        let fits = "é".repeat(200);
        assert_eq!(Command::parse(&fits).unwrap_err().as_str(), fits);
        let unknown = Command::parse(&"é".repeat(201)).unwrap_err();
        assert_eq!(unknown.as_str().chars().count(), 200);
        assert!(unknown.as_str().ends_with("é…"));
    }

    #[test]
    fn debug_does_not_show_what_was_written() {
        let shown = format!("{:?}", Command::parse("my pin is 1234"));
        assert_eq!(shown, "Err(Unknown(14 bytes))");
    }
}
