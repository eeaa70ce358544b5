//! A commander's message, and the wait of one that cannot be classified yet.

use std::time::Duration;

use log::{debug, warn};
use ruma::{EventId, OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::value::RawValue;

use super::engine::{Engine, Turn};
use super::error::Error;
use crate::control::Age;
use crate::crypto::WithheldCode;
use crate::matrix::client::{Event, Relation, Said, said, thread_of};
use crate::store::{DeviceKeys, UndecryptedEvent, WaitReason};
use crate::util::paced;

/// The time that a message waits for its room key before its sender is told. Keys
/// are sent before the message, but another server may deliver them after it.
const KEY_GRACE: Duration = Duration::from_secs(5);

/// [`KEY_GRACE`] in milliseconds.
pub fn key_grace_ms() -> u64 {
    u64::try_from(paced(KEY_GRACE).as_millis()).unwrap_or(u64::MAX)
}

/// The longest event that waits, in bytes: a text of the greatest length fits, encrypted.
pub(super) const MAX_UNDECRYPTED_EVENT: usize = 32 * 1024;

/// A message of a commander.
pub struct Message {
    /// Its event.
    pub event_id: OwnedEventId,
    /// Its room.
    pub room: OwnedRoomId,
    /// Its sender: proven for an encrypted message, the server's word otherwise.
    pub sender: OwnedUserId,
    /// Its age.
    pub age: Age,
    /// The first message of the thread that it is in.
    pub thread: Option<OwnedEventId>,
    /// True for a text that mentions the bot.
    pub mentions_bot: bool,
    /// Its kind.
    pub kind: MessageKind,
}

/// The kinds of messages, by what was found out about them.
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
    /// A text that is too long to be a command, and is not carried.
    TooLong {
        /// As of a text.
        device: Option<Box<DeviceKeys>>,
    },
    /// Another text in the place of one before, which is not carried: an old message must
    /// not become a command.
    Edited {
        /// The message that is replaced: the server's word.
        of: OwnedEventId,
        /// As of a text.
        device: Option<Box<DeviceKeys>>,
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

/// An event of a commander that has to be classified.
pub(super) struct Candidate<'a> {
    pub(super) room: &'a RoomId,
    pub(super) sender: &'a UserId,
    pub(super) event_id: &'a EventId,
    pub(super) event: &'a Event<'a>,
}

impl<'a> Candidate<'a> {
    /// An event of a room; None unless it is of somebody else who may command.
    pub(super) fn of(engine: &Engine, room: &'a RoomId, event: &'a Event<'a>) -> Option<Self> {
        let sender = <&UserId>::try_from(event.sender.as_ref()).ok()?;
        let event_id = <&EventId>::try_from(event.event_id.as_deref()?).ok()?;
        (sender != engine.user && engine.is_commander(sender)).then_some(Self {
            room,
            sender,
            event_id,
            event,
        })
    }

    /// The message that the event turned out to be.
    pub(super) fn message(&self, age: Age, kind: MessageKind, mentions_bot: bool) -> Message {
        Message {
            event_id: self.event_id.to_owned(),
            room: self.room.to_owned(),
            sender: self.sender.to_owned(),
            age,
            thread: thread_of(self.event.content),
            mentions_bot,
            kind,
        }
    }
}

/// True if a commander's event can be a message that something is done about.
pub(super) fn may_say_something(event: &Event<'_>) -> bool {
    event.state_key.is_none()
        && match event.kind.as_ref() {
            "m.room.encrypted" => true,
            "m.room.message" => {
                let text = said(event.content, &Relation::of(event.content));
                matches!(text, Some(Said::Text(_)))
            }
            _ => false,
        }
}

impl Turn<'_> {
    /// The age of an event that has come just now.
    pub(super) fn age_of(&self, event: &Event<'_>) -> Age {
        event.age(self.now, self.engine.server_ahead.get())
    }

    /// Keeps an event, `raw`, for later. One that is too long to be a command is not kept.
    pub(super) fn keep_undecrypted(
        &self,
        candidate: &Candidate<'_>,
        raw: &RawValue,
        age_ms: u64,
        reason: WaitReason,
        position: Option<i64>,
    ) -> Result<(), Error> {
        let event_id = candidate.event_id;
        if raw.get().len() > MAX_UNDECRYPTED_EVENT {
            debug!("{event_id} is too long to wait: ignored");
            return Ok(());
        }
        debug!("{event_id} waits ({reason:?})");
        let waiting = UndecryptedEvent {
            event_id: event_id.to_owned(),
            room: candidate.room.to_owned(),
            sender: candidate.sender.to_owned(),
            event: raw.get().to_owned(),
            received_at: self.now,
            age_ms,
            reason,
        };
        if self.tx.undecrypted().put(&waiting, position)? > 0 {
            warn!("too much waits: the oldest message is given up");
        }
        Ok(())
    }
}
