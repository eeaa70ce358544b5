//! Invites: those that a sync brings, and the list of all that stand.

use std::{cell::Cell, collections::BTreeSet};

use log::warn;
use ruma::{OwnedRoomId, OwnedUserId, UserId, api::client::membership::join_room_by_id};
use serde::Deserialize;

use super::error::Error;
use super::request::{OutgoingRequest, RequestContext, RequestKey, built};
use crate::json::{Sifted, Skipped};
use crate::matrix::client::{Call, Event, InvitedRoom, SyncBody, invites_call, item_kind};
use crate::store::Transaction;

/// An invite of the bot into a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// The room.
    pub room: OwnedRoomId,
    /// The user who invites.
    pub inviter: OwnedUserId,
}

/// Tells whether all invites that stand are to be asked for: in each start at most
/// once.
#[derive(Default)]
pub(super) struct InviteList {
    is_due: Cell<bool>,
}

impl InviteList {
    /// Begins a start of the bot.
    pub(super) fn begin(&self, tx: &Transaction<'_>) -> Result<(), Error> {
        self.is_due.set(!tx.invites().are_listed()?);
        Ok(())
    }

    /// The requests: for the list if it is due and a first sync was taken in
    /// (`synced`), and to join rooms.
    pub(super) fn requests(
        &self,
        tx: &Transaction<'_>,
        synced: bool,
        outgoing: &mut Vec<OutgoingRequest>,
    ) -> Result<(), Error> {
        if synced && self.is_due.get() {
            outgoing.push(OutgoingRequest {
                key: RequestKey::Invites,
                call: invites_call(),
                about: RequestContext::Invites,
            });
        }
        for room in tx.invites().rooms_to_join()? {
            let key = RequestKey::Join(room.clone());
            let request = join_room_by_id::v3::Request::new(room.clone());
            match built(&key, Call::new(request)) {
                Some(call) => outgoing.push(OutgoingRequest {
                    key,
                    call,
                    about: RequestContext::Join(room),
                }),
                None => tx.invites().forget(&room)?,
            }
        }
        Ok(())
    }

    /// Notes whether all invites that stand are known now. A sync from the beginning
    /// lists them all: what it does not list was withdrawn. Later ones list each once.
    pub(super) fn note(
        &self,
        tx: &Transaction<'_>,
        listed: &[Invite],
        is_first: bool,
        skipped: &Skipped,
    ) -> Result<(), Error> {
        if skipped.contains_key(item_kind::INVITE) {
            tx.invites().set_listed(false)?;
        } else if is_first {
            self.is_due.set(false);
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
    pub(super) fn handle_list(
        &self,
        user: &UserId,
        tx: &Transaction<'_>,
        answer: &Sifted,
    ) -> Result<Vec<Invite>, Error> {
        let body: SyncBody<'_> = serde_json::from_slice(&answer.body)
            .map_err(|_| Error::Malformed("the list of invites"))?;
        self.is_due.set(false);
        tx.invites()
            .set_listed(!answer.skipped.contains_key(item_kind::INVITE))?;
        let mut listed = read_invites(user, &body);
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
}

pub(super) fn read_invites(user: &UserId, body: &SyncBody<'_>) -> Vec<Invite> {
    let named = body.rooms.invite.iter();
    named
        .filter_map(|(id, raw)| {
            Some(Invite {
                inviter: inviter(user, raw)?,
                room: room_id(id)?,
            })
        })
        .collect()
}

/// The user who invited the bot, by the bot's own stripped member event.
fn inviter(user: &UserId, raw: &serde_json::value::RawValue) -> Option<OwnedUserId> {
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
                && event.state_key.as_deref() == Some(user.as_str())
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

pub(super) fn room_id(id: &str) -> Option<OwnedRoomId> {
    let room = OwnedRoomId::try_from(id).ok();
    if room.is_none() {
        warn!("the server names a room by something that is no room id: skipped");
    }
    room
}
