//! Why a login failed, and whose fault it is.

use std::fmt;
use std::time::Duration;

use super::diagnosis::Diagnosis;
use crate::auth::jwt::MintError;
use crate::auth::{keycloak, sso};
use crate::config::MethodName;
use crate::matrix::client::{self, DiscoveryError, DiscoveryFault, LoginError, VersionsFault};
use crate::net::{self, Stage, TlsUnavailable};

/// Who has to change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Responsible {
    /// Whoever wrote this program's environment.
    Configuration,
    /// Keycloak, or whoever set it up.
    Keycloak,
    /// The homeserver with its modules, or whoever set it up.
    Homeserver,
    /// What lies between: network, proxy, TLS, clocks.
    Network,
}

impl fmt::Display for Responsible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configuration => "this program's configuration",
            Self::Keycloak => "Keycloak",
            Self::Homeserver => "the homeserver",
            Self::Network => "the network, or a clock",
        })
    }
}

/// Why one attempt to log in failed. `Display` is a sentence that says what to
/// change, without any secret.
#[derive(Debug)]
pub enum Fault {
    /// There is no TLS in this build.
    TlsUnavailable(TlsUnavailable),
    /// There is no address of the homeserver.
    Discovery(DiscoveryError),
    /// What is configured as the homeserver is none.
    NoHomeserver(VersionsFault),
    /// The homeserver does not answer as it should.
    Homeserver(client::Fault),
    /// The homeserver does not offer the login type.
    NotOffered {
        /// The login type.
        wanted: String,
        /// Those that it offers.
        offered: Vec<String>,
    },
    /// The homeserver, which is one, has no logins of its own.
    NoLogins,
    /// The homeserver refuses what it was given.
    Refused {
        /// How it was logged in.
        method: MethodName,
        /// What the homeserver said.
        fault: client::Fault,
    },
    /// The homeserver refuses the token as it refuses every one, with `M_FORBIDDEN`.
    TokenRefused {
        /// What the homeserver said.
        fault: client::Fault,
        /// What was found out here.
        diagnosis: Diagnosis,
    },
    /// Keycloak gives no token.
    Keycloak(keycloak::Fault),
    /// The token cannot be made.
    Mint(MintError),
    /// The login page leads nowhere.
    Sso(sso::Fault),
    /// The answer to the login cannot be used.
    Answer(LoginError),
    /// `MATRIX_ACCESS_TOKEN` is not good, or no longer.
    TokenEnded,
    /// `MATRIX_ACCESS_TOKEN` belongs to another device than `MATRIX_DEVICE_ID`.
    TokenOfOtherDevice(String),
}

impl Responsible {
    /// Whose fault it is that Keycloak gives nothing.
    pub(super) fn of_keycloak(fault: &keycloak::Fault) -> Self {
        match fault {
            keycloak::Fault::Unreachable(error) => Self::of_silence(error, Self::Keycloak),
            keycloak::Fault::Url(_)
            | keycloak::Fault::Credentials { .. }
            | keycloak::Fault::ClientSecret { .. }
            | keycloak::Fault::UnknownClient { .. }
            | keycloak::Fault::UnknownRealm { .. }
            | keycloak::Fault::Redirected { .. }
            | keycloak::Fault::NotKeycloak { .. }
            | keycloak::Fault::HttpsRequired
            | keycloak::Fault::WrongPath => Self::Configuration,
            _ => Self::Keycloak,
        }
    }

    fn of_versions(fault: &VersionsFault) -> Self {
        match fault {
            VersionsFault::Unanswered(error) => Self::of_silence(error, Self::Homeserver),
            VersionsFault::Status {
                status: 429 | 500..=599,
                ..
            } => Self::Homeserver,
            // What answers there is none.
            VersionsFault::Url(_)
            | VersionsFault::Status { .. }
            | VersionsFault::Malformed { .. }
            | VersionsFault::Redirected { .. } => Self::Configuration,
        }
    }

