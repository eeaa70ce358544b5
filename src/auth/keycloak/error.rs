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
    #[error("Keycloak cannot be reached: {0}; {cure}", cure = unreachable_cure(.0))]
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
    /// The user is disabled.
    #[error(
        "Keycloak has user {user} disabled: enable it, or wait if it is locked after failed logins"
    )]
    UserDisabled {
        /// The user that logged in.
        user: String,
    },
    /// The user has a required action, which takes a browser.
    #[error(
        "Keycloak's user {user} is not fully set up: clear its required actions, make its password \
         permanent, and give it an e-mail address, first and last name"
    )]
    NotSetUp {
        /// The user that logged in.
        user: String,
    },
    /// The client's secret is wrong.
    #[error(
        "Keycloak does not accept the secret of client {client}: set KEYCLOAK_CLIENT_SECRET to the \
         one among the client's credentials in Keycloak"
    )]
    WrongClientSecret {
        /// The client.
        client: String,
    },
    /// The client has a secret, and none was sent.
    #[error(
        "Keycloak asks for a secret of client {client}: set KEYCLOAK_CLIENT_SECRET, or turn the \
         client's authentication off in Keycloak"
    )]
    NoClientSecret {
        /// The client.
        client: String,
    },
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
    /// The client may not use the password grant.
    #[error(
        "Keycloak does not let client {client} log in with a password: turn direct access grants \
         on for the client"
    )]
    NoDirectGrants {
        /// The client.
        client: String,
    },
    /// The client asks its users for consent, which takes a browser.
    #[error(
        "Keycloak's client {client} asks its users for consent, which takes a browser: turn consent \
         off for the client"
    )]
    Consent {
        /// The client.
        client: String,
    },
    /// No such realm.
    #[error("Keycloak has no realm {realm}: check KEYCLOAK_REALM, upper and lower case included")]
    UnknownRealm {
        /// The realm that was asked.
        realm: String,
    },
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
    /// 429.
    #[error("Keycloak, or a proxy in front of it, turns requests away as too many: wait")]
    Limited {
        /// The wait that the server asks for.
        retry_after: Option<Duration>,
    },
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
    /// A redirect, which is not followed.
    #[error(
        "Keycloak's URL redirects to \"{to}\", which is not followed: write that into KEYCLOAK_URL, \
         if it is Keycloak's own address"
    )]
    Redirected {
        /// The target without its query.
        to: String,
    },
    /// 2xx without a token.
    #[error("Keycloak's answer holds no access token: check that KEYCLOAK_URL leads to a Keycloak")]
    NoToken,
    /// An answer that no Keycloak gives.
    #[error("what answers with status {status} is not Keycloak: check KEYCLOAK_URL")]
    NotKeycloak {
        /// The HTTP status.
        status: u16,
    },
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
            Self::Limited { retry_after }
            | Self::Failing { retry_after, .. }
            | Self::Page { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

fn unreachable_cure(error: &net::Error) -> String {
    tls_cure(error)
        .unwrap_or_else(|| "check KEYCLOAK_URL, and the network and proxy between".to_owned())
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
