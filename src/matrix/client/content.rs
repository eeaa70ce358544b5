//! Message contents: which of them can be a command.

use ruma::{EventId, OwnedEventId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::util::{MAX_ID, is_carried};

/// The longest body looked at, in bytes: no command is near it.
const MAX_BODY: usize = 4096;

#[derive(Deserialize)]
struct Content {
    msgtype: Option<String>,
    body: Option<String>,
    #[serde(rename = "m.new_content")]
    new_content: Option<serde::de::IgnoredAny>,
    #[serde(rename = "m.relates_to")]
    relates_to: Option<RelatesTo>,
}

#[derive(Deserialize)]
struct RelatesTo {
    rel_type: Option<String>,
}

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
    pub(crate) fn put(self, content: &mut serde_json::Value) {
        let relation = serde_json::json!({
            "rel_type": "m.thread",
            "event_id": self.root,
            "is_falling_back": true,
            "m.in_reply_to": { "event_id": self.answered },
        });
        relate(content, relation);
    }
}

/// Relates a message's content to other events.
pub(crate) fn relate(content: &mut serde_json::Value, relation: serde_json::Value) {
    if let Some(content) = content.as_object_mut() {
        content.insert(RELATES_TO.to_owned(), relation);
    }
}

/// The member of a content that relates it to other events.
const RELATES_TO: &str = "m.relates_to";

/// The first message of the thread that an event is in, by the part of its content
/// that is not encrypted: it is there that relations stand. It is the server's word,
/// and decides only where in its room an answer is shown.
pub(crate) fn thread_of(content: &RawValue) -> Option<OwnedEventId> {
    #[derive(Deserialize)]
    struct Threaded {
        #[serde(rename = "m.relates_to")]
        relates_to: Thread,
    }
    #[derive(Deserialize)]
    struct Thread {
        rel_type: String,
        event_id: OwnedEventId,
    }
    let Threaded { relates_to } = serde_json::from_str(content.get()).ok()?;
    let is_carried = is_carried(relates_to.event_id.as_str(), MAX_ID);
    (relates_to.rel_type == "m.thread" && is_carried).then_some(relates_to.event_id)
}

/// Takes the relation out of a reply's content: encrypted, it stands beside the
/// ciphertext. None for a reply without one.
pub(crate) fn take_relation(content: &str) -> Option<(String, serde_json::Value)> {
    if !content.contains(RELATES_TO) {
        return None;
    }
    let mut content: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(content).ok()?;
    let relation = content.remove(RELATES_TO)?;
    Some((serde_json::Value::Object(content).to_string(), relation))
}

/// The body of a message as a person wrote it. None for anything but a plain text: notices (other
/// bots), edits (the text of an old message must not become a command), and
/// whatever is malformed or oversized.
pub fn text_message(content: &RawValue) -> Option<String> {
    let content: Content = serde_json::from_str(content.get()).ok()?;
    let is_edit = content.new_content.is_some();
    let is_text = content.msgtype.as_deref() == Some("m.text");
    if is_edit || !is_text || !is_plain(content.relates_to.as_ref()) {
        return None;
    }
    content.body.filter(|body| body.len() <= MAX_BODY)
}

/// True if the cleartext part of an encrypted event lets it be a message of its
/// own. The server can write there what it likes, so nothing is ever gained
/// from it: a replacement is refused, the rest is ignored.
pub(crate) fn cleartext_relation_is_plain(content: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Cleartext {
        #[serde(rename = "m.relates_to")]
        relates_to: Option<RelatesTo>,
    }
    serde_json::from_str::<Cleartext>(content.get())
        .is_ok_and(|content| is_plain(content.relates_to.as_ref()))
}

/// A reply (no `rel_type`) or a message in a thread, or none of both.
fn is_plain(relation: Option<&RelatesTo>) -> bool {
    relation
        .and_then(|relation| relation.rel_type.as_deref())
        .is_none_or(|kind| kind == "m.thread")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Option<String> {
        let raw = RawValue::from_string(content.to_owned()).unwrap();
        text_message(&raw)
    }

    #[test]
    fn only_a_plain_text_is_a_message() {
        assert_eq!(
            read(r#"{"msgtype":"m.text","body":"start"}"#).as_deref(),
            Some("start")
        );
        assert_eq!(read(r#"{"msgtype":"m.notice","body":"start"}"#), None);
        assert_eq!(read(r#"{"body":"start"}"#), None);
        assert_eq!(read(r#"{"msgtype":"m.text","body":7}"#), None);
        assert_eq!(read("[]"), None);
        let long = "x".repeat(MAX_BODY + 1);
        assert_eq!(
            read(&format!(r#"{{"msgtype":"m.text","body":"{long}"}}"#)),
            None
        );
    }

    #[test]
    fn the_root_of_a_thread_is_an_event() {
        let root = |relation: &str| {
            let content = format!(r#"{{"body":"x","m.relates_to":{relation}}}"#);
            thread_of(&RawValue::from_string(content).unwrap()).map(|root| root.to_string())
        };
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
    fn a_relation_is_taken_out_of_a_content_and_out_of_no_text() {
        let (root, answered) = (ruma::event_id!("$root"), ruma::event_id!("$asked"));
        let plain = serde_json::json!({"msgtype": "m.text", "body": "on", "m.mentions": {}});
        let mut content = plain.clone();
        InThread { root, answered }.put(&mut content);
        let (rest, relation) = take_relation(&content.to_string()).unwrap();
        assert_eq!(rest, plain.to_string());
        assert_eq!(
            relation,
            serde_json::json!({
                "rel_type": "m.thread", "event_id": "$root", "is_falling_back": true,
                "m.in_reply_to": {"event_id": "$asked"},
            })
        );
        assert_eq!(take_relation(&plain.to_string()), None);
        let text = serde_json::json!({"msgtype": "m.text", "body": r#""m.relates_to":{}"#});
        assert_eq!(take_relation(&text.to_string()), None);
    }

    #[test]
    fn an_edit_is_no_message_and_a_reply_is() {
        let with = |more: &str| format!(r#"{{"msgtype":"m.text","body":"start",{more}}}"#);
        assert_eq!(read(&with(r#""m.new_content":{"body":"x"}"#)), None);
        assert_eq!(
            read(&with(r#""m.relates_to":{"rel_type":"m.replace"}"#)),
            None
        );
        assert_eq!(
            read(&with(r#""m.relates_to":{"rel_type":"m.annotation"}"#)),
            None
        );
        assert!(read(&with(r#""m.relates_to":{"rel_type":"m.thread"}"#)).is_some());
        let reply = r#""m.relates_to":{"m.in_reply_to":{"event_id":"$x"}}"#;
        assert!(read(&with(reply)).is_some());
    }
}
