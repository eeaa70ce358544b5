//! The end of a session.

use std::fmt;

/// Reason why a session ended.
#[derive(Debug)]
pub enum SessionEnd {
    /// The homeserver no longer takes the access token.
    LoggedOut {
        /// The device is still there.
        soft: bool,
    },
    /// The homeserver could not be synced with for too long.
    GaveUp(String),
    /// The store is an older copy of what this device has lived through: its
    /// keys must not be used again.
    Outlived(String),
    /// Going on would do harm.
    Fatal(String),
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoggedOut { soft: true } => f.write_str("the session has expired"),
            Self::LoggedOut { soft: false } => f.write_str("the session was ended"),
            Self::GaveUp(why) | Self::Outlived(why) | Self::Fatal(why) => f.write_str(why),
        }
    }
}
