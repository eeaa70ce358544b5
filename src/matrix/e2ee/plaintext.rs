//! Replies that leave without encryption: the one place where they are put into the
//! outbox, and the last look before they are sent.

use log::warn;
use ruma::OwnedRoomId;
use serde_json::value::RawValue;

use super::engine::{Engine, PlaintextReplies, Turn};
use super::error::Error;
use super::request::RequestKey;
use super::speech::{content_of, text_content};
use crate::matrix::client::{relate, take_relation};
use crate::store::{self, Encryption, InClear, OutboxRow, Reply, Transaction};

impl Turn<'_> {
    /// Moves the replies of a room that is not encrypted to the outbox. Where only
    /// one sentence may be said there, it stands for all of them, once, and is not edited.
    pub(super) fn put_in_clear(&self, replies: &[Reply]) -> Result<(), Error> {
        let mut is_said = false;
        for reply in replies {
            let (content, in_clear) = match self.engine.plaintext {
                PlaintextReplies::Only(_) if is_said || reply.replaces.is_some() => {
                    let room = &reply.room;
                    warn!("a reply in {room} is dropped: it would leave in clear");
                    self.tx.replies().drop_one(reply.id)?;
                    continue;
                }
                PlaintextReplies::Any => (content_of(reply)?, InClear::Words),
                PlaintextReplies::Only(sentence) => {
                    is_said = true;
                    let mut content = text_content(sentence);
                    if let Some((_, relation)) = take_relation(&reply.content) {
                        relate(&mut content, relation);
                    }
                    (content.to_string(), InClear::Sentence)
                }
            };
            let content =
                RawValue::from_string(content).map_err(|_| store::Error::Corrupt("a reply"))?;
            self.put_reply(reply, "m.room.message", content, in_clear)?;
        }
        Ok(())
    }

    /// Takes back what waits in clear and may not leave so any more: its room turned
    /// out to be encrypted, or its words are no longer the ones that may be said. The
    /// replies are prepared anew. A request that is under way is past taking back.
    pub(super) fn withdraw_in_clear(
        &self,
        busy: &dyn Fn(&RequestKey) -> bool,
    ) -> Result<(), Error> {
        for lane in self.tx.outbox().lanes_in_clear()? {
            let plain = is_plaintext(self.tx, &lane)?;
            if plain && self.engine.plaintext == PlaintextReplies::Any {
                continue;
            }
            let under_way = busy(&RequestKey::Lane(lane.clone()));
            let outbox = self.tx.outbox();
            let withdrawn = outbox.withdraw_in_clear(&lane, !plain, under_way)?;
            if withdrawn > 0 {
                warn!("{withdrawn} messages in {lane} do not leave in clear");
            }
        }
        Ok(())
    }
}

impl Engine {
    /// True if a request of the outbox may be sent as it is. Nothing leaves in clear before
    /// a first sync was taken in (`synced`): it may tell that the room is encrypted.
    pub(super) fn may_be_sent(
        &self,
        tx: &Transaction<'_>,
        row: &OutboxRow,
        synced: bool,
    ) -> Result<bool, store::Error> {
        let may = match row.in_clear {
            InClear::No => return Ok(true),
            InClear::Words => synced && self.plaintext == PlaintextReplies::Any,
            InClear::Sentence => synced,
        };
        Ok(may && is_plaintext(tx, &row.lane)?)
    }
}

fn is_plaintext(tx: &Transaction<'_>, lane: &str) -> Result<bool, store::Error> {
    Ok(match OwnedRoomId::try_from(lane) {
        Ok(room) => tx.rooms().encryption(&room)? == Encryption::Plaintext,
        Err(_) => false,
    })
}
