//! The cap of each table: how many rows it can have, what goes first, and why
//! nothing that guards goes with it.
//!
//! What strangers write ends at a fixed size. A *stranger* here is every user
//! but the bot and those who may command; the latter are in `kept_users`, written
//! at each start, and no stranger's row takes the place of one of theirs.
//!
//! Caps hold where rows are inserted. Counting a table costs a walk over it, so
//! that is done once for as many insertions as fitted the last time (see
//! `gauge.rs`), and what goes makes room for a tenth of the cap at once. At each
//! start all of them are enforced (`prune.rs`), so that a store of an earlier
//! version comes down to them too.

/// Longest id of a stranger's device, in bytes. No client makes longer ones.
pub const STRANGER_DEVICE_ID: usize = 128;

/// Longest id of a device of a user who may command, in bytes: as what is read of a
/// list has it.
pub const DEVICE_ID: usize = 255;

/// Longest id of a Megolm session that is remembered, in bytes. Real ones have 43.
pub const SESSION_ID: usize = 64;

/// Longest name of an algorithm or of a history visibility that is kept, in bytes.
pub const STATE_WORD: usize = 64;

/// Strangers whose device lists are followed.
pub const TRACKED_USERS: i64 = 3_000;

/// Members of one room.
pub const MEMBERS_OF_ROOM: i64 = 2_500;

/// Members of all rooms together.
pub const MEMBERS: i64 = 4_000;

/// Live devices of one stranger.
pub const STRANGER_DEVICES: i64 = 50;

/// Deleted devices of one stranger that are remembered.
pub const STRANGER_TOMBSTONES: i64 = 50;

/// Devices of all strangers together, deleted ones included.
pub const DEVICES: i64 = 6_000;

/// Devices of one user who may command, deleted ones included.
pub const KEPT_DEVICES: i64 = 400;

/// Those of them that their user's identity has not signed, where there is one.
pub const KEPT_UNSIGNED_DEVICES: i64 = 100;

/// Olm sessions with one device of a user who may command; the specification asks
/// for at least 4.
pub const KEPT_SESSIONS_OF_PEER: i64 = 8;

/// Olm sessions with one device of a stranger.
pub const SESSIONS_OF_PEER: i64 = 4;

/// Olm sessions with the devices of users who may command.
pub const KEPT_OLM_SESSIONS: i64 = 400;

/// Olm sessions with the devices of strangers.
pub const OLM_SESSIONS: i64 = 2_500;

/// Longest stored Olm session of a stranger, in bytes. One is about 1 KiB; its
/// other end makes it longer by leaving messages out, whose keys are then kept,
/// up to some 30 KiB.
pub const OLM_SESSION_BYTES: usize = 2_000;

/// Longest stored Olm session of a user who may command, in bytes.
pub const KEPT_OLM_SESSION_BYTES: usize = 8_000;

/// Peers of whom is remembered what was tried with them.
pub const OLM_PEERS: i64 = 3_000;

/// Devices that wait for a new Olm session.
pub const UNWEDGE: i64 = 500;

/// Hashes of Olm messages. They are never dropped before the fallback key that
/// could open them once more.
pub const OLM_SEEN: i64 = 20_000;

/// Megolm sessions of others: only those of users who may command are kept.
pub const ROOM_KEYS: i64 = 1_500;

/// Those of one device in one room.
pub const ROOM_KEYS_OF_DEVICE: i64 = 16;

/// Megolm sessions that are known to be done with.
pub const DEAD_GROUPS: i64 = 3_000;

/// Devices and rooms whose newest session is remembered.
pub const NEWEST_GROUPS: i64 = 3_000;

/// Devices that have one of the bot's own Megolm sessions, or were told that they
/// will not get it.
pub const SHARES: i64 = 8_000;

/// The bot's own Megolm sessions that are remembered after their use: more than
/// any homeserver shows again.
pub const SENT_GROUPS: i64 = 5_000;

/// Refusals of keys.
pub const WITHHELD_KEYS: i64 = 500;

/// Rooms, those that were left included.
pub const ROOMS: i64 = 500;

/// Invites that wait to be taken.
pub const INVITES: i64 = 100;

/// Invites that stand and are not taken: by users who may not command, or to rooms
/// that are left out.
pub const LEFT_INVITES: i64 = 200;

