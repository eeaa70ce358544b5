//! A commander's message, and the wait of one that cannot be classified yet.

use log::{debug, warn};
use ruma::{OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedUserId};

use super::error::Error;
use crate::control::Age;
use crate::crypto::WithheldCode;
use crate::matrix::client::{Event, text_message};
use crate::store::{DeviceKeys, Transaction, UndecryptedEvent};

/// The time that a message waits for its room key before its sender is told. Keys
/// are sent before the message, but another server may deliver them after it.
pub const KEY_GRACE_MS: u64 = 5_000;

/// The longest event that waits, in bytes: a text of [`super::content`]'s greatest
/// length fits, encrypted.
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

/// True if a commander's event can be a message.
pub(super) fn may_say_something(event: &Event<'_>) -> bool {
    event.state_key.is_none()
        && match event.kind.as_ref() {
            "m.room.encrypted" => true,
            "m.room.message" => text_message(event.content).is_some(),
            _ => false,
        }
}

/// Keeps a message for later. One that is too long to be a command is not kept.
pub(super) fn keep_undecrypted(
    tx: &Transaction<'_>,
    waiting: &UndecryptedEvent,
    position: Option<i64>,
) -> Result<(), Error> {
    if waiting.event.len() > MAX_UNDECRYPTED_EVENT {
        debug!("{} is too long to wait: ignored", waiting.event_id);
        return Ok(());
    }
    debug!("{} waits ({:?})", waiting.event_id, waiting.reason);
    if tx.undecrypted().put(waiting, position)? > 0 {
        warn!("too much waits: the oldest message is given up");
    }
    Ok(())
}
