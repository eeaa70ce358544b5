//! Message contents: which of them can be a command.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The longest body looked at, in bytes: no command is near it.
const MAX_BODY: usize = 4096;

/// The text of an `m.room.message` that a person wrote as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextMessage {
    /// The body as it was sent.
    pub body: String,
}

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

/// Reads a message content. None for anything but a plain text: notices (other
/// bots), edits (the text of an old message must not become a command), and
/// whatever is malformed or oversized.
pub fn text_message(content: &RawValue) -> Option<TextMessage> {
    let content: Content = serde_json::from_str(content.get()).ok()?;
    let is_edit = content.new_content.is_some();
    let is_text = content.msgtype.as_deref() == Some("m.text");
    if is_edit || !is_text || !is_plain(content.relates_to.as_ref()) {
        return None;
    }
    content
        .body
        .filter(|body| body.len() <= MAX_BODY)
        .map(|body| TextMessage { body })
}

/// Whether the cleartext part of an encrypted event lets it be a message of its
/// own. The server can write there what it likes, so nothing is ever gained
/// from it: a replacement is refused, the rest is ignored.
pub(super) fn cleartext_relation_is_plain(content: &RawValue) -> bool {
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
        text_message(&raw).map(|message| message.body)
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
