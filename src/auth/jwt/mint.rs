//! A token of this program's own, for the homeserver's token module.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::provider;
use crate::util::Secret;

/// The shortest secret, in bytes: that of HS512's output (RFC 7518, section
/// 3.2), and the least that the homeserver's module takes.
pub const MIN_SECRET_BYTES: usize = 64;

/// How long a token is good for. It is used at once; the rest is for clocks
/// that differ.
pub const LIFESPAN: Duration = Duration::from_secs(5 * 60);

/// What synapse-token-authenticator's `jwt` reads: `sub`, which must be the user
/// that logs in, and `exp`. Others (`admin`, `displayname`) would have it change
/// the account.
#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iat: u64,
    exp: u64,
}

/// A token that logs `localpart` in, signed with HS512 and good for
/// [`LIFESPAN`].
pub fn mint(secret: &Secret, localpart: &str, now: SystemTime) -> Result<Secret, MintError> {
    let bytes = secret.expose().len();
    if bytes < MIN_SECRET_BYTES {
        return Err(MintError::ShortSecret { bytes });
    }
    let now = now
        .duration_since(UNIX_EPOCH)
        .map_err(|_| MintError::Clock)?;
    let claims = Claims {
        sub: localpart,
        iat: now.as_secs(),
        exp: now.saturating_add(LIFESPAN).as_secs(),
    };
    provider::sign(&claims, secret).map_err(|_| MintError::Signing)
}

/// Why no token was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MintError {
    /// The secret is shorter than [`MIN_SECRET_BYTES`].
    ShortSecret {
        /// How long it is.
        bytes: usize,
    },
    /// This machine's clock is before 1970.
    Clock,
    /// The library did not sign: a fault of the build.
    Signing,
}

impl fmt::Display for MintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShortSecret { bytes } => write!(
                f,
                "JWT_SECRET has {bytes} bytes: HS512 takes a secret of {MIN_SECRET_BYTES} bytes \
                 or more, the same in the homeserver's configuration"
            ),
            Self::Clock => {
                f.write_str("this machine's clock shows a time before 1970: set it right")
            }
            Self::Signing => f.write_str("this build cannot sign tokens with HS512: report it"),
        }
    }
}

impl std::error::Error for MintError {}