    fn of_sso(fault: &sso::Fault) -> Self {
        use sso::Fault as F;
        let of = |party: &sso::Responsible| match party {
            sso::Responsible::Homeserver => Self::Homeserver,
            sso::Responsible::Keycloak => Self::Keycloak,
            sso::Responsible::Other(_) => Self::Network,
        };
        match fault {
            F::UnknownProvider { .. }
            | F::BadHomeserver
            | F::OtherProvider { .. }
            | F::PasswordRefused { .. }
            | F::CodeNeeded
            | F::CodeRefused { .. } => Self::Configuration,
            F::Unreachable { party, error } => Self::of_silence(error, of(party)),
            F::TooLong(_) => Self::Network,
            F::Limited { party, .. }
            | F::Failing { party, .. }
            | F::Redirect { party, .. }
            | F::UnknownPage { party, .. } => of(party),
            F::TooManyRedirects(_)
            | F::NewAccount
            | F::SessionLost
            | F::HomeserverRefused { .. }
            | F::NoToken => Self::Homeserver,
            F::Plaintext { .. }
            | F::FormLeadsAway
            | F::Consent
            | F::RequiredAction { .. }
            | F::KeycloakRefused { .. } => Self::Keycloak,
        }
    }

    /// Whose fault it is that `server` gives no answer: its own, unless nobody
    /// came as far as to it.
    fn of_silence(error: &net::Error, server: Self) -> Self {
        match &error.fault {
            net::Fault::Resolve(_)
            | net::Fault::Tls(_)
            | net::Fault::Connect(_)
            | net::Fault::Proxy { .. }
            | net::Fault::Deadline {
                stage: Stage::Connecting,
                ..
            } => Self::Network,
            _ => server,
        }
    }
}

impl Fault {
    /// Whose fault it is, as far as can be told from here.
    pub fn party(&self) -> Responsible {
        match self {
            Self::TlsUnavailable(_)
            | Self::Mint(_)
            | Self::TokenEnded
            | Self::TokenOfOtherDevice(_)
            | Self::Answer(LoginError::OtherUser(_)) => Responsible::Configuration,
            Self::Discovery(error) => match &error.fault {
                DiscoveryFault::Unanswered(error) => {
                    Responsible::of_silence(error, Responsible::Homeserver)
                }
                DiscoveryFault::NoHomeserver {
                    fault: VersionsFault::Unanswered(error),
                    ..
                } => Responsible::of_silence(error, Responsible::Homeserver),
                _ => Responsible::Homeserver,
            },
            Self::NoHomeserver(fault) => Responsible::of_versions(fault),
            Self::Homeserver(client::Fault::Unreachable(error)) => {
                Responsible::of_silence(error, Responsible::Homeserver)
            }
            Self::Homeserver(
                client::Fault::Unusable(_)
                | client::Fault::Broken {
                    redirect: Some(_), ..
                },
            ) => Responsible::Configuration,
            Self::Homeserver(_) | Self::NotOffered { .. } | Self::NoLogins | Self::Answer(_) => {
                Responsible::Homeserver
            }
            Self::Refused {
                method: MethodName::Sso,
                ..
            } => Responsible::Homeserver,
            Self::Refused { fault, .. } => match is_forbidden(fault) {
                true => Responsible::Configuration,
                false => Responsible::Homeserver,
            },
            Self::TokenRefused { diagnosis, .. } => diagnosis.party(),
            Self::Keycloak(fault) => Responsible::of_keycloak(fault),
            Self::Sso(fault) => Responsible::of_sso(fault),
        }
    }

    /// Whether the same attempt may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Discovery(error) => error.is_transient(),
            Self::NoHomeserver(fault) => fault.is_transient(),
            Self::Homeserver(client::Fault::Broken {
                redirect: Some(to), ..
            }) => !to.is_permanent(),
            Self::Homeserver(fault) => fault.is_transient(),
            // One 403 stands for everything, a moment's trouble included.
            Self::TokenRefused { diagnosis, .. } => diagnosis.is_transient(),
            Self::Keycloak(fault) => fault.is_transient(),
            Self::Sso(fault) => fault.is_transient(),
            // The token of the login page is good for minutes, and once.
            Self::Refused { method, fault } => *method == MethodName::Sso && is_forbidden(fault),
            Self::TlsUnavailable(_)
            | Self::NotOffered { .. }
            | Self::NoLogins
            | Self::Mint(_)
            | Self::Answer(_)
            | Self::TokenEnded
            | Self::TokenOfOtherDevice(_) => false,
        }
    }

    /// How long a server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Homeserver(fault) => fault.retry_after(),
            Self::Keycloak(fault) => fault.retry_after(),
            Self::Sso(fault) => fault.retry_after(),
            _ => None,
        }
    }
}

