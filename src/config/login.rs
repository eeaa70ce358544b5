//! How to log in.

use std::ffi::OsString;
use std::rc::Rc;

use ruma::OwnedDeviceId;

use super::base_url::BaseUrl;
use super::fault::{Fault, Faults, Flaw, quoted};
use super::file;
use super::habits;
use super::keycloak::{self, Keycloak};
use super::variable::Variable;
use super::variables::{
    ACCESS_TOKEN, ACCESS_TOKEN_FILE, AUTH_METHOD, DEVICE_ID, JWT_LOGIN_TYPE, JWT_SECRET,
    JWT_SECRET_FILE, KEYCLOAK_REALM, KEYCLOAK_URL, PASSWORD, PASSWORD_FILE, SSO_IDP_ID,
    TOTP_SECRET, TOTP_SECRET_FILE,
};
use crate::auth::jwt::{MIN_SECRET_BYTES, Totp};
use crate::util::Secret;

/// The longest device or provider id taken, in bytes: that of any Matrix id.
const MAX_ID: usize = 255;

/// How the bot proves who it is (`AUTH_METHOD`).
#[derive(Clone, Debug)]
pub enum Method {
    /// By the password of its account on the homeserver.
    Password(Secret),
    /// By a token that somebody else vouches for.
    Jwt(Jwt),
    /// Through the login page of an identity provider.
    Sso(Sso),
    /// By an access token made beforehand.
    Token(AccessToken),
}

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

/// A login through an identity provider's page.
#[derive(Clone, Debug)]
pub struct Sso {
    /// The provider (`SSO_IDP_ID`).
    pub provider: String,
    /// The account's password there.
    pub password: Secret,
    /// What one-time passwords are made from (`KEYCLOAK_TOTP_SECRET`).
    pub totp: Option<Rc<Totp>>,
    /// Where the login page has to be (`KEYCLOAK_URL`).
    pub url: Option<BaseUrl>,
    /// The realm that it has to be of (`KEYCLOAK_REALM`).
    pub realm: Option<String>,
}

/// An access token made beforehand, and its device.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The token (`MATRIX_ACCESS_TOKEN`).
    pub token: Secret,
    /// Its device (`MATRIX_DEVICE_ID`).
    pub device: OwnedDeviceId,
}

/// The names of the methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodName {
    /// `password`
    Password,
    /// `jwt`
    Jwt,
    /// `sso`
    Sso,
    /// `token`
    Token,
}

impl Method {
    /// Its name.
    pub fn name(&self) -> MethodName {
        match self {
            Self::Password(_) => MethodName::Password,
            Self::Jwt(_) => MethodName::Jwt,
            Self::Sso(_) => MethodName::Sso,
            Self::Token(_) => MethodName::Token,
        }
    }

    /// Reads what the method needs, `named` if it is not `AUTH_METHOD` that names it.
    pub(super) fn read(
        env: &impl Fn(&str) -> Option<OsString>,
        named: Option<MethodName>,
        login_type: Option<JwtLoginType>,
        faults: &mut Faults,
    ) -> Option<Self> {
        let name = match named {
            Some(name) => name,
            None => faults.keep(AUTH_METHOD.read(env, MethodName::parse))?,
        };
        match name {
            MethodName::Password => password(env, name, faults).map(Self::Password),
            MethodName::Jwt => jwt(env, login_type, faults).map(Self::Jwt),
            MethodName::Sso => {
                let password = password(env, name, faults);
                let totp = faults.keep(totp(env));
                let url = faults.keep(KEYCLOAK_URL.read(env, |text| match text {
                    "" => Ok(None),
                    text => {
                        habits::keycloak(text, true)?;
                        BaseUrl::parse(text).map(Some)
                    }
                }));
                let realm = faults.keep(KEYCLOAK_REALM.read(env, |text| match text {
                    "" => Ok(None),
                    text => keycloak::realm(text).map(Some),
                }));
                let provider = faults.keep(SSO_IDP_ID.read(env, id));
                Some(Self::Sso(Sso {
                    provider: provider?,
                    password: password?,
                    totp: totp?,
                    url: url?,
                    realm: realm?,
                }))
            }
            MethodName::Token => {
                let why = name.needs();
                let token = faults.keep(file::needed(env, &ACCESS_TOKEN, &ACCESS_TOKEN_FILE, why));
                let device = faults.keep(DEVICE_ID.needed(env, why, id));
                Some(Self::Token(AccessToken {
                    token: token?,
                    device: device?.into(),
                }))
            }
        }
    }
}