/// Rooms whose timeline has a gap that is being read.
pub const GAPS: i64 = 100;

/// Events that wait for a key or an answer.
pub const UNDECRYPTED_EVENTS: i64 = 256;

/// All of them together, in bytes.
pub const UNDECRYPTED_BYTES: i64 = 1024 * 1024;

/// Finished journal rows, to know an event that is delivered again.
pub const JOURNAL: i64 = 2_000;

/// Commands that are not done and answers that are not delivered, in all rooms.
pub const COMMANDS: i64 = 200;

/// Those of one room.
pub const COMMANDS_OF_ROOM: i64 = 40;

/// Those of one person that are not done.
pub const COMMANDS_OF_SENDER: i64 = 30;

/// Replies that are no answers to a command that ran, in all rooms: refusals,
/// echoes, "unknown command".
pub const CHATTER: i64 = 200;

/// Those of one room.
pub const CHATTER_OF_ROOM: i64 = 30;

/// Longest of them as JSON, in bytes: an echo of 4 KiB of almost anything.
pub const CHATTER_BYTES: usize = 8_000;

/// Those of one room that an answer waits behind.
pub const CHATTER_BEFORE_ANSWER: i64 = 12;

/// Requests that carry a room's messages, in its lane at once.
pub const LANE_MESSAGES: i64 = 8;

/// Requests of one lane, in bytes, after which no more is prepared for it.
pub const LANE_BYTES: i64 = 1536 * 1024;

/// Requests of all lanes, in bytes, after which nothing more is prepared. One
/// turn adds 0.15 MB to it at most.
pub const OUTBOX_BYTES: i64 = 3 * 1024 * 1024;

/// To-device requests that belong to no room.
pub const TO_DEVICE_REQUESTS: i64 = 200;

/// Something a full store does without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cap {
    /// A stranger whose devices are not followed.
    TrackedUsers,
    /// A stranger who is not taken for a member.
    Members,
    /// A device, or what was remembered of a deleted one.
    Devices,
    /// An Olm session.
    OlmSessions,
    /// What was tried with a device.
    OlmPeers,
    /// A room key of somebody who may command.
    RoomKeys,
    /// An outbound session: the next message in its room starts another.
    Shares,
    /// A room.
    Rooms,
    /// An invite.
    Invites,
    /// An event that waited for its key.
    Undecrypted,
    /// A command that was not taken.
    Commands,
    /// A reply that answers no command that ran.
    Chatter,
    /// A message to a device that belongs to no room.
    ToDevice,
}

impl Cap {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::TrackedUsers,
        Self::Members,
        Self::Devices,
        Self::OlmSessions,
        Self::OlmPeers,
        Self::RoomKeys,
        Self::Shares,
        Self::Rooms,
        Self::Invites,
        Self::Undecrypted,
        Self::Commands,
        Self::Chatter,
        Self::ToDevice,
    ];

    /// Its name in the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TrackedUsers => "tracked_users",
            Self::Members => "members",
            Self::Devices => "devices",
            Self::OlmSessions => "olm_sessions",
            Self::OlmPeers => "olm_peers",
            Self::RoomKeys => "room_keys",
            Self::Shares => "shares",
            Self::Rooms => "rooms",
            Self::Invites => "invites",
            Self::Undecrypted => "held_messages",
            Self::Commands => "commands",
            Self::Chatter => "replies",
            Self::ToDevice => "to_device_messages",
        }
    }
}

/// The size of one table at its worst.
#[derive(Debug, Clone, Copy)]
pub struct TableCap {
    /// The table.
    pub table: &'static str,
    /// Rows it can have.
    pub rows: i64,
    /// Bytes that one can take on the disk at its worst, indices and the unused
    /// part of its pages included: every id 255 bytes long.
    pub row_bytes: i64,
    /// What goes first, and what that costs.
    pub goes_first: &'static str,
}

/// Users who may command in the arithmetic: their number is the operator's.
const COMMANDERS: i64 = 5;

/// All tables. The rows of the first block are strangers' doing.
pub const TABLES: [TableCap; 29] = [
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
        1_530,
        "of the finished, the oldest: an event of 2,000 messages ago. Of the others none: while there \
         are so many, no other command is taken, and its sender is told so",
    ),
    table(
        "replies",
        CHATTER + COMMANDS,
        5_500,
        "new ones that answer no command that ran, or that wait before an answer to one",
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
