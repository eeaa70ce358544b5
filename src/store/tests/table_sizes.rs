//! The size that the store can reach: the arithmetic behind the caps.

use super::Directory;
use crate::store::{
    caps::{self, *},
    schema::MIGRATIONS,
};

/// The size of one table at its worst.
#[derive(Debug, Clone, Copy)]
pub(super) struct TableCap {
    /// The table.
    pub(super) table: &'static str,
    /// Rows it can have.
    pub(super) rows: i64,
    /// Bytes that one can take on the disk at its worst, indices and the unused
    /// part of its pages included: every id 255 bytes long.
    pub(super) row_bytes: i64,
    /// The rows that go first, and what that costs.
    pub(super) goes_first: &'static str,
}

/// Users who may command in the arithmetic: their number is the operator's.
const COMMANDERS: i64 = 5;

/// All tables. The rows of the first block are strangers' doing.
pub(super) const TABLES: [TableCap; 36] = [
    table(
        "users",
        TRACKED_USERS + COMMANDERS + 1,
        420,
        "strangers who are in no encrypted room of the bot's; then no new one is followed, and gets no key",
    ),
    table(
        "members",
        MEMBERS + COMMANDERS * ROOMS,
        760,
        "no new stranger is taken for a member, and gets no key; users who may command always are",
    ),
    table(
        "devices",
        DEVICES + COMMANDERS * KEPT_DEVICES,
        800,
        "of a stranger: unsigned devices for signed ones, tombstones in the order of their ids; of a \
         user who may command nothing goes, and no new device is taken",
    ),
    table(
        "identities",
        TRACKED_USERS + COMMANDERS + 1,
        520,
        "goes with its user when the user is not followed any more; a pinned one never goes",
    ),
    table(
        "olm_sessions",
        OLM_SESSIONS + KEPT_OLM_SESSIONS,
        4_200,
        "those that decrypted nothing for longest; of users who may command those of unlisted devices. \
         A session that is gone opens nothing again: its device gets another",
    ),
    table(
        "olm_peers",
        OLM_PEERS,
        440,
        "of devices that are not listed; then those tried longest ago: they are tried again, and told \
         again what they cannot have",
    ),
    table(
        "unwedge",
        UNWEDGE + COMMANDERS * KEPT_DEVICES,
        560,
        "no stranger's device is added until the claims for the others are made",
    ),
    table(
        "shares",
        SHARES,
        760,
        "the oldest other outbound session, whole: its room gets another with its next message",
    ),
    table(
        "outbound_groups",
        ROOMS,
        2_800,
        "one a joined room, none of a left one",
    ),
    table(
        "sent_groups",
        SENT_GROUPS,
        140,
        "the oldest: no homeserver shows a message of 5,000 sessions ago",
    ),
    table(
        "rooms",
        ROOMS,
        640,
        "rooms that were left: first those that were not encrypted, then those of which nothing is left \
         in the store. No joined room goes, and no room with a key, a mark or a command: that it was \
         encrypted guards those",
    ),
    table(
        "invites",
        INVITES + LEFT_INVITES,
        800,
        "of those that are not taken: of the server with the most, of the inviter with the most, the \
         oldest; no new one is taken while too many wait. The next start asks for what stands",
    ),
    table(
        "gaps",
        GAPS,
        8_900,
        "the gap that was found first: its commands are not looked for any longer",
    ),
    table("kept_users", COMMANDERS + 1, 400, "is the configuration's"),
    table("commanders", COMMANDERS, 400, "is the configuration's"),
    // What only users who may command, or their homeserver, can add to.
    table(
        "olm_seen",
        OLM_SEEN,
        70,
        "nothing: while there are so many, new pre-key messages are not opened",
    ),
    table(
        "inbound_groups",
        ROOM_KEYS,
        2_300,
        "of a device in a room, the oldest; of all, those of unlisted devices, then the oldest. Each \
         leaves a tombstone and is never taken again",
    ),
    table(
        "dead_groups",
        DEAD_GROUPS,
        900,
        "of unlisted devices, then the oldest. What brought such a key cannot be opened twice either: \
         its Olm session has moved on, its hash is kept as long as a key that could open it",
    ),
    table(
        "newest_groups",
        NEWEST_GROUPS,
        820,
        "of unlisted devices, which command nothing, then what was used longest ago",
    ),
    table(
        "refused_keys",
        WITHHELD_KEYS,
        900,
        "the oldest: a message without a key is told as one whose key has not come",
    ),
    // Counted in bytes: rows of a kibibyte.
    table(
        "held",
        UNDECRYPTED_BYTES / 1024 + UNDECRYPTED_EVENTS,
        1_500,
        "the oldest: it is as if its key had never come, and it is not told",
    ),
    table(
        "journal",
        JOURNAL + COMMANDS,
        1_610,
        "of the finished, the oldest: an event of 2,000 messages ago. Of the others none: while there \
         are so many, no other command is taken, and its sender is told so",
    ),
    table(
        "journal_parts",
        COMMAND_PARTS,
        1_900,
        "nothing: while there are so many, no other command about several targets is taken",
    ),
    // Of targets, which the configuration names.
    table(
        "history",
        TARGETS * HISTORY,
        1_150,
        "of a target, its oldest command; of all, the target that was commanded longest ago",
    ),
    table(
        "previous_replicas",
        TARGETS,
        220,
        "nothing: there are no more targets",
    ),
    table(
        "timers",
        TARGETS,
        1_900,
        "nothing: there are no more targets",
    ),
    table(
        "schedules",
        TARGETS,
        160,
        "nothing: there are no more targets",
    ),
    table(
        "followed",
        TARGETS,
        4_300,
        "nothing: there are no more targets",
    ),
    table(
        "replies",
        CHATTER + COMMANDS,
        5_500,
        "new ones that answer no command that ran, or that wait before an answer to one",
    ),
    table(
        "anchors",
        ANCHORS,
        1_900,
        "the oldest: it is not edited any more",
    ),
    table(
        "outbox",
        (OUTBOX_BYTES + 150_000) / 4_096 + TO_DEVICE_REQUESTS,
        6_000,
        "nothing: no more is prepared until the server has taken some of it",
    ),
    table("session", 1, 20_000, "one row"),
    table("pending_device", 1, 4_096, "one row"),
    table("account", 1, 150_000, "one row"),
    table("own_identity", 1, 8_192, "one row"),
    table("own_clock", 1, 4_096, "one row"),
];

