//! End-to-end encryption on the homeserver's terms: devices, rooms, what an event is,
//! keys, cross-signing. Without IO: it takes answers into a store transaction and says
//! what to ask next.

pub(super) mod classify;
pub(super) mod cross_signing;
pub(super) mod devices;
pub(super) mod engine;
pub(super) mod gaps;
pub(super) mod in_clear;
pub(super) mod key_requests;
pub(super) mod outgoing;
pub(super) mod receive;
pub(super) mod rooms;
pub(super) mod sending;
pub(super) mod start_over;
pub(super) mod to_device;
pub(super) mod trust;
pub(super) mod turn;

pub use classify::{KEY_GRACE_MS, Message, MessageKind};
pub use cross_signing::bootstrap::CrossSigningStep;
pub use devices::{OwnKeysDiffer, Queried};
pub use engine::{Commanders, Engine, Error, OwnKeys};
pub use gaps::GAP_DEADLINE_MS;
pub use in_clear::ClearWords;
pub use outgoing::{Outgoing, OutgoingRequest, RequestContext, RequestKey, Whose};
pub use receive::{Invite, Received};
pub use trust::Authorship;
pub use turn::Turn;
