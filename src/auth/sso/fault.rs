//! Why there is no login token.

use std::fmt;
use std::time::Duration;

use super::redirect::RedirectFault;
use crate::net;
use crate::util::printable;

/// The longest text of a page that is repeated, in bytes.
const MAX_QUOTED: usize = 200;

/// Who answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Responsible {
    /// The Matrix homeserver.
    Homeserver,
    /// The identity provider that the homeserver led to.
    Keycloak,
    /// Somebody else that one of the two led to: scheme, host and port.
    Other(String),
}

impl fmt::Display for Responsible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Homeserver => f.write_str("the homeserver"),
            Self::Keycloak => f.write_str("Keycloak"),
            Self::Other(origin) => write!(f, "{origin}, where the login was led,"),
        }
    }
}

/// Why there is no login token. `Display` is one sentence with the party at
/// fault and the cure; of pages it repeats a short text, of addresses scheme,
/// host and port, at most the path besides, and never a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The homeserver lists no such identity provider.
    UnknownProvider {
        /// What `SSO_IDP_ID` says.
        wanted: String,
        /// What there is.
        listed: Vec<String>,
    },
    /// The homeserver's address is no usable URL.
    BadHomeserver,
    /// No answer.
    Unreachable {
        /// Who was asked.
        party: Responsible,
        /// Why none came.
        error: net::Error,
    },
    /// The whole login took longer than this.
    TooLong(Duration),
    /// 429.
    Limited {
        /// Who asks to slow down.
        party: Responsible,
        /// Not before this.
        retry_after: Option<Duration>,
    },
    /// 5xx.
    Failing {
        /// Whose answer it is.
        party: Responsible,
        /// The HTTP status.
        status: u16,
        /// Words of the page.
        text: String,
        /// Not before this.
        retry_after: Option<Duration>,
    },
    /// A redirect that is not followed.
    Redirect {
        /// Who redirects.
        party: Responsible,
        /// What is wrong with it.
        why: RedirectFault,
    },
    /// More redirects than this: a loop.
    TooManyRedirects(usize),
    /// The login form is on a page that others can read the way to.
    Plaintext {
        /// The page's scheme, host and port.
        origin: String,
    },
    /// The homeserver led to another login page than the one configured.
    OtherProvider {
        /// Its scheme, host and port, and its path where only that differs.
        page: String,
        /// What is configured.
        wanted: String,
        /// Where.
        variables: &'static str,
    },
    /// The form would be sent elsewhere than where its page is from, or in an
    /// address.
    FormLeadsAway,
    /// Keycloak does not take the user name or the password.
    PasswordRefused {
        /// Keycloak's words.
        text: String,
    },
    /// Keycloak asks for a one-time password and none is configured.
    CodeNeeded,
    /// Keycloak does not take the one-time password.
    CodeRefused {
        /// Keycloak's words.
        text: String,
    },
    /// Keycloak asks the user to let the homeserver see its account.
    Consent,
    /// Keycloak wants the user to do something first.
    RequiredAction {
        /// Keycloak's name for it, such as `UPDATE_PASSWORD`.
        action: String,
    },
    /// Keycloak shows its error page.
    KeycloakRefused {
        /// Keycloak's words.
        text: String,
    },
    /// The homeserver asks for details of an account that it does not have yet.
    NewAccount,
    /// The homeserver's cookie did not come back to it.
    SessionLost,
    /// The homeserver shows its error page, or answers with a Matrix error.
    HomeserverRefused {
        /// Its name for it, such as `mapping_error` or `M_NOT_FOUND`.
        code: String,
        /// Its words.
        text: String,
    },
    /// The login ended without a token.
    NoToken,
    /// A page that this program does not know.
    UnknownPage {
        /// Whose page it is.
        party: Responsible,
        /// The HTTP status.
        status: u16,
        /// The page's title.
        title: String,
    },
}

/// What Synapse says when its own request to Keycloak failed, and what OpenID
/// Connect says for a provider that is busy.
const TRANSIENT_CODES: [&str; 3] = ["fetch_error", "server_error", "temporarily_unavailable"];

