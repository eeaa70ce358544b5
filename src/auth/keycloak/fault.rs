//! What can go wrong with Keycloak, and whose fault it is.

use std::fmt;
use std::time::Duration;

use crate::auth::jwt::JwksFault;
use crate::net::{self, BadUrl};

/// Why there is no token, or no key set. `Display` is one sentence without a
/// full stop: what it is, who is at fault and what to do. No text of a server in
/// it is longer than a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The configured URL cannot be asked.
    Url(BadUrl),
    /// No answer, none in time, or one that is too large.
    Unreachable(net::Error),
    /// Password, name or one-time password are not those of a user, or the user
    /// is locked for a while: Keycloak does not tell which.
    Credentials {
        /// Who logged in.
        user: String,
        /// Whether a one-time password was sent.
        one_time: bool,
    },
    /// The user is disabled.
    UserDisabled {
        /// Who logged in.
        user: String,
    },
    /// Something is to be done at a login in a browser first.
    NotSetUp {
        /// Who logged in.
        user: String,
    },
    /// The client's secret is missing or wrong.
    ClientSecret {
        /// The client.
        client: String,
        /// Whether one was sent.
        sent: bool,
    },
    /// No such client, or a disabled one.
    UnknownClient {
        /// The client.
        client: String,
        /// Where it was looked for.
        realm: String,
    },
    /// The client may not use the password grant.
    NoDirectGrants {
        /// The client.
        client: String,
    },
    /// The client asks its users for consent, which takes a browser.
    Consent {
        /// The client.
        client: String,
    },
    /// No such realm.
    UnknownRealm {
        /// Its name.
        realm: String,
    },
    /// The server has no such path.
    WrongPath,
    /// The realm takes no plain `http`.
    HttpsRequired,
    /// Any other refusal.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Keycloak's words, bounded and on one line.
        said: String,
    },
    /// Too many requests.
    Limited {
        /// How long to wait.
        retry_after: Option<Duration>,
    },
    /// Keycloak, or what stands in front of it, fails in itself.
    Failing {
        /// The HTTP status.
        status: u16,
        /// How long to wait.
        retry_after: Option<Duration>,
    },
    /// A page for people.
    Page {
        /// The HTTP status.
        status: u16,
        /// What the page calls itself, bounded and on one line.
        title: Option<String>,
        /// How long to wait.
        retry_after: Option<Duration>,
    },
    /// The answer is at another URL.
    Redirected {
        /// That URL without its query, bounded and on one line.
        to: String,
    },
    /// Success, but no token.
    NoToken,
    /// Nothing that Keycloak answers.
    NotKeycloak {
        /// The HTTP status.
        status: u16,
    },
    /// The realm's key set is of no use.
    Keys(JwksFault),
}

impl Fault {
    /// Whether the same request may succeed later without anybody's doing.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Limited { .. } | Self::Failing { .. } => true,
            Self::Page { status, .. } => *status >= 500,
            _ => false,
        }
    }

    /// How long the server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited { retry_after }
            | Self::Failing { retry_after, .. }
            | Self::Page { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(fault) => write!(f, "KEYCLOAK_URL cannot be used: {fault}"),
            Self::Unreachable(error) => {
                let cure = match &error.fault {
                    net::Fault::Tls(fault) => fault.cure("EXTRA_CA_FILE"),
                    _ => None,
                };
                let cure = cure.unwrap_or_else(|| {
                    "check KEYCLOAK_URL, and the network and proxy between".to_owned()
                });
                write!(f, "Keycloak cannot be reached: {error}; {cure}")
            }
            Self::Credentials { user, one_time } => {
                let one_time = if *one_time {
                    "KEYCLOAK_TOTP_SECRET and this machine's clock (a code is taken once)"
                } else {
                    "whether the user needs a one-time password (KEYCLOAK_TOTP_SECRET)"
                };
                write!(
                    f,
                    "Keycloak does not accept the credentials of user {user} and does not say why: \
                     check MATRIX_PASSWORD, that the realm has the user, that it is not locked \
                     after failed logins, and {one_time}"
                )
            }
            Self::UserDisabled { user } => write!(
                f,
                "Keycloak has user {user} disabled: enable it, or wait if it is locked after \
                 failed logins"
            ),
            Self::NotSetUp { user } => write!(
                f,
                "Keycloak's user {user} is not fully set up: clear its required actions, make its \
                 password permanent, and give it an e-mail address, first and last name"
            ),
            Self::ClientSecret { client, sent: true } => write!(
                f,
                "Keycloak does not accept the secret of client {client}: set \
                 KEYCLOAK_CLIENT_SECRET to the one among the client's credentials in Keycloak"
            ),
            Self::ClientSecret {
                client,
                sent: false,
            } => write!(
                f,
                "Keycloak asks for a secret of client {client}: set KEYCLOAK_CLIENT_SECRET, or \
                 turn the client's authentication off in Keycloak"
            ),
            Self::UnknownClient { client, realm } => write!(
                f,
                "Keycloak's realm {realm} has no client {client}, or has it disabled: check \
                 KEYCLOAK_CLIENT_ID and KEYCLOAK_REALM"
            ),
            Self::NoDirectGrants { client } => write!(
                f,
                "Keycloak does not let client {client} log in with a password: turn direct access \
                 grants on for the client"
            ),
            Self::Consent { client } => write!(
                f,
                "Keycloak's client {client} asks its users for consent, which takes a browser: \
                 turn consent off for the client"
            ),
            Self::UnknownRealm { realm } => write!(
                f,
                "Keycloak has no realm {realm}: check KEYCLOAK_REALM, upper and lower case \
                 included"
            ),
            Self::WrongPath => f.write_str(
                "there is no Keycloak at this path: check KEYCLOAK_URL, which ends in /auth for \
                 versions before 17 and where it is set so, and else in no path",
            ),
            Self::HttpsRequired => f.write_str(
                "Keycloak's realm takes https only: use https in KEYCLOAK_URL, or relax Require \
                 SSL in the realm's settings",
            ),
            Self::Refused { status, said } => write!(
                f,
                "Keycloak refuses with status {status}, \"{said}\": see Keycloak's log for its \
                 reason"
            ),
            Self::Limited { .. } => f.write_str(
                "Keycloak, or a proxy in front of it, turns requests away as too many: wait",
            ),
            Self::Failing { status, .. } => write!(
                f,
                "Keycloak, or a proxy in front of it, fails with status {status}: see their logs"
            ),
            Self::Page { status, title, .. } => {
                write!(
                    f,
                    "instead of Keycloak's answer came a page of status {status}"
                )?;
                if let Some(title) = title {
                    write!(f, ", \"{title}\"")?;
                }
                f.write_str(": check KEYCLOAK_URL, and the proxies in front of Keycloak")
            }
            Self::Redirected { to } => write!(
                f,
                "Keycloak's URL redirects to \"{to}\", which is not followed: write that into \
                 KEYCLOAK_URL, if it is Keycloak's own address"
            ),
            Self::NoToken => f.write_str(
                "Keycloak's answer holds no access token: check that KEYCLOAK_URL leads to a \
                 Keycloak",
            ),
            Self::NotKeycloak { status } => write!(
                f,
                "what answers with status {status} is not Keycloak: check KEYCLOAK_URL"
            ),
            Self::Keys(fault) => write!(
                f,
                "Keycloak's key set {fault}: check the realm's keys, and that KEYCLOAK_URL leads \
                 to a Keycloak"
            ),
        }
    }
}

impl std::error::Error for Fault {}
