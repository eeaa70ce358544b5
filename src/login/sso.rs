//! `AUTH_METHOD=sso`: a login through Keycloak's login page
//! (<https://spec.matrix.org/v1.11/client-server-api/#sso-client-loginauthentication>).

use log::info;
use ruma::DeviceId;
use tokio::time::sleep;

use super::client::Login;
use super::error::Error;
use crate::auth::sso::{self, choose_provider};
use crate::config::{BaseUrl, Sso};
use crate::matrix::client::{Flows, LoggedIn, LoginInfo};
use crate::util::Secret;

/// Logs in with the login token of the login page
/// (<https://spec.matrix.org/v1.11/client-server-api/#token-based>).
///
/// # Errors
/// The homeserver or Keycloak refuses, or shows a page that cannot be filled in.
pub(super) async fn log_in(
    login: &Login<'_>,
    sso: &Sso,
    user: &str,
    device: &DeviceId,
) -> Result<LoggedIn, Error> {
    let flows = login.offered("m.login.sso").await?;
    let token = login_token(login, sso, &flows).await.map_err(Error::Sso)?;
    let info = LoginInfo {
        kind: "m.login.token",
        user: None,
        secret: &token,
    };
    login.log_in(&info, user, device).await
}

async fn login_token(login: &Login<'_>, sso: &Sso, flows: &Flows) -> Result<Secret, sso::Error> {
    let provider = choose_provider(&sso.provider, &flows.providers)?;
    let code = sso.totp.as_ref().map(|totp| {
        move || {
            let now = login.client.clock().now();
            totp.take(now).unwrap_or_else(|_| totp.code(now)).text
        }
    });
    let account = sso::Account {
        user: login.account.user.localpart(),
        password: &sso.password,
        code: code.as_ref().map(|code| code as &dyn Fn() -> Secret),
        provider_url: sso.url.as_ref().map(BaseUrl::as_str),
        realm: sso.realm.as_deref(),
    };
    let base = login.homeserver.base();
    let attempt = || sso::login_token(&login.client, base, provider, &account);
    match (attempt().await, &sso.totp) {
        // Keycloak accepts each code once, and another login may have used this one.
        (Err(sso::Error::CodeRefused(_)), Some(totp)) => {
            let wait = totp.code(login.client.clock().now()).valid_for;
            info!("the next one-time password comes in {} s", wait.as_secs());
            sleep(wait).await;
            attempt().await
        }
        (result, _) => result,
    }
}
