//! From a request's `Authorization` to a session.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use log::warn;
use tokio::time::{Instant, sleep};

use super::attempts::Attempts;
use super::bearer::{self, Claimed, Shown};
use super::flights::Flights;
use super::issuer::{Issuer, Source};
use super::person::{self, Hint};
use super::service_account::{self, ReviewError, Reviewer, Server};
use super::session::{AuthFault, Caller, Credential, Digest, Session};
use super::sessions::Sessions;
use crate::auth::jwt::Unverified;
use crate::config::gateway::{GatewayFile, Oidc};
#[cfg(test)]
use crate::control::access::Permissions;
use crate::control::access::{Grants, Principal};
use crate::kube::Api;
use crate::net::Client;
use crate::telemetry::{GatewayAudit, GatewayEvent, GatewayMetrics, GatewayRecord};
use crate::util::{Clock, Secret};

/// The time for which the API server's word about a token is taken. It remembers its own for
/// as long, so that a token is refused at most twice this after its pod is gone.
const REVIEWED_FOR: Duration = Duration::from_secs(10);

/// The time between two looks at what is over.
const SWEEP: Duration = Duration::from_secs(10);

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
    audience: String,
    reviewer: Reviewer,
    flights: Flights,
    oidc: Option<(Oidc, Issuer)>,
    hint: Hint,
    rules: Mutex<Arc<Rules>>,
    sessions: Arc<Mutex<Sessions>>,
    attempts: Mutex<Attempts>,
    /// The API server did not answer the last question.
    is_failing: AtomicBool,
    clock: Clock,
    audit: GatewayAudit,
    metrics: Arc<GatewayMetrics>,
}

/// The part of the file that decides about credentials.
struct Rules {
    grants: Grants,
    service_accounts: bool,
    anonymous: Arc<Session>,
}

/// A token that is being checked.
struct Attempt {
    token: Secret,
    unverified: Unverified,
    digest: Digest,
    /// The address of whoever shows it; None for a socket that is open already.
    peer: Option<IpAddr>,
    began: Instant,
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
        let this = Self(Arc::new(Shared {
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
    /// bearer token. `peer` is the address of whoever asks, for their share of what may be
    /// tried: the one that a trusted proxy names, not the proxy's. Where `is_public` is true,
    /// a bearer token that is not for the gateway is the app's own, too; where it is not, it
    /// is a fault.
    ///
    /// # Errors
    /// There is a credential for the gateway and it is not taken.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: IpAddr,
        is_public: bool,
    ) -> Result<Caller, AuthFault> {
        let token = match bearer::shown(headers) {
            Shown::Nothing => return Ok(self.nobody(Credential::None)),
            Shown::Other => return Ok(self.nobody(Credential::Theirs)),
            Shown::Foreign => return self.foreign(Some(peer), is_public),
            Shown::Twice => {
                return Err(self.refuse(self.usual_event(), Some(peer), "two credentials"));
            }
            Shown::Token(token) => token,
        };
        let digest = bearer::digest(token.as_bytes());
        if let Some(session) = locked(&self.0.sessions).fresh(&digest, Instant::now()) {
            return Ok(ours(Arc::clone(session)));
        }
        // On the heap, since it is rare: the state of every request would hold it.
        Box::pin(self.check(token, digest, Some(peer), is_public)).await
    }

    /// Checks again what an open socket was opened with: every minute. Returns the session
    /// as it is now, which may be allowed less.
    ///
    /// # Errors
    /// It is not taken any more. While it cannot be checked, an open socket stays until its
    /// credential expires.
    pub async fn check_again(&self, session: &Arc<Session>) -> Result<Arc<Session>, AuthFault> {
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
            return self.renewed(session);
        };
        match Box::pin(self.check(token.expose(), digest, None, false)).await {
            Ok(caller) => Ok(caller.session),
            Err(AuthFault::Unavailable) => self.renewed(session),
            Err(fault) => Err(fault),
        }
    }

    /// The session of somebody who shows nothing.
    pub fn anonymous(&self) -> Arc<Session> {
        Arc::clone(&self.rules().anonymous)
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
        self.ended(&gone);
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
            self.ended(&gone);
            sleep(SWEEP).await;
        }
    }

