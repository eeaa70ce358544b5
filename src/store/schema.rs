//! The tables. A change is a new entry in `MIGRATIONS`, never an edit.

use rusqlite::Connection;

use super::crash;

/// The format this program writes, kept in `PRAGMA user_version`.
pub(super) const VERSION: i64 = 6;

pub(super) const MIGRATIONS: [&str; 6] = [
    "
CREATE TABLE session (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    access_token TEXT,
    next_batch TEXT
) STRICT;

CREATE TABLE pending_device (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    device_id TEXT NOT NULL
) STRICT;

CREATE TABLE account (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    pickle BLOB NOT NULL
) STRICT;

CREATE TABLE olm_sessions (
    user_id TEXT NOT NULL,
    curve25519 BLOB NOT NULL,
    session_id TEXT NOT NULL,
    pickle BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    decrypted_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, curve25519, session_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE olm_seen (
    hash BLOB PRIMARY KEY,
    seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE olm_peers (
    user_id TEXT NOT NULL,
    curve25519 BLOB NOT NULL,
    claim_after INTEGER NOT NULL DEFAULT 0,
    withheld_sent INTEGER NOT NULL DEFAULT 0,
    unwedged_at INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, curve25519)
) STRICT, WITHOUT ROWID;

CREATE TABLE unwedge (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    PRIMARY KEY (user_id, device_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    user_id TEXT PRIMARY KEY,
    outdated INTEGER NOT NULL,
    generation INTEGER NOT NULL DEFAULT 0,
    retry_after INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE devices (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    curve25519 BLOB NOT NULL,
    ed25519 BLOB NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, device_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE inbound_groups (
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    curve25519 BLOB NOT NULL,
    ed25519 BLOB NOT NULL,
    pickle BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (room_id, session_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE message_indices (
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    message_index INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    origin_server_ts INTEGER NOT NULL,
    PRIMARY KEY (room_id, session_id, message_index)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbound_groups (
    room_id TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    pickle BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE shares (
    session_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    curve25519 BLOB NOT NULL,
    message_index INTEGER NOT NULL,
    PRIMARY KEY (session_id, user_id, device_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE rooms (
    room_id TEXT PRIMARY KEY,
    joined INTEGER NOT NULL,
    algorithm TEXT,
    encryption_checked INTEGER NOT NULL DEFAULT 0,
    rotation_period_ms INTEGER,
    rotation_period_msgs INTEGER,
    members_complete INTEGER NOT NULL DEFAULT 0,
    members_generation INTEGER NOT NULL DEFAULT 0,
    history_visibility TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE members (
    room_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (room_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_user ON members (user_id);

CREATE TABLE invites (
    room_id TEXT PRIMARY KEY,
    inviter TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE held (
    event_id TEXT PRIMARY KEY,
    room_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    event TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    age_ms INTEGER NOT NULL,
    reason INTEGER NOT NULL
) STRICT;

CREATE TABLE journal (
    event_id TEXT PRIMARY KEY,
    room_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    payload TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    age_ms INTEGER NOT NULL,
    done INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE replies (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    room_id TEXT NOT NULL,
    txn_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    content TEXT NOT NULL
) STRICT;

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lane TEXT NOT NULL,
    path TEXT NOT NULL,
    body BLOB NOT NULL,
    reply_id INTEGER REFERENCES replies (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX outbox_by_lane ON outbox (lane, id);
",
    // Identities and pins; what a device list proves is asked for anew. A mark a
    // session takes the place of a row a message. Of a session that is in use
    // now, no early ratchet was kept: it cannot be handed out again.
    "
ALTER TABLE devices ADD COLUMN signed_by BLOB;
ALTER TABLE journal ADD COLUMN curve25519 BLOB;
ALTER TABLE journal ADD COLUMN ed25519 BLOB;
ALTER TABLE shares ADD COLUMN withheld INTEGER NOT NULL DEFAULT 0;
ALTER TABLE shares ADD COLUMN given_again INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbound_groups ADD COLUMN first_pickle BLOB;
ALTER TABLE inbound_groups ADD COLUMN next_index INTEGER NOT NULL DEFAULT 0;
UPDATE inbound_groups SET next_index = coalesce((
    SELECT max(message_index) + 1 FROM message_indices AS i
    WHERE i.room_id = inbound_groups.room_id AND i.session_id = inbound_groups.session_id), 0);
DROP TABLE message_indices;
UPDATE users SET outdated = 1, generation = generation + 1;

CREATE TABLE identities (
    user_id TEXT PRIMARY KEY,
    master BLOB,
    pinned BLOB,
    pin_source TEXT CHECK (pin_source IN ('configuration', 'first use')),
    pinned_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE own_identity (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seed BLOB,
    self_signing BLOB,
    state TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT '',
    delayed INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO own_identity (id, state) VALUES (1, 'unknown');

CREATE TABLE refused_keys (
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    code TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (room_id, session_id, sender)
) STRICT, WITHOUT ROWID;

CREATE TABLE sent_groups (
    session_id TEXT PRIMARY KEY,
    next_index INTEGER NOT NULL
) STRICT;
INSERT INTO sent_groups (session_id, next_index)
SELECT session_id, 4294967295 FROM outbound_groups;
",
    "
ALTER TABLE session ADD COLUMN refresh_token TEXT;
ALTER TABLE session ADD COLUMN refresh_at INTEGER;
ALTER TABLE session ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;
",
    // A session belongs to the device that shared it: two devices can name the
    // same one. Sessions of a device in a room have an order (`ordinal`, from 1),
    // and what is older than the newest that brought a message is done with. The
    // bot has a clock of its own (`own_time`, milliseconds since the Unix epoch at
    // its first start, never back) and counts its starts (`life`): what was sent
    // with in another life is not sent with again. What a gap in a timeline left
    // out is read back (`gaps`), and what waits for that keeps its place. Who
    // commands (`commanders`) is written down at each start, and so is the public
    // master key that the account's secret storage proves (`own_identity.master`).
    "
CREATE TABLE inbound_groups_of_devices (
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    curve25519 BLOB NOT NULL,
    ed25519 BLOB NOT NULL,
    pickle BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    next_index INTEGER NOT NULL DEFAULT 0,
    ordinal INTEGER NOT NULL,
    PRIMARY KEY (room_id, session_id, owner, curve25519)
) STRICT;
INSERT INTO inbound_groups_of_devices
SELECT room_id, session_id, owner, curve25519, ed25519, pickle,
    min(received_at, CAST(strftime('%s', 'now') AS INTEGER) * 1000), next_index,
    row_number() OVER (ORDER BY received_at) FROM inbound_groups;
DROP TABLE inbound_groups;
ALTER TABLE inbound_groups_of_devices RENAME TO inbound_groups;

CREATE TABLE dead_groups (
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    curve25519 BLOB NOT NULL,
    died_at INTEGER NOT NULL,
    PRIMARY KEY (room_id, session_id, owner, curve25519)
) STRICT, WITHOUT ROWID;

CREATE TABLE newest_groups (
    room_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    curve25519 BLOB NOT NULL,
    ordinal INTEGER NOT NULL,
    PRIMARY KEY (room_id, owner, curve25519)
) STRICT, WITHOUT ROWID;

CREATE TABLE own_clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    life INTEGER NOT NULL,
    own_time INTEGER NOT NULL,
    wall_time INTEGER NOT NULL
) STRICT;
INSERT INTO own_clock (id, life, own_time, wall_time)
VALUES (1, 0, CAST(strftime('%s', 'now') AS INTEGER) * 1000,
    CAST(strftime('%s', 'now') AS INTEGER) * 1000);

ALTER TABLE olm_sessions ADD COLUMN life INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN outdated_since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN alone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE replies ADD COLUMN queued_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE held ADD COLUMN position INTEGER NOT NULL DEFAULT 0;
UPDATE held SET position = rowid;
ALTER TABLE invites ADD COLUMN accepted INTEGER NOT NULL DEFAULT 1;

CREATE TABLE gaps (
    room_id TEXT PRIMARY KEY,
    token TEXT NOT NULL,
    until TEXT NOT NULL,
    pages INTEGER NOT NULL DEFAULT 0,
    began_at INTEGER NOT NULL,
    told INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- What was timed by the wall clock is timed by the bot's own from now on: nothing
-- of it lies in the future, and what guards against a replay is not older than now.
UPDATE journal SET received_at = min(received_at, CAST(strftime('%s', 'now') AS INTEGER) * 1000);
UPDATE olm_seen SET seen_at = CAST(strftime('%s', 'now') AS INTEGER) * 1000;
-- How far each chain of an Olm session has come: what comes out of order is as
-- old as the gap it left.
ALTER TABLE olm_sessions ADD COLUMN chains TEXT NOT NULL DEFAULT '[]';
-- A session of the bot's own is sent with in the life that made it.
ALTER TABLE outbound_groups ADD COLUMN life INTEGER NOT NULL DEFAULT 0;
ALTER TABLE newest_groups ADD COLUMN judged_at INTEGER NOT NULL DEFAULT 0;
CREATE TABLE commanders (user_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

ALTER TABLE own_identity ADD COLUMN master BLOB;

-- A gap without a token is none any more; what it left unread is told (`missed`).
ALTER TABLE gaps ADD COLUMN events INTEGER NOT NULL DEFAULT 0;
ALTER TABLE gaps ADD COLUMN position INTEGER NOT NULL DEFAULT 0;
ALTER TABLE gaps ADD COLUMN top INTEGER NOT NULL DEFAULT 0;
ALTER TABLE gaps ADD COLUMN missed INTEGER NOT NULL DEFAULT 0;

-- A request that shows words is told from the others, and a room that a key came
-- for, or a message out of which something is to be done, is an encrypted one.
ALTER TABLE outbox ADD COLUMN in_clear INTEGER NOT NULL DEFAULT 0;
UPDATE outbox SET in_clear = 1
WHERE reply_id IS NOT NULL AND path LIKE '%/send/m.room.message/%';
UPDATE rooms SET algorithm = 'm.megolm.v1.aes-sha2' WHERE algorithm IS NULL AND (
    room_id IN (SELECT room_id FROM inbound_groups)
    OR room_id IN (SELECT room_id FROM journal WHERE curve25519 IS NOT NULL));
-- Caps (see caps.rs): whose rows they never take, what may be left unsaid, when a
-- room was last told that too much is asked there, what is found without a scan.
-- A session is too long for the leaf of an index: without a rowid it would take a
-- page of its own.
CREATE TABLE kept_users (
    user_id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE olm_sessions_in_leaves (
    user_id TEXT NOT NULL,
    curve25519 BLOB NOT NULL,
    session_id TEXT NOT NULL,
    pickle BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    decrypted_at INTEGER NOT NULL,
    life INTEGER NOT NULL DEFAULT 0,
    chains TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (user_id, curve25519, session_id)
) STRICT;
INSERT INTO olm_sessions_in_leaves
SELECT user_id, curve25519, session_id, pickle, created_at, decrypted_at, life, chains
FROM olm_sessions;
DROP TABLE olm_sessions;
ALTER TABLE olm_sessions_in_leaves RENAME TO olm_sessions;
DROP INDEX members_by_user;

ALTER TABLE replies ADD COLUMN chatter INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN busy_told_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX journal_unfinished ON journal (done) WHERE done = 0;
CREATE TRIGGER gaps_are_capped AFTER INSERT ON gaps
WHEN (SELECT count(*) FROM gaps) > 100 BEGIN
    DELETE FROM gaps WHERE room_id = (
        SELECT room_id FROM gaps WHERE room_id <> NEW.room_id ORDER BY began_at LIMIT 1);
END;
CREATE TRIGGER held_is_capped AFTER INSERT ON held
WHEN (SELECT sum(octet_length(event)) FROM held) > 1048576 BEGIN
    DELETE FROM held WHERE rowid IN (
        SELECT nth FROM (SELECT rowid AS nth,
            sum(octet_length(event)) OVER (ORDER BY position DESC, rowid DESC) AS bytes FROM held)
        WHERE bytes > 1048576);
END;
CREATE TRIGGER olm_seen_is_capped BEFORE INSERT ON olm_seen
WHEN (SELECT count(*) FROM olm_seen) >= 20000 BEGIN
    SELECT RAISE(IGNORE);
END;
",
    // An invite that is not taken stays (`accepted` is 0), in the order they came
    // (`arrived`); whether all that stand are known is told by the session, and those
    // of before are asked for. What is asked for in a thread is answered there. The
    // bot's own sessions are kept in leaves: in an index a row of theirs has a page
    // beside it, which is given back and taken anew with each message.
    "
CREATE TABLE outbound_groups_in_leaves (
    room_id TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    pickle BLOB NOT NULL,
    first_pickle BLOB,
    life INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO outbound_groups_in_leaves
SELECT room_id, session_id, pickle, first_pickle, life FROM outbound_groups;
DROP TABLE outbound_groups;
ALTER TABLE outbound_groups_in_leaves RENAME TO outbound_groups;
ALTER TABLE invites ADD COLUMN arrived INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN invites_listed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE journal ADD COLUMN thread TEXT;
",
    include_str!("schema/format6.sql"),
];

/// The format of a store.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Brings a store of this or an earlier format to this one.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let done = usize::try_from(version(connection)?).unwrap_or_default();
    if done < MIGRATIONS.len() {
        let transaction = connection.transaction()?;
        for migration in MIGRATIONS.iter().skip(done) {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "user_version", VERSION)?;
        crash::around(|| transaction.commit())?;
    }
    Ok(())
}
