//! Text that others chose, made safe to show: the one place that knows how.
//!
//! | function | for | deceptive characters | links and mentions | limit |
//! |---|---|---|---|---|
//! | [`name`] | a name in a reply | refuse the name | refuse the name | 32 bytes |
//! | [`code`] | the code of a Matrix error | refuse the code | refuse the code | 64 bytes |
//! | [`words`] | a server's sentence in a reply or an error | a space | broken up | the caller's, in characters |
//! | [`unlinked`] | a sentence that is bounded and plain already | stay | broken up | none |
//! | [`shown`] | a name in a log line | escaped, white space too | stay | 64 characters |
//! | [`printable`] | other text on a terminal or in a log | escaped | stay | the caller's, in bytes |
//!
//! [`is_deceptive`] is the one definition of the characters that all of them look for.

use std::fmt::{self, Write};

/// Stands at the end of a text that was cut.
const CUT: char = '…';

/// The longest name in a reply, in characters.
const MAX_NAME: usize = 32;

/// The longest name in a log line, in characters: an id of Matrix, as servers
/// make them, has 44.
const MAX_SHOWN: usize = 64;

/// True for a character that can make a text look like something it is not: control
/// characters move the cursor or start a new line, line separators do the latter in
/// some viewers, direction marks reorder what is read, and the rest is not seen.
///
/// All with the property `Default_Ignorable_Code_Point`
/// (<https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point>) are, and
/// some more.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen, grapheme joiner, Arabic letter mark.
            '\u{ad}' | '\u{34f}' | '\u{61c}'
            // Fillers of Hangul, vowels of Khmer without a shape, Braille without a dot.
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{17b4}' | '\u{17b5}'
            | '\u{2800}'
            // Selectors of variants, of Mongolian and of all scripts.
            | '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}'
            // Zero width, direction, lines, invisible operators.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            // Byte order mark, annotations, joiners of hieroglyphs, formatting of
            // shorthand and music.
            | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            // Tags, more selectors, and what is set apart for more of them.
            | '\u{e0000}'..='\u{e0fff}')
}

/// A name that somebody else chose, for a reply: if it has at most 32 characters,
/// all of them ASCII letters, digits, `-` or `_`. Such a name is no link, no
/// mention and no sentence, and looks like no other. None for any other: the reply
/// then says instead what kind of thing has the name.
pub fn name(text: &str) -> Option<&str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    ((1..=MAX_NAME).contains(&text.len()) && text.chars().all(is_plain)).then_some(text)
}

/// The code of a Matrix error as the specification forms them
/// (<https://spec.matrix.org/v1.11/client-server-api/#standard-error-response>): `M_`
/// and at most 62 capitals, digits and `_`. Any other is "an unknown code".
pub fn code(text: &str) -> &str {
    let is_plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let is_code = text
        .strip_prefix("M_")
        .is_some_and(|rest| (1..MAX_SHOWN - 1).contains(&rest.len()) && rest.chars().all(is_plain));
    if is_code { text } else { "an unknown code" }
}

/// A server's sentence for a person: on one line, of at most `max_chars`
/// characters, and without links and mentions ([`unlinked`]).
///
/// Deceptive characters and white space become one space. After the limit comes
/// `…`. Without a full stop, so that it can end a sentence.
pub fn words(text: &str, max_chars: usize) -> String {
    let is_space = |c: char| c.is_whitespace() || is_deceptive(c);
    let mut line = String::new();
    // More than this is cut off below in any case.
    for c in text
        .trim_start_matches(is_space)
        .chars()
        .take(4 * max_chars)
    {
        match is_space(c) {
            true if line.ends_with(' ') => {}
            true => line.push(' '),
            false => line.push(c),
        }
    }
    let whole = unlinked(&line);
    match whole.char_indices().nth(max_chars) {
        Some((end, _)) => {
            let kept = whole.get(..end).unwrap_or_default();
            format!("{}{CUT}", kept.trim_end())
        }
        None => whole.trim_end_matches(['.', ' ']).to_owned(),
    }
}

/// A text that no client makes a link or a mention of: a dot within a word is
/// written `[.]`, the colon of a scheme `[:]`, an at sign `[at]`.
pub fn unlinked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let after = rest.peek().copied().unwrap_or(' ');
        match c {
            '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}'
                if before.is_alphanumeric() && after.is_alphanumeric() =>
            {
                out.push_str("[.]");
            }
            ':' if before.is_alphabetic() && !after.is_whitespace() => out.push_str("[:]"),
            '@' | '\u{ff20}' => out.push_str("[at]"),
            c => out.push(c),
        }
        before = c;
    }
    out
}

/// A name that somebody else chose, for a log line: white space and deceptive
/// characters are escaped, and after 64 characters comes `…`.
pub fn shown<T: AsRef<str> + ?Sized>(text: &T) -> impl fmt::Display + use<'_, T> {
    fmt::from_fn(|f| {
        let text = text.as_ref();
        for c in text.chars().take(MAX_SHOWN) {
            if c.is_whitespace() || is_deceptive(c) {
                write!(f, "{}", c.escape_unicode())?;
            } else {
                f.write_char(c)?;
            }
        }
        match text.chars().nth(MAX_SHOWN) {
            Some(_) => f.write_char(CUT),
            None => Ok(()),
        }
    })
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

    /// The text that was written, ending in `…` if it met the limit.
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
#[path = "printable/tests.rs"]
mod tests;
