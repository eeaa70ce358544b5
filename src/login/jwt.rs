//! `AUTH_METHOD=jwt`: a login with a JSON Web Token, from Keycloak or made here. The login
//! types are those of Synapse
//! (<https://element-hq.github.io/synapse/latest/jwt.html>) and of
//! [synapse-token-authenticator](https://github.com/famedly/synapse-token-authenticator).

use std::time::Duration;

use http::Method as HttpMethod;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ruma::{DeviceId, OwnedUserId, UserId};

use super::client::Login;
use super::diagnosis::Diagnosis;
use super::error::{Error, is_forbidden};
#[cfg(feature = "keycloak")]
use super::keycloak_token::{self, check_token};
use crate::auth::jwt::{IssuedToken, LIFESPAN, mint};
use crate::config::{Homeserver as Address, Jwt, JwtLoginType, JwtSource};
use crate::matrix::client::{Call, Fault, LoggedIn, LoginInfo, versions};
use crate::net::Client;
use crate::util::{ClockDifference, Secret};

/// The codes of a 404 for the profile of an unknown user: the specification's, and Synapse's.
/// A server without the endpoint answers `M_UNRECOGNIZED`.
const NO_USER: [&str; 2] = ["M_NOT_FOUND", "M_UNKNOWN"];

/// The difference between clocks that is no reason for a refusal.
const LEEWAY: Duration = Duration::from_secs(60);

/// Logs in with a new token.
///
/// # Errors
/// There is no token, or the homeserver offers no such login, refuses the token, or gives no
/// usable answer.
pub(super) async fn log_in(
    login: &Login<'_>,
    jwt: &Jwt,
    user: &str,
    device: &DeviceId,
) -> Result<LoggedIn, Error> {
    login.offered(jwt.login_type.as_str()).await?;
    let localpart = login.account.user.localpart();
    let answer = get_token(&login.client, localpart, jwt).await?;
    login.with_jwt(jwt, &answer.token, user, device).await
}

/// Gets a token for the user of this localpart.
///
/// # Errors
/// Keycloak issues none, or it cannot be made here.
pub async fn get_token(http: &Client, localpart: &str, jwt: &Jwt) -> Result<IssuedToken, Error> {
    match &jwt.source {
        JwtSource::Secret(secret) => Ok(IssuedToken {
            token: mint(secret, localpart, http.clock().now()).map_err(Error::Mint)?,
            expires_in: Some(LIFESPAN),
        }),
        #[cfg(feature = "keycloak")]
        JwtSource::Keycloak(keycloak) => keycloak_token::request(http, localpart, keycloak)
            .await
            .map_err(Error::Keycloak),
    }
}

impl Login<'_> {
    /// Logs in with this token.
    ///
    /// # Errors
    /// The homeserver refuses, or gives no usable answer.
    pub async fn with_jwt(
        &self,
        jwt: &Jwt,
        token: &Secret,
        user: &str,
        device: &DeviceId,
    ) -> Result<LoggedIn, Error> {
        let is_native = jwt.login_type == JwtLoginType::Native;
        let info = LoginInfo {
            kind: jwt.login_type.as_str(),
            user: (!is_native).then(|| self.account.user.localpart()),
            secret: token,
        };
        match self.log_in(&info, user, device).await {
            Err(Error::Refused { fault, .. }) if is_forbidden(&fault) => Err(Error::TokenRefused {
                diagnosis: diagnose(self, jwt, token).await,
                fault,
            }),
            result => result,
        }
    }
}

/// Finds the reason why the homeserver refuses a token.
#[cfg_attr(
    not(feature = "keycloak"),
    expect(unused_variables, reason = "a token made here is not looked at")
)]
async fn diagnose(login: &Login<'_>, jwt: &Jwt, token: &Secret) -> Diagnosis {
    let found = match &jwt.source {
        JwtSource::Secret(_) => Diagnosis::OwnSecret,
        #[cfg(feature = "keycloak")]
        JwtSource::Keycloak(keycloak) => {
            let user = login.account.user.localpart();
            match check_token(&login.client, user, jwt, keycloak, token).await {
                Ok(errors) if !errors.is_empty() => return Diagnosis::Token(errors),
                // For the other login types the homeserver has the key in a file.
                Err(error) if jwt.login_type == JwtLoginType::FamedlyOauth => {
                    Diagnosis::NoKeys(error)
                }
                Ok(_) | Err(_) => Diagnosis::Sound {
                    client: keycloak.client_id.clone(),
                },
            }
        }
    };
    if let Some(apart) = clocks_apart(login).await {
        return Diagnosis::Clock(apart);
    }
    match unknown_user(login).await {
        Some(user) => Diagnosis::UnknownUser(user),
        None => found,
    }
}

/// The difference between the homeserver's clock and this machine's, if it is too large.
async fn clocks_apart(login: &Login<'_>) -> Option<Duration> {
    let versions = versions(&login.client, login.homeserver.base())
        .await
        .ok()?;
    let there = versions.date?;
    let apart = ClockDifference::of_date(there, login.client.clock().now());
    let apart = Duration::from_millis(apart.ms);
    (apart > LEEWAY).then_some(apart)
}

/// The account, if the homeserver answers that it does not exist
/// (<https://spec.matrix.org/v1.11/client-server-api/#get_matrixclientv3profileuserid>).
async fn unknown_user(login: &Login<'_>) -> Option<OwnedUserId> {
    let configured = &login.account.user;
    let user = match (&login.account.homeserver, configured.full()) {
        (_, Some(user)) => user.to_owned(),
        (Address::Name(server), None) => {
            UserId::parse(format!("@{}:{server}", configured.localpart())).ok()?
        }
        (Address::Url(_), None) => return None,
    };
    let call = Call {
        method: HttpMethod::GET,
        path: format!(
            "/_matrix/client/v3/profile/{}",
            utf8_percent_encode(user.as_str(), NON_ALPHANUMERIC)
        ),
        body: Vec::new(),
    };
    match login.homeserver.ask(call, None).await {
        Err(Fault::Refused {
            status: 404,
            errcode,
            ..
        }) if NO_USER.contains(&errcode.as_str()) => Some(user),
        _ => None,
    }
}
