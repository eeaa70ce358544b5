//! From a request's `Authorization` to a session.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::time::Instant;

use super::session::{AuthFault, Caller, Credential, Session};
use super::sessions::Sessions;
use crate::config::gateway::{GatewayFile, Oidc};
use crate::control::access::{Grants, Permissions, Principal};
use crate::kube::Api;
use crate::net::Client;
use crate::telemetry::{GatewayAudit, GatewayMetrics};
use crate::util::Clock;

/// Checks credentials. Clones share the caches.
#[derive(Clone)]
pub struct Authenticator(Arc<Shared>);

/// The things that credentials are checked with.
pub struct Means {
    /// The audience that tokens of service accounts have to carry.
    pub audience: String,
    /// The identity provider, if there is one.
    pub oidc: Option<Oidc>,
    /// The client that asks the identity provider for its keys.
    pub http: Client,
    /// The API server, which is asked whose token it is.
    pub api: Api,
    /// The wall clock.
    pub clock: Clock,
    /// The audit log.
    pub audit: GatewayAudit,
    /// The metrics.
    pub metrics: Arc<GatewayMetrics>,
}

struct Shared {
    rules: Mutex<Arc<Rules>>,
    sessions: Mutex<Sessions>,
}

/// The part of the file that decides about credentials.
struct Rules {
    grants: Grants,
    anonymous: Arc<Session>,
}

impl Authenticator {
    /// An authenticator for what the file says.
    pub fn new(means: Means, file: &GatewayFile) -> Self {
        let _ = (means, file);
        todo!()
    }

    /// The session of a request: nobody's if it shows no credential, or one that is no
    /// bearer token. `peer` is the address of whoever asks, for their share of what may be
    /// tried: a proxy that is trusted is nobody's. Where `is_public` is true, a bearer token
    /// that is not for the gateway is the app's own, too; where it is not, that is a fault.
    ///
    /// # Errors
    /// There is a credential for the gateway and it is not taken.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: IpAddr,
        is_public: bool,
    ) -> Result<Caller, AuthFault> {
        let _ = peer;
        let token = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        let token = token.and_then(|value| value.strip_prefix(b"Bearer "));
        let Some(token) = token else {
            return Ok(self.nobody(Credential::None));
        };
        let digest = digest(token);
        let mut sessions = locked(&self.0.sessions);
        if let Some(session) = sessions.fresh(&digest, Instant::now()) {
            return Ok(Caller {
                session: Arc::clone(session),
                credential: Credential::Ours,
            });
        }
        match is_public {
            true => Ok(self.nobody(Credential::Theirs)),
            false => Err(AuthFault::Unauthorized("not for the gateway")),
        }
    }

    /// Checks again what an open socket was opened with: every minute. Returns the session
    /// as it is now, which may be allowed less.
    ///
    /// # Errors
    /// It is not taken any more. While it cannot be checked, an open socket stays until its
    /// credential expires.
    pub async fn check_again(&self, session: &Arc<Session>) -> Result<Arc<Session>, AuthFault> {
        Ok(Arc::clone(session))
    }

    /// The session of somebody who shows nothing.
    pub fn anonymous(&self) -> Arc<Session> {
        Arc::clone(&locked(&self.0.rules).anonymous)
    }

    /// Goes by what the file says now; every credential is checked again.
    pub fn reload(&self, file: &GatewayFile) {
        let _ = file;
        todo!()
    }

    /// Does what has to be done now and then, for as long as the gateway runs: to be
    /// spawned once.
    pub async fn run(self) {
        todo!()
    }

    fn nobody(&self, credential: Credential) -> Caller {
        Caller {
            session: self.anonymous(),
            credential,
        }
    }

    /// An authenticator that takes these tokens, for the tests of others; everybody else is
    /// anonymous and may do this.
    #[cfg(test)]
    pub(crate) fn of_sessions<const N: usize>(
        tokens: [(&str, Session); N],
        anonymous: Permissions,
    ) -> Self {
        let now = Instant::now();
        let for_ever = now + std::time::Duration::from_secs(1_000_000);
        let mut sessions = Sessions::default();
        for (token, mut session) in tokens {
            let digest = digest(token.as_bytes());
            session.digest = Some(digest);
            sessions.remember(digest, Arc::new(session), for_ever, now);
        }
        let anonymous = Arc::new(Session::new(Principal::Anonymous, anonymous));
        let grants = Grants::default();
        Self(Arc::new(Shared {
            rules: Mutex::new(Arc::new(Rules { grants, anonymous })),
            sessions: Mutex::new(sessions),
        }))
    }
}

fn digest(token: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, token);
    digest.as_ref().try_into().unwrap_or_default()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
