//! From the configuration and a store to a session on the homeserver: the stored session, a
//! refreshed one, or a login by one of four methods. Knows the homeserver and Keycloak, and
//! who has to act when there is no session.

mod attempt;
mod client;
mod diagnosis;
mod error;
mod jwt;
#[cfg(feature = "keycloak")]
mod keycloak_token;
mod session;
#[cfg(feature = "sso")]
mod sso;
mod token;

#[cfg(test)]
mod tests;

pub use client::{Login, http_client};
pub use error::Error;
pub use jwt::get_token;
#[cfg(feature = "keycloak")]
pub use keycloak_token::{check_token, realm};
pub use session::{SessionError, connect, log_in};
