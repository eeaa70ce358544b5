//! How to log in.

use std::rc::Rc;

use ruma::OwnedDeviceId;

use super::BaseUrl;
use super::account::Overrides;
use super::address::keycloak;
use super::fault::{Flaw, quoted};
use super::jwt::{Jwt, realm, totp};
use super::reader::Reader;
use super::table::{
    ACCESS_TOKEN, AUTH_METHOD, DEVICE_ID, KEYCLOAK_REALM, KEYCLOAK_URL, PASSWORD, SSO_IDP_ID,
};
use crate::auth::jwt::Totp;
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

    /// Reads what the method needs.
    pub(super) fn read(r: &mut Reader<'_>, overrides: Overrides) -> Option<Self> {
        let name = match overrides.method {
            Some(name) => name,
            None => {
                let shown = |name: &MethodName| name.as_str().to_owned();
                r.read(&AUTH_METHOD, MethodName::parse, shown)?
            }
        };
        match name {
            MethodName::Password => r.needed_secret(&PASSWORD, name.needs()).map(Self::Password),
            MethodName::Jwt => Jwt::read(r, name.needs(), overrides.login_type).map(Self::Jwt),
            MethodName::Sso => Sso::read(r, name.needs()).map(Self::Sso),
            MethodName::Token => AccessToken::read(r, name.needs()).map(Self::Token),
        }
    }
}

impl Sso {
    fn read(r: &mut Reader<'_>, why: &str) -> Option<Self> {
        let password = r.needed_secret(&PASSWORD, why);
        let totp = totp(r);
        let parse = |text: &str| keycloak(text, true);
        let url = r.optional(&KEYCLOAK_URL, parse, BaseUrl::to_string);
        let realm = r.optional(&KEYCLOAK_REALM, realm, String::clone);
        let provider = r.read(&SSO_IDP_ID, id, String::clone);
        Some(Self {
            provider: provider?,
            password: password?,
            totp: totp?,
            url: url?,
            realm: realm?,
        })
    }
}

impl AccessToken {
    fn read(r: &mut Reader<'_>, why: &str) -> Option<Self> {
        let token = r.needed_secret(&ACCESS_TOKEN, why);
        let device = r.needed(&DEVICE_ID, why, id, String::clone);
        Some(Self {
            token: token?,
            device: device?.into(),
        })
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
