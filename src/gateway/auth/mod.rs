//! Who asks: bearer tokens of service accounts and of an identity provider.

mod authenticator;
mod session;
mod sessions;

pub use authenticator::{Authenticator, Means};
pub use session::{AuthFault, Caller, Credential, Session};
