//! A sync: everything in it, in the order that makes sense of it, in one transaction; of a
//! joined room, its state and the messages of its timeline.

use log::{debug, warn};
use ruma::RoomId;
use serde_json::value::RawValue;

use super::classify::Disposition;
use super::engine::Turn;
use super::error::Error;
use super::invites::{Invite, room_id};
use super::message::{Candidate, Message, may_say_something};
use super::room_state::parse;
use super::time_budget::TimeBudget;
use crate::json::Skipped;
use crate::matrix::client::{Event, JoinedRoom, SyncBody, item_kind};
use crate::store::WaitReason;
use crate::util::{MAX_POSITION, is_carried};

/// The messages and invites of a sync, for the layer above.
#[derive(Default)]
pub struct Received {
    /// Messages of commanders, in order.
    pub messages: Vec<Message>,
    /// Invites of anybody.
    pub invites: Vec<Invite>,
}

impl Turn<'_> {
    /// Takes in to-device events of one sync answer, from number `done` on, until the
    /// budget is spent; returns how many are done. The rest of the answer is taken in by
    /// [`Turn::handle_sync`] when all are.
    ///
    /// # Errors
    /// The store fails.
    pub fn handle_sync_to_device(
        &self,
        body: &SyncBody<'_>,
        done: usize,
        budget: TimeBudget,
    ) -> Result<usize, Error> {
        if done == 0 {
            self.age_keys()?;
        }
        self.handle_to_device(&body.to_device.events, done, budget)
    }

    /// Takes in one sync answer but for its to-device events. `counts_hold` is
    /// false for a sync that was sent before the last upload of keys was answered:
    /// it may have been counted without them. `skipped` is what had no room in the
    /// answer.
    ///
    /// # Errors
    /// The store fails, or the next sync could not begin where this one ends.
    pub fn handle_sync(
        &self,
        body: &SyncBody<'_>,
        skipped: &Skipped,
        counts_hold: bool,
    ) -> Result<Received, Error> {
        let tx = self.tx;
        check_position(&body.next_batch)?;
        let since = tx.session().next_batch()?;
        if since.is_none() {
            // An initial sync has no device_lists: whatever is known may be old.
            tx.device_lists().mark_all_outdated()?;
        }
        let mut received = Received::default();
        if counts_hold {
            self.replenish_keys(body)?;
        }
        self.handle_device_changes(&body.device_lists)?;
        if skipped.contains_key(item_kind::CHANGED) {
            // Some of them are not known by name.
            tx.device_lists().mark_all_outdated()?;
        }
        let state_is_cut = skipped.contains_key(item_kind::STATE)
            || skipped.contains_key(item_kind::TIMELINE)
            || skipped.contains_key(item_kind::ROOM);
        // What waited was said before what comes now.
        self.classify_undecrypted(&mut received.messages)?;

        for id in body.rooms.leave.keys() {
            if let Some(room) = room_id(id) {
                debug!("no longer in {room}");
                tx.rooms().leave(&room)?;
            }
        }
        for (id, raw) in &body.rooms.join {
            let Some(room) = room_id(id) else { continue };
            match serde_json::from_slice(raw.get().as_bytes()) {
                Ok(joined) => {
                    let messages = &mut received.messages;
                    self.handle_joined_room(&room, &joined, since.as_deref(), messages)?;
                    if state_is_cut {
                        // Who left may be among what had no room.
                        tx.members().set_incomplete(&room)?;
                        tx.outbound_sessions().discard(&room)?;
                    }
                }
                Err(_) => warn!("what the server says of {room} is malformed: skipped"),
            }
        }
        received.invites = self.read_invites(body);
        for invite in &received.invites {
            if tx.rooms().is_joined(&invite.room)? {
                // Who is invited is no longer in the room.
                tx.rooms().leave(&invite.room)?;
            }
        }
        self.note_invites(&received.invites, since.is_none(), skipped)?;
        self.classify_undecrypted(&mut received.messages)?;
        let move_on = || tx.session().set_next_batch(&body.next_batch);
        match since {
            // Before it has a position, a device takes every message for history.
            None => move_on()?,
            // A sync that changes nothing else can be asked for again.
            Some(_) => tx.defer(move_on)?,
        }
        Ok(received)
    }
}

/// Fails unless the next sync can begin there.
fn check_position(next_batch: &str) -> Result<(), Error> {
    match is_carried(next_batch, MAX_POSITION) {
        true => Ok(()),
        false => Err(Error::NotCarried {
            what: "next_batch of a sync",
            bytes: next_batch.len(),
            max: MAX_POSITION,
        }),
    }
}

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
                Disposition::Is { kind, mentions_bot } => {
                    messages.push(candidate.message(age, kind, mentions_bot));
                    return Ok(());
                }
                Disposition::Wait(reason) => reason,
            }
        };
        self.keep_undecrypted(&candidate, raw, age.ms, reason, None)
    }
}
