//! End-to-end encryption on the homeserver's terms: devices, rooms, what an event is,
//! keys, cross-signing. Without IO: it takes answers into a store transaction and says
//! what to ask next.

mod backfill;
mod classify;
mod cross_signing;
mod devices;
mod engine;
mod key_requests;
mod outgoing;
mod plaintext;
mod receive;
mod rooms;
mod sending;
mod start_over;
mod time_budget;
mod to_device;
mod trust;

pub use backfill::BACKFILL_DEADLINE_MS;
pub use classify::{KEY_GRACE_MS, Message, MessageKind};
pub use cross_signing::bootstrap::CrossSigningStep;
pub use devices::{OwnKeysDiffer, QueryAnswer};
pub use engine::{Commanders, Engine, Error, OwnKeys};
pub use outgoing::{DeviceOwner, Outgoing, OutgoingRequest, RequestContext, RequestKey};
pub use plaintext::PlaintextReplies;
pub use receive::{Invite, Received};
pub use time_budget::TimeBudget;
pub use trust::Authorship;
