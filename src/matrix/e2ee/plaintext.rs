//! Replies that leave without encryption: the one place where they are put into the
//! outbox, and the last look before they are sent.

use log::{error, warn};
use ruma::OwnedRoomId;
use serde_json::value::RawValue;

use super::error::Error;
use super::outbox::{send_call, text_content};
use super::request::RequestKey;
use crate::matrix::client::{relate, take_relation};
use crate::store::{self, Encryption, InClear, OutboxRow, Reply, Transaction};

/// The replies that may leave in rooms that are not encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaintextReplies {
    /// Every reply.
    Any,
    /// This sentence, whatever the reply is.
    Only(&'static str),
}

impl PlaintextReplies {
    /// Moves the replies of a room that is not encrypted to the outbox. Where only
    /// one sentence may be said there, it stands for all of them, once.
    pub(super) fn queue(self, tx: &Transaction<'_>, replies: &[Reply]) -> Result<(), Error> {
        for (number, reply) in replies.iter().enumerate() {
            match self {
                PlaintextReplies::Only(_) if number > 0 => {
                    warn!(
                        "a reply in {} is dropped: it would leave in clear",
                        reply.room
                    );
                    tx.replies().drop_one(reply.id)?;
                }
                words => put_words(tx, reply, words)?,
            }
        }
        Ok(())
    }

    /// Takes back what waits in clear and may not leave so any more: its room turned
    /// out to be encrypted, or its words are no longer the ones that may be said. The
    /// replies are prepared anew. A request that is under way is past taking back.
    pub(super) fn withdraw(
        self,
        tx: &Transaction<'_>,
        busy: &dyn Fn(&RequestKey) -> bool,
    ) -> Result<(), Error> {
        for lane in tx.outbox().lanes_in_clear()? {
            let plain = is_plaintext(tx, &lane)?;
            if plain && self == PlaintextReplies::Any {
                continue;
            }
            let under_way = busy(&RequestKey::Lane(lane.clone()));
            let withdrawn = tx.outbox().withdraw_in_clear(&lane, !plain, under_way)?;
            if withdrawn > 0 {
                warn!("{withdrawn} messages in {lane} do not leave in clear");
            }
        }
        Ok(())
    }

    /// True if a request of the outbox may be sent as it is.
    pub(super) fn may_be_sent(
        self,
        tx: &Transaction<'_>,
        row: &OutboxRow,
    ) -> Result<bool, store::Error> {
        Ok(match row.in_clear {
            InClear::No => true,
            InClear::Words => self == PlaintextReplies::Any && is_plaintext(tx, &row.lane)?,
            InClear::Sentence => is_plaintext(tx, &row.lane)?,
        })
    }
}

fn is_plaintext(tx: &Transaction<'_>, lane: &str) -> Result<bool, store::Error> {
    Ok(match OwnedRoomId::try_from(lane) {
        Ok(room) => tx.rooms().encryption(&room)? == Encryption::Plaintext,
        Err(_) => false,
    })
}

/// Queues what `words` allow of a reply, in clear.
fn put_words(tx: &Transaction<'_>, reply: &Reply, words: PlaintextReplies) -> Result<(), Error> {
    let (content, shown) = match words {
        PlaintextReplies::Any => (reply.content.clone(), InClear::Words),
        PlaintextReplies::Only(sentence) => {
            let mut content = text_content(sentence);
            if let Some((_, relation)) = take_relation(&reply.content) {
                relate(&mut content, relation);
            }
            (content.to_string(), InClear::Sentence)
        }
    };
    let content = RawValue::from_string(content).map_err(|_| store::Error::Corrupt("a reply"))?;
    match send_call(reply, "m.room.message", content) {
        Ok(call) => {
            let lane = reply.room.as_str();
            tx.outbox()
                .put(lane, &call.path, &call.body, Some(reply.id), shown)?;
        }
        Err(fault) => {
            error!("a reply is given up: {fault}");
            tx.replies().drop_one(reply.id)?;
        }
    }
    Ok(())
}
