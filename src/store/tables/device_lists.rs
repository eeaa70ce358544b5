//! Users whose device lists are followed, and how current each list is.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#tracking-the-device-list-for-a-user>.

use ruma::{OwnedUserId, UserId};

use super::columns::{parsed, put_off};
use crate::store::{Cap, Error, Transaction, limits};

/// A user whose devices have to be asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct OutdatedUser {
    /// The user.
    pub user: OwnedUserId,
    /// The question that the next answer is for.
    pub generation: i64,
    /// The most users that are asked for together with this one, after an answer
    /// was too large.
    pub together: Option<usize>,
}

impl OutdatedUser {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            user: parsed(row, 0)?,
            generation: row.get(1)?,
            together: usize::try_from(row.get::<_, i64>(2)?)
                .ok()
                .filter(|most| *most > 0),
        })
    }
}

/// Users whose device lists are followed, and how current each list is.
pub struct DeviceLists<'a>(pub(in crate::store) &'a Transaction<'a>);

impl DeviceLists<'_> {
    /// Follows a user's devices from now on, unless too many strangers are
    /// followed. The generation starts anywhere, so that an answer to a question
    /// from before does not match it.
    pub fn track(&self, user: &UserId) -> Result<(), Error> {
        if self.is_tracked(user)? {
            return Ok(());
        }
        if !self.0.is_kept(user)? && !self.0.fits(&limits::USERS)? {
            self.0.note_dropped(Cap::TrackedUsers, 1);
            return Ok(());
        }
        self.0.run(
            "INSERT OR IGNORE INTO users (user_id, outdated, generation)
             VALUES (?1, 1, abs(random() % 1000000007))",
            [user.as_str()],
        )
    }

    /// Returns whether this user's devices are followed.
    pub fn is_tracked(&self, user: &UserId) -> Result<bool, Error> {
        self.0
            .exists("SELECT 1 FROM users WHERE user_id = ?1", [user.as_str()])
    }

    /// Stops following. A stranger is forgotten; the devices of a user who may
    /// command stay as tombstones of their keys.
    pub fn untrack(&self, user: &UserId) -> Result<(), Error> {
        self.0
            .execute("DELETE FROM users WHERE user_id = ?1", [user.as_str()])?;
        if !self.0.is_kept(user)? {
            self.0.forget_stranger(user)?;
        }
        Ok(())
    }

    /// The user's list may have changed. A query that is under way answers an
    /// older question: the generation tells.
    pub fn mark_outdated(&self, user: &UserId) -> Result<(), Error> {
        self.0.run(
            "UPDATE users SET outdated = 1, retry_after = 0, generation = generation + 1
             WHERE user_id = ?1",
            [user.as_str()],
        )
    }

    /// Every list may have changed.
    pub fn mark_all_outdated(&self) -> Result<(), Error> {
        self.0.run(
            "UPDATE users SET outdated = 1, retry_after = 0, generation = generation + 1",
            [],
        )
    }

    /// Up to `limit` users to query now; who was asked for together with many
    /// first, so that one whose list is too large comes last.
    pub fn outdated(&self, now: u64, limit: usize) -> Result<Vec<OutdatedUser>, Error> {
        self.0.all(
            concat!(
                "SELECT user_id, generation, alone FROM users WHERE outdated = 1 AND NOT ",
                put_off!("retry_after", "?1"),
                " ORDER BY alone = 0 DESC, alone DESC, user_id LIMIT ?2"
            ),
            (now.cast_signed(), limit.cast_signed()),
            OutdatedUser::read,
        )
    }

    /// This user, if they are to be queried now.
    pub fn outdated_of(&self, user: &UserId, now: u64) -> Result<Option<OutdatedUser>, Error> {
        self.0.one(
            concat!(
                "SELECT user_id, generation, alone FROM users
                 WHERE user_id = ?2 AND outdated = 1 AND NOT ",
                put_off!("retry_after", "?1"),
            ),
            (now.cast_signed(), user.as_str()),
            OutdatedUser::read,
        )
    }

    /// The answer with this user's devices was too large: at most `together` users
    /// are asked for with them next time.
    pub fn limit_query(&self, user: &UserId, together: usize) -> Result<(), Error> {
        self.0.run(
            "UPDATE users SET alone = ?2 WHERE user_id = ?1",
            (user.as_str(), together.cast_signed()),
        )
    }

    /// A room's members include one whose devices must be asked for
    /// first. A user whose server cannot be reached does not hold others up.
    pub fn has_outdated_members(&self, room: &ruma::RoomId, now: u64) -> Result<bool, Error> {
        self.0.exists(
            concat!(
                "SELECT 1 FROM members JOIN users USING (user_id)
                     WHERE room_id = ?1 AND outdated = 1 AND NOT ",
                put_off!("retry_after", "?2"),
                " LIMIT 1"
            ),
            (room.as_str(), now.cast_signed()),
        )
    }

    /// Returns whether this user's devices have to be asked for before they are believed:
    /// the list may have changed, and their server can be reached as far as is
    /// known.
    pub fn must_query(&self, user: &UserId, now: u64) -> Result<bool, Error> {
        let need_not: bool = self.0.value(
            concat!(
                "SELECT outdated = 0 OR ",
                put_off!("retry_after", "?2"),
                " FROM users WHERE user_id = ?1"
            ),
            (user.as_str(), now.cast_signed()),
        )?;
        Ok(!need_not)
    }

    /// Returns whether this user's list is not known to be current.
    pub fn is_outdated(&self, user: &UserId) -> Result<bool, Error> {
        let is_current = "SELECT 1 FROM users WHERE user_id = ?1 AND outdated = 0";
        Ok(!self.0.exists(is_current, [user.as_str()])?)
    }

    /// The answer for this user was taken in. One to an older question than the
    /// latest leaves the list outdated, but only from now on.
    pub fn mark_current(&self, user: &UserId, generation: i64) -> Result<(), Error> {
        self.0.run(
            "UPDATE users SET outdated = generation <> ?2, outdated_since = 0, alone = 0,
                 retry_after = CASE generation WHEN ?2 THEN 0 ELSE retry_after END
             WHERE user_id = ?1",
            (user.as_str(), generation),
        )
    }

    /// Writes down when lists became outdated, those that did since the last call:
    /// at `own_now` by the bot's own clock, in milliseconds.
    pub fn date_outdated(&self, own_now: u64) -> Result<(), Error> {
        self.0.run(
            "UPDATE users SET outdated_since = ?1 WHERE outdated = 1 AND outdated_since = 0",
            [own_now.cast_signed()],
        )
    }

    /// Since when this user's list has been outdated without an answer, by the
    /// bot's own clock in milliseconds; none while it is current, and until
    /// [`DeviceLists::date_outdated`].
    pub fn outdated_since(&self, user: &UserId) -> Result<Option<u64>, Error> {
        self.0.one(
            "SELECT outdated_since FROM users
             WHERE user_id = ?1 AND outdated = 1 AND outdated_since <> 0",
            [user.as_str()],
            |row| Ok(row.get::<_, i64>(0)?.cast_unsigned()),
        )
    }

    /// The user's server did not answer: ask again after `until`.
    pub fn postpone_query(&self, user: &UserId, until: u64) -> Result<(), Error> {
        self.0.run(
            "UPDATE users SET retry_after = ?2 WHERE user_id = ?1",
            (user.as_str(), until.cast_signed()),
        )
    }
}