/// Whether the homeserver gives its one answer to all that is wrong.
pub(super) fn is_forbidden(fault: &client::Fault) -> bool {
    has_code(fault, "M_FORBIDDEN")
}

fn has_code(fault: &client::Fault, code: &str) -> bool {
    matches!(fault, client::Fault::Refused { errcode, .. } if errcode == code)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TlsUnavailable(fault) => fault.fmt(f),
            Self::Discovery(error) => match unanswered(error).and_then(way_cure) {
                Some(cure) => write!(f, "{error}; if that is right, {cure}"),
                None => error.fmt(f),
            },
            Self::NoHomeserver(fault) => {
                let cure = match fault {
                    VersionsFault::Unanswered(error) => cure(error, "MATRIX_HOMESERVER"),
                    _ => fault.cure("MATRIX_HOMESERVER"),
                };
                write!(f, "no homeserver is found: {fault}; {cure}")
            }
            Self::Homeserver(fault @ client::Fault::Unreachable(error)) => {
                write!(f, "{fault}; {}", cure(error, "MATRIX_HOMESERVER"))
            }
            Self::Homeserver(fault) => fault.fmt(f),
            Self::NotOffered { wanted, offered } => write!(
                f,
                "the homeserver offers no login of type {wanted}, only {}: {}",
                list(offered),
                how_to_offer(wanted)
            ),
            Self::NoLogins => f.write_str(
                "the homeserver has no logins of its own (404): where Matrix Authentication \
                 Service does them, use AUTH_METHOD=token, or give its public address in \
                 MATRIX_HOMESERVER",
            ),
            Self::Refused { fault, .. } if has_code(fault, "M_USER_DEACTIVATED") => write!(
                f,
                "{fault}: the account is deactivated; have the homeserver's administrator \
                 reactivate it, or name another one in MATRIX_USER"
            ),
            Self::Refused { method, fault } => write!(f, "{fault}; {}", credentials(*method)),
            Self::TokenRefused { fault, diagnosis } => write!(f, "{fault}; {diagnosis}"),
            Self::Keycloak(fault) => fault.fmt(f),
            Self::Mint(fault) => fault.fmt(f),
            Self::Sso(fault) => fault.fmt(f),
            Self::Answer(error) => error.fmt(f),
            Self::TokenEnded => f.write_str(
                "the homeserver does not know the token in MATRIX_ACCESS_TOKEN, or no longer: \
                 have a new one made for the bot's device, and put it into the Secret",
            ),
            Self::TokenOfOtherDevice(found) => write!(
                f,
                "the token in MATRIX_ACCESS_TOKEN is of {found}, not of MATRIX_DEVICE_ID: write \
                 there the device that the token was made for"
            ),
        }
    }
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

/// What has to be done on the homeserver to offer a login type.
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

/// What to check after a refusal.
fn credentials(method: MethodName) -> &'static str {
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

/// Why a discovery got no answer, if it is that.
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

/// What to do where a server cannot be reached.
fn cure(error: &net::Error, variable: &str) -> String {
    match way_cure(error) {
        Some(cure) => cure,
        None => format!("check {variable}, and that the server runs"),
    }
}

/// What to do where the way to a server is at fault.
fn way_cure(error: &net::Error) -> Option<String> {
    match &error.fault {
        net::Fault::Tls(fault) => fault.cure("EXTRA_CA_FILE"),
        net::Fault::Proxy { .. } => Some("check HTTPS_PROXY and NO_PROXY".to_owned()),
        net::Fault::NotHttp => {
            Some("check the address: where a port speaks TLS, https:// stands before it".to_owned())
        }
        _ => None,
    }
}
