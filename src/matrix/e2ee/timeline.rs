//! A joined room of a sync: its state, and the messages of its timeline.

use log::debug;
use ruma::RoomId;
use serde_json::value::RawValue;

use super::classify::Disposition;
use super::engine::Turn;
use super::error::Error;
use super::message::{Candidate, Message, may_say_something};
use super::room_state::parse;
use crate::matrix::client::{Event, JoinedRoom};
use crate::store::WaitReason;

impl Turn<'_> {
    /// Takes in one joined room of a sync that begins at `since`; None for the very first
    /// one of a device. In that one, and before the bot's own join, messages are history,
    /// not commands.
    pub(super) fn handle_joined_room(
        &self,
        room: &RoomId,
        joined: &JoinedRoom<'_>,
        since: Option<&str>,
        messages: &mut Vec<Message>,
    ) -> Result<(), Error> {
        let (tx, timeline) = (self.tx, &joined.timeline);
        if !tx.rooms().has_room_for(room)? {
            return Ok(());
        }
        let first_sync = since.is_none();
        let new = tx.rooms().enter(room)?;
        if new {
            debug!("in {room}");
        }
        if timeline.limited || first_sync {
            // Who left and who came in the gap is not known: the next message
            // there starts with a fresh list of members and a fresh key.
            debug!("the server left a gap in {room}, or this is the first look at it");
            tx.members().set_incomplete(room)?;
            tx.outbound_sessions().discard(room)?;
        }
        if let (true, false, Some(since)) = (timeline.limited, new, since) {
            self.open_gap(room, timeline.prev_batch, since)?;
        }
        for event in joined.state.events.iter().filter_map(|raw| parse(raw)) {
            self.handle_state(room, &event)?;
        }
        let events: Vec<(&RawValue, Event<'_>)> = timeline
            .events
            .iter()
            .filter_map(|raw| parse(raw).map(|event| (*raw, event)))
            .collect();
        let own_join = events
            .iter()
            .rposition(|(_, event)| new && self.is_own_membership(event, "join"));
        for (position, (raw, event)) in events.iter().enumerate() {
            if event.state_key.is_some() {
                self.handle_state(room, event)?;
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
        if event.sender == self.engine.user.as_str() {
            return self.look_for_rollback(event);
        }
        let Some(candidate) = Candidate::of(self.engine, room, event) else {
            return Ok(());
        };
        if self.tx.undecrypted().status(candidate.event_id)?.is_some() {
            debug!("{} came again: ignored", candidate.event_id);
            return Ok(());
        }
        let age = self.age_of(event);
        let reason = if self.tx.gaps().find(room)?.is_some() {
            match may_say_something(event) {
                true => WaitReason::Gap,
                false => return Ok(()),
            }
        } else {
            match self.classify(&candidate)? {
                Disposition::Nothing => return Ok(()),
                Disposition::Is(kind) => {
                    messages.push(candidate.message(age, kind));
                    return Ok(());
                }
                Disposition::Wait(reason) => reason,
            }
        };
        self.keep_undecrypted(&candidate, raw, age.ms, reason, None)
    }
}
