//! The JSON Web Token of a login: from Keycloak, or made here.

use std::time::{Duration, SystemTime};

use log::info;
use tokio::time::sleep;

use super::fault::Fault;
use crate::auth::jwt::{Code, Expected, TokenFault, Totp, check, mint};
use crate::auth::keycloak::{self, Realm, TokenAnswer};
use crate::config::{Jwt, JwtLoginType, JwtSource, Keycloak};
use crate::net::Client;
use crate::util::Secret;

/// A token for the user of this localpart.
///
/// # Errors
/// Keycloak gives none, or it cannot be made.
pub async fn get_token(http: &Client, localpart: &str, jwt: &Jwt) -> Result<TokenAnswer, Fault> {
    match &jwt.source {
        JwtSource::Secret(secret) => {
            let token = mint(secret, localpart, SystemTime::now()).map_err(Fault::Mint)?;
            Ok(TokenAnswer {
                token,
                expires_in: Some(crate::auth::jwt::LIFESPAN),
            })
        }
        JwtSource::Keycloak(keycloak) => from_keycloak(http, localpart, keycloak)
            .await
            .map_err(Fault::Keycloak),
    }
}

async fn from_keycloak(
    http: &Client,
    user: &str,
    keycloak: &Keycloak,
) -> Result<TokenAnswer, keycloak::Fault> {
    let (realm, password) = (realm(keycloak), &keycloak.password);
    let Some(totp) = &keycloak.totp else {
        return realm.token(http, user, password, None).await;
    };
    let code = next_code(totp).await;
    match realm.token(http, user, password, Some(&code.text)).await {
        // Keycloak takes each once, and another process may have used this one.
        Err(keycloak::Fault::Credentials { one_time: true, .. }) => {
            info!("Keycloak does not take the one-time password: trying the next one");
            let code = next_code(totp).await;
            realm.token(http, user, password, Some(&code.text)).await
        }
        answer => answer,
    }
}

/// A one-time password that this process has not used yet; waits for it.
async fn next_code(totp: &Totp) -> Code {
    loop {
        match totp.take(SystemTime::now()) {
            Ok(code) => return code,
            Err(wait) => {
                info!("the next one-time password comes in {} s", wait.as_secs());
                sleep(wait.max(Duration::from_millis(1))).await;
            }
        }
    }
}

/// The realm that is configured.
pub fn realm(keycloak: &Keycloak) -> Realm {
    Realm {
        base: keycloak.url.to_string(),
        realm: keycloak.realm.clone(),
        client_id: keycloak.client_id.clone(),
        client_secret: keycloak.client_secret.clone(),
    }
}

/// Everything that is wrong with a token of Keycloak, as far as can be told from
/// here.
///
/// # Errors
/// The realm's keys are not to be had.
pub async fn examine(
    http: &Client,
    localpart: &str,
    jwt: &Jwt,
    keycloak: &Keycloak,
    token: &Secret,
) -> Result<Vec<TokenFault>, keycloak::Fault> {
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
    Ok(check(token, &keys, &expected, SystemTime::now()))
}
