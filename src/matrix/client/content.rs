//! Message contents: which of them can be a command, and whom they mention.

use ruma::{OwnedEventId, UserId};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::relation::{RelatesTo, Relation};

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

/// The words of a person in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// A text, as it was written.
    Text(String),
    /// A text that is too long to be a command.
    TooLong,
    /// Another text in the place of this message's.
    Edit(OwnedEventId),
}

/// The words of a person in a message of this content, and with this relation in the part
/// that is not encrypted. None for anything but a text: notices (other bots), and
/// whatever is malformed. The text of an edit is not read: an old message must not become
/// a command.
pub(crate) fn said(content: &RawValue, relation: &Relation) -> Option<Said> {
    let content: Content = serde_json::from_slice(content.get().as_bytes()).ok()?;
    if content.msgtype.as_deref() != Some("m.text") {
        return None;
    }
    let is_plain = |relation: RelatesTo| relation.relation() == Relation::Plain;
    match relation {
        Relation::Plain if content.new_content.is_some() => None,
        Relation::Plain if !content.relates_to.is_none_or(is_plain) => None,
        Relation::Plain => content.body.map(|body| match body.len() <= MAX_BODY {
            true => Said::Text(body),
            false => Said::TooLong,
        }),
        Relation::Edit(of) => content.new_content.map(|_| Said::Edit(of.clone())),
        Relation::Other => None,
    }
}

/// Returns true if a message of this content mentions the user. Names in its text are no
/// mentions.
///
/// Specification: <https://spec.matrix.org/v1.11/client-server-api/#user-and-room-mentions>
pub(crate) fn mentions(content: &RawValue, user: &UserId) -> bool {
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.mentions")]
        mentions: Value,
    }
    serde_json::from_slice::<Content>(content.get().as_bytes()).is_ok_and(|content| {
        let users = content.mentions.get("user_ids").and_then(Value::as_array);
        users.is_some_and(|users| users.iter().any(|id| id.as_str() == Some(user.as_str())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As of an event that is not encrypted.
    fn read(content: &str) -> Option<Said> {
        let raw = RawValue::from_string(content.to_owned()).unwrap();
        said(&raw, &Relation::of(&raw))
    }

    fn start() -> Option<Said> {
        Some(Said::Text("start".to_owned()))
    }

    #[test]
    fn only_a_plain_text_is_a_message() {
        assert_eq!(read(r#"{"msgtype":"m.text","body":"start"}"#), start());
        assert_eq!(read(r#"{"msgtype":"m.notice","body":"start"}"#), None);
        assert_eq!(read(r#"{"body":"start"}"#), None);
        assert_eq!(read(r#"{"msgtype":"m.text","body":7}"#), None);
        assert_eq!(read(r#"{"msgtype":"m.text"}"#), None);
        assert_eq!(read("[]"), None);
        let long = |bytes| {
            read(&format!(
                r#"{{"msgtype":"m.text","body":"{}"}}"#,
                "x".repeat(bytes)
            ))
        };
        assert!(matches!(long(MAX_BODY), Some(Said::Text(_))));
        assert_eq!(long(MAX_BODY + 1), Some(Said::TooLong));
    }

    #[test]
    fn an_edit_is_no_text_and_a_reply_is() {
        let with = |more: &str| format!(r#"{{"msgtype":"m.text","body":"start",{more}}}"#);
        let replace = r#""m.relates_to":{"rel_type":"m.replace","event_id":"$x"}"#;
        let new = r#""m.new_content":{"body":"x"}"#;
        assert_eq!(read(&with(new)), None);
        assert_eq!(read(&with(replace)), None);
        let edit = format!("{new},{replace}");
        let of = ruma::event_id!("$x").to_owned();
        assert_eq!(read(&with(&edit)), Some(Said::Edit(of)));
        let notice = format!(r#"{{"msgtype":"m.notice","body":"x",{edit}}}"#);
        assert_eq!(read(&notice), None);
        assert_eq!(
            read(&with(r#""m.relates_to":{"rel_type":"m.annotation"}"#)),
            None
        );
        assert_eq!(
            read(&with(r#""m.relates_to":{"rel_type":"m.thread"}"#)),
            start()
        );
        let reply = r#""m.relates_to":{"m.in_reply_to":{"event_id":"$x"}}"#;
        assert_eq!(read(&with(reply)), start());
    }

    /// A relation inside of a ciphertext is none, but what calls itself an edit there is
    /// no text either.
    #[test]
    fn an_encrypted_message_is_what_stands_outside_and_inside() {
        let inside = |content: &str, outside: &Relation| {
            said(&RawValue::from_string(content.to_owned()).unwrap(), outside)
        };
        let of = ruma::event_id!("$x").to_owned();
        let edit = Relation::Edit(of.clone());
        let text = r#"{"msgtype":"m.text","body":"start"}"#;
        let replacing = r#"{"msgtype":"m.text","body":"* start","m.new_content":{}}"#;
        let related = r#"{"msgtype":"m.text","body":"start","m.new_content":{},
            "m.relates_to":{"rel_type":"m.replace","event_id":"$y"}}"#;
        assert_eq!(inside(text, &Relation::Plain), start());
        assert_eq!(inside(text, &edit), None);
        assert_eq!(inside(text, &Relation::Other), None);
        assert_eq!(inside(replacing, &edit), Some(Said::Edit(of.clone())));
        assert_eq!(inside(related, &edit), Some(Said::Edit(of)));
        assert_eq!(inside(related, &Relation::Plain), None);
    }

    #[test]
    fn a_mention_is_by_id() {
        let mentions = |mentions: &str| {
            let content = format!(r#"{{"body":"@bot:test","m.mentions":{mentions}}}"#);
            let content = RawValue::from_string(content).unwrap();
            mentions_bot(&content)
        };
        fn mentions_bot(content: &RawValue) -> bool {
            super::mentions(content, ruma::user_id!("@bot:test"))
        }
        assert!(mentions(r#"{"user_ids":["@alice:test","@bot:test"]}"#));
        assert!(mentions(r#"{"user_ids":[5,"@bot:test"]}"#));
        for other in [
            "{}",
            "true",
            "null",
            r#"{"room":true}"#,
            r#"{"user_ids":"@bot:test"}"#,
            r#"{"user_ids":["@bot:test.example"]}"#,
        ] {
            assert!(!mentions(other), "{other}");
        }
        let text = RawValue::from_string(r#"{"body":"@bot:test"}"#.to_owned()).unwrap();
        assert!(!mentions_bot(&text));
    }
}
