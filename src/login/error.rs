//! The errors of one login attempt, each with its cure and the party that has to act.

use std::borrow::Cow;
use std::time::Duration;

use ruma::OwnedDeviceId;
use thiserror::Error as ThisError;

use super::diagnosis::Diagnosis;
use crate::auth::Responsible;
use crate::auth::jwt::MintError;
#[cfg(feature = "keycloak")]
use crate::auth::keycloak;
#[cfg(feature = "sso")]
use crate::auth::sso;
use crate::config::MethodName;
use crate::matrix::client::{self, DiscoveryError, DiscoveryFault, LoginError, VersionsFault};
use crate::net::{self, Remedy, TlsUnavailable};
use crate::util::printable;

/// The longest id of the server's that is shown, in bytes.
const MAX_SHOWN: usize = 100;

/// One attempt to log in failed. `Display` is one sentence without a full stop: the error and
/// the cure, without any secret.
#[derive(Debug, ThisError)]
pub enum Error {
    /// This build has no TLS.
    #[error("{0}")]
    TlsUnavailable(TlsUnavailable),
    /// The homeserver of the configured server name was not found.
    #[error("{}", discovery(.0))]
    Discovery(DiscoveryError),
    /// The configured URL is not of a homeserver.
    #[error("no homeserver is found: {0}; {cure}", cure = no_homeserver_cure(.0))]
    NoHomeserver(VersionsFault),
    /// The homeserver gives no usable answer.
    #[error("{}", no_answer(.0))]
    Homeserver(client::Fault),
    /// The homeserver does not offer the login type.
    #[error(
        "the homeserver offers no login of type {wanted}, only {}: {}",
        list(offered),
        how_to_offer(wanted)
    )]
    NotOffered {
        /// The login type.
        wanted: String,
        /// The login types that it offers.
        offered: Vec<String>,
    },
    /// The homeserver has no login endpoint.
    #[error(
        "the homeserver has no logins of its own (404): where Matrix Authentication Service does \
         them, use AUTH_METHOD=token, or give its public address in MATRIX_HOMESERVER"
    )]
    NoLogins,
    /// `M_USER_DEACTIVATED`.
    #[error(
        "{0}: the account is deactivated; have the homeserver's administrator reactivate it, or \
         name another one in MATRIX_USER"
    )]
    Deactivated(client::Fault),
    /// The homeserver refuses the credentials.
    #[error("{fault}; {}", refused_cure(*.method))]
    Refused {
        /// The method of the login.
        method: MethodName,
        /// The homeserver's answer.
        fault: client::Fault,
    },
    /// The homeserver refuses the token with `M_FORBIDDEN`, its answer to any fault of it.
    #[error("{fault}; {diagnosis}")]
    TokenRefused {
        /// The homeserver's answer.
        fault: client::Fault,
        /// The reason that was found out here.
        diagnosis: Diagnosis,
    },
    /// Keycloak issues no token.
    #[cfg(feature = "keycloak")]
    #[error("{0}")]
    Keycloak(keycloak::Error),
    /// The token cannot be made.
    #[error("{0}")]
    Mint(MintError),
    /// The login page gives no login token.
    #[cfg(feature = "sso")]
    #[error("{0}")]
    Sso(sso::Error),
    /// The answer to the login cannot be used.
    #[error("{0}")]
    Answer(LoginError),
    /// `MATRIX_ACCESS_TOKEN` is not valid, or no longer.
    #[error(
        "the homeserver does not know the token in MATRIX_ACCESS_TOKEN, or no longer: have a new \
         one made for the bot's device, and put it into the Secret"
    )]
    TokenEnded,
    /// `MATRIX_ACCESS_TOKEN` is not of `MATRIX_DEVICE_ID`, but of this device or of none.
    #[error(
        "the token in MATRIX_ACCESS_TOKEN is of {}, not of MATRIX_DEVICE_ID: write there the device \
         that the token was made for",
        device(.0.as_ref())
    )]
    TokenOfOtherDevice(Option<OwnedDeviceId>),
}

impl Error {
    /// The error of a login of this method that the homeserver does not do.
    pub(super) fn of(method: MethodName, fault: client::Fault) -> Self {
        match &fault {
            client::Fault::Refused { errcode, .. } if errcode == "M_USER_DEACTIVATED" => {
                Self::Deactivated(fault)
            }
            client::Fault::Refused { .. } => Self::Refused { method, fault },
            _ => Self::Homeserver(fault),
        }
    }

    /// The sentence, with the party that has to act.
    pub fn report(&self) -> String {
        format!("{self} (to be fixed in: {})", self.responsible())
    }
}

impl Remedy for Error {
    type Party = Responsible;

    fn responsible(&self) -> Responsible {
        use Responsible::{Configuration, Homeserver};
        match self {
            Self::TlsUnavailable(_)
            | Self::Mint(_)
            | Self::TokenEnded
            | Self::TokenOfOtherDevice(_)
            | Self::Answer(LoginError::OtherUser(_)) => Configuration,
            Self::Discovery(error) => unanswered(error).map_or(Homeserver, |error| {
                Responsible::for_silence(error, Homeserver)
            }),
            Self::NoHomeserver(VersionsFault::Unanswered(error))
            | Self::Homeserver(client::Fault::Unreachable(error)) => {
                Responsible::for_silence(error, Homeserver)
            }
            Self::NoHomeserver(VersionsFault::Status {
                status: 429 | 500..=599,
                ..
            }) => Homeserver,
            // Another server answers there.
            Self::NoHomeserver(_) => Configuration,
            Self::Homeserver(
                client::Fault::Unusable(_)
                | client::Fault::Broken {
                    redirect: Some(_), ..
                },
            ) => Configuration,
            Self::Refused { method, fault }
                if *method != MethodName::Sso && is_forbidden(fault) =>
            {
                Configuration
            }
            Self::TokenRefused { diagnosis, .. } => diagnosis.responsible(),
            #[cfg(feature = "keycloak")]
            Self::Keycloak(error) => error.responsible(),
            #[cfg(feature = "sso")]
            Self::Sso(error) => error.responsible(),
            _ => Homeserver,
        }
    }

