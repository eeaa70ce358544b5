//! End-to-end encryption on the homeserver's terms: devices, rooms, classifying events,
//! keys, cross-signing. Without IO: it takes answers into a store transaction and says
//! what to ask next.
//!
//! [`Engine`] is what lasts, and [`Turn`] the engine in one transaction: each file adds to
//! it the methods of its subject, and keeps to itself what only they need.

mod account;
mod backfill;
mod classify;
mod cross_signing;
mod device_lists;
mod edits;
mod engine;
mod error;
mod invites;
mod key_requests;
mod key_sharing;
mod message;
mod olm_sessions;
mod one_time_keys;
mod outbox;
mod outgoing;
mod plaintext;
mod receipts;
mod replies;
mod request;
mod rollback;
mod room_state;
mod speech;
mod start;
mod sync;
#[cfg(test)]
mod tests;
mod time_budget;
mod to_device;
mod trust;
mod undecrypted;

pub use device_lists::QueryAnswer;
pub use engine::{Commanders, Engine, OwnKeys, Turn};
pub use error::Error;
pub use message::Message;
pub use request::{CrossSigningStep, OutgoingRequest, RequestContext};
pub use speech::{Place, Speech};
pub use sync::Received;
pub use time_budget::TimeBudget;

pub(crate) use engine::PlaintextReplies;
pub(crate) use invites::Invite;
pub(crate) use message::{MessageKind, key_grace_ms};
pub(crate) use request::{Outgoing, RequestKey};
