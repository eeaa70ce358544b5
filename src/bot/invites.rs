//! Invites: which are taken, which stand and why, and what becomes of a join that is
//! refused.

use log::{debug, warn};
use ruma::RoomId;

use super::{chat::Chat, session_loop::SessionLoop};
use crate::{
    matrix::{
        client::Fault,
        e2ee::{Error, Invite, RequestKey},
    },
    store::Transaction,
    util::shown,
};

/// What is done about an invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken.
    Taken,
    /// Who sent it may not command.
    UserNotAllowed,
    /// The room is left out by the configuration.
    RoomNotAllowed,
}

/// An invite, and what is done about it.
pub(super) type Judged = (Invite, Verdict);

impl Chat {
    /// Takes an invite, or leaves it. It is kept either way: the server tells of it
    /// once, and the next start may judge it otherwise.
    ///
    /// # Errors
    /// The store refuses.
    pub fn judge_invite(&self, tx: &Transaction<'_>, invite: &Invite) -> Result<Verdict, Error> {
        let verdict = if !self.policy.allows_room(&invite.room) {
            Verdict::RoomNotAllowed
        } else if !self.policy.allows(&invite.inviter) {
            Verdict::UserNotAllowed
        } else {
            Verdict::Taken
        };
        tx.invites()
            .put(&invite.room, &invite.inviter, verdict == Verdict::Taken)?;
        Ok(verdict)
    }

    /// Judges all invites that stand by the configuration of this start. Gives those
    /// that are not taken, and those that were not before and are now.
    pub(super) fn judge_standing_invites(
        &self,
        tx: &Transaction<'_>,
    ) -> Result<Vec<Judged>, Error> {
        let mut judged = Vec::new();
        for standing in tx.invites().all()? {
            let invite = Invite {
                room: standing.room,
                inviter: standing.inviter,
            };
            let verdict = self.judge_invite(tx, &invite)?;
            if verdict != Verdict::Taken || !standing.wanted {
                judged.push((invite, verdict));
            }
        }
        Ok(judged)
    }
}

impl SessionLoop<'_> {
    /// A room could not be joined. The invite stands until the server says that it
    /// does not: a refusal can be a race between servers, or last until somebody
    /// changes something, so it is tried again ever more seldom.
    pub(super) fn join_failed(&mut self, key: &RequestKey, room: &RoomId, fault: &Fault) {
        let wait = match fault {
            Fault::Unreachable(_) | Fault::Limited(_) => {
                self.requests.in_flight.failed(key, fault.retry_after())
            }
            _ => self
                .requests
                .in_flight
                .failed_slowly(key, fault.retry_after()),
        };
        let refusal = fault.to_string();
        let (room_name, seconds) = (shown(room), wait.as_secs());
        if self.log.is_news(key, &refusal) {
            warn!(
                "joining {room_name} failed: {refusal}; the invite is kept and tried again in \
                 {seconds} s, then ever more seldom, at last once an hour, and at each start"
            );
        } else {
            debug!("joining {room_name} failed again: {refusal}; next in {seconds} s");
        }
    }
}
