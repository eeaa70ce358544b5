//! From an event to a message: what it says, and whether the person it names
//! said it.

use log::{debug, warn};
use ruma::{EventId, OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::value::RawValue;

use super::backfill::may_say_something;
use super::engine::{Engine, Error};
use super::trust::Authorship;
use crate::matrix::client::{Age, Event, cleartext_relation_is_plain, text_message, thread_of};
use crate::{
    crypto::{MegolmError, MegolmEvent, MegolmPlaintext, WithheldCode},
    store::{
        DeviceKeys, Encryption, StoredInboundSession, Transaction, UndecryptedEvent, WaitReason,
    },
};

/// How long a message waits for its room key before its sender is told. Keys
/// are sent before the message, but another server may deliver them after it.
pub const KEY_GRACE_MS: u64 = 5_000;

/// A message of a commander.
pub struct Message {
    /// Its event.
    pub event_id: OwnedEventId,
    /// Where.
    pub room: OwnedRoomId,
    /// Who: proven for an encrypted message, the server's word otherwise.
    pub sender: OwnedUserId,
    /// How old it is.
    pub age: Age,
    /// The first message of the thread that it is in.
    pub thread: Option<OwnedEventId>,
    /// What became of it.
    pub what: MessageKind,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageKind {
    /// A text.
    Text {
        /// As it was written.
        body: String,
        /// The device it came from end-to-end encrypted, one that speaks for
        /// its user; none where the room never was encrypted.
        device: Option<Box<DeviceKeys>>,
        /// For how long its session should have been replaced, in milliseconds: the
        /// message is at least as old, or its client is slow to replace sessions.
        overdue_ms: u64,
    },
    /// A text in clear in a room that is or was encrypted.
    InClear,
    /// Its key has not come; or the sender's device refused it for this reason.
    Undecryptable(Option<WithheldCode>),
    /// It was encrypted by a device that is not in its sender's list.
    UnknownDevice,
    /// It was encrypted by this device, which was signed out.
    SignedOutDevice(OwnedDeviceId),
    /// Its sender's server could not be asked for their devices for too long.
    OutdatedList,
    /// It was encrypted by this device, which its user's identity has not signed.
    UnverifiedDevice(OwnedDeviceId),
    /// Its sender has another identity than the pinned one.
    IdentityChanged,
    /// It came under an older session than another message of its device before.
    OlderSession,
    /// It came under a session that is done with.
    SpentSession,
}

/// What can be said of an event now.
enum Disposition {
    /// It is a message.
    Is(MessageKind),
    /// It is nothing that anybody should hear of.
    Nothing,
    /// It has to wait.
    Wait(WaitReason),
}

/// An event of a commander that has to be judged.
pub(crate) struct Candidate<'a> {
    pub(crate) room: &'a RoomId,
    pub(crate) sender: &'a UserId,
    pub(crate) event_id: &'a EventId,
    pub(crate) event: &'a Event<'a>,
}

impl Engine {
    /// Takes in one timeline event that is not state.
    pub(crate) fn handle_message(
        &self,
        tx: &Transaction<'_>,
        room: &RoomId,
        raw: &RawValue,
        event: &Event<'_>,
        now: u64,
        messages: &mut Vec<Message>,
    ) -> Result<(), Error> {
        let Ok(sender) = <&UserId>::try_from(event.sender.as_ref()) else {
            return Ok(());
        };
        if sender == self.user {
            return self.detect_rollback(tx, event);
        }
        if !self.commanders.users.contains(sender) {
            return Ok(());
        }
        let Some(event_id) = event
            .event_id
            .as_deref()
            .and_then(|id| <&EventId>::try_from(id).ok())
        else {
            return Ok(());
        };
        if tx.undecrypted().status(event_id)?.is_some() {
            debug!("{event_id} came again: ignored");
            return Ok(());
        }
        let age = event.age(now, self.server_ahead());
        let keep_undecrypted = |reason| {
            let held = UndecryptedEvent {
                event_id: event_id.to_owned(),
                room: room.to_owned(),
                sender: sender.to_owned(),
                event: raw.get().to_owned(),
                received_at: now,
                age_ms: age.ms,
                reason,
            };
            self.keep_undecrypted(tx, &held, None)
        };
        if tx.gaps().find(room)?.is_some() {
            return match may_say_something(event) {
                true => keep_undecrypted(WaitReason::Gap),
                false => Ok(()),
            };
        }
        match self.classify(
            tx,
            &Candidate {
                room,
                sender,
                event_id,
                event,
            },
            now,
        )? {
            Disposition::Nothing => {}
            Disposition::Is(what) => messages.push(Message {
                event_id: event_id.to_owned(),
                room: room.to_owned(),
                sender: sender.to_owned(),
                age,
                thread: thread_of(event.content),
                what,
            }),
            Disposition::Wait(reason) => keep_undecrypted(reason)?,
        }
        Ok(())
    }

    /// Judges again what waited: a key, a device list, a room's state or a gap's last
    /// page may have come, or the time may be over. One event is in memory at a time.
    pub fn classify_undecrypted(
        &self,
        tx: &Transaction<'_>,
        now: u64,
        messages: &mut Vec<Message>,
    ) -> Result<(), Error> {
        self.give_up_overdue_backfills(tx)?;
        for row in tx.undecrypted().rows()? {
            let Some(held) = tx.undecrypted().find(row)? else {
                continue;
            };
            let Ok(event) = serde_json::from_str::<Event<'_>>(&held.event) else {
                tx.undecrypted().remove(&held.event_id)?;
                continue;
            };
            // A clock that went back does not tell for how long: long enough.
            let waited = now.checked_sub(held.received_at).unwrap_or(KEY_GRACE_MS);
            let candidate = Candidate {
                room: &held.room,
                sender: &held.sender,
                event_id: &held.event_id,
                event: &event,
            };
            let what = match self.classify(tx, &candidate, now)? {
                Disposition::Is(what) => Some(what),
                Disposition::Nothing => None,
                Disposition::Wait(WaitReason::NoKey) if waited >= KEY_GRACE_MS => {
                    self.open_channel_to_author(tx, &candidate, now)?;
                    Some(MessageKind::Undecryptable(None))
                }
                Disposition::Wait(reason) => {
                    if reason != held.reason {
                        tx.undecrypted().set_reason(&held.event_id, reason)?;
                    }
                    continue;
                }
            };
            tx.undecrypted().remove(&held.event_id)?;
            if let Some(what) = what {
                messages.push(Message {
                    event_id: held.event_id,
                    room: held.room,
                    sender: held.sender,
                    age: Age {
                        ms: held.age_ms.saturating_add(waited),
                        // That the clocks are apart was so when it came, too.
                        doubt: event.age(now, self.server_ahead()).doubt,
                    },
                    thread: thread_of(event.content),
                    what,
                });
            }
        }
        Ok(())
    }

    /// When the next waiting event, or what it waits for, runs out of time, in
    /// milliseconds since the Unix epoch, where it is `now`.
    pub fn next_undecrypted_deadline(
        &self,
        tx: &Transaction<'_>,
        now: u64,
    ) -> Result<Option<u64>, Error> {
        let key = tx.undecrypted().oldest_received_at(WaitReason::NoKey)?;
        let key = key.map(|since| since.saturating_add(KEY_GRACE_MS));
        let gap = self.next_backfill_deadline(tx, now)?;
        Ok([key, gap].into_iter().flatten().min())
    }

    fn classify(
        &self,
        tx: &Transaction<'_>,
        candidate: &Candidate<'_>,
        now: u64,
    ) -> Result<Disposition, Error> {
        let Candidate { room, event, .. } = candidate;
        match event.kind.as_ref() {
            "m.room.encrypted" => self.classify_encrypted(tx, candidate, now),
            "m.room.message" => {
                let Some(text) = text_message(event.content) else {
                    return Ok(Disposition::Nothing);
                };
                Ok(match tx.rooms().encryption(room)? {
                    Encryption::Unknown => Disposition::Wait(WaitReason::Unclassified),
                    Encryption::Plaintext => Disposition::Is(MessageKind::Text {
                        body: text.body,
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
        &self,
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
        let groups = tx.inbound_sessions().of_user(room, session_id, sender)?;
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
        self.handle_proof_of_encryption(tx, room)?;
        // The key came in an Olm message from this very device; that the device
        // is the sender's is proven by its signed entry in the sender's list.
        if tx.device_lists().must_query(sender, now)? {
            tx.device_lists().track(sender)?;
            return Ok(Disposition::Wait(WaitReason::Unclassified));
        }
        // From here on it is judged for good: what follows has the same index
        // only if it is the same message again.
        tx.inbound_sessions()
            .use_up_message_index(room, session_id, megolm.index())?;
        let (stored, plaintext, authorship) = self.author_of(tx, sender, opened)?;
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
                self.own_now(),
            )?;
        let Some(text) = text_message(&plaintext.content) else {
            return Ok(Disposition::Nothing);
        };
        Ok(Disposition::Is(match authorship {
            Authorship::Proven if !is_newest => MessageKind::OlderSession,
            Authorship::Proven => MessageKind::Text {
                body: text.body,
                device: Some(Box::new(keys)),
                overdue_ms: self.overdue_ms(tx, room, stored.received_at)?,
            },
            Authorship::UnknownDevice => MessageKind::UnknownDevice,
            Authorship::SignedOutDevice(device) => MessageKind::SignedOutDevice(device),
            Authorship::OutdatedList => MessageKind::OutdatedList,
            Authorship::UnverifiedDevice(device) => MessageKind::UnverifiedDevice(device),
            Authorship::IdentityChanged => MessageKind::IdentityChanged,
        }))
    }

    /// Which of the devices that claim the session of a message has written it: one
    /// that speaks for its user, where there is one. The claim of another is a lie
    /// that costs nobody anything.
    fn author_of(
        &self,
        tx: &Transaction<'_>,
        sender: &UserId,
        opened: Opened,
    ) -> Result<(StoredInboundSession, MegolmPlaintext, Authorship), Error> {
        let Opened { first, others } = opened;
        let ask = |stored: &StoredInboundSession| {
            let keys = DeviceKeys {
                curve25519: stored.session.curve25519,
                ed25519: stored.session.ed25519,
            };
            self.authorship(tx, sender, &keys)
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
}

/// A message as each of the devices' sessions opened it that claim to have made it.
struct Opened {
    first: (StoredInboundSession, MegolmPlaintext),
    others: Vec<(StoredInboundSession, MegolmPlaintext)>,
}

/// Opens a message by each of the sessions of its id, or tells why the last one
/// did not.
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
