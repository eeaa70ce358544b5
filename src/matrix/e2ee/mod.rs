//! End-to-end encryption on the homeserver's terms: devices, rooms, classifying events,
//! keys, cross-signing. Without IO: it takes answers into a store transaction and says
//! what to ask next.
//!
//! [`Engine`] is the whole of it. Each file below it names in its parameters what it
//! touches: `context` (the bot's ids, the users it obeys, the clocks), `accounts` (the
//! Olm account), `own_keys` (what the operator gave for cross-signing), and the store's
//! transaction.

mod account;
mod backfill;
mod classify;
mod context;
mod cross_signing;
mod device_lists;
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
mod replies;
mod request;
mod rollback;
mod room_state;
mod sync;
mod time_budget;
mod timeline;
mod to_device;
mod trust;
mod undecrypted;

pub use context::Commanders;
pub use cross_signing::OwnKeys;
pub use device_lists::QueryAnswer;
pub use engine::Engine;
pub use error::Error;
pub use message::Message;
pub use request::{CrossSigningStep, OutgoingRequest, RequestContext};
pub use sync::Received;
pub use time_budget::TimeBudget;

pub(crate) use invites::Invite;
pub(crate) use message::{KEY_GRACE_MS, MessageKind};
pub(crate) use plaintext::PlaintextReplies;
pub(crate) use request::{Outgoing, RequestKey};
pub(crate) use trust::Authorship;
