//! Invites: those that are to be taken, and those that stand until who sent them may
//! command, or their room is one of those that are served.

use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};

use super::columns::parsed;
use crate::store::{Cap, Error, Transaction, caps};

/// An invite that stands, as far as the server has told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingInvite {
    /// The room.
    pub room: OwnedRoomId,
    /// The inviter.
    pub inviter: OwnedUserId,
    /// True if it is to be taken.
    pub wanted: bool,
}

/// Invites that stand.
pub struct Invites<'a>(pub(in crate::store) &'a Transaction<'a>);

impl Invites<'_> {
    /// Keeps an invite, to be taken (`wanted`) or not, in place of an earlier one to
    /// the same room. Of those that are to be taken no more than a hundred are kept;
    /// of the others the server with the most loses its oldest, so that nobody's
    /// flood costs the invite of somebody of another server. Whatever has no room is
    /// asked for at the next start.
    pub fn put(&self, room: &RoomId, inviter: &UserId, wanted: bool) -> Result<(), Error> {
        if wanted {
            let others: i64 = self.0.value(
                "SELECT count(*) FROM invites WHERE accepted = 1 AND room_id <> ?1",
                [room.as_str()],
            )?;
            if others >= caps::INVITES {
                return self.miss(1);
            }
        }
        self.0.execute(
            "INSERT INTO invites (room_id, inviter, accepted, arrived)
             VALUES (?1, ?2, ?3, 1 + (SELECT coalesce(max(arrived), 0) FROM invites))
             ON CONFLICT (room_id) DO UPDATE SET inviter = ?2, accepted = ?3",
            (room.as_str(), inviter.as_str(), wanted),
        )?;
        let gone = self.0.execute(
            "DELETE FROM invites WHERE room_id IN (
                 SELECT room_id FROM (
                     SELECT room_id, arrived,
                         count(*) OVER (PARTITION BY substr(inviter, instr(inviter, ':'))) AS of_server,
                         count(*) OVER (PARTITION BY inviter) AS of_inviter
                     FROM invites WHERE accepted = 0)
                 ORDER BY of_server DESC, of_inviter DESC, arrived
                 LIMIT max(0, (SELECT count(*) FROM invites WHERE accepted = 0) - ?1))",
            [caps::LEFT_INVITES],
        )?;
        if gone > 0 {
            self.miss(gone)?;
        }
        Ok(())
    }

    /// Some invites are not kept: the next start asks for all that stand.
    fn miss(&self, count: usize) -> Result<(), Error> {
        self.0.note_dropped(Cap::Invites, count);
        self.set_listed(false)
    }

    /// The invite is gone: taken or withdrawn.
    pub fn forget(&self, room: &RoomId) -> Result<(), Error> {
        self.0
            .run("DELETE FROM invites WHERE room_id = ?1", [room.as_str()])
    }

    /// Rooms to join.
    pub fn rooms_to_join(&self) -> Result<Vec<OwnedRoomId>, Error> {
        self.0.all(
            "SELECT room_id FROM invites WHERE accepted = 1 ORDER BY arrived, room_id",
            [],
            |row| parsed(row, 0),
        )
    }

    /// All invites that stand, in the order they came.
    pub fn all(&self) -> Result<Vec<StandingInvite>, Error> {
        self.0.all(
            "SELECT room_id, inviter, accepted FROM invites ORDER BY arrived, room_id",
            [],
            |row| {
                Ok(StandingInvite {
                    room: parsed(row, 0)?,
                    inviter: parsed(row, 1)?,
                    wanted: row.get(2)?,
                })
            },
        )
    }

    /// Returns whether all invites that stand were taken in: not after an update from a
    /// version that kept none, and not where some had no room.
    pub fn are_listed(&self) -> Result<bool, Error> {
        self.0.value("SELECT invites_listed FROM session", [])
    }

    /// Notes whether all invites that stand were taken in.
    pub fn set_listed(&self, listed: bool) -> Result<(), Error> {
        self.0.run(
            "UPDATE session SET invites_listed = ?1 WHERE invites_listed IS NOT ?1",
            [listed],
        )
    }
}
