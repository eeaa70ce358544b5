//! Logins with a JSON Web Token: where it comes from, and what takes it.

use std::rc::Rc;

use super::address::{BaseUrl, keycloak};
use super::fault::{Flaw, quoted};
use super::reader::{Reader, masked, text};
use super::table::{
    AUDIENCE, CLIENT_SECRET, ISSUER, JWT_LOGIN_TYPE, JWT_SECRET, KEYCLOAK_CLIENT_ID,
    KEYCLOAK_REALM, KEYCLOAK_URL, PASSWORD, TOTP_SECRET,
};
use crate::auth::jwt::{MIN_SECRET_BYTES, Totp};
use crate::util::Secret;

/// A login with a JSON Web Token.
#[derive(Clone, Debug)]
pub struct Jwt {
    /// What takes the token (`JWT_LOGIN_TYPE`).
    pub login_type: JwtLoginType,
    /// Where the token comes from.
    pub source: JwtSource,
    /// The audience that it must have, if any (`JWT_AUDIENCE`).
    pub audience: Option<String>,
}

/// The login types that take a JSON Web Token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtLoginType {
    /// synapse-token-authenticator's `oauth`.
    FamedlyOauth,
    /// synapse-token-authenticator's `jwt`.
    FamedlyToken,
    /// Synapse's own `jwt_config`.
    Native,
}

/// Where a JSON Web Token comes from.
#[derive(Clone, Debug)]
pub enum JwtSource {
    /// From Keycloak, by a password.
    Keycloak(Box<Keycloak>),
    /// Made here, with a secret that the homeserver knows (`JWT_SECRET`).
    Secret(Secret),
}

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

impl Jwt {
    /// Reads what a token takes, which `why` makes necessary; `asked` comes before
    /// `JWT_LOGIN_TYPE`.
    pub(super) fn read(r: &mut Reader<'_>, why: &str, asked: Option<JwtLoginType>) -> Option<Self> {
        let keycloak = (!r.is_set(&JWT_SECRET)).then(|| Keycloak::read(r, why));
        let audience = r.optional(&AUDIENCE, text, String::clone);
        let login_type = asked.or_else(|| {
            let shown = |kind: &JwtLoginType| kind.as_str().to_owned();
            r.read(&JWT_LOGIN_TYPE, JwtLoginType::parse, shown)
        });
        let source = match keycloak {
            Some(keycloak) => keycloak.map(Box::new).map(JwtSource::Keycloak),
            None => secret(r, login_type).map(JwtSource::Secret),
        };
        Some(Self {
            login_type: login_type?,
            source: source?,
            audience: audience?,
        })
    }
}

impl Keycloak {
    fn read(r: &mut Reader<'_>, why: &str) -> Option<Self> {
        let password = r.needed_secret(&PASSWORD, why);
        let parse = |text: &str| keycloak(text, false);
        let url = r.needed(&KEYCLOAK_URL, why, parse, BaseUrl::to_string);
        let realm = r.needed(&KEYCLOAK_REALM, why, realm, String::clone);
        let client_id = r.needed(&KEYCLOAK_CLIENT_ID, why, visible, String::clone);
        let client_secret = r.secret(&CLIENT_SECRET);
        let totp = totp(r);
        let issuer = r.optional(&ISSUER, text, String::clone);
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

impl JwtLoginType {
    /// The `type` of the login request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FamedlyOauth => "com.famedly.login.token.oauth",
            Self::FamedlyToken => "com.famedly.login.token",
            Self::Native => "org.matrix.login.jwt",
        }
    }

    /// The login type of this name, if it is one of the three.
    pub fn of(text: &str) -> Option<Self> {
        let known = [Self::FamedlyOauth, Self::FamedlyToken, Self::Native];
        known.into_iter().find(|known| known.as_str() == text)
    }

    fn parse(text: &str) -> Result<Self, Flaw> {
        Self::of(text).ok_or_else(|| {
            Flaw::new(
                format!("is no login type that takes a token: {}", quoted(text)),
                "write com.famedly.login.token.oauth, com.famedly.login.token or \
                 org.matrix.login.jwt",
            )
        })
    }
}

/// The secret that tokens are made from, which is set.
fn secret(r: &mut Reader<'_>, login_type: Option<JwtLoginType>) -> Option<Secret> {
    let given = r.given_by(&JWT_SECRET)?;
    if r.is_set(&KEYCLOAK_URL) {
        let flaw = Flaw::new(
            "is set, and so is KEYCLOAK_URL",
            "keep JWT_SECRET to make tokens here, or KEYCLOAK_URL to get them from Keycloak",
        );
        r.fault(given, flaw);
    }
    if login_type.is_some_and(|kind| kind != JwtLoginType::FamedlyToken) {
        let flaw = Flaw::new(
            "is set, and this login type takes no token made from it",
            "write JWT_LOGIN_TYPE=com.famedly.login.token, or leave the secret unset and get the \
             token from Keycloak",
        );
        r.fault(given, flaw);
    }
    let parse = |text: &str| {
        if text.len() < MIN_SECRET_BYTES {
            return Err(Flaw::new(
                format!("is shorter than {MIN_SECRET_BYTES} bytes"),
                "make one by: openssl rand -hex 64; and give it to the homeserver's module too",
            ));
        }
        Ok(Secret::new(text.to_owned()))
    };
    r.either(&JWT_SECRET, parse, masked)?
}

pub(super) fn totp(r: &mut Reader<'_>) -> Option<Option<Rc<Totp>>> {
    let parse = |text: &str| {
        Totp::parse(text).map(Rc::new).map_err(|fault| {
            Flaw::new(
                format!("is no secret of one-time passwords: {fault}"),
                "give the base32 text that Keycloak shows under \"Unable to scan?\", or the \
                 otpauth:// URI of the QR code",
            )
        })
    };
    r.either(&TOTP_SECRET, parse, masked)
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
