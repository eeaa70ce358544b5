//! The command line: what the program was started to do.

mod commands;
mod error;
mod help;
mod invocation;
mod run;
mod usage;

pub use error::Error;
pub use help::Page;
pub use invocation::{IdentitiesCommand, Invocation, JwtTest};
pub use run::run;
pub use usage::UsageError;
