//! Classification of an event: its text, and whether the person it names wrote it.

use log::{debug, warn};
use ruma::{EventId, RoomId, UserId};
use serde_json::value::RawValue;

use super::context::Context;
use super::error::Error;
use super::message::MessageKind;
use super::room_state::handle_proof_of_encryption;
use super::trust::{Authorship, authorship, overdue_ms};
use crate::crypto::{MegolmError, MegolmEvent};
use crate::matrix::client::{Event, cleartext_relation_is_plain, text_message};
use crate::store::{DeviceKeys, Encryption, StoredInboundSession, Transaction, WaitReason};

/// The classification of an event, as far as it is possible now.
pub(super) enum Disposition {
    /// It is a message.
    Is(MessageKind),
    /// It is nothing that anybody should hear of.
    Nothing,
    /// It has to wait.
    Wait(WaitReason),
}

/// An event of a commander that has to be classified.
pub(super) struct Candidate<'a> {
    pub(super) room: &'a RoomId,
    pub(super) sender: &'a UserId,
    pub(super) event_id: &'a EventId,
    pub(super) event: &'a Event<'a>,
}

pub(super) fn classify(
    context: &Context,
    tx: &Transaction<'_>,
    candidate: &Candidate<'_>,
    now: u64,
) -> Result<Disposition, Error> {
    let Candidate { room, event, .. } = candidate;
    match event.kind.as_ref() {
        "m.room.encrypted" => classify_encrypted(context, tx, candidate, now),
        "m.room.message" => {
            let Some(body) = text_message(event.content) else {
                return Ok(Disposition::Nothing);
            };
            Ok(match tx.rooms().encryption(room)? {
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

fn classify_encrypted(
    context: &Context,
    tx: &Transaction<'_>,
    candidate: &Candidate<'_>,
    now: u64,
) -> Result<Disposition, Error> {
    let Candidate {
        room,
        sender,
        event_id,
        event,
    } = *candidate;
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
    let groups = tx
        .inbound_sessions()
        .shared_by(room, session_id, Some(sender))?;
    if groups.is_empty() {
        if tx.inbound_sessions().is_buried(room, session_id, sender)? {
            return Ok(Disposition::Is(MessageKind::SpentSession));
        }
        return Ok(match tx.withheld_keys().find(room, session_id, sender)? {
            Some(code) => Disposition::Is(MessageKind::Undecryptable(Some(code))),
            None => Disposition::Wait(WaitReason::NoKey),
        });
    }
    if u64::from(megolm.index()) < tx.inbound_sessions().next_message_index(room, session_id)? {
        warn!("{event_id} in {room} is an older message played again: ignored");
        return Ok(Disposition::Nothing);
    }
    let opened = match open(groups, room, sender, &megolm) {
        Ok(opened) => opened,
        Err(MegolmError::TooEarly) => {
            return Ok(Disposition::Is(MessageKind::Undecryptable(None)));
        }
        Err(fault) => {
            warn!("{event_id} of {sender} is ignored: {fault}");
            return Ok(Disposition::Nothing);
        }
    };
    handle_proof_of_encryption(tx, room)?;
    // The key came in an Olm message from this very device; that the device
    // is the sender's is proven by its signed entry in the sender's list.
    if tx.device_lists().must_query(sender, now)? {
        tx.device_lists().track(sender)?;
        return Ok(Disposition::Wait(WaitReason::Unclassified));
    }
    // From here on its classification is final: what follows has the same index
    // only if it is the same message again.
    tx.inbound_sessions()
        .use_up_message_index(room, session_id, megolm.index())?;
    let (stored, plaintext, authorship) = author_of(context, tx, sender, opened)?;
    let keys = DeviceKeys {
        curve25519: stored.session.curve25519,
        ed25519: stored.session.ed25519,
    };
    let is_newest = authorship == Authorship::Proven
        && tx.inbound_sessions().note_newest(
            room,
            sender,
            &keys.curve25519,
            stored.ordinal,
            context.own_now(),
        )?;
    let Some(body) = text_message(&plaintext) else {
        return Ok(Disposition::Nothing);
    };
    Ok(Disposition::Is(match authorship {
        Authorship::Proven if !is_newest => MessageKind::OlderSession,
        Authorship::Proven => MessageKind::Text {
            body,
            device: Some(Box::new(keys)),
            overdue_ms: overdue_ms(context, tx, room, stored.received_at)?,
        },
        Authorship::UnknownDevice => MessageKind::UnknownDevice,
        Authorship::SignedOutDevice(device) => MessageKind::SignedOutDevice(device),
        Authorship::OutdatedList => MessageKind::OutdatedList,
        Authorship::UnverifiedDevice(device) => MessageKind::UnverifiedDevice(device),
        Authorship::IdentityChanged => MessageKind::IdentityChanged,
    }))
}

/// Finds the device that has written a message among those that claim its session: one
/// that speaks for its user, where there is one. The claim of another is a lie
/// that costs nobody anything.
fn author_of(
    context: &Context,
    tx: &Transaction<'_>,
    sender: &UserId,
    opened: Opened,
) -> Result<(StoredInboundSession, Box<RawValue>, Authorship), Error> {
    let Opened { first, others } = opened;
    let ask = |stored: &StoredInboundSession| {
        let keys = DeviceKeys {
            curve25519: stored.session.curve25519,
            ed25519: stored.session.ed25519,
        };
        authorship(context, tx, sender, &keys)
    };
    let (stored, plaintext) = first;
    let authorship = ask(&stored)?;
    if authorship != Authorship::Proven {
        for (stored, plaintext) in others {
            if ask(&stored)? == Authorship::Proven {
                return Ok((stored, plaintext, Authorship::Proven));
            }
        }
    }
    Ok((stored, plaintext, authorship))
}

/// A message as it was opened by the session of each device that claims to have made it.
struct Opened {
    first: (StoredInboundSession, Box<RawValue>),
    others: Vec<(StoredInboundSession, Box<RawValue>)>,
}

/// Opens a message by each of the sessions of its id; the error is the last one's.
fn open(
    groups: Vec<StoredInboundSession>,
    room: &RoomId,
    sender: &UserId,
    megolm: &MegolmEvent,
) -> Result<Opened, MegolmError> {
    let mut opened = Vec::new();
    let mut fault = MegolmError::Undecryptable;
    for mut stored in groups {
        match stored.session.decrypt(room, sender, megolm) {
            Ok(plaintext) => opened.push((stored, plaintext)),
            Err(why) => fault = why,
        }
    }
    let mut opened = opened.into_iter();
    let first = opened.next().ok_or(fault)?;
    let others = opened.collect();
    Ok(Opened { first, others })
}
