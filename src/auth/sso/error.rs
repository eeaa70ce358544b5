//! The errors of a login through a page, each with its cure.

use std::time::Duration;

use thiserror::Error as ThisError;

use super::redirect::RedirectError;
use crate::auth::Responsible;
use crate::auth::responsible::tls_cure;
use crate::net::{self, Remedy};
use crate::util::printable;

/// The longest text of a page that is repeated, in bytes.
const MAX_QUOTED: usize = 200;

/// The codes for a request of Synapse's own to Keycloak that failed (`fetch_error`), and for
/// a busy provider (<https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1>).
const TRANSIENT_CODES: [&str; 3] = ["fetch_error", "server_error", "temporarily_unavailable"];

/// The server that a request went to.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum Server {
    /// The Matrix homeserver.
    #[error("the homeserver")]
    Homeserver,
    /// The identity provider that the homeserver redirected to.
    #[error("Keycloak")]
    Keycloak,
    /// Another server that one of the two redirected to: scheme, host and port.
    #[error("{0}, where the login was led,")]
    Other(String),
}

impl Server {
    fn responsible(&self) -> Responsible {
        match self {
            Self::Homeserver => Responsible::Homeserver,
            Self::Keycloak => Responsible::Keycloak,
            Self::Other(_) => Responsible::Network,
        }
    }
}

