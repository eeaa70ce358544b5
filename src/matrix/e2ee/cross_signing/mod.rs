//! The cross-signing identity of the bot's own account.

pub(crate) mod bootstrap;
pub(crate) mod messages;
pub(crate) mod recovery;
pub(crate) mod state;
