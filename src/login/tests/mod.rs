//! The decisions of a login, and the answers of servers that are no homeserver.

mod address;
#[cfg(all(feature = "keycloak", feature = "sso"))]
mod decisions;
