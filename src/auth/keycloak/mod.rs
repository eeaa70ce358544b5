//! The endpoints of a realm of
//! [Keycloak's](https://www.keycloak.org/securing-apps/oidc-layers): the password grant,
//! the key set and the issuer. Knows nothing of Matrix.

mod answer;
mod endpoints;
mod error;
mod grant;
mod realm;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use realm::Realm;
