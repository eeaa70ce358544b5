//! What goes when a table is full, and what is kept whatever happens.

use ruma::UserId;

use super::{
    Error, Transaction,
    caps::{self, Cap},
    gauge::{Gauge, Limit},
};

/// Strangers who are followed. Those in no encrypted room of the bot's go, with
/// all that is known of them.
pub(super) static USERS: Limit = Limit {
    cap: Cap::TrackedUsers,
    rows: caps::TRACKED_USERS,
    count: "SELECT count(*) FROM users WHERE user_id NOT IN (SELECT user_id FROM kept_users)",
    prune: |tx, count| {
        let gone = tx.execute(
            "DELETE FROM users WHERE user_id IN (
                 SELECT user_id FROM users
                 WHERE user_id NOT IN (SELECT user_id FROM kept_users)
                 AND user_id NOT IN (SELECT user_id FROM members JOIN rooms USING (room_id)
                     WHERE joined = 1 AND algorithm IS NOT NULL)
                 LIMIT ?1)",
            [count],
        )?;
        if gone > 0 {
            tx.forget_orphans()?;
        }
        Ok(gone)
    },
};

/// Strangers who are members. Only those of rooms that were left go.
pub(super) static MEMBERS: Limit = Limit {
    cap: Cap::Members,
    rows: caps::MEMBERS,
    count: "SELECT count(*) FROM members WHERE user_id NOT IN (SELECT user_id FROM kept_users)",
    prune: |tx, _| {
        tx.execute(
            "DELETE FROM members
             WHERE room_id NOT IN (SELECT room_id FROM rooms WHERE joined = 1)",
            [],
        )
    },
};

/// Strangers' devices. What is remembered of deleted ones goes.
pub(super) static DEVICES: Limit = Limit {
    cap: Cap::Devices,
    rows: caps::DEVICES,
    count: "SELECT count(*) FROM devices WHERE user_id NOT IN (SELECT user_id FROM kept_users)",
    prune: |tx, count| {
        tx.execute(
            "DELETE FROM devices WHERE (user_id, device_id) IN (
                 SELECT user_id, device_id FROM devices
                 WHERE deleted AND user_id NOT IN (SELECT user_id FROM kept_users) LIMIT ?1)",
            [count],
        )
    },
};

/// Olm sessions with strangers' devices.
pub(super) static OLM_SESSIONS: Limit = Limit {
    cap: Cap::OlmSessions,
    rows: caps::OLM_SESSIONS,
    count: "SELECT count(*) FROM olm_sessions
            WHERE user_id NOT IN (SELECT user_id FROM kept_users)",
    prune: |tx, count| {
        tx.execute(
            "DELETE FROM olm_sessions WHERE rowid IN (
                 SELECT rowid FROM olm_sessions
                 WHERE user_id NOT IN (SELECT user_id FROM kept_users)
                 ORDER BY max(decrypted_at, created_at) LIMIT ?1)",
            [count],
        )
    },
};

/// Olm sessions with the devices of users who may command. Those of devices that
/// nobody has listed go first.
pub(super) static KEPT_OLM_SESSIONS: Limit = Limit {
    cap: Cap::OlmSessions,
    rows: caps::KEPT_OLM_SESSIONS,
    count: "SELECT count(*) FROM olm_sessions WHERE user_id IN (SELECT user_id FROM kept_users)",
    prune: |tx, count| {
        tx.execute(
            "DELETE FROM olm_sessions WHERE rowid IN (
                 SELECT rowid FROM olm_sessions AS o
                 WHERE user_id IN (SELECT user_id FROM kept_users)
                 ORDER BY EXISTS (SELECT 1 FROM devices AS d WHERE d.user_id = o.user_id
                     AND d.curve25519 = o.curve25519 AND NOT d.deleted),
                     max(decrypted_at, created_at) LIMIT ?1)",
            [count],
        )
    },
};

/// What was tried with devices.
pub(super) static OLM_PEERS: Limit = Limit {
    cap: Cap::OlmPeers,
    rows: caps::OLM_PEERS,
    count: "SELECT count(*) FROM olm_peers",
    prune: |tx, count| {
        tx.execute(
            "DELETE FROM olm_peers WHERE (user_id, curve25519) IN (
                 SELECT user_id, curve25519 FROM olm_peers AS p
                 ORDER BY user_id IN (SELECT user_id FROM kept_users),
                     EXISTS (SELECT 1 FROM devices AS d WHERE d.user_id = p.user_id
                         AND d.curve25519 = p.curve25519 AND NOT d.deleted),
                     max(claim_after, unwedged_at) LIMIT ?1)",
            [count],
        )
    },
};

