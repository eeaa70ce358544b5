//! Credentials, apart from the protocol that they are shown in: JSON Web Tokens and
//! one-time passwords (`jwt`), Keycloak's endpoints (`keycloak`) and its login page
//! (`sso`), and who has to act when one of them fails.

#[cfg(any(feature = "keycloak", feature = "sso"))]
mod form;
pub mod jwt;
#[cfg(feature = "keycloak")]
pub mod keycloak;
mod responsible;
#[cfg(feature = "sso")]
pub(crate) mod sso;

pub use responsible::Responsible;
