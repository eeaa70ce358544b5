//! Edits: a message of the bot's that takes another text, and one that goes without the
//! message it was related to.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#event-replacements>

use ruma::RoomId;

use super::engine::Turn;
use super::error::Error;
use super::outbox::transaction_id;
use super::speech::{KIND, Speech};
use crate::matrix::client::{is_edit, take_relation};
use crate::store::Anchor;

impl Turn<'_> {
    /// Queues another text for a message that was said in this room. An edit before it
    /// that is not encrypted yet is overwritten; one of a message that has not left yet
    /// waits for it. Nobody is notified because of it. Returns false if there is no such
    /// message to edit any more, or too much else waits to be said: nothing is queued.
    pub fn edit(&self, anchor: &Anchor, room: &RoomId, speech: &Speech) -> Result<bool, Error> {
        let replies = self.tx.replies();
        if !replies.may_be_edited(anchor, room)? {
            return Ok(false);
        }
        let (id, words) = (transaction_id()?, speech.words().to_string());
        Ok(replies.put_edit(anchor, room, &id, KIND, &words, self.own_now)?)
    }

    /// Drops the edits of a message that are not encrypted yet.
    pub fn drop_edits(&self, anchor: &Anchor) -> Result<(), Error> {
        Ok(self.tx.replies().drop_edits(anchor)?)
    }

    /// The server refuses this request of the outbox as a bad one. A message that is
    /// related to another one may be refused because of that: because the server does not
    /// know the other one, or begins no thread with it. Then it goes once more without its
    /// relation, in its place in the lane. Returns false if it has none: an edit is
    /// nothing without.
    pub fn leave_out_relation(&self, row: i64) -> Result<bool, Error> {
        let (outbox, replies) = (self.tx.outbox(), self.tx.replies());
        let (Some(refused), Some((reply, content))) = (outbox.find(row)?, replies.sent_by(row)?)
        else {
            return Ok(false);
        };
        let Ok(body) = std::str::from_utf8(&refused.body) else {
            return Ok(false);
        };
        let (Some((body, relation)), Some((path, _))) =
            (take_relation(body), refused.path.rsplit_once('/'))
        else {
            return Ok(false);
        };
        if is_edit(&relation) {
            return Ok(false);
        }
        // A server can remember what it answered to a transaction.
        let txn_id = transaction_id()?;
        let content = take_relation(&content).map_or(content, |(content, _)| content);
        replies.change(reply, &txn_id, &content)?;
        outbox.change(row, &format!("{path}/{txn_id}"), body.as_bytes())?;
        Ok(true)
    }
}
