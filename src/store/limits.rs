//! The tables whose rows are counted as they are inserted: the limit of each, and
//! which rows go first.

use super::{Cap, caps, limit::Limit};

/// Strangers who are followed. Those in no encrypted room of the bot's go, with
/// all that is known of them.
pub(super) static USERS: Limit = Limit {
    cap: Cap::TrackedUsers,
    rows: caps::TRACKED_USERS,
    count: "SELECT count(*) FROM users WHERE user_id NOT IN (SELECT user_id FROM kept_users)",
    prune: "DELETE FROM users WHERE user_id IN (
                SELECT user_id FROM users
                WHERE user_id NOT IN (SELECT user_id FROM kept_users)
                AND user_id NOT IN (SELECT user_id FROM members JOIN rooms USING (room_id)
                    WHERE joined = 1 AND algorithm IS NOT NULL)
                LIMIT ?1)",
};

/// Strangers who are members. Only those of rooms that were left go, all
/// of them.
pub(super) static MEMBERS: Limit = Limit {
    cap: Cap::Members,
    rows: caps::MEMBERS,
    count: "SELECT count(*) FROM members WHERE user_id NOT IN (SELECT user_id FROM kept_users)",
    prune: "DELETE FROM members
            WHERE ?1 > 0 AND room_id NOT IN (SELECT room_id FROM rooms WHERE joined = 1)",
};

/// Strangers' devices. What is remembered of deleted ones goes.
pub(super) static DEVICES: Limit = Limit {
    cap: Cap::Devices,
    rows: caps::DEVICES,
    count: "SELECT count(*) FROM devices WHERE user_id NOT IN (SELECT user_id FROM kept_users)",
    prune: "DELETE FROM devices WHERE (user_id, device_id) IN (
                SELECT user_id, device_id FROM devices
                WHERE deleted AND user_id NOT IN (SELECT user_id FROM kept_users) LIMIT ?1)",
};

/// Olm sessions with strangers' devices.
pub(super) static OLM_SESSIONS: Limit = Limit {
    cap: Cap::OlmSessions,
    rows: caps::OLM_SESSIONS,
    count: "SELECT count(*) FROM olm_sessions
            WHERE user_id NOT IN (SELECT user_id FROM kept_users)",
    prune: "DELETE FROM olm_sessions WHERE rowid IN (
                SELECT rowid FROM olm_sessions
                WHERE user_id NOT IN (SELECT user_id FROM kept_users)
                ORDER BY max(decrypted_at, created_at) LIMIT ?1)",
};

/// Olm sessions with the devices of users who may command. Those of devices that
/// nobody has listed go first.
pub(super) static KEPT_OLM_SESSIONS: Limit = Limit {
    cap: Cap::OlmSessions,
    rows: caps::KEPT_OLM_SESSIONS,
    count: "SELECT count(*) FROM olm_sessions WHERE user_id IN (SELECT user_id FROM kept_users)",
    prune: "DELETE FROM olm_sessions WHERE rowid IN (
                SELECT rowid FROM olm_sessions AS o
                WHERE user_id IN (SELECT user_id FROM kept_users)
                ORDER BY EXISTS (SELECT 1 FROM devices AS d WHERE d.user_id = o.user_id
                    AND d.curve25519 = o.curve25519 AND NOT d.deleted),
                    max(decrypted_at, created_at) LIMIT ?1)",
};

/// Claims and messages that were tried with devices.
pub(super) static OLM_PEERS: Limit = Limit {
    cap: Cap::OlmPeers,
    rows: caps::OLM_PEERS,
    count: "SELECT count(*) FROM olm_peers",
    prune: "DELETE FROM olm_peers WHERE (user_id, curve25519) IN (
                SELECT user_id, curve25519 FROM olm_peers AS p
                ORDER BY user_id IN (SELECT user_id FROM kept_users),
                    EXISTS (SELECT 1 FROM devices AS d WHERE d.user_id = p.user_id
                        AND d.curve25519 = p.curve25519 AND NOT d.deleted),
                    max(claim_after, unwedged_at) LIMIT ?1)",
};

/// Devices that have a session of the bot's own. All of those sessions that are no
/// longer in use go.
pub(super) static SHARES: Limit = Limit {
    cap: Cap::Shares,
    rows: caps::SHARES,
    count: "SELECT count(*) FROM shares",
    prune: "DELETE FROM shares
            WHERE ?1 > 0 AND session_id NOT IN (SELECT session_id FROM outbound_groups)",
};

/// Rooms. One that was left goes: if it was encrypted, only when nothing of it is
/// left in the store that this guards.
pub(super) static ROOMS: Limit = Limit {
    cap: Cap::Rooms,
    rows: caps::ROOMS,
    count: "SELECT count(*) FROM rooms",
    prune: "DELETE FROM rooms WHERE room_id IN (
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
};

/// Megolm sessions of others. Those of unlisted devices go first, then the
/// oldest; each leaves a tombstone.
pub(super) static ROOM_KEYS: Limit = Limit {
    cap: Cap::RoomKeys,
    rows: caps::ROOM_KEYS,
    count: "SELECT count(*) FROM inbound_groups",
    prune: "INSERT OR IGNORE INTO dead_groups (room_id, session_id, owner, curve25519, died_at)
            SELECT room_id, session_id, owner, curve25519, (SELECT own_time FROM own_clock)
            FROM inbound_groups AS g
            ORDER BY EXISTS (SELECT 1 FROM devices AS d WHERE d.user_id = g.owner
                AND d.curve25519 = g.curve25519 AND NOT d.deleted), ordinal LIMIT ?1",
};
