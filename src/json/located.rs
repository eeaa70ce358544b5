//! A JSON text of which each value knows its line, for the faults of files that people
//! write: a parser into types stops at the first, and knows lines of syntax alone.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON text, at most as long as the caller lets it be.
pub struct Document<'a> {
    text: &'a str,
    /// The offsets of its line breaks.
    breaks: Vec<usize>,
}

/// A value in a [`Document`]. What is in it is read only when it is asked for, one level at
/// a time.
#[derive(Clone, Copy)]
pub struct Located<'a> {
    document: &'a Document<'a>,
    raw: &'a RawValue,
}

/// A value, one level deep.
pub enum Content<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Switch(bool),
    /// A number, as it is written.
    Number(&'a str),
    /// A string without its escapes.
    Text(String),
    /// An array.
    List(Vec<Located<'a>>),
    /// An object in the order in which it is written, with keys that may be there twice.
    Map(Vec<(String, Located<'a>)>),
}

impl<'a> Document<'a> {
    /// Takes a text, with or without a byte order mark.
    pub fn new(text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let breaks = text.match_indices('\n').map(|(at, _)| at).collect();
        Self { text, breaks }
    }

    /// The value that the text is.
    ///
    /// # Errors
    /// The first place that is not JSON.
    pub fn root(&'a self) -> Result<Located<'a>, serde_json::Error> {
        let raw = serde_json::from_slice(self.text.as_bytes())?;
        Ok(Located {
            document: self,
            raw,
        })
    }
}

impl<'a> Located<'a> {
    /// The line that it begins in, counted from 1.
    pub fn line(&self) -> usize {
        let start = self.document.text.as_ptr().addr();
        let offset = self.raw.get().as_ptr().addr().saturating_sub(start);
        let before = self.document.breaks.partition_point(|at| *at < offset);
        before.saturating_add(1)
    }

    /// Its kind.
    ///
    /// # Errors
    /// A string or a key has half of a surrogate pair, which is JSON and no text.
    pub fn content(&self) -> Result<Content<'a>, serde_json::Error> {
        let text = self.raw.get();
        let located = |raw| Located {
            document: self.document,
            raw,
        };
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let mut deserializer = serde_json::Deserializer::from_slice(text.as_bytes());
                let entries = deserializer.deserialize_map(Entries)?;
                let entries = entries.into_iter().map(|(key, raw)| (key, located(raw)));
                Content::Map(entries.collect())
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_slice(text.as_bytes())?;
                Content::List(items.into_iter().map(located).collect())
            }
            Some(b'"') => Content::Text(serde_json::from_slice(text.as_bytes())?),
            Some(b't') => Content::Switch(true),
            Some(b'f') => Content::Switch(false),
            Some(b'n') => Content::Null,
            _ => Content::Number(text),
        })
    }
}

/// Keeps the entries of an object.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each value that is no list or object, with its line.
    fn leaves(value: Located<'_>, found: &mut Vec<(usize, String)>) {
        let shown = match value.content().unwrap() {
            Content::Map(entries) => {
                for (_, value) in entries {
                    leaves(value, found);
                }
                return;
            }
            Content::List(items) => {
                for item in items {
                    leaves(item, found);
                }
                return;
            }
            Content::Null => "null".to_owned(),
            Content::Switch(on) => on.to_string(),
            Content::Number(number) => number.to_owned(),
            Content::Text(text) => text,
        };
        found.push((value.line(), shown));
    }

    #[test]
    fn each_value_knows_its_line() {
        let text = "\u{feff}\n{\"a\": [1,\r\n  \"\\u00e4\\n\",\n\n null], \"b\"\n:\ntrue,\n\"c\":{\"d\"\n:-1e5}}\n";
        let document = Document::new(text);
        let root = document.root().unwrap();
        assert_eq!(root.line(), 2);
        let mut found = Vec::new();
        leaves(root, &mut found);
        let told: Vec<_> = found.iter().map(|(line, text)| (*line, &**text)).collect();
        assert_eq!(
            told,
            [(2, "1"), (3, "ä\n"), (5, "null"), (7, "true"), (9, "-1e5")]
        );
    }

    #[test]
    fn a_key_may_be_there_twice() {
        let document = Document::new("{\"a\":1,\n\"a\":2}");
        let Content::Map(entries) = document.root().unwrap().content().unwrap() else {
            panic!("an object");
        };
        let told: Vec<_> = entries
            .iter()
            .map(|(key, value)| (&**key, value.line()))
            .collect();
        assert_eq!(told, [("a", 1), ("a", 2)]);
    }

    #[test]
    fn what_is_no_json_is_refused_at_its_line() {
        for (text, line) in [
            ("", 1),
            ("{\n\"a\": 1,\n}", 3),
            ("[1]\n]", 2),
            ("{'a':1}", 1),
        ] {
            let fault = Document::new(text).root().err().unwrap();
            assert_eq!(fault.line(), line, "{text:?}");
        }
    }

    #[test]
    fn half_of_a_surrogate_pair_is_no_text() {
        let document = Document::new(r#"["\ud800"]"#);
        let Content::List(items) = document.root().unwrap().content().unwrap() else {
            panic!("a list");
        };
        assert!(items[0].content().is_err());
    }

    #[test]
    fn no_depth_is_too_deep() {
        let text = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let document = Document::new(&text);
        let mut value = document.root().unwrap();
        for _ in 0..3 {
            let Content::List(items) = value.content().unwrap() else {
                panic!("a list");
            };
            value = items[0];
        }
    }
}
