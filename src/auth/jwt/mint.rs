//! A token of this program's own, for
//! [synapse-token-authenticator](https://github.com/famedly/synapse-token-authenticator).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use thiserror::Error;

use super::provider;
use crate::util::Secret;

/// The shortest secret, in bytes: the size of HS512's output
/// (<https://www.rfc-editor.org/rfc/rfc7518#section-3.2>), and the least that the
/// homeserver's module accepts.
pub const MIN_SECRET_BYTES: usize = 64;

/// The lifespan of a token. It is used at once; the rest is for clocks that differ.
pub const LIFESPAN: Duration = Duration::from_secs(5 * 60);

/// A token, whoever issued it. It is needed for one login: a refresh token and a session
/// that came with it are dropped.
#[derive(Debug, Clone)]
pub struct IssuedToken {
    /// The token, a JWT unless the issuer is set up otherwise.
    pub token: Secret,
    /// Its lifespan, as the issuer states it.
    pub expires_in: Option<Duration>,
}

/// The claims that the module's `jwt` reads: `sub`, which must be the user that logs in,
/// and `exp`. Others (`admin`, `displayname`) would make it change the account.
#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iat: u64,
    exp: u64,
}

/// Makes a token that logs `localpart` in, signed with HS512 and good for [`LIFESPAN`].
///
/// # Errors
/// The secret is too short, or the clock or the build is wrong.
pub fn mint(secret: &Secret, localpart: &str, now: SystemTime) -> Result<Secret, MintError> {
    let bytes = secret.expose().len();
    if bytes < MIN_SECRET_BYTES {
        return Err(MintError::ShortSecret(bytes));
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

/// A token cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MintError {
    /// The secret is shorter than [`MIN_SECRET_BYTES`]: it has so many.
    #[error(
        "JWT_SECRET has {0} bytes: HS512 takes a secret of {MIN_SECRET_BYTES} bytes or more, \
         the same in the homeserver's configuration"
    )]
    ShortSecret(usize),
    /// This machine's clock is before 1970.
    #[error("this machine's clock shows a time before 1970: set it right")]
    Clock,
    /// The library did not sign, which is a fault of the build.
    #[error("this build cannot sign tokens with HS512: report it")]
    Signing,
}
