//! The cross-signing identity of the bot's own account.

mod bootstrap;
mod messages;
mod recovery;
mod state;
