//! A sync: everything in it, in the order that makes sense of it, in one transaction.

use log::{debug, warn};

use super::engine::Engine;
use super::error::Error;
use super::invites::{Invite, read_invites, room_id};
use super::message::Message;
use super::time_budget::TimeBudget;
use super::timeline::Timeline;
use super::undecrypted::classify_undecrypted;
use super::{device_lists, one_time_keys, to_device};
use crate::json::Skipped;
use crate::matrix::client::{SyncBody, item_kind};
use crate::store::Transaction;
use crate::util::{MAX_POSITION, is_carried};

/// The messages and invites of a sync, for the layer above.
#[derive(Default)]
pub struct Received {
    /// Messages of commanders, in order.
    pub messages: Vec<Message>,
    /// Invites of anybody.
    pub invites: Vec<Invite>,
}

impl Engine {
    /// Takes in to-device events of one sync answer, from number `done` on, until the
    /// budget is spent; returns how many are done. The rest of the answer is taken in by
    /// [`Engine::handle_sync`] when all are.
    ///
    /// # Errors
    /// The store fails.
    pub fn handle_sync_to_device(
        &self,
        tx: &Transaction<'_>,
        body: &SyncBody<'_>,
        done: usize,
        now: u64,
        budget: TimeBudget,
    ) -> Result<usize, Error> {
        if done == 0 {
            one_time_keys::age(&self.context, &self.accounts, tx)?;
        }
        let events = &body.to_device.events;
        to_device::handle_events(&self.context, &self.accounts, tx, events, done, now, budget)
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
        tx: &Transaction<'_>,
        body: &SyncBody<'_>,
        skipped: &Skipped,
        counts_hold: bool,
        now: u64,
    ) -> Result<Received, Error> {
        check_position(&body.next_batch)?;
        let since = tx.session().next_batch()?;
        let context = &self.context;
        if since.is_none() {
            // An initial sync has no device_lists: whatever is known may be old.
            tx.device_lists().mark_all_outdated()?;
        }
        let mut received = Received::default();
        if counts_hold {
            self.key_supply
                .replenish(context, &self.accounts, tx, body)?;
        }
        device_lists::handle_changes(context, tx, &body.device_lists)?;
        if skipped.contains_key(item_kind::CHANGED) {
            // Some of them are not known by name.
            tx.device_lists().mark_all_outdated()?;
        }
        let state_is_cut = skipped.contains_key(item_kind::STATE)
            || skipped.contains_key(item_kind::TIMELINE)
            || skipped.contains_key(item_kind::ROOM);
        // What waited was said before what comes now.
        classify_undecrypted(context, tx, now, &mut received.messages)?;

        for id in body.rooms.leave.keys() {
            if let Some(room) = room_id(id) {
                debug!("no longer in {room}");
                tx.rooms().leave(&room)?;
            }
        }
        let timeline = Timeline {
            context,
            rollback: &self.rollback,
            tx,
            since: since.as_deref(),
            now,
        };
        for (id, raw) in &body.rooms.join {
            let Some(room) = room_id(id) else { continue };
            match serde_json::from_str(raw.get()) {
                Ok(joined) => {
                    timeline.handle_joined_room(&room, &joined, &mut received.messages)?;
                    if state_is_cut {
                        // Who left may be among what had no room.
                        tx.members().set_incomplete(&room)?;
                        tx.outbound_sessions().discard(&room)?;
                    }
                }
                Err(_) => warn!("what the server says of {room} is malformed: skipped"),
            }
        }
        received.invites = read_invites(&context.user, body);
        for invite in &received.invites {
            if tx.rooms().is_joined(&invite.room)? {
                // Who is invited is no longer in the room.
                tx.rooms().leave(&invite.room)?;
            }
        }
        self.invites
            .note(tx, &received.invites, since.is_none(), skipped)?;
        classify_undecrypted(context, tx, now, &mut received.messages)?;
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
