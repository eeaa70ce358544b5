//! The one database: keys, devices, rooms, and the queues of what came in and
//! what goes out. Everything is read and written inside a [`Transaction`], so
//! that a sync is taken in whole or not at all.

mod crash;
mod database;
mod devices;
mod groups;
mod identities;
mod olm;
mod own_identity;
mod queues;
mod refused_keys;
mod remains;
mod rooms;
mod schema;
mod session;
#[cfg(test)]
mod tests;

pub use database::{Error, OpenError, Store, Transaction};
pub use devices::Recipient;
pub use own_identity::{OwnState, StoredIdentity};
pub use queues::{DeviceKeys, Held, HeldReason, JournalEntry, OutboxRow, Reply};
pub use rooms::{Encryption, Membership};
pub use session::{Proof, Session, Tokens};
