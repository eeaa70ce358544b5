//! The configuration of the gateway: its environment, and its file, which is read again
//! while it runs.

mod backend;
mod checks;
mod entry;
mod file;
mod keys;
mod oidc;
mod outline;
mod roles;
mod settings;
mod subnet;
mod table;
mod target;
#[cfg(test)]
mod tests;
mod tls;
mod trust;
mod vital;
mod words;

pub use file::GatewayFile;
pub use oidc::Oidc;
pub use settings::GatewaySettings;
pub use subnet::Subnet;
pub use table::GATEWAY_SETTINGS;
pub(super) use table::{GATEWAY_CONFIG, HEALTH_ADDR};
pub use target::{Backend, GatewayTarget, IdleStop, OnCold, Port, Route, WakeBy};
pub use tls::{Digest, Tls};
pub use vital::Vital;