    /// Checks a token that is not known, or not any more.
    async fn check(
        &self,
        token: &str,
        digest: Digest,
        peer: Option<IpAddr>,
        is_public: bool,
    ) -> Result<Caller, AuthFault> {
        let began = Instant::now();
        let token = Secret::new(token.to_owned());
        let Ok(unverified) = Unverified::decode(&token) else {
            return self.foreign(peer, is_public);
        };
        let oidc = self.0.oidc.as_ref().map(|(oidc, _)| oidc);
        let wanted = bearer::Wanted {
            audience: (self.rules().service_accounts).then_some(&*self.0.audience),
            oidc: oidc.map(|oidc| (&*oidc.issuer, &*oidc.audience)),
        };
        let claimed = bearer::claimed(&unverified, wanted, self.0.clock.now());
        let attempt = Attempt {
            token,
            unverified,
            digest,
            peer,
            began,
        };
        match claimed {
            Claimed::Foreign => return self.foreign(peer, is_public),
            Claimed::PersonElsewhere => {
                if let Some(oidc) = oidc {
                    self.0.hint.tell(&attempt.unverified, &oidc.audience);
                }
                return self.foreign(peer, is_public);
            }
            Claimed::Expired => {
                return Err(self.refuse(GatewayEvent::ServiceAccountRefused, peer, "expired"));
            }
            Claimed::ServiceAccount { .. } | Claimed::Person => {}
        }
        let may_try = |peer| locked(&self.0.attempts).may_try(peer, began);
        if !peer.is_none_or(may_try) {
            return Err(AuthFault::TooMany);
        }
        let answer = match claimed {
            Claimed::ServiceAccount { audiences, expires } => {
                let ask = self.review(&attempt, audiences, expires);
                self.0.flights.share(digest, ask).await
            }
            _ => self.person(&attempt).await,
        };
        answer.map(ours)
    }

    /// Asks the API server about a token.
    async fn review(
        &self,
        attempt: &Attempt,
        audiences: usize,
        expires: SystemTime,
    ) -> Result<Arc<Session>, AuthFault> {
        let shared = &*self.0;
        let review = shared
            .reviewer
            .review(&attempt.token, &shared.audience)
            .await;
        self.tell(review.as_ref().err());
        let review = review.map_err(|_| AuthFault::Unavailable)?;
        let rules = self.rules();
        let unbound = |account: &_| rules.grants.allows_unbound(account);
        let reviewed = service_account::judge(&review, &shared.audience, audiences, unbound);
        let reviewed = reviewed
            .map_err(|reason| self.fail(attempt, GatewayEvent::ServiceAccountRefused, reason))?;
        let principal = Principal::ServiceAccount(reviewed.account, reviewed.pod);
        let mut session = Session::new(principal.clone(), rules.grants.permissions(&principal));
        session.expires = Some(expires);
        session.credential_id = review.credential_id;
        session.token = Some(attempt.token.clone());
        self.admit(attempt, session, REVIEWED_FOR)
    }

    /// Checks an access token of the identity provider.
    async fn person(&self, attempt: &Attempt) -> Result<Arc<Session>, AuthFault> {
        let Some((oidc, issuer)) = &self.0.oidc else {
            return Err(AuthFault::Unavailable);
        };
        let now = self.0.clock.now();
        let checked = person::check(oidc, issuer, &attempt.token, &attempt.unverified, now).await;
        let token = checked.map_err(|fault| match fault {
            AuthFault::Unauthorized(reason) => {
                self.fail(attempt, GatewayEvent::PersonRefused, reason)
            }
            fault => fault,
        })?;
        let rules = self.rules();
        let (expires, id) = (token.expires, token.id.clone());
        let is_mapped = |role: &str| rules.grants.oidc_roles.contains_key(role);
        let principal = person::principal(oidc, token, is_mapped);
        let mut session = Session::new(principal.clone(), rules.grants.permissions(&principal));
        session.expires = Some(expires);
        session.credential_id = id;
        self.admit(attempt, session, oidc.max_lifetime)
    }

