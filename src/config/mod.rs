//! From environment variables to validated settings, all faults at once.

mod access;
mod account;
mod age;
mod base_url;
mod deployment;
mod fault;
mod file;
mod habits;
mod health;
mod homeserver;
mod keycloak;
mod log_level;
mod login;
mod network;
mod own_identity;
mod pins;
mod rooms;
mod settings;
mod store_path;
mod summary;
mod switch;
#[cfg(test)]
mod tests;
mod user;
mod variable;
mod variables;
mod warnings;

pub use access::KubernetesAccess;
pub use account::{Account, Overrides};
pub use base_url::BaseUrl;
pub use fault::{Fault, Faults};
pub use health::{HealthAddress, health_address};
pub use homeserver::Homeserver;
pub use keycloak::Keycloak;
pub use login::{AccessToken, Jwt, JwtLoginType, JwtSource, Method, MethodName, Sso};
pub use network::Network;
pub use settings::Settings;
pub use store_path::store_path;
pub use user::BotUser;
pub(crate) use user::user_id;
pub use variable::{Presence, Variable};
pub use variables::VARIABLES;
