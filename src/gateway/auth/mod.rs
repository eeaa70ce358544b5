//! Who asks: bearer tokens of service accounts and of an identity provider.

mod authenticator;
mod session;

pub use authenticator::Authenticator;
pub use session::{AuthFault, Session};
