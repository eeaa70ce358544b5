//! The caps: how many rows each table can have. `limits.rs` says which go first, and
//! the tests add up the store's largest size.
//!
//! The rows that strangers cause end at a fixed size. A *stranger* here is every user
//! but the bot and those who may command; the latter are in `kept_users`, written
//! at each start, and no stranger's row takes the place of one of theirs.
//!
//! Caps hold where rows are inserted. Counting a table costs a walk over it, so
//! that is done once for as many insertions as fitted the last time (see
//! `memory.rs`), and what goes makes room for a tenth of the cap at once. At each
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
pub const STRANGER_DEVICES: u16 = 50;

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

/// Events that wait for a key or an answer; beyond it the oldest is given up.
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

/// Parts of commands about several targets, of all commands that are not done.
pub const COMMAND_PARTS: i64 = 500;

/// Longest payload of a command or of a part, in bytes: what makes them sees to it.
pub const PAYLOAD: usize = 512;

/// Longest result of a part that waits for the others, in bytes.
pub const PART_RESULT: usize = 300;

/// Targets of which something is remembered.
pub const TARGETS: i64 = 200;

/// Commands of one target in its history.
pub const HISTORY: i64 = 20;

/// Longest name of who gave a command in the history, in bytes: a user's id.
pub const HISTORY_ACTOR: usize = 255;

/// Longest word about a command in the history, in bytes: its verb, its outcome.
pub const HISTORY_WORD: usize = 64;

/// Longest label selector of the pods of a change that is followed, in bytes.
pub const SELECTOR: usize = 2_048;

/// Longest uid of an object that is remembered, in bytes. Those of Kubernetes have 36.
pub const OBJECT_UID: usize = 64;

/// Replies that are no answers to a command that ran, in all rooms: refusals,
/// echoes, "unknown command".
pub const CHATTER: i64 = 200;

/// Those of one room.
pub const CHATTER_OF_ROOM: i64 = 30;

/// Longest of them as JSON, in bytes: an echo of 4 KiB of almost anything.
pub const CHATTER_BYTES: usize = 8_000;

/// Those of one room that an answer waits behind.
pub const CHATTER_BEFORE_ANSWER: i64 = 12;

/// Messages of the bot's that can be edited.
pub const ANCHORS: i64 = 200;

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
    /// Claims and messages that were tried with a device.
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
