//! One login attempt by the configured method.

use ruma::DeviceId;

use super::client::Login;
use super::error::Error;
#[cfg(feature = "sso")]
use super::sso;
use super::{jwt, token};
use crate::config::Method;
use crate::matrix::client::{LoggedIn, LoginInfo};

impl Login<'_> {
    /// Logs in as `device`, once. `user` is the user of the store, or the configured one: a
    /// localpart or a full id.
    ///
    /// # Errors
    /// The login fails at the homeserver, at Keycloak or on the way to them.
    pub async fn attempt(&self, user: &str, device: &DeviceId) -> Result<LoggedIn, Error> {
        match &self.account.method {
            Method::Password(password) => {
                let info = LoginInfo {
                    kind: "m.login.password",
                    user: Some(user),
                    secret: password,
                };
                self.offered(info.kind).await?;
                self.log_in(&info, user, device).await
            }
            Method::Jwt(jwt) => jwt::log_in(self, jwt, user, device).await,
            #[cfg(feature = "sso")]
            Method::Sso(sso) => sso::log_in(self, sso, user, device).await,
            Method::Token(made) => token::resume(self, made, user).await,
        }
    }
}
