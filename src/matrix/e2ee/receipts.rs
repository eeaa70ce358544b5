//! Read receipts and typing notifications. They are no part of what is owed to anybody:
//! each is sent at most once, and left out where requests have to wait.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#receipts>,
//! <https://spec.matrix.org/v1.11/client-server-api/#typing-notifications>

use ruma::{EventId, RoomId};

use super::engine::Engine;
use super::request::{OutgoingRequest, RequestContext, RequestKey};
use crate::matrix::client::{receipt_call, typing_call};

impl Engine {
    /// Tells a room that the bot has read up to this event; `thread` is the first message
    /// of the thread that it is in.
    pub fn read_receipt(
        &self,
        room: &RoomId,
        event: &EventId,
        thread: Option<&EventId>,
    ) -> OutgoingRequest {
        OutgoingRequest {
            key: RequestKey::Receipt(room.to_owned()),
            call: receipt_call(room, event, thread),
            about: RequestContext::Signal,
        }
    }

    /// Shows a room that the bot is at work, for 30 s, or no longer.
    pub fn typing(&self, room: &RoomId, is_typing: bool) -> OutgoingRequest {
        OutgoingRequest {
            key: RequestKey::Typing(room.to_owned()),
            call: typing_call(room, &self.user, is_typing),
            about: RequestContext::Signal,
        }
    }
}