const fn table(
    table: &'static str,
    rows: i64,
    row_bytes: i64,
    goes_first: &'static str,
) -> TableCap {
    TableCap {
        table,
        rows,
        row_bytes,
        goes_first,
    }
}

#[test]
fn every_table_has_a_cap() {
    let directory = Directory::new();
    let mut store = directory.open();
    let tx = store.begin().unwrap();
    let tables: Vec<String> = tx
        .all(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
             ORDER BY name",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let mut capped: Vec<&str> = TABLES.iter().map(|cap| cap.table).collect();
    capped.sort_unstable();
    assert_eq!(tables, capped);
    for cap in TABLES {
        assert!(cap.rows > 0 && !cap.goes_first.is_empty(), "{}", cap.table);
    }
}

#[test]
fn all_tables_at_their_worst_leave_room_on_a_small_volume() {
    let bytes: i64 = TABLES.iter().map(|cap| cap.rows * cap.row_bytes).sum();
    assert!(bytes < 68 << 20, "{} MiB", bytes >> 20);
}

#[test]
fn what_the_schema_says_of_caps_is_what_they_are() {
    for text in [
        format!("FROM gaps) > {} BEGIN", caps::GAPS),
        format!("FROM held) > {} BEGIN", caps::UNDECRYPTED_BYTES),
        format!("FROM olm_seen) >= {} BEGIN", caps::OLM_SEEN),
    ] {
        let newest = MIGRATIONS
            .iter()
            .rev()
            .find(|sql| sql.contains(&text[..12]));
        assert!(newest.unwrap().contains(&text), "{text}");
    }
}
