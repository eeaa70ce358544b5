//! People and clients, by access tokens of an identity provider.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

use log::warn;

use super::issuer::Issuer;
use super::session::AuthFault;
use crate::auth::jwt::{self, AccessFault, AccessToken, Unverified};
use crate::config::gateway::Oidc;
use crate::control::access::{Person, Principal};
use crate::util::{Secret, printable};

/// The longest part of a token that is shown, in bytes.
const MAX_SHOWN: usize = 120;

/// Checks an access token; the keys are asked for where they are not known yet.
///
/// # Errors
/// It is not taken, or cannot be checked now.
pub(super) async fn check(
    oidc: &Oidc,
    issuer: &Issuer,
    token: &Secret,
    unverified: &Unverified,
    now: SystemTime,
) -> Result<AccessToken, AuthFault> {
    let wanted = jwt::Wanted {
        issuer: &oidc.issuer,
        audience: &oidc.audience,
        clients: &oidc.clients,
        algorithms: &oidc.algorithms,
        max_lifetime: oidc.max_lifetime,
        roles_claim: &oidc.roles_claim,
    };
    // All that needs no key comes first, so that it costs no question.
    let read = AccessToken::read(unverified, &wanted, now).map_err(fault)?;
    let keys = issuer.keys(&read.key_id).await?;
    jwt::verify(token, unverified, &keys).map_err(fault)?;
    Ok(read)
}

fn fault(fault: AccessFault) -> AuthFault {
    AuthFault::Unauthorized(match fault {
        AccessFault::UnknownKey => "unknown key",
        AccessFault::Refused(reason) => reason,
    })
}

/// The person of a token, with those of their roles that mean something here.
pub(super) fn principal(
    oidc: &Oidc,
    token: AccessToken,
    is_mapped: impl Fn(&str) -> bool,
) -> Principal {
    let roles = token.roles.into_iter().filter(|role| is_mapped(role));
    Principal::Person(Person {
        issuer: oidc.issuer.clone(),
        subject: token.subject,
        shown: printable(&token.username, MAX_SHOWN),
        roles: roles.collect(),
    })
}

/// A word to the operator, said once: the identity provider's tokens are not for the gateway,
/// as Keycloak's are not unless somebody has asked it to.
#[derive(Default)]
pub(super) struct Hint(AtomicBool);

impl Hint {
    /// Says it about a token that nobody has proven.
    pub(super) fn tell(&self, token: &Unverified, audience: &str) {
        if self.0.swap(true, Relaxed) {
            return;
        }
        let shown = |text: &str| printable(text, MAX_SHOWN);
        let client = shown(token.text("azp").unwrap_or("(no azp)"));
        let found = shown(&token.audiences().join(", "));
        warn!(
            "a token of the client {client} is for {found} and not for {audience} \
             (OIDC_AUDIENCE): add a mapper of the type Audience to the client's dedicated scope \
             in Keycloak, with {audience} as the included custom audience and in the access token"
        );
    }
}
