//! The tokens of a Matrix session, as they are sent and as they are stored.

use super::Secret;

/// An access token and the refresh token that replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Sent with each request.
    pub access: Secret,
    /// Makes the next pair; valid until that pair is used.
    pub refresh: Option<Secret>,
    /// The time from which the next pair should be asked for, in milliseconds since
    /// the Unix epoch; None for an access token that does not expire.
    pub refresh_at: Option<u64>,
}
