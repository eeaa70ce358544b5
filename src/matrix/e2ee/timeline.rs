//! A joined room of a sync: its state, and the messages of its timeline.

use log::debug;
use ruma::{EventId, RoomId, UserId};
use serde_json::value::RawValue;

use super::backfill::open_gap;
use super::classify::{Candidate, Disposition, classify};
use super::context::Context;
use super::error::Error;
use super::message::{Message, keep_undecrypted, may_say_something};
use super::rollback::RollbackDetector;
use super::room_state::{handle_state, is_own_join, parse};
use crate::matrix::client::{Event, JoinedRoom, thread_of};
use crate::store::{Transaction, UndecryptedEvent, WaitReason};

/// The rooms of one sync are taken in with this.
pub(super) struct Timeline<'a> {
    pub(super) context: &'a Context,
    pub(super) rollback: &'a RollbackDetector,
    pub(super) tx: &'a Transaction<'a>,
    /// The position at which the sync begins; None for the very first sync of a device.
    pub(super) since: Option<&'a str>,
    /// Milliseconds since the Unix epoch.
    pub(super) now: u64,
}

impl Timeline<'_> {
    /// Takes in one joined room. In the very first sync of
    /// a device, and before the bot's own join, messages are history, not commands.
    pub(super) fn handle_joined_room(
        &self,
        room: &RoomId,
        joined: &JoinedRoom<'_>,
        messages: &mut Vec<Message>,
    ) -> Result<(), Error> {
        let Self {
            context, tx, since, ..
        } = *self;
        if !tx.rooms().has_room_for(room)? {
            return Ok(());
        }
        let first_sync = since.is_none();
        let new = tx.rooms().enter(room)?;
        if new {
            debug!("in {room}");
        }
        if joined.timeline.limited || first_sync {
            // Who left and who came in the gap is not known: the next message
            // there starts with a fresh list of members and a fresh key.
            debug!("the server left a gap in {room}, or this is the first look at it");
            tx.members().set_incomplete(room)?;
            tx.outbound_sessions().discard(room)?;
        }
        if let (true, false, Some(since)) = (joined.timeline.limited, new, since) {
            open_gap(context, tx, room, joined.timeline.prev_batch, since)?;
        }
        for raw in &joined.state.events {
            if let Some(event) = parse(raw) {
                handle_state(tx, room, &event)?;
            }
        }
        let events: Vec<(&RawValue, Event<'_>)> = joined
            .timeline
            .events
            .iter()
            .filter_map(|raw| parse(raw).map(|event| (*raw, event)))
            .collect();
        let own_join = if new {
            events
                .iter()
                .rposition(|(_, event)| is_own_join(context, event))
        } else {
            None
        };
        for (position, (raw, event)) in events.iter().enumerate() {
            if event.state_key.is_some() {
                handle_state(tx, room, event)?;
            } else if !first_sync && own_join.is_none_or(|join| position > join) {
                self.handle_message(room, raw, event, messages)?;
            }
        }
        Ok(())
    }

    /// Takes in one timeline event that is not state.
    fn handle_message(
        &self,
        room: &RoomId,
        raw: &RawValue,
        event: &Event<'_>,
        messages: &mut Vec<Message>,
    ) -> Result<(), Error> {
        let Self {
            context, tx, now, ..
        } = *self;
        let Ok(sender) = <&UserId>::try_from(event.sender.as_ref()) else {
            return Ok(());
        };
        if sender == context.user {
            return self.rollback.look_at(context, tx, event);
        }
        if !context.is_commander(sender) {
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
        let age = event.age(now, context.server_ahead());
        let keep_undecrypted = |reason| {
            let waiting = UndecryptedEvent {
                event_id: event_id.to_owned(),
                room: room.to_owned(),
                sender: sender.to_owned(),
                event: raw.get().to_owned(),
                received_at: now,
                age_ms: age.ms,
                reason,
            };
            keep_undecrypted(tx, &waiting, None)
        };
        if tx.gaps().find(room)?.is_some() {
            return match may_say_something(event) {
                true => keep_undecrypted(WaitReason::Gap),
                false => Ok(()),
            };
        }
        match classify(
            context,
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
            Disposition::Is(kind) => messages.push(Message {
                event_id: event_id.to_owned(),
                room: room.to_owned(),
                sender: sender.to_owned(),
                age,
                thread: thread_of(event.content),
                kind,
            }),
            Disposition::Wait(reason) => keep_undecrypted(reason)?,
        }
        Ok(())
    }
}