/// Devices that have a session of the bot's own.
pub(super) static SHARES: Limit = Limit {
    cap: Cap::Shares,
    rows: caps::SHARES,
    count: "SELECT count(*) FROM shares",
    prune: |tx, _| {
        tx.execute(
            "DELETE FROM shares WHERE session_id NOT IN (SELECT session_id FROM outbound_groups)",
            [],
        )
    },
};

/// Rooms. One that was left goes: if it was encrypted, only when nothing of it is
/// left in the store that this guards.
pub(super) static ROOMS: Limit = Limit {
    cap: Cap::Rooms,
    rows: caps::ROOMS,
    count: "SELECT count(*) FROM rooms",
    prune: |tx, count| {
        tx.execute(
            "DELETE FROM rooms WHERE room_id IN (
                 SELECT room_id FROM rooms AS r WHERE joined = 0
                 AND NOT EXISTS (SELECT 1 FROM journal AS x WHERE x.done = 0 AND x.room_id = r.room_id)
                 AND (algorithm IS NULL OR NOT (
                     EXISTS (SELECT 1 FROM inbound_groups AS x WHERE x.room_id = r.room_id)
                     OR EXISTS (SELECT 1 FROM dead_groups AS x WHERE x.room_id = r.room_id)
                     OR EXISTS (SELECT 1 FROM newest_groups AS x WHERE x.room_id = r.room_id)
                     OR EXISTS (SELECT 1 FROM held AS x WHERE x.room_id = r.room_id)
                     OR EXISTS (SELECT 1 FROM replies AS x WHERE x.room_id = r.room_id)
                     OR EXISTS (SELECT 1 FROM invites AS x WHERE x.room_id = r.room_id)
                     OR EXISTS (SELECT 1 FROM gaps AS x WHERE x.room_id = r.room_id)))
                 ORDER BY algorithm IS NOT NULL LIMIT ?1)",
            [count],
        )
    },
};

/// Megolm sessions of others. Those of unlisted devices go first, then the
/// oldest; each leaves a tombstone.
pub(super) static ROOM_KEYS: Limit = Limit {
    cap: Cap::RoomKeys,
    rows: caps::ROOM_KEYS,
    count: "SELECT count(*) FROM inbound_groups",
    prune: |tx, count| {
        tx.execute(
            "INSERT OR IGNORE INTO dead_groups (room_id, session_id, owner, curve25519, died_at)
             SELECT room_id, session_id, owner, curve25519, (SELECT own_time FROM own_clock)
             FROM inbound_groups AS g
             ORDER BY EXISTS (SELECT 1 FROM devices AS d WHERE d.user_id = g.owner
                 AND d.curve25519 = g.curve25519 AND NOT d.deleted), ordinal LIMIT ?1",
            [count],
        )?;
        let gone = tx.forget_dead_groups()?;
        tx.forget_oldest_tombstones()?;
        Ok(gone)
    },
};

