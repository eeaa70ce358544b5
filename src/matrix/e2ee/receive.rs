//! Taking in a sync: everything in it, in the order that makes sense of it, in
//! one transaction.

use std::collections::BTreeSet;

use log::{debug, info, warn};
use ruma::{OwnedRoomId, OwnedUserId, UserId};
use serde::Deserialize;

use super::classify::Message;
use super::engine::{Engine, Error};
use super::time_budget::TimeBudget;
use crate::crypto::FallbackOnServer;
use crate::json::{Sifted, Skipped};
use crate::matrix::client::{DeviceLists, Event, InvitedRoom, SyncBody, what};
use crate::store::Transaction;
use crate::util::{MAX_POSITION, is_carried};

/// What a sync brought for the layer above.
#[derive(Default)]
pub struct Received {
    /// Messages of commanders, in order.
    pub messages: Vec<Message>,
    /// Invites of anybody.
    pub invites: Vec<Invite>,
}

/// Somebody wants the bot in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// Where.
    pub room: OwnedRoomId,
    /// Who.
    pub inviter: OwnedUserId,
}

impl Engine {
    /// Takes in to-device events of one sync answer, from number `done` on, until
    /// this turn of the loop is over; returns how many are done. What follows in
    /// the answer is taken in by [`Engine::handle_sync`] when all are.
    pub fn handle_sync_to_device(
        &self,
        tx: &Transaction<'_>,
        body: &SyncBody<'_>,
        done: usize,
        now: u64,
        budget: TimeBudget,
    ) -> Result<usize, Error> {
        if done == 0 {
            self.age_keys(tx)?;
        }
        self.handle_to_device(tx, &body.to_device.events, done, now, budget)
    }

    /// Takes in one sync answer but for its to-device events. `counts_hold` is
    /// false for a sync that was sent before the last upload of keys was answered:
    /// it may have been counted without them. `skipped` is what had no room in the
    /// answer. `now` is in milliseconds since the Unix epoch.
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
        if since.is_none() {
            // An initial sync has no device_lists: whatever is known may be old.
            tx.device_lists().mark_all_outdated()?;
        }
        let mut received = Received::default();
        if counts_hold {
            self.replenish(tx, body)?;
        }
        self.handle_device_lists(tx, &body.device_lists)?;
        if skipped.contains_key(what::CHANGED) {
            // Some of them are not known by name.
            tx.device_lists().mark_all_outdated()?;
        }
        let state_is_cut = skipped.contains_key(what::STATE)
            || skipped.contains_key(what::TIMELINE)
            || skipped.contains_key(what::ROOM);
        // What waited was said before what comes now.
        self.classify_undecrypted(tx, now, &mut received.messages)?;

