//! From environment variables to validated settings, all faults at once.

mod access;
mod age;
mod deployment;
mod fault;
mod homeserver;
mod log_level;
mod settings;
mod switch;
mod user;
mod variable;

pub use access::KubernetesAccess;
pub use fault::{Fault, Faults};
pub use homeserver::Homeserver;
pub use settings::Settings;
pub use user::BotUser;
pub use variable::{Presence, VARIABLES, Variable};
