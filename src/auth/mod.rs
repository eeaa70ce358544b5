//! Credentials, apart from the protocol that they are shown in: JSON Web Tokens and
//! one-time passwords (`jwt`), Keycloak's endpoints (`keycloak`) and its login page
//! (`sso`), and who has to act when one of them fails.

mod form;
pub mod jwt;
pub mod keycloak;
mod responsible;
pub(crate) mod sso;

pub use responsible::Responsible;
