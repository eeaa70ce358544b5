//! From a request's `Authorization` to a session.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::HeaderMap;
use tokio::time::{Instant, sleep};

use super::bearer::{self, Shown};
use super::checker::{By, Checker, NOT_OURS, Rules, locked, ours};
use super::flights::Flights;
use super::issuer::{Issuer, Source};
use super::person::Hint;
use super::service_account::{Reviewer, Server};
use super::session::{AuthFault, Caller, Credential, Session};
use super::sessions::Sessions;
use crate::config::gateway::{GatewayFile, Oidc};
use crate::gateway::origin::Origin;
use crate::kube::Api;
use crate::net::Client;
use crate::telemetry::{GatewayAudit, GatewayMetrics};
use crate::util::ServerClock;

/// The time between two looks at what is over.
const SWEEP: Duration = Duration::from_secs(10);

/// Checks credentials. Clones share the caches.
#[derive(Clone)]
pub struct Authenticator(pub(super) Arc<Checker>);

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
    /// The API server's clock.
    pub clock: ServerClock,
    /// The audit log.
    pub audit: GatewayAudit,
    /// The metrics.
    pub metrics: Arc<GatewayMetrics>,
}

impl Authenticator {
    /// An authenticator for what the file says.
    pub fn new(means: Means, file: &GatewayFile) -> Self {
        let sessions: Arc<Mutex<Sessions>> = Arc::default();
        let oidc = means.oidc.map(|oidc| {
            let sessions = Arc::clone(&sessions);
            let forget = move || locked(&sessions).forget_persons();
            let issuer = Issuer::new(oidc.issuer.clone(), Source::Web(means.http), forget);
            (oidc, issuer)
        });
        let this = Self(Arc::new(Checker {
            audience: means.audience,
            reviewer: Reviewer::new(Server::Api(means.api)),
            flights: Flights::default(),
            oidc,
            hint: Hint::default(),
            rules: Mutex::new(Arc::new(Rules::of(file))),
            sessions,
            attempts: Mutex::default(),
            is_failing: AtomicBool::new(false),
            clock: means.clock,
            audit: means.audit,
            metrics: means.metrics,
        }));
        this.reload(file);
        this
    }

    /// The session of a request: nobody's if it shows no credential, or one that is no
    /// bearer token. `origin` has the address of whoever asks, for their share of what may
    /// be tried: the one that a trusted proxy names, not the proxy's. Where `is_public` is true,
    /// a bearer token that is not for the gateway is the app's own, too; where it is not, it
    /// is a fault.
    ///
    /// # Errors
    /// There is a credential for the gateway and it is not taken.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        origin: &Origin,
        is_public: bool,
    ) -> Result<Caller, AuthFault> {
        let token = match bearer::shown(headers) {
            Shown::Nothing => return Ok(self.0.nobody(Credential::None)),
            Shown::Other => return Ok(self.0.nobody(Credential::Theirs)),
            Shown::Foreign => {
                let event = self.0.usual_event();
                return self
                    .0
                    .foreign(event, By::Request(origin), is_public, NOT_OURS);
            }
            Shown::Twice => {
                let event = self.0.usual_event();
                return Err(self.0.refuse(event, By::Request(origin), "two credentials"));
            }
            Shown::Token(token) => token,
        };
        let digest = bearer::digest(token.as_bytes());
        if let Some(session) = locked(&self.0.sessions).fresh(&digest, Instant::now()) {
            return Ok(ours(Arc::clone(session)));
        }
        // On the heap, since it is rare: the state of every request would hold it.
        let by = By::Request(origin);
        Box::pin(self.0.check(token, digest, by, is_public)).await
    }

    /// Checks again what an open socket was opened with: every minute. Returns the session
    /// as it is now, which may be allowed less. The audit log is told the request that opened it.
    ///
    /// # Errors
    /// It is not taken any more. While it cannot be checked, an open socket stays until its
    /// credential expires.
    pub async fn check_again(
        &self,
        session: &Arc<Session>,
        origin: &Origin,
    ) -> Result<Arc<Session>, AuthFault> {
        let Some(digest) = session.digest else {
            return Ok(self.anonymous());
        };
        let now = self.0.clock.now();
        if session.expires.is_some_and(|expires| expires <= now) {
            return Err(AuthFault::Unauthorized("expired"));
        }
        if let Some(fresh) = locked(&self.0.sessions).fresh(&digest, Instant::now()) {
            return Ok(Arc::clone(fresh));
        }
        let Some(token) = &session.token else {
            return self.0.renewed(session);
        };
        let by = By::Socket(session, origin);
        match Box::pin(self.0.check(token.expose(), digest, by, false)).await {
            Ok(caller) => Ok(caller.session),
            Err(AuthFault::Unavailable) => self.0.renewed(session),
            Err(fault) => Err(fault),
        }
    }

    /// The session of somebody who shows nothing.
    pub fn anonymous(&self) -> Arc<Session> {
        Arc::clone(&self.0.rules().anonymous)
    }

    /// Goes by what the file says now; every credential is checked again. The metrics have
    /// its targets and namespaces from now on.
    pub fn reload(&self, file: &GatewayFile) {
        let namespaces = file.grants.identities.iter();
        let namespaces = namespaces.filter_map(|identity| identity.namespace.as_deref());
        let targets = file.targets.iter().map(|target| target.name.as_str());
        self.0.metrics.register(targets, namespaces);
        self.0.audit.tell_successes(file.audit_successes);
        *locked(&self.0.rules) = Arc::new(Rules::of(file));
        let gone = locked(&self.0.sessions).clear();
        self.0.ended(&gone);
    }

    /// Does what has to be done now and then, for as long as the gateway runs: forgets what
    /// is over, asks the identity provider for its keys. To be spawned once.
    pub async fn run(self) {
        loop {
            if let Some((_, issuer)) = &self.0.oidc {
                issuer.refresh();
            }
            let now = self.0.clock.now();
            let is_over = |session: &Session| session.expires.is_some_and(|end| end <= now);
            let gone = locked(&self.0.sessions).sweep(Instant::now(), is_over);
            self.0.ended(&gone);
            sleep(SWEEP).await;
        }
    }
}
