//! The reason why the homeserver refuses a token, found out here: its own answer is the same
//! to everything.

use std::time::Duration;

use ruma::OwnedUserId;
use thiserror::Error;

use crate::auth::Responsible;
use crate::auth::jwt::TokenError;
#[cfg(feature = "keycloak")]
use crate::auth::keycloak;
use crate::net::Remedy;

/// The reason why the homeserver refuses a token, as far as it can be found out here.
#[derive(Debug, Error)]
pub enum Diagnosis {
    /// The token has these faults.
    #[error("{}", joined(.0))]
    Token(Vec<TokenError>),
    /// The realm's keys are not available.
    #[cfg(feature = "keycloak")]
    #[error(
        "the keys to check it with cannot be had here either, and without them the homeserver \
         refuses every token: {0}"
    )]
    NoKeys(keycloak::Error),
    /// The homeserver has no such user.
    #[error(
        "the homeserver has no user {0}: register the account there, or have the module do it \
         (registration_enabled, allow_registration)"
    )]
    UnknownUser(OwnedUserId),
    /// The homeserver's clock differs from this machine's by so much.
    #[error(
        "the homeserver's clock is {} s from the one here, so to it the token has expired or is of \
         the future: set the wrong one right",
        .0.as_secs()
    )]
    Clock(Duration),
    /// The token has no fault that can be seen from here.
    #[error(
        "the token is good as far as can be told from here, so look at the homeserver: does it have \
         the realm's keys (jwks_endpoint, or the key of now in its configuration), does it expect \
         the issuer that jwt-test shows and the client {client}, and does it have the account"
    )]
    Sound {
        /// The client that the token was issued to.
        client: String,
    },
    /// The token was made here, with a secret that the homeserver should know.
    #[error(
        "the token was made here: check that JWT_SECRET is the secret of the homeserver's module, \
         whose algorithm is HS512, that the clocks agree, and that the homeserver has the account"
    )]
    OwnSecret,
}

impl Remedy for Diagnosis {
    type Party = Responsible;

    fn responsible(&self) -> Responsible {
        match self {
            Self::Token(errors) => errors
                .first()
                .map_or(Responsible::Keycloak, Remedy::responsible),
            #[cfg(feature = "keycloak")]
            Self::NoKeys(error) => error.responsible(),
            Self::Clock(_) => Responsible::Network,
            Self::UnknownUser(_) | Self::Sound { .. } => Responsible::Homeserver,
            Self::OwnSecret => Responsible::Configuration,
        }
    }

    /// True but for a token that only the configuration can change: the homeserver gives one
    /// answer to everything, a passing trouble of its own included.
    fn is_transient(&self) -> bool {
        match self {
            Self::Token(errors) => errors.iter().all(Remedy::is_transient),
            _ => true,
        }
    }
}

fn joined(errors: &[TokenError]) -> String {
    let sentences: Vec<String> = errors.iter().map(ToString::to_string).collect();
    sentences.join("; and ")
}
