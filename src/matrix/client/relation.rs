//! Relations between messages: threads, replies and edits. Of an encrypted message they
//! stand in the part that is not encrypted, and are the server's word.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#forming-relationships-between-events>

use ruma::{EventId, OwnedEventId};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::util::{MAX_ID, is_carried};

/// The member of a content that relates it to other events.
const RELATES_TO: &str = "m.relates_to";

/// The type of relation that an edit has.
const REPLACE: &str = "m.replace";

/// The thread that an answer belongs into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InThread<'a> {
    /// Its first message.
    pub root: &'a EventId,
    /// The message in it that is answered.
    pub answered: &'a EventId,
}

/// The place of an answer to `answered` in the thread that it belongs to, if any.
pub fn in_thread<'a>(root: Option<&'a EventId>, answered: &'a EventId) -> Option<InThread<'a>> {
    Some(InThread {
        root: root?,
        answered,
    })
}

impl InThread<'_> {
    /// Puts a message's content into the thread: clients that know no threads show
    /// it as a reply to what is answered.
    ///
    /// Specification:
    /// <https://spec.matrix.org/v1.11/client-server-api/#fallback-for-unthreaded-clients>
    pub(crate) fn put(self, content: &mut Value) {
        let relation = json!({
            "rel_type": "m.thread",
            "event_id": self.root,
            "is_falling_back": true,
            "m.in_reply_to": { "event_id": self.answered },
        });
        relate(content, relation);
    }
}

/// Makes a message's content a reply to another message.
pub(crate) fn reply_to(content: &mut Value, answered: &EventId) {
    relate(
        content,
        json!({ "m.in_reply_to": { "event_id": answered } }),
    );
}

/// Makes a message's content the replacement of another message's.
pub(crate) fn replace(content: &mut Value, replaced: &EventId) {
    relate(
        content,
        json!({ "rel_type": REPLACE, "event_id": replaced }),
    );
}

/// Returns true if a content of this relation replaces another message's.
pub(crate) fn is_edit(relation: &Value) -> bool {
    relation.get("rel_type").and_then(Value::as_str) == Some(REPLACE)
}

/// Relates a message's content to other events.
pub(crate) fn relate(content: &mut Value, relation: Value) {
    if let Some(content) = content.as_object_mut() {
        content.insert(RELATES_TO.to_owned(), relation);
    }
}

/// Takes the relation out of a reply's content: encrypted, it stands beside the
/// ciphertext. None for a reply without one.
pub(crate) fn take_relation(content: &str) -> Option<(String, Value)> {
    if !content.contains(RELATES_TO) {
        return None;
    }
    let mut content: Map<String, Value> = serde_json::from_slice(content.as_bytes()).ok()?;
    let relation = content.remove(RELATES_TO)?;
    Some((Value::Object(content).to_string(), relation))
}

/// The relation of an event to others, as it decides whether the event is a message of
/// its own. Of an encrypted event it is the server's word, which can write there what it
/// likes: nothing is ever gained from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Relation {
    /// None, a reply, or a message in a thread.
    Plain,
    /// It replaces this message.
    Edit(OwnedEventId),
    /// Another, or one that is malformed: the event is no message.
    Other,
}

impl Relation {
    /// The relation in the part of an event's content that is not encrypted.
    pub(crate) fn of(content: &RawValue) -> Self {
        #[derive(Deserialize)]
        struct Content {
            #[serde(rename = "m.relates_to")]
            relates_to: Option<RelatesTo>,
        }
        match serde_json::from_slice(content.get().as_bytes()) {
            Ok(Content { relates_to: None }) => Self::Plain,
            Ok(Content {
                relates_to: Some(relates_to),
            }) => relates_to.relation(),
            Err(_) => Self::Other,
        }
    }
}

/// The relation that a content names.
#[derive(Deserialize)]
pub(super) struct RelatesTo {
    rel_type: Option<String>,
    #[serde(default)]
    event_id: Value,
}

impl RelatesTo {
    pub(super) fn relation(&self) -> Relation {
        match self.rel_type.as_deref() {
            None | Some("m.thread") => Relation::Plain,
            Some(REPLACE) => event_id(&self.event_id).map_or(Relation::Other, Relation::Edit),
            Some(_) => Relation::Other,
        }
    }
}