    /// Remembers a session whose credential was proven, for as long as it is valid and this
    /// long at most.
    fn admit(
        &self,
        attempt: &Attempt,
        mut session: Session,
        at_most: Duration,
    ) -> Result<Arc<Session>, AuthFault> {
        let shared = &*self.0;
        let is_account = session.account().is_some();
        let [taken, refused] = match is_account {
            true => [
                GatewayEvent::ServiceAccountTaken,
                GatewayEvent::ServiceAccountRefused,
            ],
            false => [GatewayEvent::PersonTaken, GatewayEvent::PersonRefused],
        };
        // What anybody may do makes no allow-list of service accounts.
        let may_nothing = match is_account {
            true => session.permissions.roles.is_empty(),
            false => session.permissions.is_empty(),
        };
        if may_nothing {
            self.forget(attempt);
            let fault = AuthFault::Forbidden;
            self.failed(
                refused,
                attempt.peer,
                session.record(refused),
                fault.reason(),
            );
            return Err(fault);
        }
        session.digest = Some(attempt.digest);
        let session = Arc::new(session);
        let left = session
            .expires
            .map(|end| end.duration_since(shared.clock.now()));
        let left = left.and_then(Result::ok).unwrap_or_default();
        let now = Instant::now();
        let fresh_until = now + left.min(at_most);
        let (is_new, gone) = {
            let mut sessions = locked(&shared.sessions);
            let before = sessions.forget(&attempt.digest);
            let is_new = before.is_none();
            let mut gone = sessions.remember(attempt.digest, session.clone(), fresh_until, now);
            gone.extend(before);
            (is_new, gone)
        };
        self.ended(&gone);
        if let Some(account) = session.account() {
            shared.metrics.auth_attempt(true);
            shared.metrics.session_began(&account.namespace);
        }
        if is_new {
            let took = now.duration_since(attempt.began).as_millis();
            let record = GatewayRecord {
                duration_ms: u64::try_from(took).ok(),
                ..session.record(taken)
            };
            self.write(attempt.peer, record);
        }
        Ok(session)
    }

    /// A session that stays although its credential is not checked now, with what it may do
    /// now.
    fn renewed(&self, session: &Arc<Session>) -> Result<Arc<Session>, AuthFault> {
        let permissions = self.rules().grants.permissions(&session.principal);
        if permissions.is_empty() {
            return Err(AuthFault::Forbidden);
        }
        if permissions == session.permissions {
            return Ok(Arc::clone(session));
        }
        Ok(Arc::new(session.with(permissions)))
    }

    /// A bearer token that is not for the gateway.
    fn foreign(&self, peer: Option<IpAddr>, is_public: bool) -> Result<Caller, AuthFault> {
        match is_public {
            true => Ok(self.nobody(Credential::Theirs)),
            false => Err(self.refuse(self.usual_event(), peer, "not for the gateway")),
        }
    }

    /// The event for what is nobody's in particular.
    fn usual_event(&self) -> GatewayEvent {
        match self.rules().service_accounts || self.0.oidc.is_none() {
            true => GatewayEvent::ServiceAccountRefused,
            false => GatewayEvent::PersonRefused,
        }
    }

    /// Refuses what cost nobody a question.
    fn refuse(&self, event: GatewayEvent, peer: Option<IpAddr>, reason: &'static str) -> AuthFault {
        self.told(event, peer, GatewayRecord::new(event), reason);
        AuthFault::Unauthorized(reason)
    }

    /// Refuses what did, which its peer may not do too often.
    fn fail(&self, attempt: &Attempt, event: GatewayEvent, reason: &'static str) -> AuthFault {
        self.forget(attempt);
        self.failed(event, attempt.peer, GatewayRecord::new(event), reason);
        AuthFault::Unauthorized(reason)
    }

    fn failed(
        &self,
        event: GatewayEvent,
        peer: Option<IpAddr>,
        record: GatewayRecord<'_>,
        reason: &str,
    ) {
        if let Some(peer) = peer {
            locked(&self.0.attempts).failed(peer, Instant::now());
        }
        self.told(event, peer, record, reason);
    }

    fn told(
        &self,
        event: GatewayEvent,
        peer: Option<IpAddr>,
        record: GatewayRecord<'_>,
        reason: &str,
    ) {
        if event == GatewayEvent::ServiceAccountRefused {
            self.0.metrics.auth_attempt(false);
        }
        let decision = "denied";
        self.write(
            peer,
            GatewayRecord {
                reason,
                decision,
                ..record
            },
        );
    }

    fn write(&self, peer: Option<IpAddr>, record: GatewayRecord<'_>) {
        let remote_ip = peer.map(|peer| peer.to_canonical().to_string());
        let remote_ip = remote_ip.as_deref().unwrap_or_default();
        let record = GatewayRecord {
            remote_ip,
            ..record
        };
        self.0.audit.record(self.0.clock.now_ms(), &record);
    }

