//! The cross-signing identity of the bot's own account.

mod bootstrap;
mod messages;
mod recovery;
mod state;

pub(super) use bootstrap::{handle_challenge, handle_step, refused, request, unsendable};
pub use state::OwnKeys;
pub(super) use state::{Shown, begin, compare, fault, fingerprints, is_done, sign_beforehand};
