//! The gateway: programs switch workloads by HTTP, and what is asked for wakes up. A process
//! of its own without Matrix keys or store.

mod api;
mod auth;
mod certificate;
mod check;
mod connections;
mod context;
mod doorkeeper;
mod housekeeping;
mod listener;
mod object;
mod origin;
mod proxy;
mod run;
mod told;
mod tracked;
mod wake;

pub use check::CheckOutcome;
pub use context::{Context, Table};
pub use run::{GatewayError, check, serve};