    /// Says once that the API server does not answer, and once that it does again.
    fn tell(&self, error: Option<&ReviewError>) {
        let was_failing = self.0.is_failing.swap(error.is_some(), Relaxed);
        match error {
            Some(error) if !was_failing => {
                warn!("the API server cannot be asked whose token it is: {error}");
            }
            None if was_failing => log::info!("the API server says again whose token it is"),
            _ => {}
        }
    }

    fn forget(&self, attempt: &Attempt) {
        let gone = locked(&self.0.sessions).forget(&attempt.digest);
        self.ended(gone.as_slice());
    }

    fn ended(&self, sessions: &[Arc<Session>]) {
        for account in sessions.iter().filter_map(|session| session.account()) {
            self.0.metrics.session_ended(&account.namespace);
        }
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&locked(&self.0.rules))
    }

    fn nobody(&self, credential: Credential) -> Caller {
        Caller {
            session: self.anonymous(),
            credential,
        }
    }
}

impl Rules {
    fn of(file: &GatewayFile) -> Self {
        let nobody = Principal::Anonymous;
        let permissions = file.grants.permissions(&nobody);
        Self {
            grants: file.grants.clone(),
            service_accounts: file.service_accounts,
            anonymous: Arc::new(Session::new(nobody, permissions)),
        }
    }
}

fn ours(session: Arc<Session>) -> Caller {
    Caller {
        session,
        credential: Credential::Ours,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
impl Authenticator {
    /// An authenticator that takes these tokens, for the tests of others; everybody else is
    /// anonymous and may do this.
    pub(crate) fn of_sessions<const N: usize>(
        tokens: [(&str, Session); N],
        anonymous: Permissions,
    ) -> Self {
        let this = Self::of_parts(
            Server::Test(Box::new(|_, _| None)),
            None,
            Clock::stopped(),
            GatewayAudit::default(),
            Rules {
                grants: Grants::default(),
                service_accounts: true,
                anonymous: Arc::new(Session::new(Principal::Anonymous, anonymous)),
            },
        );
        let now = Instant::now();
        let for_ever = now + Duration::from_secs(1_000_000);
        for (token, mut session) in tokens {
            let digest = bearer::digest(token.as_bytes());
            session.digest = Some(digest);
            locked(&this.0.sessions).remember(digest, Arc::new(session), for_ever, now);
        }
        this
    }

    fn of_parts(
        server: Server,
        oidc: Option<(Oidc, Source)>,
        clock: Clock,
        audit: GatewayAudit,
        rules: Rules,
    ) -> Self {
        let sessions: Arc<Mutex<Sessions>> = Arc::default();
        let forget = Arc::clone(&sessions);
        let oidc = oidc.map(|(oidc, source)| {
            let forget = move || locked(&forget).forget_persons();
            let issuer = Issuer::new(oidc.issuer.clone(), source, forget);
            (oidc, issuer)
        });
        Self(Arc::new(Shared {
            audience: "openclaw-gateway".to_owned(),
            reviewer: Reviewer::new(server),
            flights: Flights::default(),
            oidc,
            hint: Hint::default(),
            rules: Mutex::new(Arc::new(rules)),
            sessions,
            attempts: Mutex::default(),
            is_failing: AtomicBool::new(false),
            clock,
            audit,
            metrics: Arc::default(),
        }))
    }

    /// An authenticator that asks others than the API server and the identity provider.
    pub(super) fn of_sources(
        server: Server,
        oidc: Option<(Oidc, Source)>,
        clock: Clock,
        grants: Grants,
    ) -> Self {
        let nobody = Principal::Anonymous;
        let rules = Rules {
            anonymous: Arc::new(Session::new(nobody.clone(), grants.permissions(&nobody))),
            grants,
            service_accounts: true,
        };
        Self::of_parts(server, oidc, clock, GatewayAudit::default(), rules)
    }

    /// The numbers of sessions, of questions under way, and of those that failed by peer.
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        let sessions = locked(&self.0.sessions).len();
        (
            sessions,
            self.0.flights.len(),
            locked(&self.0.attempts).len(),
        )
    }

    /// The metrics.
    pub(super) fn metrics(&self) -> &GatewayMetrics {
        &self.0.metrics
    }
}
