//! Authentication: bearer tokens of service accounts and of an identity provider.

mod attempts;
mod authenticator;
mod bearer;
mod checker;
#[cfg(test)]
mod fake;
mod flights;
mod issuer;
mod jwks_cache;
mod own_token;
mod person;
mod service_account;
mod session;
mod sessions;
#[cfg(test)]
mod tests;

pub use authenticator::{Authenticator, Means};
pub use issuer::fetch as fetch_keys;
pub use own_token::own_token_is_for;
pub use session::{AuthFault, Credential, Session, record_of};
