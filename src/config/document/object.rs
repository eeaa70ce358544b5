//! An object of keys, each read by itself, so that all of its faults are told at once.

use super::fields::{kind_of, list, no_text, text};
use crate::config::fault::{Flaw, Flaws, quoted};
use crate::json::{Content, Located};
use crate::util::{SortedMap, SortedSet, nearest};

/// The keys that an object may have, and the cures for those that it has or lacks.
pub(in crate::config) struct Shape {
    /// All that there are.
    pub(in crate::config) keys: &'static [&'static str],
    /// The cure for one that is none.
    pub(in crate::config) unknown: &'static str,
    /// The cure for one that is missing.
    pub(in crate::config) missing: &'static str,
}

/// An object that is being read.
pub(in crate::config) struct Object<'a, 'f> {
    /// Its name, or its number where it has none.
    pub(in crate::config) called: String,
    /// That, and the line that it begins in.
    pub(in crate::config) place: String,
    fields: Vec<(String, Located<'a>)>,
    shape: &'static Shape,
    pub(in crate::config) flaws: &'f mut Flaws,
}

/// The keys and values of an object, in the order in which they are written.
///
/// # Errors
/// It is none; then the rest of a sentence about it.
pub(in crate::config) fn entries(value: Located<'_>) -> Result<Vec<(String, Located<'_>)>, String> {
    match value.content() {
        Ok(Content::Map(entries)) => Ok(entries),
        Ok(other) => Err(format!("is {}", kind_of(&other))),
        Err(_) => Err("has a key that is no text".to_owned()),
    }
}

impl<'a, 'f> Object<'a, 'f> {
    /// Tells the keys that are known from the rest.
    pub(in crate::config) fn new(
        entries: Vec<(String, Located<'a>)>,
        called: String,
        line: usize,
        shape: &'static Shape,
        flaws: &'f mut Flaws,
    ) -> Self {
        let mut object = Self {
            place: format!("{called} (line {line})"),
            called,
            fields: Vec::new(),
            shape,
            flaws,
        };
        let mut seen = SortedSet::new();
        for (key, value) in entries {
            // Thousands of slips would take their time, and are not told.
            if object.flaws.is_full() {
                break;
            }
            let line = value.line();
            if !shape.keys.contains(&key.as_str()) {
                let problem = unknown(&key, line, shape.keys);
                object.flaw(&format!(", which {problem}"), shape.unknown);
            } else if seen.insert(key.clone()) {
                object.fields.push((key, value));
            } else {
                object.flaw(
                    &format!(", which has {} a second time in line {line}", quoted(&key)),
                    "keep one of the two",
                );
            }
        }
        object
    }

    /// Notes a flaw; `rest` follows what the target is called.
    pub(in crate::config) fn flaw(&mut self, rest: &str, cure: &'static str) {
        let problem = format!("has {}{rest}", self.called);
        self.flaws.note(Flaw::new(problem, cure));
    }

    /// Notes the flaw of a value, as the rest of a sentence about it.
    pub(in crate::config) fn flaw_of(&mut self, key: &str, line: usize, flaw: Flaw) {
        let part = format!("has {}, whose {key} in line {line}", self.called);
        self.flaws.note(flaw.within(&part));
    }

    /// The value of a key, unread.
    pub(in crate::config) fn take(&self, key: &str) -> Option<Located<'a>> {
        let found = self.fields.iter().find(|(known, _)| known == key)?;
        Some(found.1)
    }

    /// The value of a key: nothing where it had a flaw, else perhaps none.
    pub(in crate::config) fn read<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(Content<'a>) -> Result<T, Flaw>,
    ) -> Option<Option<T>> {
        let Some((content, line)) = self.content(key) else {
            return Some(None);
        };
        match content.and_then(parse) {
            Ok(read) => Some(Some(read)),
            Err(flaw) => {
                self.flaw_of(key, line, flaw);
                None
            }
        }
    }

    /// The content of the value of a key, if that can be had, and the line that it begins in.
    fn content(&self, key: &str) -> Option<(Result<Content<'a>, Flaw>, usize)> {
        let value = self.take(key)?;
        Some((value.content().map_err(|_| no_text()), value.line()))
    }

    /// The value of a key that has to be there.
    pub(in crate::config) fn needed<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(Content<'a>) -> Result<T, Flaw>,
    ) -> Option<T> {
        let read = self.read(key, parse)?;
        if read.is_none() {
            self.lacks(key);
        }
        read
    }

    /// Notes that a key is missing.
    pub(in crate::config) fn lacks(&mut self, key: &str) {
        let problem = format!("has {}, which has no {key}", self.place);
        self.flaws.note(Flaw::new(problem, self.shape.missing));
    }

    /// The texts of a list, each read by itself.
    pub(in crate::config) fn each<T: Ord>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, Flaw>,
    ) -> Option<Option<SortedSet<T>>> {
        let mut found = SortedSet::new();
        let is_there = self.texts(key, &mut |text| {
            found.insert(parse(text)?);
            Ok(())
        })?;
        Some(is_there.then_some(found))
    }

    /// Hands on the texts of a list. Nothing where one of them had a flaw, else whether there
    /// is a list.
    fn texts(&mut self, key: &str, take: &mut dyn FnMut(&str) -> Result<(), Flaw>) -> Option<bool> {
        let Some(items) = self.read(key, list)? else {
            return Some(false);
        };
        let mut is_sound = true;
        for item in items {
            let content = item.content().map_err(|_| no_text());
            if let Err(flaw) = content.and_then(text).and_then(|text| take(&text)) {
                self.flaw_of(key, item.line(), flaw);
                is_sound = false;
            }
        }
        is_sound.then_some(true)
    }

    /// As [`Object::each`], for a list that may not be empty; else this cures it.
    pub(in crate::config) fn some<T: Ord>(
        &mut self,
        key: &str,
        cure: &'static str,
        parse: impl Fn(&str) -> Result<T, Flaw>,
    ) -> Option<Option<SortedSet<T>>> {
        let found = self.each(key, parse)?;
        if found.as_ref().is_some_and(SortedSet::is_empty) {
            self.note_empty(key, cure);
            return None;
        }
        Some(found)
    }

    /// Notes that a list is empty.
    fn note_empty(&mut self, key: &str, cure: &'static str) {
        let line = self.take(key).map_or(0, |value| value.line());
        self.flaw_of(key, line, Flaw::new("is empty", cure));
    }
}

/// A key that is none, and the one that may have been meant.
pub(in crate::config) fn unknown(key: &str, line: usize, known: &[&str]) -> String {
    let mut problem = format!("has an unknown key {} in line {line}", quoted(key));
    if let Some(meant) = nearest(key, known.iter().copied()) {
        problem.push_str(&format!(" (perhaps {meant})"));
    }
    problem
}

/// The place at which `key` has been before, if it has.
pub(in crate::config) fn before<'a, K: Ord>(
    known: &mut SortedMap<K, &'a str>,
    key: K,
    place: &'a str,
) -> Option<&'a str> {
    let first = known.get(&key).copied();
    if first.is_none() {
        known.insert(key, place);
    }
    first
}
