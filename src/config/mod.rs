//! From environment variables to validated settings, all faults at once.

mod access;
mod age;
mod deployment;
mod fault;
mod file;
mod homeserver;
mod log_level;
mod own_identity;
mod pins;
mod rooms;
mod settings;
mod store_path;
mod switch;
#[cfg(test)]
mod tests;
mod user;
mod variable;

pub use access::KubernetesAccess;
pub use fault::{Fault, Faults};
pub use homeserver::Homeserver;
pub use settings::Settings;
pub use store_path::store_path;
pub use user::BotUser;
pub(crate) use user::user_id;
pub use variable::{Presence, VARIABLES, Variable};
