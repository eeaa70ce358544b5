//! `AUTH_METHOD=password`: a login with the password of the account
//! (<https://spec.matrix.org/v1.11/client-server-api/#password-based>).

use ruma::DeviceId;

use super::client::Login;
use super::error::Error;
use crate::matrix::client::{LoggedIn, LoginInfo};
use crate::util::Secret;

/// Logs in with the password.
///
/// # Errors
/// The homeserver offers no such login, refuses, or gives no usable answer.
pub(super) async fn log_in(
    login: &Login<'_>,
    password: &Secret,
    user: &str,
    device: &DeviceId,
) -> Result<LoggedIn, Error> {
    let info = LoginInfo {
        kind: "m.login.password",
        user: Some(user),
        secret: password,
    };
    login.offered(info.kind).await?;
    login.log_in(&info, user, device).await
}