impl Fault {
    /// Whether the same login may succeed later without anybody's doing.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TooLong(_)
            | Self::Limited { .. }
            | Self::Failing { .. } => true,
            Self::HomeserverRefused { code, .. } => TRANSIENT_CODES.contains(&code.as_str()),
            _ => false,
        }
    }

    /// How long the server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited { retry_after, .. } | Self::Failing { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownProvider { wanted, listed } => unknown_provider(f, wanted, listed),
            Self::BadHomeserver => f.write_str(
                "MATRIX_HOMESERVER is no usable address: give its URL, such as \
                 https://matrix.example.com",
            ),
            Self::Unreachable { party, error } => {
                let cure = match &error.fault {
                    net::Fault::Tls(fault) => fault.cure("EXTRA_CA_FILE"),
                    _ => None,
                };
                let cure = cure.unwrap_or_else(|| {
                    "check that it runs, and the network, proxy and certificates in between"
                        .to_owned()
                });
                write!(f, "the way to {party} is broken: {error}; {cure}")
            }
            Self::TooLong(limit) => write!(
                f,
                "the homeserver and Keycloak took more than {} s for the login: look at which \
                 of them is slow, or what lies between",
                limit.as_secs()
            ),
            Self::Limited { party, .. } => write!(
                f,
                "{party} asks to slow down (429): wait, and look at its rate limits if it stays so"
            ),
            Self::Failing {
                party,
                status,
                text,
                ..
            } => write!(
                f,
                "{party} failed during the login (status {status}{}): look at its log{}",
                Quoted(", ", text),
                match party {
                    Responsible::Homeserver => ", and whether it reaches Keycloak",
                    Responsible::Keycloak | Responsible::Other(_) => "",
                }
            ),
            Self::Redirect { party, why } => redirect(f, party, *why),
            Self::TooManyRedirects(limit) => write!(
                f,
                "the homeserver and Keycloak redirected the login more than {limit} times: look \
                 at the homeserver's public_baseurl and Keycloak's hostname, and the proxies \
                 before them"
            ),
            Self::Plaintext { origin } => write!(
                f,
                "Keycloak's login form at {origin} is not on https, so the password is not sent \
                 there: give Keycloak a certificate and name its https address in the \
                 homeserver's oidc_providers"
            ),
            Self::OtherProvider {
                page,
                wanted,
                variables,
            } => write!(
                f,
                "the homeserver leads to a login page at {} and not at {}, which is {variables}, \
                 so the password is not sent there: correct {variables} if that is your \
                 Keycloak's public address, and look at the homeserver's oidc_providers if not",
                printable(page, MAX_QUOTED),
                printable(wanted, MAX_QUOTED)
            ),
            Self::FormLeadsAway => f.write_str(
                "Keycloak's login form does not lead back to the server it is from, or to its \
                 realm, so the password is not sent: check Keycloak's hostname setting and theme",
            ),
            Self::PasswordRefused { text } => write!(
                f,
                "Keycloak refuses the user name or password{}: check MATRIX_USER and \
                 MATRIX_PASSWORD, and in Keycloak that the user is enabled and not locked out",
                Quoted(" with ", text)
            ),
            Self::CodeNeeded => f.write_str(
                "Keycloak asks for a one-time password and none is configured: set \
                 KEYCLOAK_TOTP_SECRET, or remove the user's one-time password in Keycloak",
            ),
            Self::CodeRefused { text } => write!(
                f,
                "Keycloak refuses the one-time password{}: check KEYCLOAK_TOTP_SECRET and the \
                 clocks on both sides, and wait for the next code, for each is good only once",
                Quoted(" with ", text)
            ),
            Self::Consent => f.write_str(
                "Keycloak asks the user for consent: turn \"Consent required\" off for the \
                 homeserver's client in Keycloak, or consent once with a browser",
            ),
            Self::RequiredAction { action } => write!(
                f,
                "Keycloak asks the user for something first ({}): do it once with a browser, or \
                 complete the user in Keycloak and clear its required actions",
                printable(action, MAX_QUOTED)
            ),
            Self::KeycloakRefused { text } => write!(
                f,
                "Keycloak refuses the homeserver's login{}: check in Keycloak that the client \
                 named in the homeserver's oidc_providers exists, is enabled, has the standard \
                 flow on and lists the homeserver's /_synapse/client/oidc/callback as a valid \
                 redirect URI",
                Quoted(" with ", text)
            ),
            Self::NewAccount => f.write_str(
                "the homeserver has no account for this user of Keycloak yet and asks for its \
                 details: set localpart_template in the user_mapping_provider of its \
                 oidc_providers, or log in once with a browser",
            ),
            Self::SessionLost => f.write_str(
                "the homeserver did not get its session cookie back, which is for https only: \
                 make its public_baseurl an https address, and the same for the whole login",
            ),
            Self::HomeserverRefused { code, text } => write!(
                f,
                "the homeserver refuses the login ({}{}): look at its log, its oidc_providers and the \
                 client in Keycloak that they name",
                printable(code, MAX_QUOTED),
                Quoted(", ", text)
            ),
            Self::NoToken => f.write_str(
                "the homeserver ended the login without a login token: check that what answers \
                 at MATRIX_HOMESERVER is a homeserver with single sign-on",
            ),
            Self::UnknownPage {
                party,
                status,
                title,
            } => write!(
                f,
                "{party} shows a page that this program cannot fill in (status {status}{}): use \
                 Keycloak's own login theme with user name and password, or another AUTH_METHOD",
                Quoted(", ", title)
            ),
        }
    }
}

