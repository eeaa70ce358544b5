//! Classification of an event: its text, and whether the person it names wrote it.

use log::{debug, warn};
use ruma::UserId;
use serde_json::value::RawValue;

use super::engine::Turn;
use super::error::Error;
use super::message::{Candidate, MessageKind};
use crate::crypto::{MegolmError, MegolmEvent};
use crate::matrix::client::{cleartext_relation_is_plain, text_message};
use crate::store::{DeviceKeys, Encryption, StoredInboundSession, WaitReason};

/// The classification of an event, as far as it is possible now.
pub(super) enum Disposition {
    /// It is a message.
    Is(MessageKind),
    /// It is nothing that anybody should hear of.
    Nothing,
    /// It has to wait.
    Wait(WaitReason),
}

/// A message, the session that it came under, and why that session's device is not
/// believed, if it is not.
type Authored = (StoredInboundSession, Box<RawValue>, Option<MessageKind>);

impl Turn<'_> {
    /// Classifies an event.
    pub(super) fn classify(&self, candidate: &Candidate<'_>) -> Result<Disposition, Error> {
        let event = candidate.event;
        match event.kind.as_ref() {
            "m.room.encrypted" => self.classify_encrypted(candidate),
            "m.room.message" => {
                let Some(body) = text_message(event.content) else {
                    return Ok(Disposition::Nothing);
                };
                Ok(match self.tx.rooms().encryption(candidate.room)? {
                    Encryption::Unknown => Disposition::Wait(WaitReason::Unclassified),
                    Encryption::Plaintext => Disposition::Is(MessageKind::Text {
                        body,
                        device: None,
                        overdue_ms: 0,
                    }),
                    Encryption::Megolm(_) | Encryption::Unsupported => {
                        Disposition::Is(MessageKind::InClear)
                    }
                })
            }
            _ => Ok(Disposition::Nothing),
        }
    }

    fn classify_encrypted(&self, candidate: &Candidate<'_>) -> Result<Disposition, Error> {
        let Candidate {
            room,
            sender,
            event_id,
            event,
        } = *candidate;
        let (tx, sessions) = (self.tx, self.tx.inbound_sessions());
        // Where nothing can be answered nothing is done either.
        if tx.rooms().encryption(room)? == Encryption::Unsupported
            || !cleartext_relation_is_plain(event.content)
        {
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
                return Ok(Disposition::Is(MessageKind::SpentSession));
            }
            return Ok(match tx.withheld_keys().find(room, session_id, sender)? {
                Some(code) => Disposition::Is(MessageKind::Undecryptable(Some(code))),
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
                return Ok(Disposition::Is(MessageKind::Undecryptable(None)));
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
        let Some(body) = text_message(&plaintext) else {
            return Ok(Disposition::Nothing);
        };
        Ok(Disposition::Is(match distrust {
            Some(kind) => kind,
            None if !is_newest => MessageKind::OlderSession,
            None => MessageKind::Text {
                body,
                device: Some(Box::new(keys)),
                overdue_ms: self.overdue_ms(room, stored.received_at)?,
            },
        }))
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