impl Transaction<'_> {
    /// Names the users whose rows no cap takes: the bot, and those who may
    /// command. Once at each start, before anything else is stored.
    pub fn keep_users<'a>(&self, users: impl Iterator<Item = &'a UserId>) -> Result<(), Error> {
        self.execute("DELETE FROM kept_users", [])?;
        for user in users {
            self.execute(
                "INSERT OR IGNORE INTO kept_users (user_id) VALUES (?1)",
                [user.as_str()],
            )?;
        }
        Ok(())
    }

    /// Whether no cap takes this user's rows.
    pub(super) fn is_kept(&self, user: &UserId) -> Result<bool, Error> {
        Ok(self
            .one(
                "SELECT 1 FROM kept_users WHERE user_id = ?1",
                [user.as_str()],
                |_| Ok(()),
            )?
            .is_some())
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
            let over = self.count(limit.count)? - limit.rows;
            if over > 0 {
                self.note_dropped(limit.cap, (limit.prune)(self, over)?);
            }
        }
        self.enforce_member_caps()?;
        self.enforce_device_caps()?;
        while self.count(SHARES.count)? > SHARES.rows && self.discard_oldest_group("")? {}
        Ok(())
    }

    /// Members beyond the caps go, strangers of the largest rooms first; their
    /// devices get no key of the next session.
    fn enforce_member_caps(&self) -> Result<(), Error> {
        let gone = self.execute(
            "DELETE FROM members WHERE (room_id, user_id) IN (
                 SELECT room_id, user_id FROM (
                     SELECT room_id, user_id,
                         row_number() OVER (PARTITION BY room_id ORDER BY user_id) AS nth
                     FROM members WHERE user_id NOT IN (SELECT user_id FROM kept_users))
                 WHERE nth > ?1)",
            [caps::MEMBERS_OF_ROOM],
        )?;
        self.note_dropped(Cap::Members, gone);
        let over = self.count(MEMBERS.count)? - MEMBERS.rows;
        if over > 0 {
            let gone = self.execute(
                "DELETE FROM members WHERE (room_id, user_id) IN (
                     SELECT room_id, user_id FROM (
                         SELECT room_id, user_id,
                             row_number() OVER (PARTITION BY room_id ORDER BY user_id) AS nth
                         FROM members WHERE user_id NOT IN (SELECT user_id FROM kept_users))
                     ORDER BY nth DESC LIMIT ?1)",
                [over],
            )?;
            self.note_dropped(Cap::Members, gone);
        }
        Ok(())
    }

    /// Strangers' live devices beyond the caps go: they get no key of the next
    /// session.
    fn enforce_device_caps(&self) -> Result<(), Error> {
        let gone = self.execute(
            "DELETE FROM devices WHERE (user_id, device_id) IN (
                 SELECT user_id, device_id FROM (
                     SELECT user_id, device_id, row_number() OVER (
                         PARTITION BY user_id, deleted ORDER BY signed_by IS NULL, device_id) AS nth
                     FROM devices WHERE user_id NOT IN (SELECT user_id FROM kept_users))
                 WHERE nth > ?1)",
            [caps::STRANGER_DEVICES],
        )?;
        self.note_dropped(Cap::Devices, gone);
        let over = self.count(DEVICES.count)? - DEVICES.rows;
        if over > 0 {
            let gone = self.execute(
                "DELETE FROM devices WHERE (user_id, device_id) IN (
                     SELECT user_id, device_id FROM (
                         SELECT user_id, device_id, deleted, row_number() OVER (
                             PARTITION BY user_id ORDER BY signed_by IS NULL, device_id) AS nth
                         FROM devices WHERE user_id NOT IN (SELECT user_id FROM kept_users))
                     ORDER BY deleted DESC, nth DESC LIMIT ?1)",
                [over],
            )?;
            self.note_dropped(Cap::Devices, gone);
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
    fn forget_orphans(&self) -> Result<(), Error> {
        for sql in [
            "DELETE FROM devices WHERE user_id NOT IN (SELECT user_id FROM users)
             AND user_id NOT IN (SELECT user_id FROM kept_users)",
            "DELETE FROM olm_sessions WHERE user_id NOT IN (SELECT user_id FROM users)
             AND user_id NOT IN (SELECT user_id FROM kept_users)",
            "DELETE FROM olm_peers WHERE user_id NOT IN (SELECT user_id FROM users)
             AND user_id NOT IN (SELECT user_id FROM kept_users)",
            "DELETE FROM unwedge WHERE user_id NOT IN (SELECT user_id FROM users)
             AND user_id NOT IN (SELECT user_id FROM kept_users)",
            "DELETE FROM identities WHERE pinned IS NULL
             AND user_id NOT IN (SELECT user_id FROM users)
             AND user_id NOT IN (SELECT user_id FROM kept_users)",
        ] {
            self.execute(sql, [])?;
        }
        Ok(())
    }

    /// Forgets the Megolm sessions that have a tombstone.
    pub(super) fn forget_dead_groups(&self) -> Result<usize, Error> {
        self.execute(
            "DELETE FROM inbound_groups WHERE rowid IN (
                 SELECT g.rowid FROM dead_groups JOIN inbound_groups AS g
                 USING (room_id, session_id, owner, curve25519))",
            [],
        )
    }

    /// Gives up the outbound session that has been in use for longest, but for
    /// this one. False when there is no other.
    pub(super) fn discard_oldest_group(&self, but: &str) -> Result<bool, Error> {
        let oldest: Option<String> = self.one(
            "SELECT room_id FROM outbound_groups AS o WHERE session_id <> ?1
             AND EXISTS (SELECT 1 FROM shares AS s WHERE s.session_id = o.session_id)
             ORDER BY (SELECT n.rowid FROM sent_groups AS n WHERE n.session_id = o.session_id)
             LIMIT 1",
            [but],
            |row| row.get(0),
        )?;
        let Some(room) = oldest else {
            return Ok(false);
        };
        self.execute(
            "DELETE FROM shares WHERE session_id IN (
                 SELECT session_id FROM outbound_groups WHERE room_id = ?1)",
            [&room],
        )?;
        self.execute("DELETE FROM outbound_groups WHERE room_id = ?1", [&room])?;
        self.note_dropped(Cap::Shares, 1);
        self.recount(Gauge::Shares);
        Ok(true)
    }
}
