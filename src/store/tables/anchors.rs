//! Messages of the bot's that can be edited: the events that they became.

use ruma::{EventId, OwnedEventId, RoomId};

use super::columns::parsed;
use crate::store::{Error, Transaction, caps};

/// The name by which a message of the bot's is found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor(String);

impl Anchor {
    /// The message about this command and what it is about; its words may be empty.
    pub fn new(command: &EventId, about: &str) -> Self {
        Self(format!("{command} {about}"))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Messages of the bot's that can be edited. A new one takes the place of the oldest.
pub struct Anchors<'a>(pub(in crate::store) &'a Transaction<'a>);

impl Anchors<'_> {
    /// The event that a message became, if it was in this room.
    pub fn find(&self, anchor: &Anchor, room: &RoomId) -> Result<Option<OwnedEventId>, Error> {
        self.0.one(
            "SELECT event_id FROM anchors WHERE anchor = ?1 AND room_id = ?2",
            (anchor.as_str(), room.as_str()),
            |row| parsed(row, 0),
        )
    }

    /// Keeps the event that the message of this request of the outbox became, if the
    /// message has a name.
    pub(super) fn keep(&self, outbox_row: i64, event_id: &EventId) -> Result<(), Error> {
        let kept = self.0.execute(
            "INSERT OR REPLACE INTO anchors (anchor, room_id, event_id, created_at)
             SELECT anchor, room_id, ?2, queued_at FROM replies
             WHERE anchor IS NOT NULL AND id = (SELECT reply_id FROM outbox WHERE id = ?1)",
            (outbox_row, event_id.as_str()),
        )?;
        if kept > 0 {
            self.0.run(
                "DELETE FROM anchors WHERE anchor IN (
                     SELECT anchor FROM anchors ORDER BY created_at DESC LIMIT -1 OFFSET ?1)",
                [caps::ANCHORS],
            )?;
        }
        Ok(())
    }
}
