//! The errors of Keycloak's endpoints, each with its cure.

use std::time::Duration;

use thiserror::Error as ThisError;

use crate::auth::Responsible;
use crate::auth::jwt::JwksError;
use crate::auth::responsible::tls_cure;
use crate::net::{self, BadUrl, Remedy};

/// Keycloak gives no token, or no key set. `Display` is one sentence without a full stop:
/// the error and the cure. Texts of the server in it are bounded and on one line.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum Error {
    /// The configured URL cannot be requested.
    #[error("KEYCLOAK_URL cannot be used: {0}")]
    Url(BadUrl),
    /// No answer, none in time, or one that is too large.
    #[error(
        "Keycloak cannot be reached: {0}; {cure}",
        cure = tls_cure(.0, "check KEYCLOAK_URL, and the network and proxy between")
    )]
    Unreachable(net::Error),
    /// User name, password or one-time password are wrong, or the user is locked for a
    /// while: Keycloak does not tell which.
    #[error(
        "Keycloak does not accept the credentials of user {user} and does not say why: check \
         MATRIX_PASSWORD, that the realm has the user, that it is not locked after failed logins, \
         and {}",
        one_time_cure(*.one_time)
    )]
    Credentials {
        /// The user that logged in.
        user: String,
        /// True if a one-time password was sent.
        one_time: bool,
    },
    /// This user is disabled.
    #[error(
        "Keycloak has user {0} disabled: enable it, or wait if it is locked after failed logins"
    )]
    UserDisabled(String),
    /// This user has a required action, which takes a browser.
    #[error(
        "Keycloak's user {0} is not fully set up: clear its required actions, make its password \
         permanent, and give it an e-mail address, first and last name"
    )]
    NotSetUp(String),
    /// This client's secret is wrong.
    #[error(
        "Keycloak does not accept the secret of client {0}: set KEYCLOAK_CLIENT_SECRET to the \
         one among the client's credentials in Keycloak"
    )]
    WrongClientSecret(String),
    /// This client has a secret, and none was sent.
    #[error(
        "Keycloak asks for a secret of client {0}: set KEYCLOAK_CLIENT_SECRET, or turn the \
         client's authentication off in Keycloak"
    )]
    NoClientSecret(String),
    /// No such client, or a disabled one.
    #[error(
        "Keycloak's realm {realm} has no client {client}, or has it disabled: check \
         KEYCLOAK_CLIENT_ID and KEYCLOAK_REALM"
    )]
    UnknownClient {
        /// The client.
        client: String,
        /// The realm that was asked.
        realm: String,
    },
    /// This client may not use the password grant.
    #[error(
        "Keycloak does not let client {0} log in with a password: turn direct access grants \
         on for the client"
    )]
    NoDirectGrants(String),
    /// This client asks its users for consent, which takes a browser.
    #[error(
        "Keycloak's client {0} asks its users for consent, which takes a browser: turn consent \
         off for the client"
    )]
    Consent(String),
    /// No realm of this name.
    #[error("Keycloak has no realm {0}: check KEYCLOAK_REALM, upper and lower case included")]
    UnknownRealm(String),
    /// The server has no such path.
    #[error(
        "there is no Keycloak at this path: check KEYCLOAK_URL, which ends in /auth for versions \
         before 17 and where it is set so, and else in no path"
    )]
    WrongPath,
    /// The realm refuses plain `http`.
    #[error(
        "Keycloak's realm takes https only: use https in KEYCLOAK_URL, or relax Require SSL in the \
         realm's settings"
    )]
    HttpsRequired,
    /// Any other refusal.
    #[error("Keycloak refuses with status {status}, \"{said}\": see Keycloak's log for its reason")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Keycloak's words.
        said: String,
    },
    /// 429, with the wait that the server asks for.
    #[error("Keycloak, or a proxy in front of it, turns requests away as too many: wait")]
    Limited(Option<Duration>),
    /// 5xx.
    #[error("Keycloak, or a proxy in front of it, fails with status {status}: see their logs")]
    Failing {
        /// The HTTP status.
        status: u16,
        /// The wait that the server asks for.
        retry_after: Option<Duration>,
    },
    /// An HTML page.
    #[error(
        "instead of Keycloak's answer came a page of status {status}{}: check KEYCLOAK_URL, and the \
         proxies in front of Keycloak",
        quoted_title(.title.as_deref())
    )]
    Page {
        /// The HTTP status.
        status: u16,
        /// The title of the page.
        title: Option<String>,
        /// The wait that the server asks for.
        retry_after: Option<Duration>,
    },
    /// A redirect to this URL, without its query, which is not followed.
    #[error(
        "Keycloak's URL redirects to \"{0}\", which is not followed: write that into KEYCLOAK_URL, \
         if it is Keycloak's own address"
    )]
    Redirected(String),
    /// 2xx without a token.
    #[error("Keycloak's answer holds no access token: check that KEYCLOAK_URL leads to a Keycloak")]
    NoToken,
    /// An answer of this status that no Keycloak gives.
    #[error("what answers with status {0} is not Keycloak: check KEYCLOAK_URL")]
    NotKeycloak(u16),
    /// The realm's key set cannot be used.
    #[error(
        "Keycloak's key set {0}: check the realm's keys, and that KEYCLOAK_URL leads to a Keycloak"
    )]
    Keys(JwksError),
}

impl Remedy for Error {
    type Party = Responsible;

    fn responsible(&self) -> Responsible {
        match self {
            Self::Unreachable(error) => Responsible::for_silence(error, Responsible::Keycloak),
            Self::Url(_)
            | Self::Credentials { .. }
            | Self::WrongClientSecret { .. }
            | Self::NoClientSecret { .. }
            | Self::UnknownClient { .. }
            | Self::UnknownRealm { .. }
            | Self::Redirected { .. }
            | Self::NotKeycloak { .. }
            | Self::HttpsRequired
            | Self::WrongPath => Responsible::Configuration,
            _ => Responsible::Keycloak,
        }
    }

    fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Limited { .. } | Self::Failing { .. } => true,
            Self::Page { status, .. } => *status >= 500,
            _ => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited(retry_after)
            | Self::Failing { retry_after, .. }
            | Self::Page { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

fn one_time_cure(sent: bool) -> &'static str {
    match sent {
        true => "KEYCLOAK_TOTP_SECRET and this machine's clock (a code is taken once)",
        false => "whether the user needs a one-time password (KEYCLOAK_TOTP_SECRET)",
    }
}

fn quoted_title(title: Option<&str>) -> String {
    title.map_or_else(String::new, |title| format!(", \"{title}\""))
}
