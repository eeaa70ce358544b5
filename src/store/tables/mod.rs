//! One repository a table, or a group of tables that change together: a function
//! that takes one cannot touch anything else.
//!
//! # Errors
//! All methods of all repositories fail alike, with [`Error`](super::Error): SQLite
//! refuses (<https://sqlite.org/rescode.html>), or a row cannot be read back. Nothing
//! of the transaction is committed then.

mod account;
mod anchors;
mod columns;
mod cross_signing;
mod device_lists;
mod devices;
mod followed;
mod gaps;
mod history;
mod identities;
mod inbound_group_sessions;
mod invites;
mod journal;
mod members;
mod olm_order;
mod olm_peers;
mod olm_sessions;
mod outbound_group_sessions;
mod outbox;
mod own_clock;
mod previous_replicas;
mod replies;
mod rooms;
mod schedules;
mod seen_olm_messages;
mod session;
mod shares;
mod timers;
mod undecrypted_events;
mod withheld_keys;

pub use account::AccountRow;
pub use anchors::{Anchor, Anchors};
pub use cross_signing::{CrossSigning, CrossSigningState, StoredCrossSigning};
pub use device_lists::{DeviceLists, OutdatedUser};
pub use devices::Devices;
pub use followed::{Followed, FollowedChange};
pub use gaps::{Gap, Gaps};
pub use history::{History, HistoryEntry};
pub use identities::Identities;
pub use inbound_group_sessions::{InboundGroupSessions, StoredInboundSession};
pub use invites::{Invites, StandingInvite};
pub use journal::{DeviceKeys, Journal, JournalEntry, PartResult, Unfinished, Urgency};
pub use members::{Members, Membership};
pub use olm_peers::OlmPeers;
pub use olm_sessions::OlmSessions;
pub use outbound_group_sessions::OutboundGroupSessions;
pub use outbox::{InClear, Outbox, OutboxRow};
pub use own_clock::{ClockRow, OwnClock};
pub use previous_replicas::PreviousReplicas;
pub use replies::{Replies, Reply};
pub use rooms::{Encryption, Rooms};
pub use schedules::Schedules;
pub use seen_olm_messages::SeenOlmMessages;
pub use session::{LoginCredential, Session, SessionRow};
pub use shares::{Recipient, Shares, Sharing};
pub use timers::{StoredTimer, Timers};
pub use undecrypted_events::{EventStatus, UndecryptedEvent, UndecryptedEvents, WaitReason};
pub use withheld_keys::WithheldKeys;
