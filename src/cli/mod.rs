//! The command line: what the program was started to do.

#[cfg(feature = "gateway")]
mod call_command;
#[cfg(feature = "gateway")]
mod call_fault;
mod commands;
mod error;
mod help;
mod invocation;
mod jwt_test_options;
mod run;
mod usage;

#[cfg(feature = "gateway")]
pub use call_command::{CallCommand, CallTask};
#[cfg(feature = "gateway")]
pub use call_fault::{CallFault, CallFaultKind};
pub use error::Error;
pub use help::Page;
pub use invocation::{IdentitiesCommand, Invocation};
pub use jwt_test_options::JwtTest;
pub use run::run;
pub use usage::UsageError;
