//! The messages of the bot: a text, its place in a room, and the content that it becomes.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#mroommessage-msgtypes>

use ruma::{EventId, OwnedEventId, OwnedUserId};
use serde_json::{Value, json};

use super::error::Error;
use crate::matrix::client::{Html, InThread, replace, reply_to};
use crate::store::{self, Anchor, Reply};

/// The type of a message, before encryption.
pub(super) const KIND: &str = "m.room.message";

/// A message of the bot's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speech {
    /// The text, complete and readable alone.
    pub text: String,
    /// The same for clients that show HTML.
    pub html: Option<Html>,
    /// Its place in its room.
    pub place: Place,
    /// The users who are notified because of it. Names in the text notify nobody.
    pub mentions: Vec<OwnedUserId>,
    /// The name by which it is edited later.
    pub anchor: Option<Anchor>,
}

/// The place of a message in its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The room, related to nothing.
    Room,
    /// Under this message, as a reply to it.
    Reply(OwnedEventId),
    /// In a thread.
    Thread {
        /// The first message of the thread.
        root: OwnedEventId,
        /// The message in it that is answered.
        answered: OwnedEventId,
    },
}

impl Speech {
    /// A text without HTML that mentions nobody.
    pub fn new(text: impl Into<String>, place: Place) -> Self {
        Self {
            text: text.into(),
            html: None,
            place,
            mentions: Vec::new(),
            anchor: None,
        }
    }

    /// Its content, with the relation that it has by its place.
    pub(super) fn content(&self) -> Value {
        let mut content = self.words();
        match &self.place {
            Place::Room => {}
            Place::Reply(answered) => reply_to(&mut content, answered),
            Place::Thread { root, answered } => InThread { root, answered }.put(&mut content),
        }
        content
    }

    /// Its content without a relation.
    pub(super) fn words(&self) -> Value {
        let mut content = text_content(&self.text);
        if let Some(html) = &self.html {
            set(&mut content, "format", json!("org.matrix.custom.html"));
            set(&mut content, "formatted_body", json!(html.as_str()));
        }
        if !self.mentions.is_empty() {
            let mentions = json!({ "user_ids": self.mentions });
            set(&mut content, "m.mentions", mentions);
        }
        content
    }
}

impl Place {
    /// The place of an answer to a message: in its thread, where it is in one (`root`),
    /// else as a reply to it.
    pub fn answering(root: Option<&EventId>, answered: &EventId) -> Self {
        let answered = answered.to_owned();
        match root {
            Some(root) => Self::Thread {
                root: root.to_owned(),
                answered,
            },
            None => Self::Reply(answered),
        }
    }
}

impl From<Option<InThread<'_>>> for Place {
    /// The place of an answer that is related to what it answers in a thread only.
    fn from(thread: Option<InThread<'_>>) -> Self {
        thread.map_or(Self::Room, |InThread { root, answered }| Self::Thread {
            root: root.to_owned(),
            answered: answered.to_owned(),
        })
    }
}

/// A message of this text. Nobody is mentioned: clients that are not told look for
/// names in the text.
pub(super) fn text_content(text: &str) -> Value {
    json!({ "msgtype": "m.text", "body": text, "m.mentions": {} })
}

/// The content of a message that is to be sent, before encryption.
pub(super) fn content_of(reply: &Reply) -> Result<String, Error> {
    match &reply.replaces {
        Some(replaced) => {
            let content = replacing(&reply.content, replaced);
            Ok(content.ok_or(store::Error::Corrupt("an edit"))?)
        }
        None => Ok(reply.content.clone()),
    }
}

fn set(content: &mut Value, member: &str, value: Value) {
    if let Some(content) = content.as_object_mut() {
        content.insert(member.to_owned(), value);
    }
}

/// The content of a message that puts other words, a content without a relation, in the
/// place of those of an earlier message. Who is mentioned in it is not notified. None if
/// the words are no content.
fn replacing(words: &str, replaced: &EventId) -> Option<String> {
    let words: Value = serde_json::from_slice(words.as_bytes()).ok()?;
    let mut content = text_content(&format!("* {}", words.get("body")?.as_str()?));
    set(&mut content, "m.new_content", words);
    replace(&mut content, replaced);
    Some(content.to_string())
}

#[cfg(test)]
mod tests {
    use ruma::{event_id, user_id};

    use super::*;

    #[test]
    fn a_text_in_its_place_is_the_content_of_a_message() {
        let asked = event_id!("$asked");
        let plain = Speech::new("on", Place::Room).content();
        let expected = json!({"msgtype": "m.text", "body": "on", "m.mentions": {}});
        assert_eq!(plain, expected);
        let reply = Speech::new("on", Place::answering(None, asked)).content();
        assert_eq!(
            reply["m.relates_to"],
            json!({"m.in_reply_to": {"event_id": "$asked"}})
        );
        let root = Some(event_id!("$root"));
        let threaded = Speech::new("on", Place::answering(root, asked)).content();
        assert_eq!(
            threaded["m.relates_to"],
            json!({
                "rel_type": "m.thread", "event_id": "$root", "is_falling_back": true,
                "m.in_reply_to": {"event_id": "$asked"},
            })
        );
    }

    #[test]
    fn an_edit_has_all_of_its_new_content_and_tells_nobody() {
        let speech = Speech {
            html: Some(Html::default().bold("on")),
            ..Speech::new("on", Place::Reply(event_id!("$asked").to_owned()))
        };
        let edit = replacing(&speech.words().to_string(), event_id!("$first")).unwrap();
        let expected = json!({
            "msgtype": "m.text", "body": "* on", "m.mentions": {},
            "m.new_content": {
                "msgtype": "m.text", "body": "on", "m.mentions": {},
                "format": "org.matrix.custom.html", "formatted_body": "<b>on</b>",
            },
            "m.relates_to": {"rel_type": "m.replace", "event_id": "$first"},
        });
        assert_eq!(serde_json::from_str::<Value>(&edit).unwrap(), expected);
        for no_words in ["", "[]", "{}", r#"{"body":5}"#] {
            assert_eq!(replacing(no_words, event_id!("$first")), None);
        }
    }

    #[test]
    fn html_and_mentions_are_named_as_such() {
        let speech = Speech {
            html: Some(Html::default().bold("on")),
            mentions: vec![user_id!("@alice:test").to_owned()],
            ..Speech::new("on", Place::Room)
        };
        assert_eq!(
            speech.content(),
            json!({
                "msgtype": "m.text", "body": "on",
                "format": "org.matrix.custom.html", "formatted_body": "<b>on</b>",
                "m.mentions": {"user_ids": ["@alice:test"]},
            })
        );
    }
}
