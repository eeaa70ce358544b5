PRAGMA foreign_keys = OFF;
-- A store of format 5: one command that is done and one that is not, one request
-- that waits, one device.
BEGIN TRANSACTION;
CREATE TABLE account (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    pickle BLOB NOT NULL
) STRICT;
INSERT INTO "account" VALUES(1,X'7B7D');
CREATE TABLE commanders (user_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE dead_groups (
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    curve25519 BLOB NOT NULL,
    died_at INTEGER NOT NULL,
    PRIMARY KEY (room_id, session_id, owner, curve25519)
) STRICT, WITHOUT ROWID;
CREATE TABLE devices (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    curve25519 BLOB NOT NULL,
    ed25519 BLOB NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0, signed_by BLOB,
    PRIMARY KEY (user_id, device_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "devices" VALUES('@alice:test','PHONE',X'8520F0098930A754748B7DDCB43EF75A0DBF3A0D26381AF4EBA4A98EAA9B4E6A',X'D75A980182B10AB7D54BFED3C964073A0EE172F3DAA62325AF021A68F707511A',0,NULL);
CREATE TABLE gaps (
    room_id TEXT PRIMARY KEY,
    token TEXT NOT NULL,
    until TEXT NOT NULL,
    pages INTEGER NOT NULL DEFAULT 0,
    began_at INTEGER NOT NULL,
    told INTEGER NOT NULL DEFAULT 0
, events INTEGER NOT NULL DEFAULT 0, position INTEGER NOT NULL DEFAULT 0, top INTEGER NOT NULL DEFAULT 0, missed INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
CREATE TABLE held (
    event_id TEXT PRIMARY KEY,
    room_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    event TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    age_ms INTEGER NOT NULL,
    reason INTEGER NOT NULL
, position INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE identities (
    user_id TEXT PRIMARY KEY,
    master BLOB,
    pinned BLOB,
    pin_source TEXT CHECK (pin_source IN ('configuration', 'first use')),
    pinned_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE "inbound_groups" (
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
CREATE TABLE invites (
    room_id TEXT PRIMARY KEY,
    inviter TEXT NOT NULL
, accepted INTEGER NOT NULL DEFAULT 1, arrived INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
CREATE TABLE journal (
    event_id TEXT PRIMARY KEY,
    room_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    payload TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    age_ms INTEGER NOT NULL,
    done INTEGER NOT NULL DEFAULT 0
, curve25519 BLOB, ed25519 BLOB, thread TEXT) STRICT;
INSERT INTO "journal" VALUES('$done','!a:test','@alice:test','',1800000000000,5,1,X'8520F0098930A754748B7DDCB43EF75A0DBF3A0D26381AF4EBA4A98EAA9B4E6A',X'D75A980182B10AB7D54BFED3C964073A0EE172F3DAA62325AF021A68F707511A',NULL);
INSERT INTO "journal" VALUES('$open','!a:test','@alice:test','start',1800000000000,5,0,X'8520F0098930A754748B7DDCB43EF75A0DBF3A0D26381AF4EBA4A98EAA9B4E6A',X'D75A980182B10AB7D54BFED3C964073A0EE172F3DAA62325AF021A68F707511A',NULL);
CREATE TABLE kept_users (
    user_id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
CREATE TABLE members (
    room_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (room_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE newest_groups (
    room_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    curve25519 BLOB NOT NULL,
    ordinal INTEGER NOT NULL, judged_at INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (room_id, owner, curve25519)
) STRICT, WITHOUT ROWID;
CREATE TABLE olm_peers (
    user_id TEXT NOT NULL,
    curve25519 BLOB NOT NULL,
    claim_after INTEGER NOT NULL DEFAULT 0,
    withheld_sent INTEGER NOT NULL DEFAULT 0,
    unwedged_at INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, curve25519)
) STRICT, WITHOUT ROWID;
CREATE TABLE olm_seen (
    hash BLOB PRIMARY KEY,
    seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE "olm_sessions" (
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
CREATE TABLE "outbound_groups" (
    room_id TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    pickle BLOB NOT NULL,
    first_pickle BLOB,
    life INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lane TEXT NOT NULL,
    path TEXT NOT NULL,
    body BLOB NOT NULL,
    reply_id INTEGER REFERENCES replies (id) ON DELETE CASCADE
, in_clear INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "outbox" VALUES(1,'!a:test','/sent',X'7B7D',1,0);
CREATE TABLE own_clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    life INTEGER NOT NULL,
    own_time INTEGER NOT NULL,
    wall_time INTEGER NOT NULL
) STRICT;
INSERT INTO "own_clock" VALUES(1,3,1800000000000,1800000000000);
CREATE TABLE own_identity (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seed BLOB,
    self_signing BLOB,
    state TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT '',
    delayed INTEGER NOT NULL DEFAULT 0
, master BLOB) STRICT;
INSERT INTO "own_identity" VALUES(1,NULL,NULL,'unknown','',0,NULL);
CREATE TABLE pending_device (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    device_id TEXT NOT NULL
) STRICT;
CREATE TABLE refused_keys (
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    code TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (room_id, session_id, sender)
) STRICT, WITHOUT ROWID;
CREATE TABLE replies (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    room_id TEXT NOT NULL,
    txn_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    content TEXT NOT NULL
, queued_at INTEGER NOT NULL DEFAULT 0, chatter INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "replies" VALUES(1,'!a:test','txn1','m.room.message','{}',0,0);
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
, busy_told_at INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
INSERT INTO "rooms" VALUES('!a:test',1,'m.megolm.v1.aes-sha2',1,NULL,NULL,0,0,NULL,0);
CREATE TABLE sent_groups (
    session_id TEXT PRIMARY KEY,
    next_index INTEGER NOT NULL
) STRICT;
CREATE TABLE session (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    access_token TEXT,
    next_batch TEXT
, refresh_token TEXT, refresh_at INTEGER, ended INTEGER NOT NULL DEFAULT 0, invites_listed INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "session" VALUES(1,'@bot:test','OLDDEVICE','t','s42',NULL,NULL,0,0);
CREATE TABLE shares (
    session_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    curve25519 BLOB NOT NULL,
    message_index INTEGER NOT NULL, withheld INTEGER NOT NULL DEFAULT 0, given_again INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (session_id, user_id, device_id)
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
, outdated_since INTEGER NOT NULL DEFAULT 0, alone INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
INSERT INTO "users" VALUES('@alice:test',0,4,0,0,0);
CREATE INDEX outbox_by_lane ON outbox (lane, id);
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
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('replies',1);
INSERT INTO "sqlite_sequence" VALUES('outbox',1);
COMMIT;
PRAGMA user_version = 5;
