//! The file of targets: `{ "targets": [ … ] }`.

use super::checks::{MAX_TARGETS, Placed, too_many};
use super::entry::target;
use super::known::Known;
use crate::config::document::{content, kind_of, unknown};
use crate::config::fault::{Flaw, Flaws};
use crate::control::Namespace;
use crate::json::{Content, Document, Located};

/// The keys of the file itself. The first names its schema, for editors.
pub(super) const KEYS: [&str; 2] = ["$schema", "targets"];

const SHAPE: &str = "write { \"targets\": [ … ] } with an object for each target, as \
    docs/targets.schema.json describes it";

/// The targets in the file at `path`, and all that is wrong with it.
pub(super) fn targets(
    path: &str,
    namespace: &Namespace,
    known: &Known<'_>,
) -> (Vec<Placed>, Flaws) {
    let mut flaws = Flaws::default();
    let text = match content(path) {
        Ok(text) => text,
        Err(flaw) => return (Vec::new(), flaw.into()),
    };
    let document = Document::new(&text);
    let root = match document.root() {
        Ok(root) => root,
        Err(error) => {
            // Its message quotes nothing but the marks that were expected.
            let flaw = Flaw::new(format!("is not JSON: {error}"), SHAPE);
            return (Vec::new(), flaw.into());
        }
    };
    let mut items = list(root, &mut flaws);
    if let Some(flaw) = too_many(items.len()) {
        flaws.note(flaw);
        items.truncate(MAX_TARGETS);
    }
    let placed = items
        .into_iter()
        .zip(1..)
        .filter_map(|(item, number)| target(item, number, namespace, known, &mut flaws));
    (placed.collect(), flaws)
}

/// The values in the list of targets.
fn list<'a>(root: Located<'a>, flaws: &mut Flaws) -> Vec<Located<'a>> {
    let mut wrong = |problem: String| {
        flaws.note(Flaw::new(problem, SHAPE));
        Vec::new()
    };
    let entries = match root.content() {
        Ok(Content::Map(entries)) => entries,
        Ok(other) => return wrong(format!("is {} and no object", kind_of(&other))),
        Err(_) => return wrong("has a key that is no text".to_owned()),
    };
    let mut found = None;
    for (key, value) in entries {
        let line = value.line();
        if !KEYS.contains(&key.as_str()) {
            wrong(unknown(&key, line, &KEYS));
        } else if key == "targets" && found.is_some() {
            wrong(format!("has \"targets\" a second time in line {line}"));
        } else if key == "targets" {
            found = Some(match value.content() {
                Ok(Content::List(items)) if items.is_empty() => {
                    wrong(format!("has no target: the list in line {line} is empty"))
                }
                Ok(Content::List(items)) => items,
                Ok(other) => {
                    let is = kind_of(&other);
                    wrong(format!(
                        "has in line {line} targets that are {is} and no list"
                    ))
                }
                Err(_) => Vec::new(),
            });
        }
    }
    found.unwrap_or_else(|| wrong("has no \"targets\"".to_owned()))
}
