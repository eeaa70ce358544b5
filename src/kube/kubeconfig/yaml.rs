//! A YAML document as a tree, within limits. JSON is YAML.
//!
//! Specification: <https://yaml.org/spec/1.2.2/>.

use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::util::{SortedMap, printable};

/// The deepest nesting of lists and mappings.
const MAX_DEPTH: usize = 32;

/// Lists, mappings and scalars of a document, keys not counted.
const MAX_NODES: usize = 20_000;

/// Aliases of a document. What one stands for is shared, not copied, so that this bounds
/// how deep a tree of them is.
const MAX_ALIASES: usize = 100;

/// The longest message of the parser that is shown, in bytes.
const MAX_MESSAGE: usize = 100;

/// A value, and where it begins. There is no `Debug`: it may hold a key or a token.
pub(super) struct Node {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) value: Value,
}

pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A text, number or switch, as it is written.
    Scalar(Zeroizing<String>),
    List(Vec<Rc<Node>>),
    /// In the order of the document; no key is there twice.
    Map(Vec<(Zeroizing<String>, Rc<Node>)>),
}

impl Node {
    /// The value of a key, if it is a mapping that has it and it is not null.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        let found = entries.iter().find(|(known, _)| known.as_str() == key);
        let (_, node) = found?;
        (!matches!(node.value, Value::Null)).then_some(node)
    }
}

/// The reason why a text is not read, and the line. It shows nothing of the text but
/// single characters.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum YamlFault {
    #[error("is not YAML at line {line}: {message}")]
    Syntax { line: usize, message: String },
    #[error("is nested more than {MAX_DEPTH} deep at line {0}")]
    TooDeep(usize),
    #[error("has more than {MAX_NODES} values")]
    TooMany,
    #[error("has more than {MAX_ALIASES} aliases")]
    TooManyAliases,
    #[error("has an alias at line {0} for what it is itself a part of")]
    Circle(usize),
    #[error("has a merge key (<<) at line {0}, which this program does not follow")]
    Merge(usize),
    #[error("has a key at line {0} that is not a text")]
    Key(usize),
    #[error("has the key of line {0} twice in one mapping")]
    Twice(usize),
    #[error("holds a second document at line {0}")]
    Several(usize),
}

/// Reads the one document in a text; an empty text is null.
///
/// Copies of a scalar that the parser itself makes while it reads are not wiped.
pub(super) fn parse(text: &str) -> Result<Rc<Node>, YamlFault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut tree = Tree::default();
    for event in Parser::new_from_str(text) {
        let (event, Span { start, .. }) = event.map_err(|error| YamlFault::Syntax {
            line: error.marker().line(),
            message: printable(error.info(), MAX_MESSAGE),
        })?;
        tree.take(event, start.line())?;
    }
    Ok(tree.root.unwrap_or_else(|| {
        Rc::new(Node {
            line: 1,
            value: Value::Null,
        })
    }))
}

/// A tree that grows.
#[derive(Default)]
struct Tree {
    root: Option<Rc<Node>>,
    /// The lists and mappings that have not ended, the outermost first.
    open: Vec<Open>,
    anchored: SortedMap<usize, Rc<Node>>,
    nodes: usize,
    aliases: usize,
    documents: usize,
}

struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value is to come, of a mapping.
    key: Option<Zeroizing<String>>,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), YamlFault> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                match self.documents {
                    1 => Ok(()),
                    _ => Err(YamlFault::Several(line)),
                }
            }
            Event::Scalar(text, style, anchor, _) => {
                let text = Zeroizing::new(text.into_owned());
                if self.wants_key() {
                    if anchor > 0 {
                        let value = Value::Scalar(text.clone());
                        self.anchored.insert(anchor, Rc::new(Node { line, value }));
                    }
                    return self.key(text, line);
                }
                let is_null = style == ScalarStyle::Plain
                    && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
                let value = match is_null {
                    true => Value::Null,
                    false => Value::Scalar(text),
                };
                self.add(Rc::new(Node { line, value }), anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(Value::List(Vec::new()), anchor, line),
            Event::MappingStart(anchor, _) => self.begin(Value::Map(Vec::new()), anchor, line),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { node, anchor, .. }) => self.add(Rc::new(node), anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                self.aliases += 1;
                if self.aliases > MAX_ALIASES {
                    return Err(YamlFault::TooManyAliases);
                }
                let node = self.anchored.get(&anchor).map(Rc::clone);
                let node = node.ok_or(YamlFault::Circle(line))?;
                match (&node.value, self.wants_key()) {
                    (Value::Scalar(text), true) => self.key(text.clone(), line),
                    _ => self.add(node, 0),
                }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    /// True where the next node is a key.
    fn wants_key(&self) -> bool {
        let last = self.open.last();
        last.is_some_and(|open| matches!(open.node.value, Value::Map(_)) && open.key.is_none())
    }

    fn key(&mut self, text: Zeroizing<String>, line: usize) -> Result<(), YamlFault> {
        if text.as_str() == "<<" {
            return Err(YamlFault::Merge(line));
        }
        if let Some(open) = self.open.last_mut() {
            if let Value::Map(entries) = &open.node.value
                && entries.iter().any(|(known, _)| *known == text)
            {
                return Err(YamlFault::Twice(line));
            }
            open.key = Some(text);
        }
        Ok(())
    }

    fn begin(&mut self, value: Value, anchor: usize, line: usize) -> Result<(), YamlFault> {
        if self.wants_key() {
            return Err(YamlFault::Key(line));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(YamlFault::TooDeep(line));
        }
        self.open.push(Open {
            node: Node { line, value },
            anchor,
            key: None,
        });
        Ok(())
    }

    /// Takes in a node that has ended. An anchor is a number above 0.
    fn add(&mut self, node: Rc<Node>, anchor: usize) -> Result<(), YamlFault> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(YamlFault::TooMany);
        }
        if anchor > 0 {
            self.anchored.insert(anchor, Rc::clone(&node));
        }
        let Some(Open {
            node: Node { value, .. },
            key,
            ..
        }) = self.open.last_mut()
        else {
            self.root = Some(node);
            return Ok(());
        };
        match (value, key.take()) {
            (Value::List(items), _) => items.push(node),
            (Value::Map(entries), Some(key)) => entries.push((key, node)),
            _ => return Err(YamlFault::Key(node.line)),
        }
        Ok(())
    }
}