        for id in body.rooms.leave.keys() {
            if let Some(room) = room_id(id) {
                debug!("no longer in {room}");
                tx.rooms().leave(&room)?;
            }
        }
        for (id, raw) in &body.rooms.join {
            let Some(room) = room_id(id) else { continue };
            match serde_json::from_str(raw.get()) {
                Ok(joined) => {
                    let since = since.as_deref();
                    self.handle_joined_room(tx, &room, &joined, since, now, &mut received)?;
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
        self.note_listed_invites(tx, &received.invites, since.is_none(), skipped)?;
        self.classify_undecrypted(tx, now, &mut received.messages)?;
        tx.session().set_next_batch(&body.next_batch)?;
        Ok(received)
    }

    fn handle_device_lists(&self, tx: &Transaction<'_>, lists: &DeviceLists) -> Result<(), Error> {
        for user in lists
            .changed
            .iter()
            .filter_map(|user| <&UserId>::try_from(user.as_str()).ok())
        {
            tx.device_lists().mark_outdated(user)?;
        }
        for user in lists
            .left
            .iter()
            .filter_map(|user| <&UserId>::try_from(user.as_str()).ok())
        {
            // The server says that no encrypted room is shared any more. Where this
            // store disagrees it follows the user on, and asks afresh. So it does
            // for a commander whose server does not answer: for how long is not
            // counted anew because they left and came again.
            let is_waited_for =
                self.commanders.users.contains(user) && tx.device_lists().is_outdated(user)?;
            if user == self.user || is_waited_for || tx.members().shares_encrypted_room(user)? {
                tx.device_lists().mark_outdated(user)?;
            } else if tx.device_lists().is_tracked(user)? {
                info!("the devices of {user} are no longer followed");
                tx.device_lists().untrack(user)?;
            }
        }
        Ok(())
    }

    /// Makes keys where the server has too few left.
    fn replenish(&self, tx: &Transaction<'_>, body: &SyncBody<'_>) -> Result<(), Error> {
        let fallback = match &body.device_unused_fallback_key_types {
            None => FallbackOnServer::NotSupported,
            Some(types) if types.iter().any(|kind| kind == "signed_curve25519") => {
                FallbackOnServer::Unused
            }
            Some(_) => FallbackOnServer::UsedOrMissing,
        };
        let count = body.one_time_keys();
        if self.account(tx)?.needs_replenishing(count, fallback)
            && self.may_supply(body.tells_one_time_keys())
        {
            let mut account = self.account_mut(tx)?;
            account.replenish(count, fallback, self.own_now());
            self.save_account(tx, account)?;
        }
        Ok(())
    }

    /// Whether keys may be made once more. A server that never has enough, by what it
    /// says or leaves unsaid, is not given more without an end: until then the
    /// fallback key does.
    fn may_supply(&self, is_told: bool) -> bool {
        let (window_ms, most) = match is_told {
            true => (10 * 60_000, 20),
            false => (3_600_000, 1),
        };
        let (mut began, mut count) = self.supplies.get();
        let now = self.own_now();
        if count == 0 || now.saturating_sub(began) >= window_ms {
            (began, count) = (now, 0);
        }
        let may = count < most;
        self.supplies
            .set((began, count.saturating_add(u32::from(may))));
        may
    }

    /// Replaces and forgets fallback keys by the bot's own clock, and then what
    /// guarded the forgotten ones: before anything is opened with them.
    pub(crate) fn age_keys(&self, tx: &Transaction<'_>) -> Result<(), Error> {
        if self.account(tx)?.needs_aging(self.own_now()) {
            let mut account = self.account_mut(tx)?;
            account.age(self.own_now());
            tx.seen_olm_messages()
                .forget_before(account.oldest_fallback_made_at())?;
            self.save_account(tx, account)?;
        }
        Ok(())
    }

    fn read_invites(&self, body: &SyncBody<'_>) -> Vec<Invite> {
        let named = body.rooms.invite.iter();
        named
            .filter_map(|(id, raw)| {
                Some(Invite {
                    inviter: self.inviter(raw)?,
                    room: room_id(id)?,
                })
            })
            .collect()
    }

    /// Notes whether all invites that stand are known now. A sync from the beginning
    /// lists them all: what it does not list was withdrawn. Later ones list each once.
    fn note_listed_invites(
        &self,
        tx: &Transaction<'_>,
        listed: &[Invite],
        is_first: bool,
        skipped: &Skipped,
    ) -> Result<(), Error> {
        if skipped.contains_key(what::INVITE) {
            tx.invites().set_listed(false)?;
        } else if is_first {
            self.lists_invites.set(false);
            tx.invites().set_listed(true)?;
            for known in tx.invites().all()? {
                if !listed.iter().any(|invite| invite.room == known.room) {
                    tx.invites().forget(&known.room)?;
                }
            }
        }
        Ok(())
    }

    /// Takes in the answer to the request for all invites that stand; it may be older
    /// than what a sync has told meanwhile.
    pub fn handle_invites(
        &self,
        tx: &Transaction<'_>,
        answer: &Sifted,
    ) -> Result<Vec<Invite>, Error> {
        let body: SyncBody<'_> = serde_json::from_slice(&answer.body)
            .map_err(|_| Error::Malformed("the list of invites"))?;
        self.lists_invites.set(false);
        tx.invites()
            .set_listed(!answer.skipped.contains_key(what::INVITE))?;
        let mut listed = self.read_invites(&body);
        let mut joined = Ok(());
        listed.retain(|invite| match tx.rooms().is_joined(&invite.room) {
            Ok(is_joined) => !is_joined,
            Err(error) => {
                joined = Err(error);
                false
            }
        });
        joined?;
        Ok(listed)
    }

    /// Who invited the bot, by the bot's own stripped member event.
    fn inviter(&self, raw: &serde_json::value::RawValue) -> Option<OwnedUserId> {
        #[derive(Deserialize)]
        struct Member<'a> {
            membership: &'a str,
        }
        let invited: InvitedRoom<'_> = serde_json::from_str(raw.get()).ok()?;
        let senders: BTreeSet<OwnedUserId> = invited
            .invite_state
            .events
            .iter()
            .filter_map(|raw| serde_json::from_str::<Event<'_>>(raw.get()).ok())
            .filter(|event| {
                event.kind == "m.room.member"
                    && event.state_key.as_deref() == Some(self.user.as_str())
                    && serde_json::from_str::<Member<'_>>(event.content.get())
                        .is_ok_and(|member| member.membership == "invite")
            })
            .filter_map(|event| OwnedUserId::try_from(event.sender.as_ref()).ok())
            .collect();
        // The inviting server may add to this state what it likes; the bot's own
        // server adds the invite it checked. Where they differ, somebody lies.
        let mut senders = senders.into_iter();
        match (senders.next(), senders.next()) {
            (Some(sender), None) => Some(sender),
            _ => None,
        }
    }
}

/// Whether the next sync can begin there.
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

fn room_id(id: &str) -> Option<OwnedRoomId> {
    let room = OwnedRoomId::try_from(id).ok();
    if room.is_none() {
        warn!("the server names a room by something that is no room id: skipped");
    }
    room
}
