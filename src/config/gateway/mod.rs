//! The configuration of the gateway: its environment, and its file, which is read again
//! while it runs.

mod file;
mod settings;
mod target;

pub use file::GatewayFile;
pub use settings::{GatewaySettings, Network, Oidc};
pub use target::{Backend, GatewayTarget, IdleStop, OnCold, Port, Route, WakeBy};
