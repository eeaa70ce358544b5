//! Invites: which are taken, which stand and why, and what becomes of a join that is
//! refused.

use super::chat::Door;
use crate::matrix::e2ee::{Error, Invite};

/// An invite, and why it is not taken, if it is not.
pub(super) type Judged = (Invite, Option<&'static str>);

impl Door<'_> {
    /// Takes an invite, or leaves it for the reason that is returned. It is kept either
    /// way: the server tells of it once, and the next start may judge it otherwise.
    ///
    /// # Errors
    /// The store refuses.
    pub fn judge_invite(self, invite: &Invite) -> Result<Option<&'static str>, Error> {
        let policy = &self.chat.policy;
        let why_not = if !policy.allows_room(&invite.room) {
            Some("and the room is not in ALLOWED_ROOMS: it is not taken; if it should be, add it")
        } else if !policy.allows(&invite.inviter) {
            Some("who is not in ALLOWED_USERS: it is not taken; if they may command, add them")
        } else {
            None
        };
        let invites = self.turn.tx.invites();
        invites.put(&invite.room, &invite.inviter, why_not.is_none())?;
        Ok(why_not)
    }

    /// Judges these invites.
    pub(super) fn judge_invites(self, invites: Vec<Invite>) -> Result<Vec<Judged>, Error> {
        let judged = invites.into_iter().map(|invite| {
            let why_not = self.judge_invite(&invite)?;
            Ok((invite, why_not))
        });
        judged.collect()
    }

    /// Judges all invites that stand by the configuration of this start. Gives those
    /// that are not taken, and those that were not before and are now.
    pub(super) fn judge_standing_invites(self) -> Result<Vec<Judged>, Error> {
        let mut judged = Vec::new();
        for standing in self.turn.tx.invites().all()? {
            let invite = Invite {
                room: standing.room,
                inviter: standing.inviter,
            };
            let why_not = self.judge_invite(&invite)?;
            if why_not.is_some() || !standing.wanted {
                judged.push((invite, why_not));
            }
        }
        Ok(judged)
    }
}
