//! The login methods and the settings that each needs.

use ruma::OwnedDeviceId;

use super::fault::{Flaw, quoted};
use super::jwt::{Jwt, JwtLoginType};
use super::reader::Reader;
#[cfg(feature = "sso")]
use super::sso::Sso;
use super::table::{AUTH_METHOD, MATRIX_ACCESS_TOKEN, MATRIX_DEVICE_ID, MATRIX_PASSWORD};
use super::values::id;
use crate::util::Secret;

/// A login method (`AUTH_METHOD`) with its credentials.
#[derive(Clone, Debug)]
pub enum Method {
    /// By the password of its account on the homeserver.
    Password(Secret),
    /// By a token that somebody else vouches for.
    Jwt(Jwt),
    /// Through the login page of an identity provider.
    #[cfg(feature = "sso")]
    Sso(Sso),
    /// By an access token made beforehand.
    Token(AccessToken),
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

/// Settings that a subcommand's arguments give instead of the environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Instead of `AUTH_METHOD`.
    pub method: Option<MethodName>,
    /// Instead of `JWT_LOGIN_TYPE`.
    pub login_type: Option<JwtLoginType>,
}

impl Method {
    /// Its name.
    pub fn name(&self) -> MethodName {
        match self {
            Self::Password(_) => MethodName::Password,
            Self::Jwt(_) => MethodName::Jwt,
            #[cfg(feature = "sso")]
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
        r.need = format!("AUTH_METHOD={} needs it", name.as_str());
        match name {
            MethodName::Password => r.needed_secret(&MATRIX_PASSWORD).map(Self::Password),
            MethodName::Jwt => Jwt::read(r, overrides.login_type).map(Self::Jwt),
            #[cfg(feature = "sso")]
            MethodName::Sso => Sso::read(r).map(Self::Sso),
            #[cfg(not(feature = "sso"))]
            MethodName::Sso => {
                let flaw = Flaw::new(
                    "is sso, which needs a build with the feature sso",
                    "build the program with its default features, or choose another way to log in",
                );
                r.fault(AUTH_METHOD.name, flaw);
                None
            }
            MethodName::Token => AccessToken::read(r).map(Self::Token),
        }
    }
}

impl AccessToken {
    fn read(r: &mut Reader<'_>) -> Option<Self> {
        let token = r.needed_secret(&MATRIX_ACCESS_TOKEN);
        let device = r.read(&MATRIX_DEVICE_ID, id, String::clone);
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
}
