//! The one database: keys, devices, rooms, and the queues of what came in and
//! what goes out. Everything is read and written inside a [`Transaction`], so
//! that a sync is taken in whole or not at all.

pub mod caps;

mod account_revision;
mod checkpoint;
mod congestion;
mod counts;
mod crash;
mod database;
mod devices;
mod gaps;
mod gauge;
mod groups;
mod held;
mod identities;
mod invites;
mod old_groups;
mod olm;
mod olm_order;
mod open_error;
mod own_clock;
mod own_identity;
mod pickle;
mod predecessor;
mod prune;
mod queues;
mod refused_keys;
mod remains;
mod rooms;
mod schema;
mod session;
mod signed_out;
#[cfg(test)]
mod tests;
mod volume;

pub use caps::Cap;
pub use congestion::Urgency;
pub use counts::Counts;
pub use database::{Error, Store, Transaction};
pub use devices::{OutdatedUser, Recipient, Sharing};
pub use gaps::Gap;
pub use groups::StoredGroup;
pub use held::{Held, HeldReason, Known, MAX_HELD};
pub use invites::StandingInvite;
pub use open_error::OpenError;
pub use own_clock::OwnClock;
pub use own_identity::{OwnState, StoredIdentity};
pub use predecessor::Predecessor;
pub use queues::{DeviceKeys, InClear, JournalEntry, OutboxRow, Reply, Unfinished};
pub use rooms::{Encryption, Membership};
pub use session::{LoginCredential, Session};
