//! Invites: which are taken, which stand and why, and what becomes of a join that is
//! refused.

use super::chat::Door;
use crate::matrix::e2ee::{Error, Invite};

/// The decision about an invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken.
    Taken,
    /// Its sender may not command.
    UserNotAllowed,
    /// The room is left out by the configuration.
    RoomNotAllowed,
}

/// An invite, and what is done about it.
pub(super) type Judged = (Invite, Verdict);

impl Door<'_> {
    /// Takes an invite, or leaves it. It is kept either way: the server tells of it
    /// once, and the next start may judge it otherwise.
    ///
    /// # Errors
    /// The store refuses.
    pub fn judge_invite(self, invite: &Invite) -> Result<Verdict, Error> {
        let verdict = if !self.chat.policy.allows_room(&invite.room) {
            Verdict::RoomNotAllowed
        } else if !self.chat.policy.allows(&invite.inviter) {
            Verdict::UserNotAllowed
        } else {
            Verdict::Taken
        };
        self.turn
            .tx
            .invites()
            .put(&invite.room, &invite.inviter, verdict == Verdict::Taken)?;
        Ok(verdict)
    }

    /// Judges these invites.
    pub(super) fn judge_invites(self, invites: Vec<Invite>) -> Result<Vec<Judged>, Error> {
        let judged = invites.into_iter().map(|invite| {
            let verdict = self.judge_invite(&invite)?;
            Ok((invite, verdict))
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
            let verdict = self.judge_invite(&invite)?;
            if verdict != Verdict::Taken || !standing.wanted {
                judged.push((invite, verdict));
            }
        }
        Ok(judged)
    }
}
