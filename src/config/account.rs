//! The bot's account: whose it is, where, and what proves it.

use std::ffi::OsString;

use super::login::{JwtLoginType, JwtSource, Method, MethodName};
use super::network::Network;
use super::summary::{mask, value};
use super::variables::{
    ACCESS_TOKEN, AUDIENCE, AUTH_METHOD, CLIENT_SECRET, DEVICE_ID, HOMESERVER, ISSUER,
    JWT_LOGIN_TYPE, JWT_SECRET, KEYCLOAK_CLIENT_ID, KEYCLOAK_REALM, KEYCLOAK_URL, PASSWORD,
    SSO_IDP_ID, TOTP_SECRET, USER,
};
use super::{BaseUrl, BotUser, Faults, Homeserver};

/// Everything that a login needs, and nothing of the cluster.
#[derive(Clone, Debug)]
pub struct Account {
    /// Where the homeserver is (`MATRIX_HOMESERVER`).
    pub homeserver: Homeserver,
    /// Whose account it is (`MATRIX_USER`).
    pub user: BotUser,
    /// How to log in (`AUTH_METHOD` and what it needs).
    pub method: Method,
    /// How the homeserver and Keycloak are reached.
    pub network: Network,
}

/// What the arguments of a subcommand say instead of the environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Instead of `AUTH_METHOD`.
    pub method: Option<MethodName>,
    /// Instead of `JWT_LOGIN_TYPE`.
    pub login_type: Option<JwtLoginType>,
}

impl Account {
    /// Reads what a login needs.
    ///
    /// # Errors
    /// Every fault there is.
    pub fn from_env(
        env: &impl Fn(&str) -> Option<OsString>,
        overrides: Overrides,
    ) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let account = Self::read(env, overrides, &mut faults);
        account.filter(|_| faults.is_empty()).ok_or(faults)
    }

    pub(super) fn read(
        env: &impl Fn(&str) -> Option<OsString>,
        overrides: Overrides,
        faults: &mut Faults,
    ) -> Option<Self> {
        let homeserver = faults.keep(HOMESERVER.read(env, Homeserver::parse));
        let user = faults.keep(USER.read(env, BotUser::parse));
        let method = Method::read(env, overrides.method, overrides.login_type, faults);
        let network = Network::read(env, faults);
        Some(Self {
            homeserver: homeserver?,
            user: user?,
            method: method?,
            network: network?,
        })
    }

    /// A line for each setting that the method uses; secrets are masked,
    /// whatever their length.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![
            (HOMESERVER.name, self.homeserver.to_string()),
            (USER.name, self.user.to_string()),
            (AUTH_METHOD.name, self.method.name().as_str().to_owned()),
        ];
        match &self.method {
            Method::Password(password) => rows.push((PASSWORD.name, mask(Some(password)))),
            Method::Jwt(jwt) => {
                match &jwt.source {
                    JwtSource::Keycloak(keycloak) => rows.extend([
                        (PASSWORD.name, mask(Some(&keycloak.password))),
                        (KEYCLOAK_URL.name, keycloak.url.to_string()),
                        (KEYCLOAK_REALM.name, keycloak.realm.clone()),
                        (KEYCLOAK_CLIENT_ID.name, keycloak.client_id.clone()),
                        (CLIENT_SECRET.name, mask(keycloak.client_secret.as_ref())),
                        (TOTP_SECRET.name, mask(keycloak.totp.as_ref())),
                        (
                            ISSUER.name,
                            value(keycloak.issuer.as_ref(), "as Keycloak says"),
                        ),
                    ]),
                    JwtSource::Secret(secret) => rows.push((JWT_SECRET.name, mask(Some(secret)))),
                }
                rows.push((AUDIENCE.name, value(jwt.audience.as_ref(), "any")));
                rows.push((JWT_LOGIN_TYPE.name, jwt.login_type.as_str().to_owned()));
            }
            Method::Sso(sso) => rows.extend([
                (PASSWORD.name, mask(Some(&sso.password))),
                (TOTP_SECRET.name, mask(sso.totp.as_ref())),
                (SSO_IDP_ID.name, sso.provider.clone()),
                (
                    KEYCLOAK_URL.name,
                    value(sso.url.as_ref().map(BaseUrl::to_string).as_ref(), "any"),
                ),
                (KEYCLOAK_REALM.name, value(sso.realm.as_ref(), "any")),
            ]),
            Method::Token(token) => rows.extend([
                (ACCESS_TOKEN.name, mask(Some(&token.token))),
                (DEVICE_ID.name, token.device.to_string()),
            ]),
        }
        rows.extend(self.network.rows());
        rows
    }
}
