//! The JSON Web Token of a login, from Keycloak.

use std::time::Duration;

use log::info;
use tokio::time::sleep;

use crate::auth::jwt::{Code, Expected, IssuedToken, TokenError, Totp, check};
use crate::auth::keycloak::{Error, Realm};
use crate::config::{Jwt, JwtLoginType, Keycloak};
use crate::net::Client;
use crate::util::{Clock, Secret};

/// The configured realm.
pub fn realm(keycloak: &Keycloak) -> Realm {
    Realm {
        base: keycloak.url.to_string(),
        realm: keycloak.realm.clone(),
        client_id: keycloak.client_id.clone(),
        client_secret: keycloak.client_secret.clone(),
    }
}

/// Requests a token of `user`, with a one-time password where one is configured.
pub(super) async fn request(
    http: &Client,
    user: &str,
    keycloak: &Keycloak,
) -> Result<IssuedToken, Error> {
    let (realm, password) = (realm(keycloak), &keycloak.password);
    let Some(totp) = &keycloak.totp else {
        return realm.token(http, user, password, None).await;
    };
    let code = next_code(totp, http.clock()).await;
    match realm.token(http, user, password, Some(&code.text)).await {
        // Keycloak accepts each code once, and another process may have used this one.
        Err(Error::Credentials { one_time: true, .. }) => {
            info!("Keycloak does not take the one-time password: trying the next one");
            let code = next_code(totp, http.clock()).await;
            realm.token(http, user, password, Some(&code.text)).await
        }
        answer => answer,
    }
}

/// Waits for a one-time password that this process has not used yet.
async fn next_code(totp: &Totp, clock: Clock) -> Code {
    loop {
        match totp.take(clock.now()) {
            Ok(code) => return code,
            Err(wait) => {
                info!("the next one-time password comes in {} s", wait.as_secs());
                sleep(wait.max(Duration::from_millis(1))).await;
            }
        }
    }
}

/// Checks a token of Keycloak's as the homeserver would, and returns all its faults.
///
/// # Errors
/// The realm's keys or its issuer are not available.
pub async fn check_token(
    http: &Client,
    localpart: &str,
    jwt: &Jwt,
    keycloak: &Keycloak,
    token: &Secret,
) -> Result<Vec<TokenError>, Error> {
    let realm = realm(keycloak);
    let keys = realm.keys(http).await?;
    let issuer = match &keycloak.issuer {
        Some(issuer) => issuer.clone(),
        None => realm.issuer(http).await?,
    };
    let expected = Expected {
        issuer: &issuer,
        audience: jwt.audience.as_deref(),
        authorized_party: Some(&keycloak.client_id),
        user_claim: match jwt.login_type {
            JwtLoginType::FamedlyToken => "sub",
            JwtLoginType::FamedlyOauth | JwtLoginType::Native => "preferred_username",
        },
        user: localpart,
    };
    Ok(check(token, &keys, &expected, http.clock().now()))
}
