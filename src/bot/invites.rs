//! Invites: which are taken, which stand and why, and what becomes of a join that is
//! refused.

use std::collections::BTreeMap;

use log::{Level, debug, info, log, warn};
use ruma::OwnedRoomId;

use super::{operator::Operator, policy::Policy};
use crate::{
    matrix::{Error, Fault, Invite, WantKey},
    ops::shown,
    store::Transaction,
};

/// Invites that are not taken of which one run of the program says so in the log:
/// strangers do not fill it.
const TOLD: u32 = 20;

/// Rooms whose last refusal is remembered, to say it once.
const REMEMBERED: usize = 200;

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

impl Policy {
    /// Takes an invite, or leaves it. It is kept either way: the server tells of it
    /// once, and the next start may judge it otherwise.
    ///
    /// # Errors
    /// The store refuses.
    pub fn judge_invite(&self, tx: &Transaction<'_>, invite: &Invite) -> Result<Verdict, Error> {
        let verdict = if !self.allows_room(&invite.room) {
            Verdict::RoomNotAllowed
        } else if !self.allows(&invite.inviter) {
            Verdict::UserNotAllowed
        } else {
            Verdict::Taken
        };
        tx.put_invite(&invite.room, &invite.inviter, verdict == Verdict::Taken)?;
        Ok(verdict)
    }

    /// Judges all invites that stand by the configuration of this start. Gives those
    /// that are not taken, and those that were not before and are now.
    pub(super) fn judge_standing_invites(
        &self,
        tx: &Transaction<'_>,
    ) -> Result<Vec<Judged>, Error> {
        let mut judged = Vec::new();
        for standing in tx.standing_invites()? {
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

/// What was said of invites and joins in this run.
#[derive(Default)]
pub(super) struct InviteLog {
    told: u32,
    /// The last refusal of each join.
    refusals: BTreeMap<OwnedRoomId, String>,
}

impl InviteLog {
    /// Says what is done about these invites.
    pub(super) fn tell(&mut self, judged: &[Judged]) {
        for (Invite { room, inviter }, verdict) in judged {
            let (room, inviter) = (shown(room), shown(inviter));
            if *verdict == Verdict::Taken {
                info!("accepting the invite of {inviter} to {room}");
                continue;
            }
            self.told = self.told.saturating_add(1);
            let level = match self.told {
                0..=TOLD => Level::Warn,
                _ => Level::Debug,
            };
            match verdict {
                Verdict::RoomNotAllowed => log!(
                    level,
                    "invited to {room} by {inviter}, and the room is not in ALLOWED_ROOMS: the \
                     invite is not taken; if it is to be, add the room there and restart"
                ),
                Verdict::Taken | Verdict::UserNotAllowed => log!(
                    level,
                    "invited to {room} by {inviter}, who is not in ALLOWED_USERS: the invite is not \
                     taken; if they may command, add them there and restart"
                ),
            }
            if self.told == TOLD {
                warn!("further invites that are not taken are logged at the level debug");
            }
        }
    }

    /// Whether this refusal of a join was not said before.
    fn is_news(&mut self, room: &OwnedRoomId, refusal: &str) -> bool {
        if self.refusals.len() >= REMEMBERED && !self.refusals.contains_key(room) {
            self.refusals.clear();
        }
        let before = self.refusals.insert(room.clone(), refusal.to_owned());
        before.as_deref() != Some(refusal)
    }

    /// The room was joined.
    pub(super) fn joined(&mut self, room: &OwnedRoomId) {
        self.refusals.remove(room);
    }
}

impl Operator<'_> {
    /// A room could not be joined. The invite stands until the server says that it
    /// does not: a refusal can be a race between servers, or last until somebody
    /// changes something, so it is tried again ever more seldom.
    pub(super) fn join_failed(&mut self, key: &WantKey, room: &OwnedRoomId, fault: &Fault) {
        let wait = match fault {
            Fault::Unreachable(_) | Fault::Limited(_) => self.flight.failed(key, fault.retry_after()),
            _ => self.flight.failed_slowly(key, fault.retry_after()),
        };
        let refusal = fault.to_string();
        let (room_name, seconds) = (shown(room), wait.as_secs());
        if self.invite_log.is_news(room, &refusal) {
            warn!(
                "joining {room_name} failed: {refusal}; the invite is kept and tried again in \
                 {seconds} s, then ever more seldom, at last once an hour, and at each start"
            );
        } else {
            debug!("joining {room_name} failed again: {refusal}; next in {seconds} s");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_said_once_and_another_one_again() {
        let mut log = InviteLog::default();
        let room = OwnedRoomId::try_from("!r:test").unwrap();
        assert!(log.is_news(&room, "403"));
        assert!(!log.is_news(&room, "403"));
        assert!(log.is_news(&room, "404"));
        log.joined(&room);
        assert!(log.is_news(&room, "404"));
        for number in 0..REMEMBERED * 2 {
            let other = OwnedRoomId::try_from(format!("!{number}:test")).unwrap();
            assert!(log.is_news(&other, "403"));
        }
        assert!(log.refusals.len() <= REMEMBERED);
    }
}
