//! Logins with a JSON Web Token: where it comes from, and what takes it.

use super::fault::{Flaw, quoted};
#[cfg(feature = "keycloak")]
use super::keycloak::Keycloak;
use super::reader::{Reader, masked, text};
#[cfg(not(feature = "keycloak"))]
use super::table::AUTH_METHOD;
use super::table::{JWT_AUDIENCE, JWT_LOGIN_TYPE, JWT_SECRET, KEYCLOAK_URL};
use crate::auth::jwt::MIN_SECRET_BYTES;
use crate::util::Secret;

/// A login with a JSON Web Token.
#[derive(Clone, Debug)]
pub struct Jwt {
    /// The login type that takes the token (`JWT_LOGIN_TYPE`).
    pub login_type: JwtLoginType,
    /// The source of the token.
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

/// The source of a JSON Web Token.
#[derive(Clone, Debug)]
pub enum JwtSource {
    /// From Keycloak, by a password.
    #[cfg(feature = "keycloak")]
    Keycloak(Box<Keycloak>),
    /// Made here, with a secret that the homeserver knows (`JWT_SECRET`).
    Secret(Secret),
}

impl Jwt {
    /// Reads what a token takes; `asked` comes before `JWT_LOGIN_TYPE`.
    pub(super) fn read(r: &mut Reader<'_>, asked: Option<JwtLoginType>) -> Option<Self> {
        let keycloak = r.given_by(&JWT_SECRET).is_none().then(|| from_keycloak(r));
        let audience = r.optional(&JWT_AUDIENCE, text, String::clone);
        let login_type = asked.or_else(|| {
            let shown = |kind: &JwtLoginType| kind.as_str().to_owned();
            r.read(&JWT_LOGIN_TYPE, JwtLoginType::parse, shown)
        });
        let source = match keycloak {
            Some(keycloak) => keycloak,
            None => secret(r, login_type).map(JwtSource::Secret),
        };
        Some(Self {
            login_type: login_type?,
            source: source?,
            audience: audience?,
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

/// The source of tokens that are not made here.
#[cfg(feature = "keycloak")]
fn from_keycloak(r: &mut Reader<'_>) -> Option<JwtSource> {
    Keycloak::read(r).map(Box::new).map(JwtSource::Keycloak)
}

#[cfg(not(feature = "keycloak"))]
fn from_keycloak(r: &mut Reader<'_>) -> Option<JwtSource> {
    let flaw = Flaw::new(
        "is jwt, which needs JWT_SECRET or a build with the feature keycloak",
        "set JWT_SECRET, or build the program with its default features",
    );
    r.fault(AUTH_METHOD.name, flaw);
    None
}

/// The secret that tokens are made from, which is set.
fn secret(r: &mut Reader<'_>, login_type: Option<JwtLoginType>) -> Option<Secret> {
    let given = r.given_by(&JWT_SECRET)?;
    if r.given_by(&KEYCLOAK_URL).is_some() {
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
    r.optional(&JWT_SECRET, parse, masked)?
}
