//! Classification of an event: its text, and whether the person it names wrote it.

use log::{debug, warn};
use ruma::UserId;
use serde_json::value::RawValue;

use super::engine::Turn;
use super::error::Error;
use super::message::{Candidate, MessageKind};
use crate::crypto::{MegolmError, MegolmEvent};
use crate::matrix::client::{Relation, Said, mentions, said};
use crate::store::{DeviceKeys, Encryption, StoredInboundSession, WaitReason};

/// The classification of an event, as far as it is possible now.
pub(super) enum Disposition {
    /// It is a message.
    Is {
        /// Of this kind.
        kind: MessageKind,
        /// True for a text that mentions the bot.
        mentions_bot: bool,
    },
    /// It is nothing that anybody should hear of.
    Nothing,
    /// It has to wait.
    Wait(WaitReason),
}

impl Disposition {
    /// A message that mentions nobody, or whose mentions are not to be believed.
    fn is(kind: MessageKind) -> Self {
        Self::Is {
            kind,
            mentions_bot: false,
        }
    }
}

/// A message, the session that it came under, and why that session's device is not
/// believed, if it is not.
type Authored = (StoredInboundSession, Box<RawValue>, Option<MessageKind>);

impl Turn<'_> {
    /// Classifies an event. Of texts that are no commands whoever sent them (edits, and
    /// those that are too long) it tells only where their sender is proven.
    pub(super) fn classify(&self, candidate: &Candidate<'_>) -> Result<Disposition, Error> {
        let content = candidate.event.content;
        let relation = Relation::of(content);
        match (candidate.event.kind.as_ref(), &relation) {
            (_, Relation::Other) => Ok(Disposition::Nothing),
            ("m.room.encrypted", Relation::Plain) => self.classify_encrypted(candidate, &relation),
            ("m.room.encrypted", Relation::Edit(_)) => {
                Ok(match self.classify_encrypted(candidate, &relation)? {
                    edit @ Disposition::Is {
                        kind: MessageKind::Edited { .. },
                        ..
                    } => edit,
                    Disposition::Wait(WaitReason::Unclassified) => {
                        Disposition::Wait(WaitReason::Unclassified)
                    }
                    _ => Disposition::Nothing,
                })
            }
            ("m.room.message", _) => self.classify_in_clear(candidate, &relation),
            _ => Ok(Disposition::Nothing),
        }
    }

    fn classify_in_clear(
        &self,
        candidate: &Candidate<'_>,
        relation: &Relation,
    ) -> Result<Disposition, Error> {
        let content = candidate.event.content;
        let Some(said) = said(content, relation) else {
            return Ok(Disposition::Nothing);
        };
        let is_text = matches!(said, Said::Text(_));
        Ok(match self.tx.rooms().encryption(candidate.room)? {
            Encryption::Plaintext => self.disposition(said, content, None, 0),
            _ if !is_text => Disposition::Nothing,
            Encryption::Unknown => Disposition::Wait(WaitReason::Unclassified),
            Encryption::Megolm(_) | Encryption::Unsupported => {
                Disposition::is(MessageKind::InClear)
            }
        })
    }

    /// The message of somebody who is proven to have said this, in this content.
    fn disposition(
        &self,
        said: Said,
        content: &RawValue,
        device: Option<Box<DeviceKeys>>,
        overdue_ms: u64,
    ) -> Disposition {
        match said {
            Said::Text(body) => Disposition::Is {
                kind: MessageKind::Text {
                    body,
                    device,
                    overdue_ms,
                },
                mentions_bot: mentions(content, &self.engine.user),
            },
            Said::TooLong => Disposition::is(MessageKind::TooLong { device }),
            Said::Edit(of) => Disposition::is(MessageKind::Edited { of, device }),
        }
    }

    fn classify_encrypted(
        &self,
        candidate: &Candidate<'_>,
        relation: &Relation,
    ) -> Result<Disposition, Error> {
        let Candidate {
            room,
            sender,
            event_id,
            event,
        } = *candidate;
        let (tx, sessions) = (self.tx, self.tx.inbound_sessions());
        // Where nothing can be answered nothing is done either.
        if tx.rooms().encryption(room)? == Encryption::Unsupported {
            return Ok(Disposition::Nothing);
        }
        let megolm = match MegolmEvent::parse(event.content) {
            Ok(megolm) => megolm,
            Err(fault) => {
                debug!("{event_id} of {sender} is ignored: {fault}");
                return Ok(Disposition::Nothing);
            }
        };
        let session_id = &megolm.session_id;
        let groups = sessions.shared_by(room, session_id, Some(sender))?;
        if groups.is_empty() {
            if sessions.is_buried(room, session_id, sender)? {
                return Ok(Disposition::is(MessageKind::SpentSession));
            }
            return Ok(match tx.withheld_keys().find(room, session_id, sender)? {
                Some(code) => Disposition::is(MessageKind::Undecryptable(Some(code))),
                None => Disposition::Wait(WaitReason::NoKey),
            });
        }
        if u64::from(megolm.index()) < sessions.next_message_index(room, session_id)? {
            warn!("{event_id} in {room} is an older message played again: ignored");
            return Ok(Disposition::Nothing);
        }
        // By the session of each device that claims to have made it.
        let mut opened = Vec::new();
        let mut fault = MegolmError::Undecryptable;
        for mut stored in groups {
            match stored.session.decrypt(room, sender, &megolm) {
                Ok(plaintext) => opened.push((stored, plaintext)),
                Err(why) => fault = why,
            }
        }
        if opened.is_empty() {
            if fault == MegolmError::TooEarly {
                return Ok(Disposition::is(MessageKind::Undecryptable(None)));
            }
            warn!("{event_id} of {sender} is ignored: {fault}");
            return Ok(Disposition::Nothing);
        }
        self.handle_proof_of_encryption(room)?;
        // The key came in an Olm message from this very device; that the device
        // is the sender's is proven by its signed entry in the sender's list.
        if tx.device_lists().must_query(sender, self.now)? {
            tx.device_lists().track(sender)?;
            return Ok(Disposition::Wait(WaitReason::Unclassified));
        }
        // From here on its classification is final: what follows has the same index
        // only if it is the same message again.
        sessions.use_up_message_index(room, session_id, megolm.index())?;
        let Some((stored, plaintext, distrust)) = self.author_of(sender, opened)? else {
            return Ok(Disposition::Nothing);
        };
        let keys = device_keys(&stored);
        let is_newest = distrust.is_none()
            && sessions.note_newest(
                room,
                sender,
                &keys.curve25519,
                stored.ordinal,
                self.own_now,
            )?;
        Ok(match (said(&plaintext, relation), distrust) {
            (Some(Said::Text(_)), Some(kind)) => Disposition::is(kind),
            (Some(Said::Text(_)), None) if !is_newest => Disposition::is(MessageKind::OlderSession),
            (Some(said), None) if is_newest => {
                let overdue_ms = self.overdue_ms(room, stored.received_at)?;
                self.disposition(said, &plaintext, Some(Box::new(keys)), overdue_ms)
            }
            _ => Disposition::Nothing,
        })
    }

    /// Finds the device that has written a message among those that claim its session: one
    /// that speaks for its user, where there is one. The claim of another is a lie
    /// that costs nobody anything.
    fn author_of(
        &self,
        sender: &UserId,
        opened: Vec<(StoredInboundSession, Box<RawValue>)>,
    ) -> Result<Option<Authored>, Error> {
        let mut first = None;
        for (stored, plaintext) in opened {
            let distrust = self.distrust(sender, &device_keys(&stored))?;
            if distrust.is_none() {
                return Ok(Some((stored, plaintext, None)));
            }
            first.get_or_insert((stored, plaintext, distrust));
        }
        Ok(first)
    }
}

/// The device that a session came from.
fn device_keys(stored: &StoredInboundSession) -> DeviceKeys {
    DeviceKeys {
        curve25519: stored.session.curve25519,
        ed25519: stored.session.ed25519,
    }
}