    fn is_transient(&self) -> bool {
        match self {
            Self::Discovery(error) => error.is_transient(),
            Self::NoHomeserver(fault) => fault.is_transient(),
            Self::Homeserver(client::Fault::Broken {
                redirect: Some(to), ..
            }) => !to.is_permanent(),
            Self::Homeserver(fault) => fault.is_transient(),
            Self::TokenRefused { diagnosis, .. } => diagnosis.is_transient(),
            #[cfg(feature = "keycloak")]
            Self::Keycloak(error) => error.is_transient(),
            #[cfg(feature = "sso")]
            Self::Sso(error) => error.is_transient(),
            // The token of the login page is good for minutes, and once.
            Self::Refused { method, fault } => *method == MethodName::Sso && is_forbidden(fault),
            _ => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Homeserver(fault) => fault.retry_after(),
            #[cfg(feature = "keycloak")]
            Self::Keycloak(error) => error.retry_after(),
            #[cfg(feature = "sso")]
            Self::Sso(error) => error.retry_after(),
            _ => None,
        }
    }
}

/// Returns whether the homeserver gave its one answer to all wrong credentials.
pub(super) fn is_forbidden(fault: &client::Fault) -> bool {
    matches!(fault, client::Fault::Refused { errcode, .. } if errcode == "M_FORBIDDEN")
}

fn discovery(error: &DiscoveryError) -> String {
    match unanswered(error).and_then(transport_cure) {
        Some(cure) => format!("{error}; if that is right, {cure}"),
        None => error.to_string(),
    }
}

fn no_homeserver_cure(fault: &VersionsFault) -> Cow<'static, str> {
    match fault {
        VersionsFault::Unanswered(error) => unanswered_cure(error),
        fault => fault.cure("MATRIX_HOMESERVER").into(),
    }
}

fn no_answer(fault: &client::Fault) -> String {
    match fault {
        client::Fault::Unreachable(error) => format!("{fault}; {}", unanswered_cure(error)),
        fault => fault.to_string(),
    }
}

fn device(found: Option<&OwnedDeviceId>) -> String {
    found.map_or_else(
        || "no device".to_owned(),
        |found| format!("device {}", printable(found.as_str(), MAX_SHOWN)),
    )
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

/// The change of the homeserver that makes it offer a login type.
fn how_to_offer(kind: &str) -> &'static str {
    match kind {
        "m.login.password" => {
            "turn password_config on there, or choose another AUTH_METHOD; where Matrix \
             Authentication Service does the logins, AUTH_METHOD=token"
        }
        "m.login.sso" => "set oidc_providers up there, or choose another AUTH_METHOD",
        "org.matrix.login.jwt" => {
            "set jwt_config up there, or choose another JWT_LOGIN_TYPE; where Matrix \
             Authentication Service does the logins, AUTH_METHOD=token"
        }
        "com.famedly.login.token" => {
            "load synapse_token_authenticator there with a section jwt, or choose another \
             JWT_LOGIN_TYPE"
        }
        _ => {
            "load synapse_token_authenticator there with a section oauth, or choose another \
             JWT_LOGIN_TYPE"
        }
    }
}

/// The checks after a refusal.
fn refused_cure(method: MethodName) -> &'static str {
    match method {
        MethodName::Password => {
            "check MATRIX_USER and MATRIX_PASSWORD, and that the account exists, has a password \
             on this homeserver and is not deactivated"
        }
        MethodName::Sso => {
            "the login token of the login page was not taken: it had expired or was used before"
        }
        MethodName::Jwt => {
            "check that the homeserver's module for this login type is loaded and set up"
        }
        MethodName::Token => "check what the homeserver says of the account",
    }
}

/// The reason why a discovery got no answer, if it got none.
fn unanswered(error: &DiscoveryError) -> Option<&net::Error> {
    match &error.fault {
        DiscoveryFault::Unanswered(error)
        | DiscoveryFault::NoHomeserver {
            fault: VersionsFault::Unanswered(error),
            ..
        } => Some(error),
        _ => None,
    }
}

/// The cure where the configured homeserver does not answer.
fn unanswered_cure(error: &net::Error) -> Cow<'static, str> {
    transport_cure(error).unwrap_or("check MATRIX_HOMESERVER, and that the server runs".into())
}

/// The cure where TLS, the proxy or the port is the reason.
fn transport_cure(error: &net::Error) -> Option<Cow<'static, str>> {
    match &error.fault {
        net::Fault::Tls(fault) => fault.cure("EXTRA_CA_FILE").map(Cow::Owned),
        net::Fault::Proxy { .. } => Some("check HTTPS_PROXY and NO_PROXY".into()),
        net::Fault::NotHttp => {
            Some("check the address: where a port speaks TLS, https:// stands before it".into())
        }
        _ => None,
    }
}