impl std::error::Error for Fault {}

fn unknown_provider(f: &mut fmt::Formatter<'_>, wanted: &str, listed: &[String]) -> fmt::Result {
    let wanted = printable(wanted, MAX_QUOTED);
    if listed.is_empty() {
        return write!(
            f,
            "the homeserver lists no identity provider, so not \"{wanted}\" either: add it to \
             the homeserver's oidc_providers"
        );
    }
    let listed: Vec<String> = listed.iter().map(|id| format!("\"{id}\"")).collect();
    write!(
        f,
        "SSO_IDP_ID is \"{wanted}\", but the homeserver lists only {}: set it to one of them, or \
         add it to the homeserver's oidc_providers",
        printable(&listed.join(", "), MAX_QUOTED)
    )
}

fn redirect(f: &mut fmt::Formatter<'_>, party: &Responsible, why: RedirectFault) -> fmt::Result {
    write!(
        f,
        "{party} answered the login with {why}: check the homeserver's public_baseurl and \
         oidc_providers, and Keycloak's hostname setting"
    )
}

/// What stands before a text, and the text in quotes; nothing without a text.
struct Quoted<'a>(&'static str, &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(_, "") => Ok(()),
            Self(before, text) => write!(f, "{before}\"{}\"", printable(text, MAX_QUOTED)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_page_are_shortened_and_escaped() {
        let text = |text: String| Fault::PasswordRefused { text }.to_string();
        assert!(
            text("Invalid\u{1b}[2J".to_owned()).contains(r#"password with "Invalid\u{1b}[2J": "#)
        );
        assert!(text(String::new()).contains("password: check"));
        assert!(text("x".repeat(10_000)).len() < 500);
        let many = Fault::UnknownProvider {
            wanted: "x\n".repeat(1000),
            listed: vec!["y".repeat(100_000)],
        };
        assert!(many.to_string().len() < 700);
        assert!(!many.to_string().contains('\n'));
    }

    #[test]
    fn what_may_pass_by_itself_is_told_apart() {
        let refused = |code: &str| Fault::HomeserverRefused {
            code: code.to_owned(),
            text: String::new(),
        };
        assert!(refused("fetch_error").is_transient());
        assert!(!refused("mapping_error").is_transient());
        assert!(Fault::TooLong(Duration::from_secs(1)).is_transient());
        assert!(!Fault::Consent.is_transient());
        let limited = Fault::Limited {
            party: Responsible::Keycloak,
            retry_after: Some(Duration::from_secs(7)),
        };
        assert!(limited.is_transient());
        assert_eq!(limited.retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(Fault::Consent.retry_after(), None);
    }
}
