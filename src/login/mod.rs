//! From the configuration and a store to a session on the homeserver: the
//! stored one, a refreshed one, or a login. Knows the homeserver and Keycloak,
//! and which of them, or what between them, is at fault.

mod attempt;
mod diagnosis;
mod fault;
mod keycloak_token;
mod session;

pub use attempt::{Login, client};
pub use diagnosis::Diagnosis;
pub use fault::{Fault, Responsible};
pub use keycloak_token::{examine, get_token, realm};
pub use session::{Access, SessionError, connect, log_in};
