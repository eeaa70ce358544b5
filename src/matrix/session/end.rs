//! The end of a session.

use thiserror::Error;

/// Reason why a session ended.
#[derive(Debug, Error)]
pub enum SessionEnd {
    /// The homeserver no longer takes the access token.
    #[error("the session {}", if *soft { "has expired" } else { "was ended" })]
    LoggedOut {
        /// The device is still there.
        soft: bool,
    },
    /// The homeserver could not be synced with for too long.
    #[error("{0}")]
    GaveUp(String),
    /// The store is an older copy of what this device has lived through: its
    /// keys must not be used again.
    #[error("{0}")]
    Outlived(String),
    /// Going on would do harm.
    #[error("{0}")]
    Fatal(String),
}
