//! Text of unknown origin made safe to show on a terminal or in a log.

use std::fmt::{self, Write};

/// Stands at the end of a text that was cut.
const CUT: char = '…';

/// Whether a character can make a text look like something it is not: control
/// characters move the cursor or start a new line, the Unicode line separators
/// do the latter in some viewers, and the direction marks reorder what is read.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text on one line and at most `max_bytes` long: deceptive characters are
/// written as escapes (`\n`, `\u{1b}`), and what does not fit is replaced by
/// `…`. See [`Printable`] for limits below three bytes.
pub fn printable(text: &str, max_bytes: usize) -> String {
    let mut out = Printable::new(max_bytes);
    // An error says that the limit was met, which the result shows by itself.
    let _ = out.write_str(text);
    out.finish()
}

/// A bounded sink for `write!` that does what [`printable`] does piece by
/// piece, so that a huge value is never held in memory only to be cut.
#[derive(Debug)]
pub struct Printable {
    out: String,
    /// Length in bytes up to which `out` still leaves room for the mark.
    room: usize,
    max_bytes: usize,
    full: bool,
}

impl Printable {
    /// A sink that yields at most `max_bytes` bytes, or nothing at all where
    /// not even the mark of a cut (three bytes) fits.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            out: String::new(),
            room: 0,
            max_bytes,
            full: false,
        }
    }

    /// What was written, ending in `…` if it met the limit.
    pub fn finish(mut self) -> String {
        if self.full {
            self.out.truncate(self.room);
            if self.room + CUT.len_utf8() <= self.max_bytes {
                self.out.push(CUT);
            }
        }
        self.out
    }

    /// Takes one character whole (with all of its escape) or not at all.
    fn push(&mut self, c: char) -> fmt::Result {
        let before = self.out.len();
        if is_deceptive(c) {
            self.out.extend(c.escape_default());
        } else {
            self.out.push(c);
        }
        if self.out.len() > self.max_bytes {
            self.out.truncate(before);
            self.full = true;
            return Err(fmt::Error);
        }
        if self.out.len() + CUT.len_utf8() <= self.max_bytes {
            self.room = self.out.len();
        }
        Ok(())
    }
}

impl Write for Printable {
    /// Fails once the limit is met, which stops the formatting early.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.full {
            return Err(fmt::Error);
        }
        text.chars().try_for_each(|c| self.push(c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_as_it_is() {
        assert_eq!(printable("Grüße 🦞 \\ \"x\"", 80), "Grüße 🦞 \\ \"x\"");
    }

    #[test]
    fn control_line_and_direction_characters_are_escaped() {
        assert_eq!(
            printable(
                "a\r\nb\u{1b}[2Jc\u{85}\u{2028}\u{202e}\u{2066}\u{200f}",
                200
            ),
            r"a\r\nb\u{1b}[2Jc\u{85}\u{2028}\u{202e}\u{2066}\u{200f}"
        );
    }

    #[test]
    fn the_limit_holds_for_every_length_and_never_splits_an_escape() {
        let text = "aé🦞\n\u{1b}".repeat(4);
        let whole = printable(&text, 1000);
        for max in 0..=whole.len() + 2 {
            let shown = printable(&text, max);
            assert!(shown.len() <= max, "{shown:?} at {max}");
            if max >= whole.len() {
                assert_eq!(shown, whole);
            } else if max >= 3 {
                let kept = shown.strip_suffix('…').unwrap();
                assert!(whole.starts_with(kept));
                assert!(!kept.ends_with('\\'), "{shown:?} at {max}");
                assert!(!kept.ends_with("1b"), "{shown:?} at {max}");
            } else {
                assert_eq!(shown, "");
            }
        }
    }

    #[test]
    fn a_full_sink_takes_nothing_more() {
        let mut sink = Printable::new(6);
        assert!(sink.write_str("longer than six").is_err());
        assert!(sink.write_str("x").is_err());
        assert_eq!(sink.finish(), "lon…");
    }
}
