//! What to ask Keycloak for a token with.

use std::ffi::OsString;
use std::rc::Rc;

use super::base_url::BaseUrl;
use super::fault::{Fault, Faults, Flaw, quoted};
use super::file;
use super::login::{totp, url};
use super::variables::{
    AUDIENCE, CLIENT_SECRET, CLIENT_SECRET_FILE, ISSUER, KEYCLOAK_CLIENT_ID, KEYCLOAK_REALM,
    KEYCLOAK_URL,
};
use crate::auth::jwt::Totp;
use crate::util::Secret;

/// A realm of Keycloak's, and what the bot is known by there.
#[derive(Clone, Debug)]
pub struct Keycloak {
    /// Where Keycloak is (`KEYCLOAK_URL`).
    pub url: BaseUrl,
    /// The realm's name (`KEYCLOAK_REALM`).
    pub realm: String,
    /// The client that the token is made for (`KEYCLOAK_CLIENT_ID`).
    pub client_id: String,
    /// The client's secret; a public client has none
    /// (`KEYCLOAK_CLIENT_SECRET`).
    pub client_secret: Option<Secret>,
    /// The account's password there (`MATRIX_PASSWORD`).
    pub password: Secret,
    /// What one-time passwords are made from (`KEYCLOAK_TOTP_SECRET`).
    pub totp: Option<Rc<Totp>>,
    /// The issuer that the homeserver expects, if not the one that Keycloak says
    /// it is (`KEYCLOAK_ISSUER`).
    pub issuer: Option<String>,
}

impl Keycloak {
    pub(super) fn read(
        env: &impl Fn(&str) -> Option<OsString>,
        why: &str,
        password: Option<Secret>,
        faults: &mut Faults,
    ) -> Option<Self> {
        let url = faults.keep(url(env, &KEYCLOAK_URL, why));
        let realm = faults.keep(KEYCLOAK_REALM.needed(env, why, realm));
        let client_id = faults.keep(KEYCLOAK_CLIENT_ID.needed(env, why, visible));
        let client_secret = faults.keep(file::secret(env, &CLIENT_SECRET, &CLIENT_SECRET_FILE));
        let totp = faults.keep(totp(env));
        let issuer = faults.keep(ISSUER.read(env, optional));
        Some(Self {
            issuer: issuer?,
            url: url?,
            realm: realm?,
            client_id: client_id?,
            client_secret: client_secret?,
            password: password?,
            totp: totp?,
        })
    }
}

/// The audience that a token must have, if any.
pub(super) fn claim(env: &impl Fn(&str) -> Option<OsString>) -> Result<Option<String>, Vec<Fault>> {
    AUDIENCE.read(env, optional)
}

fn optional(text: &str) -> Result<Option<String>, Flaw> {
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

pub(super) fn realm(text: &str) -> Result<String, Flaw> {
    match text.contains('/') {
        true => Err(no_name(text)),
        false => visible(text),
    }
}

/// A client's id may be a URL.
fn visible(text: &str) -> Result<String, Flaw> {
    match text.contains(char::is_control) {
        true => Err(no_name(text)),
        false => Ok(text.to_owned()),
    }
}

fn no_name(text: &str) -> Flaw {
    Flaw::new(
        format!("is no name: {}", quoted(text)),
        "write the name alone, as Keycloak's console shows it",
    )
}