/// The login through the page gives no login token. `Display` is one sentence without a full
/// stop: the error and the cure. Of pages it repeats a short text, of URLs scheme, host and
/// port, at most the path besides, and never a secret.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum Error {
    /// The homeserver lists no such identity provider.
    #[error("{}", unknown_provider(wanted, listed))]
    UnknownProvider {
        /// The configured id (`SSO_IDP_ID`).
        wanted: String,
        /// The ids that the homeserver lists.
        listed: Vec<String>,
    },
    /// The homeserver's URL cannot be used.
    #[error(
        "MATRIX_HOMESERVER is no usable address: give its URL, such as https://matrix.example.com"
    )]
    BadHomeserver,
    /// No answer.
    #[error(
        "the way to {server} is broken: {error}; {}",
        tls_cure(
            error,
            "check that it runs, and the network, proxy and certificates in between"
        )
    )]
    Unreachable {
        /// The server that was asked.
        server: Server,
        /// The reason.
        error: net::Error,
    },
    /// The whole login took longer than this.
    #[error(
        "the homeserver and Keycloak took more than {} s for the login: look at which of them is \
         slow, or what lies between",
        .0.as_secs()
    )]
    TooLong(Duration),
    /// 429.
    #[error("{server} asks to slow down (429): wait, and look at its rate limits if it stays so")]
    Limited {
        /// The server that answered.
        server: Server,
        /// The wait that it asks for.
        retry_after: Option<Duration>,
    },
    /// 5xx.
    #[error(
        "{server} failed during the login (status {status}{}): look at its log{}",
        quoted(", ", text),
        failing_cure(server)
    )]
    Failing {
        /// The server that answered.
        server: Server,
        /// The HTTP status.
        status: u16,
        /// Words of the page.
        text: String,
        /// The wait that the server asks for.
        retry_after: Option<Duration>,
    },
    /// A redirect that is not followed.
    #[error(
        "{server} answered the login with {why}: check the homeserver's public_baseurl and \
         oidc_providers, and Keycloak's hostname setting"
    )]
    Redirect {
        /// The server that redirects.
        server: Server,
        /// The reason.
        why: RedirectError,
    },
    /// More redirects than this: a loop.
    #[error(
        "the homeserver and Keycloak redirected the login more than {0} times: look at the \
         homeserver's public_baseurl and Keycloak's hostname, and the proxies before them"
    )]
    TooManyRedirects(usize),
    /// A login form on a page over plain `http`: its scheme, host and port.
    #[error(
        "Keycloak's login form at {0} is not on https, so the password is not sent there: \
         give Keycloak a certificate and name its https address in the homeserver's oidc_providers"
    )]
    Plaintext(String),
    /// A login page that is not of the configured realm.
    #[error(
        "the homeserver leads to a login page at {} and not at {}, which is {variables}, so the \
         password is not sent there: correct {variables} if that is your Keycloak's public address, \
         and look at the homeserver's oidc_providers if not",
        printable(page, MAX_QUOTED),
        printable(wanted, MAX_QUOTED)
    )]
    OtherProvider {
        /// The page's scheme, host and port, and its path where only that differs.
        page: String,
        /// The configured realm.
        wanted: String,
        /// The variables that configure it.
        variables: &'static str,
    },
    /// The form would be sent to another server or realm than its page is of, or by `GET`.
    #[error(
        "Keycloak's login form does not lead back to the server it is from, or to its realm, so the \
         password is not sent: check Keycloak's hostname setting and theme"
    )]
    FormLeadsAway,
    /// Keycloak refuses the user name or the password, with these words.
    #[error(
        "Keycloak refuses the user name or password{}: check MATRIX_USER and MATRIX_PASSWORD, and \
         in Keycloak that the user is enabled and not locked out",
        quoted(" with ", .0)
    )]
    PasswordRefused(String),
    /// Keycloak asks for a one-time password and none is configured.
    #[error(
        "Keycloak asks for a one-time password and none is configured: set KEYCLOAK_TOTP_SECRET, or \
         remove the user's one-time password in Keycloak"
    )]
    CodeNeeded,
    /// Keycloak refuses the one-time password, with these words.
    #[error(
        "Keycloak refuses the one-time password{}: check KEYCLOAK_TOTP_SECRET and the clocks on \
         both sides, and wait for the next code, for each is good only once",
        quoted(" with ", .0)
    )]
    CodeRefused(String),
    /// Keycloak asks the user to let the homeserver see its account.
    #[error(
        "Keycloak asks the user for consent: turn \"Consent required\" off for the homeserver's \
         client in Keycloak, or consent once with a browser"
    )]
    Consent,
    /// Keycloak asks for a required action, such as `UPDATE_PASSWORD`.
    #[error(
        "Keycloak asks the user for something first ({}): do it once with a browser, or complete \
         the user in Keycloak and clear its required actions",
        printable(.0, MAX_QUOTED)
    )]
    RequiredAction(String),
    /// Keycloak shows its error page, with these words.
    #[error(
        "Keycloak refuses the homeserver's login{}: check in Keycloak that the client named in the \
         homeserver's oidc_providers exists, is enabled, has the standard flow on and lists the \
         homeserver's /_synapse/client/oidc/callback as a valid redirect URI",
        quoted(" with ", .0)
    )]
    KeycloakRefused(String),
    /// The homeserver asks for details of an account that it does not have yet.
    #[error(
        "the homeserver has no account for this user of Keycloak yet and asks for its details: set \
         localpart_template in the user_mapping_provider of its oidc_providers, or log in once with \
         a browser"
    )]
    NewAccount,
    /// The homeserver's cookie did not come back to it.
    #[error(
        "the homeserver did not get its session cookie back, which is for https only: make its \
         public_baseurl an https address, and the same for the whole login"
    )]
    SessionLost,
    /// The homeserver shows its error page, or answers with a Matrix error.
    #[error(
        "the homeserver refuses the login ({}{}): look at its log, its oidc_providers and the client \
         in Keycloak that they name",
        printable(code, MAX_QUOTED),
        quoted(", ", text)
    )]
    HomeserverRefused {
        /// Its code, such as `mapping_error` or `M_NOT_FOUND`.
        code: String,
        /// Its words.
        text: String,
    },
    /// The login ended without a login token.
    #[error(
        "the homeserver ended the login without a login token: check that what answers at \
         MATRIX_HOMESERVER is a homeserver with single sign-on"
    )]
    NoToken,
    /// A page that this program does not know.
    #[error(
        "{server} shows a page that this program cannot fill in (status {status}{}): use Keycloak's \
         own login theme with user name and password, or another AUTH_METHOD",
        quoted(", ", title)
    )]
    UnknownPage {
        /// The server that answered.
        server: Server,
        /// The HTTP status.
        status: u16,
        /// The page's title.
        title: String,
    },
}

