//! From environment variables to validated settings, all faults at once.

mod account;
mod address;
mod cluster;
mod fault;
mod health;
mod jwt;
mod login;
mod policy;
mod reader;
mod secrets;
mod setting;
mod settings;
mod table;
#[cfg(test)]
mod tests;
mod user;
mod values;
mod warnings;

pub use account::{Account, Network, Overrides};
pub use address::{BaseUrl, Homeserver};
pub use cluster::KubernetesAccess;
pub use fault::{Fault, Faults};
pub use health::{HealthAddress, health_address};
pub use jwt::{Jwt, JwtLoginType, JwtSource, Keycloak};
pub use login::{AccessToken, Method, MethodName, Sso};
pub use reader::Env;
pub use setting::{FileForm, Presence, Setting};
pub use settings::{Settings, store_path};
pub use table::SETTINGS;
pub use user::BotUser;
pub(crate) use user::user_id;
