//! From environment variables to validated settings, all faults at once.

mod account;
mod address;
mod chat_gateway;
mod cluster;
mod document;
mod fault;
#[cfg(feature = "gateway")]
pub mod gateway;
mod health;
mod jwt;
#[cfg(any(feature = "keycloak", feature = "sso"))]
mod keycloak;
mod log;
mod login;
mod policy;
mod reader;
mod secrets;
mod setting;
mod settings;
#[cfg(feature = "sso")]
mod sso;
mod table;
mod targets;
#[cfg(test)]
mod tests;
mod user;
mod values;
mod warnings;

pub use account::{Account, Network};
#[cfg(feature = "gateway")]
pub(crate) use address::base_url;
pub use address::{BaseUrl, Homeserver};
pub use chat_gateway::ChatGateway;
pub use cluster::{CredentialsError, KubernetesAccess};
pub use fault::{Fault, Faults};
pub use health::{ListenAddress, health_address};
pub use jwt::{Jwt, JwtLoginType, JwtSource};
#[cfg(feature = "keycloak")]
pub use keycloak::Keycloak;
pub use login::{AccessToken, Method, MethodName, Overrides};
pub use reader::Env;
pub use setting::{InSummary, Presence, Setting};
pub use settings::{Settings, store_path};
#[cfg(feature = "sso")]
pub use sso::Sso;
pub use table::SETTINGS;
pub use user::BotUser;
pub(crate) use user::user_id;
#[cfg(feature = "gateway")]
pub(crate) use values::time;
