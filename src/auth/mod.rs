//! Proofs of who somebody is, apart from where they are shown: JSON Web Tokens and
//! one-time passwords, Keycloak's endpoints, and its login page.

pub mod jwt;
pub mod keycloak;
pub mod sso;
