//! The cross-signing identity of the bot's own account.

pub(in crate::matrix) mod bootstrap;
pub(in crate::matrix) mod messages;
pub(in crate::matrix) mod recovery;
pub(in crate::matrix) mod state;
