//! Enforcing the caps of all tables at once; the users whose rows no cap takes; the
//! targets that are none any more.

use ruma::UserId;

use super::{Cap, Error, Transaction, caps, limits::*};

impl Transaction<'_> {
    /// Writes down the users who may command, for whoever looks at the store without
    /// the configuration. No cap takes their rows, nor those of the bot (`own`). Once
    /// at each start, before anything else is stored.
    ///
    /// # Errors
    /// The database refuses.
    pub fn put_commanders<'a>(
        &self,
        own: &UserId,
        users: impl IntoIterator<Item = &'a UserId>,
    ) -> Result<(), Error> {
        self.inner
            .execute_batch("DELETE FROM commanders; DELETE FROM kept_users;")?;
        for user in users {
            self.execute(
                "INSERT INTO commanders (user_id) VALUES (?1)",
                [user.as_str()],
            )?;
        }
        self.run(
            "INSERT INTO kept_users (user_id) SELECT user_id FROM commanders UNION SELECT ?1",
            [own.as_str()],
        )
    }

    /// Returns whether no cap takes this user's rows.
    pub(super) fn is_kept(&self, user: &UserId) -> Result<bool, Error> {
        self.exists(
            "SELECT 1 FROM kept_users WHERE user_id = ?1",
            [user.as_str()],
        )
    }

    /// Brings each table down to its cap, where an earlier version or another
    /// configuration left more. Walks over all of them: once at each start.
    pub fn enforce_caps(&self) -> Result<(), Error> {
        self.forget_orphans()?;
        for limit in [
            &USERS,
            &MEMBERS,
            &DEVICES,
            &OLM_SESSIONS,
            &KEPT_OLM_SESSIONS,
            &OLM_PEERS,
            &ROOM_KEYS,
            &ROOMS,
        ] {
            let over = -self.left(limit)?;
            if over > 0 {
                self.prune(limit, over)?;
            }
        }
        self.enforce_member_caps()?;
        self.enforce_device_caps()?;
        while self.left(&SHARES)? < 0 && self.outbound_sessions().discard_oldest_but("")? {}
        Ok(())
    }

    /// Forgets what is remembered of targets other than these: those that are not
    /// configured any more. Returns those of them that had a timer. Once at each start.
    ///
    /// # Errors
    /// The database refuses.
    pub fn keep_only_targets(&self, names: &[&str]) -> Result<Vec<String>, Error> {
        let is_gone = |name: &String| !names.contains(&name.as_str());
        let timers = self.timers().all()?.into_iter().map(|timer| timer.target);
        let stop_no_more = timers.filter(is_gone).collect();
        for (targets, delete) in [
            (
                "SELECT DISTINCT target FROM history",
                "DELETE FROM history WHERE target = ?1",
            ),
            (
                "SELECT target FROM previous_replicas",
                "DELETE FROM previous_replicas WHERE target = ?1",
            ),
            (
                "SELECT target FROM timers",
                "DELETE FROM timers WHERE target = ?1",
            ),
            (
                "SELECT target FROM schedules",
                "DELETE FROM schedules WHERE target = ?1",
            ),
            (
                "SELECT target FROM followed",
                "DELETE FROM followed WHERE target = ?1",
            ),
        ] {
            let targets: Vec<String> = self.all(targets, [], |row| row.get(0))?;
            for gone in targets.iter().filter(|name| is_gone(name)) {
                self.execute(delete, [gone.as_str()])?;
            }
        }
        Ok(stop_no_more)
    }

    /// Members beyond the caps go, strangers of the largest rooms first; their
    /// devices get no key of the next session.
    fn enforce_member_caps(&self) -> Result<(), Error> {
        let drop = |after: i64, most: i64| {
            self.drop_rows(
                Cap::Members,
                "DELETE FROM members WHERE (room_id, user_id) IN (
                     SELECT room_id, user_id FROM (
                         SELECT room_id, user_id,
                             row_number() OVER (PARTITION BY room_id ORDER BY user_id) AS nth
                         FROM members WHERE user_id NOT IN (SELECT user_id FROM kept_users))
                     WHERE nth > ?1 ORDER BY nth DESC LIMIT ?2)",
                (after, most),
            )
        };
        drop(caps::MEMBERS_OF_ROOM, -1)?;
        let over = -self.left(&MEMBERS)?;
        if over > 0 {
            drop(0, over)?;
        }
        Ok(())
    }

    /// Strangers' live devices beyond the caps go: they get no key of the next
    /// session.
    fn enforce_device_caps(&self) -> Result<(), Error> {
        self.drop_rows(
            Cap::Devices,
            "DELETE FROM devices WHERE (user_id, device_id) IN (
                 SELECT user_id, device_id FROM (
                     SELECT user_id, device_id, row_number() OVER (
                         PARTITION BY user_id, deleted ORDER BY signed_by IS NULL, device_id) AS nth
                     FROM devices WHERE user_id NOT IN (SELECT user_id FROM kept_users))
                 WHERE nth > ?1)",
            [caps::STRANGER_DEVICES],
        )?;
        let over = -self.left(&DEVICES)?;
        if over > 0 {
            self.drop_rows(
                Cap::Devices,
                "DELETE FROM devices WHERE (user_id, device_id) IN (
                     SELECT user_id, device_id FROM (
                         SELECT user_id, device_id, deleted, row_number() OVER (
                             PARTITION BY user_id ORDER BY signed_by IS NULL, device_id) AS nth
                         FROM devices WHERE user_id NOT IN (SELECT user_id FROM kept_users))
                     ORDER BY deleted DESC, nth DESC LIMIT ?1)",
                [over],
            )?;
        }
        Ok(())
    }

    /// Forgets all that is known of a stranger.
    pub(super) fn forget_stranger(&self, user: &UserId) -> Result<(), Error> {
        for sql in [
            "DELETE FROM devices WHERE user_id = ?1",
            "DELETE FROM olm_sessions WHERE user_id = ?1",
            "DELETE FROM olm_peers WHERE user_id = ?1",
            "DELETE FROM unwedge WHERE user_id = ?1",
            "DELETE FROM identities WHERE user_id = ?1 AND pinned IS NULL",
        ] {
            self.execute(sql, [user.as_str()])?;
        }
        Ok(())
    }

    /// Forgets what is known of strangers who are not followed.
    pub(super) fn forget_orphans(&self) -> Result<(), Error> {
        Ok(self.inner.execute_batch(
            "DELETE FROM devices WHERE user_id NOT IN (SELECT user_id FROM users)
             AND user_id NOT IN (SELECT user_id FROM kept_users);
             DELETE FROM olm_sessions WHERE user_id NOT IN (SELECT user_id FROM users)
             AND user_id NOT IN (SELECT user_id FROM kept_users);
             DELETE FROM olm_peers WHERE user_id NOT IN (SELECT user_id FROM users)
             AND user_id NOT IN (SELECT user_id FROM kept_users);
             DELETE FROM unwedge WHERE user_id NOT IN (SELECT user_id FROM users)
             AND user_id NOT IN (SELECT user_id FROM kept_users);
             DELETE FROM identities WHERE pinned IS NULL
             AND user_id NOT IN (SELECT user_id FROM users)
             AND user_id NOT IN (SELECT user_id FROM kept_users);",
        )?)
    }
}
