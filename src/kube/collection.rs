//! A collection of objects in a namespace: how it is listed and watched, and the events of
//! its watch
//! (<https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>).
//! Without any input or output.

use percent_encoding::utf8_percent_encode;
use serde_json::Value;

use super::about::Object;
use super::call::{Call, WATCH_SECONDS};
use super::node::Node;
use super::object::MAX_MESSAGE;
use super::operation::Act;
use super::pods::QUERY;
use super::scale::MAX_ID;
use super::watch_lines::Lines;
use crate::control::Namespace;
use crate::json::{Gates, Shape};

/// The longest page of a list that is read, in bytes; it is read piece by piece.
const MAX_PAGE: usize = 64 * 1024 * 1024;

/// The longest token that leads to the next page, in bytes of JSON text. A longer one has to
/// be noticed, since without one a list is complete.
const MAX_CONTINUE: usize = 4096;

/// The parts of a list's metadata that are read.
pub(super) const LIST_METADATA: Shape = Shape::Object(&[
    ("resourceVersion", Shape::Lenient(MAX_ID + 2)),
    ("continue", Shape::WholeOrPresent(MAX_CONTINUE, "continue")),
]);

/// A collection of objects in a namespace.
pub(super) struct Collection {
    /// The path of the collection.
    pub(super) path: String,
    pub(super) namespace: Namespace,
    /// The beginning of the names that are wanted.
    pub(super) prefix: String,
    /// The right to list it.
    pub(super) list: &'static Act,
    /// The right to watch it.
    pub(super) watch: &'static Act,
    pub(super) list_shape: &'static Shape,
    /// The shape of an event of the watch, whose object may be a Status.
    pub(super) event_shape: &'static Shape,
    /// The name under which objects are counted that were left out.
    pub(super) item: &'static str,
    /// The objects of a page.
    pub(super) page: usize,
    /// Bytes kept of a page or of an event.
    pub(super) kept: usize,
    pub(super) gates: Gates,
}

/// A page of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// The next one begins here.
    Continued(String),
    /// It is the last one, and the collection had this version.
    Last(String),
}

/// An event of the watch of a collection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// An object is new or has changed, which made this version.
    Set(String),
    /// It is gone, which made this version.
    Gone(String),
    /// Nothing has changed up to this version.
    Bookmark(String),
    /// The version after which the watch began is too old.
    Expired,
    /// The API server ends the watch for this reason.
    Failed(String),
}

impl Collection {
    /// The call for a page of the list.
    pub(super) fn page(&self, token: Option<&str>) -> Call {
        let token = token.map(|token| utf8_percent_encode(token, QUERY));
        let token = token.map(|token| format!("&continue={token}"));
        let path = format!(
            "{}?limit={}{}",
            self.path,
            self.page,
            token.unwrap_or_default()
        );
        Call::other(
            self.list,
            Object::all(&self.namespace),
            path,
            self.list_shape,
        )
        .keeping(self.kept)
        .reading(MAX_PAGE)
        .gated(self.gates.clone())
    }

    /// The call for the watch of what comes after a version.
    pub(super) fn watch(&self, version: &str) -> Call {
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}\
             &resourceVersion={}",
            self.path,
            utf8_percent_encode(version, QUERY)
        );
        Call::other(
            self.watch,
            Object::all(&self.namespace),
            path,
            self.event_shape,
        )
    }

    /// The lines of that watch.
    pub(super) fn lines(&self) -> Lines {
        Lines::new(self.event_shape, self.kept, self.gates.clone())
    }

    /// True for an object that is wanted.
    pub(super) fn wants(&self, object: Node<'_>) -> bool {
        let name = object.at("metadata").at("name").raw();
        !name.is_empty() && name.starts_with(&self.prefix)
    }
}

/// Reads the metadata of a list; an error says what is wrong with it.
pub(super) fn page(list: Node<'_>) -> Result<Page, &'static str> {
    let metadata = list.at("metadata");
    let (token, version) = (
        metadata.at("continue"),
        metadata.at("resourceVersion").raw(),
    );
    match (token.raw(), version) {
        ("", "") => Err("a list without a version"),
        ("", _) if token.is_true() => Err("a list whose next page has no usable token"),
        ("", version) => Ok(Page::Last(version.to_owned())),
        (token, _) => Ok(Page::Continued(token.to_owned())),
    }
}

/// Reads a line of a watch; None for what is no event of one.
pub(super) fn event(line: &Value) -> Option<Event> {
    let line = Node::new(line);
    let object = line.at("object");
    let version = object.at("metadata").at("resourceVersion").raw();
    let version = Some(version.to_owned()).filter(|version| !version.is_empty());
    Some(match line.at("type").raw() {
        "ADDED" | "MODIFIED" => Event::Set(version?),
        "DELETED" => Event::Gone(version?),
        "BOOKMARK" => Event::Bookmark(version?),
        "ERROR" if object.at("code").number() == Some(410) => Event::Expired,
        "ERROR" => Event::Failed(object.at("message").text(MAX_MESSAGE)),
        _ => return None,
    })
}
