//! What is wrong with a token, and whose fault it is.

use std::fmt;
use std::time::Duration;

use super::decode::DecodeFault;
use crate::util::printable;

/// The longest part of a claim that is quoted, in bytes.
const MAX_QUOTED_BYTES: usize = 120;

/// The most audiences that are quoted.
const MAX_AUDIENCES: usize = 5;

/// One thing that is wrong with a token of Keycloak. `Display` is one sentence
/// without a full stop: what it is, who is at fault and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenFault {
    /// It cannot be taken apart.
    Unreadable(DecodeFault),
    /// The key set has no key of this id.
    UnknownKey {
        /// The id in the header.
        kid: String,
    },
    /// The key is not one for this algorithm, or no key is: `none` and HS*
    /// among others.
    Algorithm {
        /// The algorithm in the header.
        found: String,
    },
    /// Not signed by the key that its header names.
    BadSignature,
    /// A claim that every token of Keycloak has is not there.
    Missing {
        /// Its name.
        claim: &'static str,
    },
    /// A claim is not of its type.
    WrongType {
        /// Its name.
        claim: String,
        /// The type it should have.
        expected: &'static str,
    },
    /// `exp` is in the past, by this machine's clock.
    Expired {
        /// By how much.
        ago: Duration,
    },
    /// A time that should be past is in the future, by this machine's clock.
    NotYetValid {
        /// `nbf` or `iat`.
        claim: &'static str,
        /// By how much.
        ahead: Duration,
    },
    /// Another issuer.
    Issuer {
        /// In the token.
        found: String,
        /// In the configuration.
        expected: String,
    },
    /// The audience is not among the token's.
    Audience {
        /// In the token.
        found: Vec<String>,
        /// In the configuration.
        expected: String,
    },
    /// Issued to another client.
    AuthorizedParty {
        /// In the token.
        found: Option<String>,
        /// In the configuration.
        expected: String,
    },
    /// Of another user, or of none that it names.
    User {
        /// The claim that names the user.
        claim: String,
        /// In the token.
        found: Option<String>,
        /// In the configuration.
        expected: String,
    },
}

impl fmt::Display for TokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(fault @ DecodeFault::Parts(5)) => write!(
                f,
                "Keycloak's token {fault}: turn the encryption of access tokens off for this client"
            ),
            Self::Unreadable(fault) => write!(
                f,
                "Keycloak's token {fault}: check that KEYCLOAK_URL and KEYCLOAK_REALM lead to a \
                 Keycloak, and that its tokens for this client are signed JWTs"
            ),
            Self::UnknownKey { kid } => write!(
                f,
                "the token is signed with key {}, which Keycloak does not publish for the realm: \
                 its keys were changed just now, or another realm issued the token; log in again, \
                 and check KEYCLOAK_URL and KEYCLOAK_REALM if it stays so",
                quoted(kid)
            ),
            Self::Algorithm { found } => write!(
                f,
                "the token's algorithm is {}, for which the realm has no fitting key: set the \
                 client's signature algorithm in Keycloak to one of its public keys, such as RS256",
                quoted(found)
            ),
            Self::BadSignature => f.write_str(
                "the token's signature is not of the realm's key: something between Keycloak and \
                 this program changes answers, or mixes two Keycloaks up behind one address",
            ),
            Self::Missing { claim } => write!(
                f,
                "the token has no claim {claim}: have Keycloak put it in again, it is there unless \
                 a mapper or a client scope was changed"
            ),
            Self::WrongType { claim, expected } => write!(
                f,
                "the token's claim {} is not {expected}: correct the mapper in Keycloak that \
                 writes it",
                quoted(claim)
            ),
            Self::Expired { ago } => write!(
                f,
                "the token expired {} ago: compare the clocks of this machine and of Keycloak's, \
                 and set the wrong one right; if neither is, raise the access token's lifespan \
                 in Keycloak",
                span(*ago)
            ),
            Self::NotYetValid { claim, ahead } => write!(
                f,
                "the token's {claim} is {} in the future: the clock of this machine is slow or \
                 that of Keycloak's is fast; set the wrong one right",
                span(*ahead)
            ),
            Self::Issuer { found, expected } => write!(
                f,
                "the token's issuer is {} and not {}: if the former is Keycloak's public URL, set \
                 KEYCLOAK_ISSUER to it; if not, set Keycloak's hostname option",
                quoted(found),
                quoted(expected)
            ),
            Self::Audience { found, expected } => write!(
                f,
                "the token's audience is {} and not {}: add an audience mapper to the client in \
                 Keycloak, or correct JWT_AUDIENCE",
                list(found),
                quoted(expected)
            ),
            Self::AuthorizedParty { found, expected } => write!(
                f,
                "the token was issued to the client {} and not to {}: check KEYCLOAK_CLIENT_ID",
                or_none(found.as_deref()),
                quoted(expected)
            ),
            Self::User {
                claim,
                found: None,
                expected,
            } => write!(
                f,
                "the token has no claim {} that could say {}: give the client in Keycloak the \
                 scope that holds it (profile for preferred_username), and no lightweight \
                 access tokens",
                quoted(claim),
                quoted(expected)
            ),
            Self::User {
                claim,
                found: Some(found),
                expected,
            } => write!(
                f,
                "the token's {} is {} and not {}: set MATRIX_USER to the user of that name, or \
                 rename the user in Keycloak",
                quoted(claim),
                quoted(found),
                quoted(expected)
            ),
        }
    }
}

impl std::error::Error for TokenFault {}

fn quoted(text: &str) -> String {
    format!("\"{}\"", printable(text, MAX_QUOTED_BYTES))
}

fn or_none(text: Option<&str>) -> String {
    text.map_or_else(|| "(none)".to_owned(), quoted)
}

fn list(texts: &[String]) -> String {
    if texts.is_empty() {
        return or_none(None);
    }
    let mut shown: Vec<String> = texts
        .iter()
        .take(MAX_AUDIENCES)
        .map(|text| quoted(text))
        .collect();
    if texts.len() > MAX_AUDIENCES {
        shown.push("…".to_owned());
    }
    shown.join(", ")
}

/// A duration in the largest unit of which it has two or more.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    [(86_400, "days"), (3_600, "h"), (60, "min")]
        .into_iter()
        .find(|(unit, _)| seconds >= unit * 2)
        .map_or_else(
            || format!("{seconds} s"),
            |(unit, name)| format!("{} {name}", seconds / unit),
        )
}