impl MethodName {
    /// Its name in `AUTH_METHOD`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Jwt => "jwt",
            Self::Sso => "sso",
            Self::Token => "token",
        }
    }

    /// Reads `AUTH_METHOD`, in upper or lower case.
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        let known = [Self::Password, Self::Jwt, Self::Sso, Self::Token];
        known
            .into_iter()
            .find(|name| text.eq_ignore_ascii_case(name.as_str()))
            .ok_or_else(|| {
                Flaw::new(
                    format!("is no way to log in: {}", quoted(text)),
                    "write password, jwt, sso or token",
                )
            })
    }

    fn needs(self) -> &'static str {
        match self {
            Self::Password => "AUTH_METHOD=password needs it",
            Self::Jwt => "AUTH_METHOD=jwt needs it",
            Self::Sso => "AUTH_METHOD=sso needs it",
            Self::Token => "AUTH_METHOD=token needs it",
        }
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

fn password(
    env: &impl Fn(&str) -> Option<OsString>,
    method: MethodName,
    faults: &mut Faults,
) -> Option<Secret> {
    faults.keep(file::needed(env, &PASSWORD, &PASSWORD_FILE, method.needs()))
}

fn jwt(
    env: &impl Fn(&str) -> Option<OsString>,
    asked: Option<JwtLoginType>,
    faults: &mut Faults,
) -> Option<Jwt> {
    let own = JWT_SECRET.is_set(env) || JWT_SECRET_FILE.is_set(env);
    let keycloak = (!own).then(|| {
        let password = password(env, MethodName::Jwt, faults);
        Keycloak::read(env, MethodName::Jwt.needs(), password, faults)
    });
    let audience = faults.keep(keycloak::claim(env));
    let login_type = match asked {
        Some(asked) => Some(asked),
        None => faults.keep(JWT_LOGIN_TYPE.read(env, JwtLoginType::parse)),
    };
    let source = match keycloak {
        Some(keycloak) => keycloak.map(Box::new).map(JwtSource::Keycloak),
        None => faults
            .keep(secret(env, login_type))
            .flatten()
            .map(JwtSource::Secret),
    };
    Some(Jwt {
        login_type: login_type?,
        source: source?,
        audience: audience?,
    })
}

fn secret(
    env: &impl Fn(&str) -> Option<OsString>,
    login_type: Option<JwtLoginType>,
) -> Result<Option<Secret>, Vec<Fault>> {
    let given = match JWT_SECRET.is_set(env) {
        true => JWT_SECRET.name,
        false => JWT_SECRET_FILE.name,
    };
    let mut faults = Vec::new();
    if KEYCLOAK_URL.is_set(env) {
        let flaw = Flaw::new(
            "is set, and so is KEYCLOAK_URL",
            "keep JWT_SECRET to make tokens here, or KEYCLOAK_URL to get them from Keycloak",
        );
        faults.push(flaw.of(given));
    }
    if login_type.is_some_and(|kind| kind != JwtLoginType::FamedlyToken) {
        let flaw = Flaw::new(
            "is set, and this login type takes no token made from it",
            "write JWT_LOGIN_TYPE=com.famedly.login.token, or leave the secret unset and get the \
             token from Keycloak",
        );
        faults.push(flaw.of(given));
    }
    let read = file::either(env, &JWT_SECRET, &JWT_SECRET_FILE, |text| {
        if text.len() < MIN_SECRET_BYTES {
            return Err(Flaw::new(
                format!("is shorter than {MIN_SECRET_BYTES} bytes"),
                "make one by: openssl rand -hex 64; and give it to the homeserver's module too",
            ));
        }
        Ok(Secret::new(text.to_owned()))
    });
    match read {
        Ok(secret) if faults.is_empty() => Ok(secret),
        Ok(_) => Err(faults),
        Err(more) => {
            faults.extend(more);
            Err(faults)
        }
    }
}

pub(super) fn totp(
    env: &impl Fn(&str) -> Option<OsString>,
) -> Result<Option<Rc<Totp>>, Vec<Fault>> {
    file::either(env, &TOTP_SECRET, &TOTP_SECRET_FILE, |text| {
        Totp::parse(text).map(Rc::new).map_err(|fault| {
            Flaw::new(
                format!("is no secret of one-time passwords: {fault}"),
                "give the base32 text that Keycloak shows under \"Unable to scan?\", or the \
                 otpauth:// URI of the QR code",
            )
        })
    })
}

/// Keycloak's URL, in this variable.
pub(super) fn url(
    env: &impl Fn(&str) -> Option<OsString>,
    variable: &Variable,
    why: &str,
) -> Result<BaseUrl, Vec<Fault>> {
    variable.needed(env, why, |text| {
        habits::keycloak(text, false)?;
        BaseUrl::parse(text)
    })
}

/// An id that another program made up: visible, and not too long.
fn id(text: &str) -> Result<String, Flaw> {
    if text.len() <= MAX_ID && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(Flaw::new(
        format!("is no id: {}", quoted(text)),
        "write it as the homeserver shows it, without spaces",
    ))
}
