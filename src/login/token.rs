//! `AUTH_METHOD=token`: an access token made beforehand.

use super::client::Login;
use super::error::Error;
use crate::config::AccessToken;
use crate::matrix::client::{self, LoggedIn, LoginError, is_user, read_whoami, whoami_call};
use crate::util::Tokens;

/// Checks the user and device of the token
/// (<https://spec.matrix.org/v1.11/client-server-api/#get_matrixclientv3accountwhoami>).
///
/// # Errors
/// The token is of another user or device, or not valid, or the homeserver gives no usable
/// answer.
pub(super) async fn resume(
    login: &Login<'_>,
    made: &AccessToken,
    user: &str,
) -> Result<LoggedIn, Error> {
    let answer = login.homeserver.ask(whoami_call(), Some(&made.token)).await;
    let body = match answer {
        Ok(body) => body,
        Err(client::Fault::UnknownToken { .. }) => return Err(Error::TokenEnded),
        Err(fault) => {
            let error = Error::of(login.account.method.name(), fault);
            return Err(login.check_homeserver(error).await);
        }
    };
    let malformed = Error::Answer(LoginError::Malformed);
    let (found_user, found_device) = read_whoami(&body).ok_or(malformed)?;
    if !is_user(&found_user, user) {
        return Err(Error::Answer(LoginError::OtherUser(found_user)));
    }
    match found_device {
        Some(device) if device == made.device => Ok(LoggedIn {
            user: found_user,
            device,
            tokens: Tokens {
                access: made.token.clone(),
                refresh: None,
                refresh_at: None,
            },
        }),
        found => Err(Error::TokenOfOtherDevice(found)),
    }
}
