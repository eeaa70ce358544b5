//! Invites: those that a sync brings, and the list of all that stand.

use log::warn;
use ruma::{OwnedRoomId, OwnedUserId, api::client::membership::join_room_by_id};
use serde_json::value::RawValue;

use super::engine::Turn;
use super::error::Error;
use super::request::{OutgoingRequest, RequestContext, RequestKey};
use crate::json::{Sifted, Skipped};
use crate::matrix::client::{Call, Event, InvitedRoom, SyncBody, invites_call, item_kind};

/// An invite of the bot into a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// The room.
    pub room: OwnedRoomId,
    /// The user who invites.
    pub inviter: OwnedUserId,
}

impl Turn<'_> {
    /// The requests: for all invites that stand if they are due and a first sync was taken
    /// in (`synced`), and to join rooms.
    pub(super) fn invite_requests(
        &self,
        synced: bool,
        outgoing: &mut Vec<OutgoingRequest>,
    ) -> Result<(), Error> {
        if synced && self.engine.invites_are_due.get() {
            outgoing.push(OutgoingRequest {
                key: RequestKey::Invites,
                call: invites_call(),
                about: RequestContext::Invites,
            });
        }
        for room in self.tx.invites().rooms_to_join()? {
            let key = RequestKey::Join(room.clone());
            let call = Call::new(join_room_by_id::v3::Request::new(room.clone()));
            let about = RequestContext::Join(room.clone());
            match OutgoingRequest::built(key, call, about) {
                Some(request) => outgoing.push(request),
                None => self.tx.invites().forget(&room)?,
            }
        }
        Ok(())
    }

    /// Notes whether all invites that stand are known now. A sync from the beginning
    /// lists them all: what it does not list was withdrawn. Later ones list each once.
    pub(super) fn note_invites(
        &self,
        listed: &[Invite],
        is_first: bool,
        skipped: &Skipped,
    ) -> Result<(), Error> {
        let invites = self.tx.invites();
        if skipped.contains_key(item_kind::INVITE) {
            invites.set_listed(false)?;
        } else if is_first {
            self.engine.invites_are_due.set(false);
            invites.set_listed(true)?;
            for known in invites.all()? {
                if !listed.iter().any(|invite| invite.room == known.room) {
                    invites.forget(&known.room)?;
                }
            }
        }
        Ok(())
    }

    /// Takes in the list of all invites that stand; it may be older than what a sync has
    /// told meanwhile.
    pub fn handle_invites(&self, answer: &Sifted) -> Result<Vec<Invite>, Error> {
        let body: SyncBody<'_> = serde_json::from_slice(&answer.body)
            .map_err(|_| Error::Malformed("the list of invites"))?;
        self.engine.invites_are_due.set(false);
        let are_all = !answer.skipped.contains_key(item_kind::INVITE);
        self.tx.invites().set_listed(are_all)?;
        let mut listed = Vec::new();
        for invite in self.read_invites(&body) {
            if !self.tx.rooms().is_joined(&invite.room)? {
                listed.push(invite);
            }
        }
        Ok(listed)
    }

    /// The invites in a sync.
    pub(super) fn read_invites(&self, body: &SyncBody<'_>) -> Vec<Invite> {
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

    /// The user who invited the bot, by the bot's own stripped member event.
    fn inviter(&self, raw: &RawValue) -> Option<OwnedUserId> {
        let invited: InvitedRoom<'_> = serde_json::from_slice(raw.get().as_bytes()).ok()?;
        let events = invited.invite_state.events.iter();
        let mut senders = events
            .filter_map(|raw| serde_json::from_slice::<Event<'_>>(raw.get().as_bytes()).ok())
            .filter(|event| self.is_own_membership(event, "invite"))
            .filter_map(|event| OwnedUserId::try_from(event.sender.as_ref()).ok());
        // The inviting server may add to this state what it likes; the bot's own
        // server adds the invite it checked. Where they differ, somebody lies.
        let sender = senders.next()?;
        senders.all(|other| other == sender).then_some(sender)
    }
}

pub(super) fn room_id(id: &str) -> Option<OwnedRoomId> {
    let room = OwnedRoomId::try_from(id).ok();
    if room.is_none() {
        warn!("the server names a room by something that is no room id: skipped");
    }
    room
}
