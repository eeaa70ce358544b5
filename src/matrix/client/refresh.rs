//! New tokens for a session
//! (<https://spec.matrix.org/v1.11/client-server-api/#refreshing-access-tokens>).

use std::time::Duration;

use thiserror::Error;

use super::homeserver::{Fault, Homeserver};
use super::tokens::{read_refresh, refresh_call};
use crate::util::{Secret, Tokens};

/// The homeserver gives no new tokens.
#[derive(Debug, Error)]
pub enum RefreshError {
    /// An answer that is not of the specification.
    #[error("the answer is malformed")]
    Malformed,
    /// No answer, or a refusal.
    #[error("{0}")]
    Homeserver(#[from] Fault),
}

impl RefreshError {
    /// True if the refresh token may still be good; otherwise the homeserver refuses it.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Malformed => true,
            Self::Homeserver(fault) => fault.is_transient(),
        }
    }

    /// The shortest wait before the next attempt that the homeserver asks for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Malformed => None,
            Self::Homeserver(fault) => fault.retry_after(),
        }
    }
}

/// Requests new tokens once. They have to be stored before they are used: until then the
/// homeserver keeps the refresh token `last` good.
///
/// # Errors
/// The homeserver refuses `last`, or gives no usable answer.
pub async fn refresh(homeserver: &Homeserver, last: &Secret) -> Result<Tokens, RefreshError> {
    let body = homeserver.ask(refresh_call(last), None).await?;
    read_refresh(body, last, homeserver.local_clock().now_ms()).ok_or(RefreshError::Malformed)
}