/// An id that a later request can carry.
fn event_id(id: &Value) -> Option<OwnedEventId> {
    let id = id.as_str().filter(|id| is_carried(id, MAX_ID))?;
    OwnedEventId::try_from(id).ok()
}

/// The relation in the part of a content that is not encrypted, as it was sent.
fn relation(content: &RawValue) -> Value {
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.relates_to")]
        relates_to: Value,
    }
    serde_json::from_slice::<Content>(content.get().as_bytes())
        .map(|content| content.relates_to)
        .unwrap_or_default()
}

/// The first message of the thread that an event is in. It decides only where in its
/// room an answer is shown.
pub(crate) fn thread_of(content: &RawValue) -> Option<OwnedEventId> {
    let relation = relation(content);
    let is_thread = relation.get("rel_type")?.as_str() == Some("m.thread");
    event_id(relation.get("event_id")?).filter(|_| is_thread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(relation: &str) -> Box<RawValue> {
        let content = format!(r#"{{"body":"x","m.relates_to":{relation}}}"#);
        RawValue::from_string(content).unwrap()
    }

    #[test]
    fn the_root_of_a_thread_is_an_event() {
        let root = |relation: &str| thread_of(&raw(relation)).map(|root| root.to_string());
        let thread = r#"{"rel_type":"m.thread","event_id":"$root"}"#;
        assert_eq!(root(thread).as_deref(), Some("$root"));
        let long = format!(
            r#"{{"rel_type":"m.thread","event_id":"${}"}}"#,
            "x".repeat(255)
        );
        for other in [
            r#"{"rel_type":"m.thread","event_id":"root"}"#,
            r#"{"rel_type":"m.thread","event_id":""}"#,
            r#"{"rel_type":"m.thread","event_id":5}"#,
            r#"{"rel_type":"m.thread"}"#,
            r#"{"rel_type":"m.replace","event_id":"$root"}"#,
            r#"{"m.in_reply_to":{"event_id":"$root"}}"#,
            r#"{"rel_type":"m.thread","event_id":"$a\nb"}"#,
            "null",
            "[]",
            long.as_str(),
        ] {
            assert_eq!(root(other), None, "{other}");
        }
    }

    #[test]
    fn a_relation_makes_an_event_a_message_an_edit_or_nothing() {
        let of = |relation: &str| Relation::of(&raw(relation));
        for plain in [
            "null",
            "{}",
            r#"{"rel_type":"m.thread","event_id":5}"#,
            r#"{"m.in_reply_to":{"event_id":"$x"}}"#,
        ] {
            assert_eq!(of(plain), Relation::Plain, "{plain}");
        }
        let edit = r#"{"rel_type":"m.replace","event_id":"$x"}"#;
        let replaced = ruma::event_id!("$x").to_owned();
        assert_eq!(of(edit), Relation::Edit(replaced));
        for other in [
            r#"{"rel_type":"m.replace","event_id":"x"}"#,
            r#"{"rel_type":"m.replace"}"#,
            r#"{"rel_type":"m.annotation","event_id":"$x"}"#,
            r#"{"rel_type":5}"#,
            "5",
        ] {
            assert_eq!(of(other), Relation::Other, "{other}");
        }
        let malformed = RawValue::from_string("[]".to_owned()).unwrap();
        assert_eq!(Relation::of(&malformed), Relation::Other);
    }

    #[test]
    fn a_relation_is_taken_out_of_a_content_and_out_of_no_text() {
        let (root, answered) = (ruma::event_id!("$root"), ruma::event_id!("$asked"));
        let plain = json!({"msgtype": "m.text", "body": "on", "m.mentions": {}});
        let mut content = plain.clone();
        InThread { root, answered }.put(&mut content);
        let (rest, relation) = take_relation(&content.to_string()).unwrap();
        assert_eq!(rest, plain.to_string());
        assert_eq!(
            relation,
            json!({
                "rel_type": "m.thread", "event_id": "$root", "is_falling_back": true,
                "m.in_reply_to": {"event_id": "$asked"},
            })
        );
        assert_eq!(take_relation(&plain.to_string()), None);
        let text = json!({"msgtype": "m.text", "body": r#""m.relates_to":{}"#});
        assert_eq!(take_relation(&text.to_string()), None);
    }
}
