//! A token of this program's own, for
//! [synapse-token-authenticator](https://github.com/famedly/synapse-token-authenticator).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::Value;
use thiserror::Error;

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

/// The header of a token
/// (<https://www.rfc-editor.org/rfc/rfc7518#section-3.2>).
const HEADER: &str = r#"{"typ":"JWT","alg":"HS512"}"#;

/// Makes a token that logs `localpart` in, signed with HS512 and good for [`LIFESPAN`].
///
/// # Errors
/// The secret is too short, or the clock is wrong.
pub fn mint(secret: &Secret, localpart: &str, now: SystemTime) -> Result<Secret, MintError> {
    let bytes = secret.expose().len();
    if bytes < MIN_SECRET_BYTES {
        return Err(MintError::ShortSecret(bytes));
    }
    let now = now
        .duration_since(UNIX_EPOCH)
        .map_err(|_| MintError::Clock)?;
    // The module's `jwt` reads `sub`, which must be the user that logs in, and `exp`. Others
    // (`admin`, `displayname`) would make it change the account.
    let sub = Value::from(localpart);
    let (iat, exp) = (now.as_secs(), now.saturating_add(LIFESPAN).as_secs());
    let claims = format!(r#"{{"sub":{sub},"iat":{iat},"exp":{exp}}}"#);
    let [header, claims] = [HEADER, &claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let message = format!("{header}.{claims}");
    let key = hmac::Key::new(hmac::HMAC_SHA512, secret.expose().as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
    Ok(Secret::new(format!("{message}.{signature}")))
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
}
