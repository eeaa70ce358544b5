//! The command line: what the program was started to do.

pub mod commands;
mod help;
mod invocation;
mod usage;

pub use help::{Topic, VERSION};
pub use invocation::{IdentitiesCommand, Invocation, JwtTest, parse};
pub use usage::UsageError;