impl Remedy for Error {
    type Party = Responsible;

    fn responsible(&self) -> Responsible {
        match self {
            Self::UnknownProvider { .. }
            | Self::BadHomeserver
            | Self::OtherProvider { .. }
            | Self::PasswordRefused { .. }
            | Self::CodeNeeded
            | Self::CodeRefused { .. } => Responsible::Configuration,
            Self::Unreachable { server, error } => {
                Responsible::for_silence(error, server.responsible())
            }
            Self::TooLong(_) => Responsible::Network,
            Self::Limited { server, .. }
            | Self::Failing { server, .. }
            | Self::Redirect { server, .. }
            | Self::UnknownPage { server, .. } => server.responsible(),
            Self::TooManyRedirects(_)
            | Self::NewAccount
            | Self::SessionLost
            | Self::HomeserverRefused { .. }
            | Self::NoToken => Responsible::Homeserver,
            _ => Responsible::Keycloak,
        }
    }

    fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TooLong(_)
            | Self::Limited { .. }
            | Self::Failing { .. } => true,
            Self::HomeserverRefused { code, .. } => TRANSIENT_CODES.contains(&code.as_str()),
            _ => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited { retry_after, .. } | Self::Failing { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

fn failing_cure(server: &Server) -> &'static str {
    match server {
        Server::Homeserver => ", and whether it reaches Keycloak",
        Server::Keycloak | Server::Other(_) => "",
    }
}

fn unknown_provider(wanted: &str, listed: &[String]) -> String {
    let wanted = printable(wanted, MAX_QUOTED);
    if listed.is_empty() {
        return format!(
            "the homeserver lists no identity provider, so not \"{wanted}\" either: add it to the \
             homeserver's oidc_providers"
        );
    }
    let listed: Vec<String> = listed.iter().map(|id| format!("\"{id}\"")).collect();
    format!(
        "SSO_IDP_ID is \"{wanted}\", but the homeserver lists only {}: set it to one of them, or \
         add it to the homeserver's oidc_providers",
        printable(&listed.join(", "), MAX_QUOTED)
    )
}

/// The text in quotes behind `before`; nothing without a text.
fn quoted(before: &str, text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!("{before}\"{}\"", printable(text, MAX_QUOTED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_page_are_shortened_and_escaped() {
        let text = |text: String| Error::PasswordRefused(text).to_string();
        assert!(
            text("Invalid\u{1b}[2J".to_owned()).contains(r#"password with "Invalid\u{1b}[2J": "#)
        );
        assert!(text(String::new()).contains("password: check"));
        assert!(text("x".repeat(10_000)).len() < 500);
        let many = Error::UnknownProvider {
            wanted: "x\n".repeat(1000),
            listed: vec!["y".repeat(100_000)],
        };
        assert!(many.to_string().len() < 700);
        assert!(!many.to_string().contains('\n'));
    }

    #[test]
    fn what_may_pass_by_itself_is_told_apart() {
        let refused = |code: &str| Error::HomeserverRefused {
            code: code.to_owned(),
            text: String::new(),
        };
        assert!(refused("fetch_error").is_transient());
        assert!(!refused("mapping_error").is_transient());
        assert!(Error::TooLong(Duration::from_secs(1)).is_transient());
        assert!(!Error::Consent.is_transient());
        let limited = Error::Limited {
            server: Server::Keycloak,
            retry_after: Some(Duration::from_secs(7)),
        };
        assert!(limited.is_transient());
        assert_eq!(limited.retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(Error::Consent.retry_after(), None);
    }
}
