//! Why a homeserver refuses a token: it answers the same to everything, so the
//! token is looked at here.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::Method as HttpMethod;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ruma::{OwnedUserId, UserId};

use super::attempt::Login;
use super::fault::Responsible;
use super::keycloak_token::examine;
use crate::auth::jwt::TokenFault;
use crate::auth::keycloak;
use crate::config::{Homeserver as Address, Jwt, JwtLoginType, JwtSource};
use crate::matrix::client::{Call, Fault, versions};
use crate::util::Secret;

/// What is answered to a request for the profile of a user that there is not: by
/// the specification, and by Synapse. A server without the path says
/// `M_UNRECOGNIZED`.
const NO_USER: [&str; 2] = ["M_NOT_FOUND", "M_UNKNOWN"];

/// By how much clocks may differ before that is the fault.
const LEEWAY: Duration = Duration::from_secs(60);

/// What could be found out here about a token that the homeserver refuses.
#[derive(Debug)]
pub enum Diagnosis {
    /// Something is wrong with it.
    Token(Vec<TokenFault>),
    /// The keys to check it with are not to be had.
    NoKeys(keycloak::Fault),
    /// The homeserver has no such user.
    UnknownUser(OwnedUserId),
    /// The homeserver's clock differs from the one here by so much.
    Clock(Duration),
    /// Nothing is wrong with it, as far as can be told from here.
    Sound {
        /// The client that it was issued to.
        client: String,
    },
    /// It was made here, with a secret that the homeserver should know.
    OwnSecret,
}

/// Finds out what can be found out.
pub(super) async fn diagnose(login: &Login<'_>, jwt: &Jwt, token: &Secret) -> Diagnosis {
    let user = login.account.user.localpart();
    let found = match &jwt.source {
        JwtSource::Secret(_) => Diagnosis::OwnSecret,
        JwtSource::Keycloak(keycloak) => {
            match examine(login.client(), user, jwt, keycloak, token).await {
                Ok(faults) if !faults.is_empty() => return Diagnosis::Token(faults),
                // The other kinds of login have the key in a file.
                Err(fault) if jwt.login_type == JwtLoginType::FamedlyOauth => {
                    Diagnosis::NoKeys(fault)
                }
                Ok(_) | Err(_) => Diagnosis::Sound {
                    client: keycloak.client_id.clone(),
                },
            }
        }
    };
    if let Some(apart) = clocks_apart(login).await {
        return Diagnosis::Clock(apart);
    }
    match unknown_user(login).await {
        Some(user) => Diagnosis::UnknownUser(user),
        None => found,
    }
}

/// How far the homeserver's clock is from the one here, if it is too far.
async fn clocks_apart(login: &Login<'_>) -> Option<Duration> {
    let versions = versions(login.client(), login.homeserver.base())
        .await
        .ok()?;
    let there = versions.date()?;
    let apart = match there.duration_since(SystemTime::now()) {
        Ok(ahead) => ahead,
        Err(behind) => behind.duration(),
    };
    (apart > LEEWAY).then_some(apart)
}

/// The account, if the homeserver says that it has none such.
async fn unknown_user(login: &Login<'_>) -> Option<OwnedUserId> {
    let configured = &login.account.user;
    let user = match (&login.account.homeserver, configured.full()) {
        (_, Some(user)) => user.to_owned(),
        (Address::Name(server), None) => {
            UserId::parse(format!("@{}:{server}", configured.localpart())).ok()?
        }
        (Address::Url(_), None) => return None,
    };
    let call = Call {
        method: HttpMethod::GET,
        path: format!(
            "/_matrix/client/v3/profile/{}",
            utf8_percent_encode(user.as_str(), NON_ALPHANUMERIC)
        ),
        body: Vec::new(),
    };
    match login.homeserver.ask(call, None).await {
        Err(Fault::Refused {
            status: 404,
            errcode,
            ..
        }) if NO_USER.contains(&errcode.as_str()) => Some(user),
        _ => None,
    }
}

impl Diagnosis {
    /// Whose fault it is, as far as can be told.
    pub(super) fn party(&self) -> Responsible {
        match self {
            Self::Token(faults) => match faults.first() {
                Some(TokenFault::Expired { .. } | TokenFault::NotYetValid { .. }) => {
                    Responsible::Network
                }
                Some(
                    TokenFault::User { .. }
                    | TokenFault::AuthorizedParty { .. }
                    | TokenFault::Issuer { .. },
                ) => Responsible::Configuration,
                _ => Responsible::Keycloak,
            },
            Self::NoKeys(fault) => Responsible::of_keycloak(fault),
            Self::Clock(_) => Responsible::Network,
            Self::UnknownUser(_) | Self::Sound { .. } => Responsible::Homeserver,
            Self::OwnSecret => Responsible::Configuration,
        }
    }

    /// Whether the next token may be taken: what only the configuration can
    /// change stays as it is.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Token(faults) => !faults.iter().any(|fault| {
                matches!(
                    fault,
                    TokenFault::User { .. } | TokenFault::AuthorizedParty { .. }
                )
            }),
            Self::NoKeys(_)
            | Self::Clock(_)
            | Self::UnknownUser(_)
            | Self::Sound { .. }
            | Self::OwnSecret => true,
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(faults) => {
                for (i, fault) in faults.iter().enumerate() {
                    let joint = if i == 0 { "" } else { "; and " };
                    write!(f, "{joint}{fault}")?;
                }
                Ok(())
            }
            Self::NoKeys(fault) => write!(
                f,
                "the keys to check it with cannot be had here either, and without them the \
                 homeserver refuses every token: {fault}"
            ),
            Self::Clock(apart) => write!(
                f,
                "the homeserver's clock is {} s from the one here, so to it the token has expired \
                 or is of the future: set the wrong one right",
                apart.as_secs()
            ),
            Self::UnknownUser(user) => write!(
                f,
                "the homeserver has no user {user}: register the account there, or have the \
                 module do it (registration_enabled, allow_registration)"
            ),
            Self::Sound { client } => write!(
                f,
                "the token is good as far as can be told from here, so look at the homeserver: \
                 does it have the realm's keys (jwks_endpoint, or the key of now in its \
                 configuration), does it expect the issuer that jwt-test shows and the client \
                 {client}, and does it have the account"
            ),
            Self::OwnSecret => f.write_str(
                "the token was made here: check that JWT_SECRET is the secret of the homeserver's \
                 module, whose algorithm is HS512, that the clocks agree, and that the homeserver \
                 has the account",
            ),
        }
    }
}
