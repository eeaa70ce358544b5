//! The faults of a token, each with its cure.

use std::time::Duration;

use thiserror::Error;

use super::decode::DecodeError;
use crate::auth::Responsible;
use crate::net::Remedy;
use crate::util::printable;

/// The longest part of a claim that is quoted, in bytes.
const MAX_QUOTED_BYTES: usize = 120;

/// The largest number of audiences that are quoted.
const MAX_AUDIENCES: usize = 5;

/// One fault of a token of Keycloak's. `Display` is one sentence without a full stop:
/// the fault and the cure.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// An encrypted token (JWE).
    #[error(
        "Keycloak's token is encrypted: turn the encryption of access tokens off for this client"
    )]
    Encrypted,
    /// Not a signed token in compact form.
    #[error(
        "Keycloak's token {0}: check that KEYCLOAK_URL and KEYCLOAK_REALM lead to a Keycloak, and \
         that its tokens for this client are signed JWTs"
    )]
    Unreadable(DecodeError),
    /// The key set has no key of the header's `kid`, which is this.
    #[error(
        "the token is signed with key {}, which Keycloak does not publish for the realm: its keys \
         were changed just now, or another realm issued the token; log in again, and check \
         KEYCLOAK_URL and KEYCLOAK_REALM if it stays so",
        quoted(.0)
    )]
    UnknownKey(String),
    /// The key is not one for the header's `alg`, which is this, or no public key is: `none` and HS*
    /// among others.
    #[error(
        "the token's algorithm is {}, for which the realm has no fitting key: set the client's \
         signature algorithm in Keycloak to one of its public keys, such as RS256",
        quoted(.0)
    )]
    Algorithm(String),
    /// Not signed by the key that its header names.
    #[error(
        "the token's signature is not of the realm's key: something between Keycloak and this \
         program changes answers, or mixes two Keycloaks up behind one address"
    )]
    BadSignature,
    /// This claim, which every token of Keycloak's has, is missing.
    #[error(
        "the token has no claim {0}: have Keycloak put it in again, it is there unless a mapper \
         or a client scope was changed"
    )]
    Missing(&'static str),
    /// A claim of the wrong JSON type.
    #[error(
        "the token's claim {} is not {expected}: correct the mapper in Keycloak that writes it",
        quoted(claim)
    )]
    WrongType {
        /// The name of the claim.
        claim: String,
        /// The type that it should have.
        expected: &'static str,
    },
    /// `exp` is in the past by so much, by this machine's clock.
    #[error(
        "the token expired {} ago: compare the clocks of this machine and of Keycloak's, and set \
         the wrong one right; if neither is, raise the access token's lifespan in Keycloak",
        span(*.0)
    )]
    Expired(Duration),
    /// A time that should be past is in the future, by this machine's clock.
    #[error(
        "the token's {claim} is {} in the future: the clock of this machine is slow or that of \
         Keycloak's is fast; set the wrong one right",
        span(*ahead)
    )]
    NotYetValid {
        /// `nbf` or `iat`.
        claim: &'static str,
        /// The time until then.
        ahead: Duration,
    },
    /// Another issuer.
    #[error(
        "the token's issuer is {} and not {}: if the former is Keycloak's public URL, set \
         KEYCLOAK_ISSUER to it; if not, set Keycloak's hostname option",
        quoted(found),
        quoted(expected)
    )]
    Issuer {
        /// The `iss` of the token.
        found: String,
        /// The configured issuer.
        expected: String,
    },
    /// The configured audience is not among the token's.
    #[error(
        "the token's audience is {} and not {}: add an audience mapper to the client in Keycloak, \
         or correct JWT_AUDIENCE",
        list(found),
        quoted(expected)
    )]
    Audience {
        /// The `aud` of the token.
        found: Vec<String>,
        /// The configured audience.
        expected: String,
    },
    /// Issued to another client.
    #[error(
        "the token was issued to the client {} and not to {}: check KEYCLOAK_CLIENT_ID",
        or_none(found.as_deref()),
        quoted(expected)
    )]
    AuthorizedParty {
        /// The `azp` of the token.
        found: Option<String>,
        /// The configured client.
        expected: String,
    },
    /// The claim that names the user is missing.
    #[error(
        "the token has no claim {} that could say {}: give the client in Keycloak the scope that \
         holds it (profile for preferred_username), and no lightweight access tokens",
        quoted(claim),
        quoted(expected)
    )]
    NoUser {
        /// The claim that names the user.
        claim: String,
        /// The configured user.
        expected: String,
    },
    /// Issued to another user.
    #[error(
        "the token's {} is {} and not {}: set MATRIX_USER to the user of that name, or rename the \
         user in Keycloak",
        quoted(claim),
        quoted(found),
        quoted(expected)
    )]
    OtherUser {
        /// The claim that names the user.
        claim: String,
        /// The user that it names.
        found: String,
        /// The configured user.
        expected: String,
    },
}

impl From<DecodeError> for TokenError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Parts(5) => Self::Encrypted,
            error => Self::Unreadable(error),
        }
    }
}

impl Remedy for TokenError {
    type Party = Responsible;

    fn responsible(&self) -> Responsible {
        match self {
            Self::Expired { .. } | Self::NotYetValid { .. } => Responsible::Network,
            Self::NoUser { .. }
            | Self::OtherUser { .. }
            | Self::AuthorizedParty { .. }
            | Self::Issuer { .. } => Responsible::Configuration,
            _ => Responsible::Keycloak,
        }
    }

    /// The next token has the same user and client, whatever else is in it.
    fn is_transient(&self) -> bool {
        !matches!(
            self,
            Self::NoUser { .. } | Self::OtherUser { .. } | Self::AuthorizedParty { .. }
        )
    }
}

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
