//! The checks of a token that is not remembered, and all that is told of them.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use log::{debug, warn};
use tokio::time::Instant;

use super::attempts::Attempts;
use super::bearer::{self, Claimed};
use super::flights::Flights;
use super::issuer::Issuer;
use super::person::{self, Hint};
use super::service_account::{self, ReviewError, Reviewer};
use super::session::{AuthFault, Caller, Credential, Digest, Session};
use super::sessions::Sessions;
use crate::auth::jwt::Unverified;
use crate::config::gateway::{GatewayFile, Oidc};
use crate::control::access::{Grants, Principal};
use crate::gateway::origin::Origin;
use crate::telemetry::{GatewayAudit, GatewayEvent, GatewayMetrics, GatewayRecord};
use crate::util::{Secret, ServerClock, printable};

/// The time for which the API server's word about a token is taken. It remembers its own for
/// as long, so that a token is refused at most twice this after its pod is gone.
const REVIEWED_FOR: Duration = Duration::from_secs(10);

/// The longest text of the API server that is logged, in bytes, and the longest word of it:
/// tokens are longer.
const MAX_SHOWN: usize = 200;
const MAX_WORD: usize = 64;

/// The reason to refuse what says nothing of the gateway.
pub(super) const NOT_OURS: &str = "not for the gateway";

/// Checks tokens, and remembers those that were good.
pub(super) struct Checker {
    pub(super) audience: String,
    pub(super) reviewer: Reviewer,
    pub(super) flights: Flights,
    pub(super) oidc: Option<(Oidc, Issuer)>,
    pub(super) hint: Hint,
    pub(super) rules: Mutex<Arc<Rules>>,
    pub(super) sessions: Arc<Mutex<Sessions>>,
    pub(super) attempts: Mutex<Attempts>,
    /// The API server did not answer the last question.
    pub(super) is_failing: AtomicBool,
    /// The clock that tokens are judged by, those of persons too: a session must not end by
    /// another clock than the one it began by, and all replicas have this one in common.
    pub(super) clock: ServerClock,
    pub(super) audit: GatewayAudit,
    pub(super) metrics: Arc<GatewayMetrics>,
}

/// The part of the file that decides about credentials.
pub(super) struct Rules {
    pub(super) grants: Grants,
    pub(super) service_accounts: bool,
    pub(super) anonymous: Arc<Session>,
}

/// Whoever a token is checked for.
#[derive(Clone, Copy)]
pub(super) enum By<'a> {
    /// A request, which shows it.
    Request(&'a Origin),
    /// An open socket that was opened with it: its session, and the request that opened it.
    Socket(&'a Session, &'a Origin),
}

impl<'a> By<'a> {
    /// A line of the audit log about whoever it is, as far as that is known.
    fn record(self, event: GatewayEvent) -> GatewayRecord<'a> {
        match self {
            Self::Request(_) => GatewayRecord::new(event),
            // Whatever its token is taken for now.
            Self::Socket(session, _) => session.record(GatewayEvent::ServiceAccountRefused),
        }
    }
}

/// A token that is being checked.
struct Attempt<'a> {
    token: Secret,
    unverified: Unverified,
    digest: Digest,
    by: By<'a>,
    began: Instant,
}

impl Checker {
    /// Checks a token that is not known, or not any more.
    pub(super) async fn check(
        &self,
        token: &str,
        digest: Digest,
        by: By<'_>,
        is_public: bool,
    ) -> Result<Caller, AuthFault> {
        let began = Instant::now();
        let token = Secret::new(token.to_owned());
        let Ok(unverified) = Unverified::decode(&token) else {
            return self.foreign(self.usual_event(), by, is_public, NOT_OURS);
        };
        let oidc = self.oidc.as_ref().map(|(oidc, _)| oidc);
        let wanted = bearer::Wanted {
            audience: (self.rules().service_accounts).then_some(&*self.audience),
            oidc: oidc.map(|oidc| (&*oidc.issuer, &*oidc.audience)),
        };
        let claimed = bearer::claimed(&unverified, wanted, self.clock.now());
        let attempt = Attempt {
            token,
            unverified,
            digest,
            by,
            began,
        };
        let (of_account, of_person) = (
            GatewayEvent::ServiceAccountRefused,
            GatewayEvent::PersonRefused,
        );
        match claimed {
            Claimed::Foreign => return self.foreign(of_account, by, is_public, NOT_OURS),
            Claimed::OtherAudience => {
                if let Some(oidc) = oidc {
                    self.hint.tell(&attempt.unverified, &oidc.audience);
                }
                return self.foreign(of_person, by, is_public, "another audience");
            }
            Claimed::OtherIssuer => {
                return self.foreign(of_person, by, is_public, "another issuer");
            }
            Claimed::Expired => return Err(self.refuse(of_account, by, "expired")),
            Claimed::ServiceAccount { .. } | Claimed::Person => {}
        }
        if let By::Request(origin) = by
            && !locked(&self.attempts).may_try(origin.ip, began)
        {
            return Err(AuthFault::TooMany);
        }
        let answer = match claimed {
            Claimed::ServiceAccount { audiences, expires } => {
                let ask = self.review(&attempt, audiences, expires);
                self.flights.share(digest, ask).await
            }
            _ => self.person(&attempt).await,
        };
        answer.map(ours)
    }

    /// Asks the API server about a token.
    async fn review(
        &self,
        attempt: &Attempt<'_>,
        audiences: usize,
        expires: SystemTime,
    ) -> Result<Arc<Session>, AuthFault> {
        let shared = self;
        let review = shared
            .reviewer
            .review(&attempt.token, &shared.audience)
            .await;
        self.tell(review.as_ref().err());
        let review = review.map_err(|_| AuthFault::Unavailable)?;
        if !review.error.is_empty() {
            debug!(
                "the API server says of a token: {}",
                without_token(&review.error)
            );
        }
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
        let node = review.node_name.as_deref().unwrap_or_default();
        self.admit(attempt, session, REVIEWED_FOR, node)
    }

    /// Checks an access token of the identity provider.
    async fn person(&self, attempt: &Attempt<'_>) -> Result<Arc<Session>, AuthFault> {
        let Some((oidc, issuer)) = &self.oidc else {
            return Err(AuthFault::Unavailable);
        };
        let now = self.clock.now();
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
        self.admit(attempt, session, oidc.max_lifetime, "")
    }

    /// Remembers a session whose credential was proven, for as long as it is valid and this
    /// long at most. `node` is the one that its pod runs on.
    fn admit(
        &self,
        attempt: &Attempt<'_>,
        mut session: Session,
        at_most: Duration,
        node: &str,
    ) -> Result<Arc<Session>, AuthFault> {
        let shared = self;
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
            self.failed(attempt.by, session.record(refused), fault.reason());
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
        // Before anybody else can end it.
        if let Some(account) = session.account() {
            shared.metrics.session_began(&account.namespace);
        }
        let (is_new, gone) = {
            let mut sessions = locked(&shared.sessions);
            let before = sessions.forget(&attempt.digest);
            let is_new = before.is_none();
            let mut gone = sessions.remember(attempt.digest, session.clone(), fresh_until, now);
            gone.extend(before);
            (is_new, gone)
        };
        self.ended(&gone);
        if is_account {
            self.count(attempt.by, true);
        }
        if is_new {
            let took = now.duration_since(attempt.began).as_millis();
            let record = GatewayRecord {
                node_name: node,
                duration_ms: u64::try_from(took).ok(),
                ..session.record(taken)
            };
            self.write(attempt.by, record);
        }
        Ok(session)
    }

    /// A session that stays although its credential is not checked now, with what it may do
    /// now.
    pub(super) fn renewed(&self, session: &Arc<Session>) -> Result<Arc<Session>, AuthFault> {
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
    pub(super) fn foreign(
        &self,
        event: GatewayEvent,
        by: By<'_>,
        is_public: bool,
        reason: &'static str,
    ) -> Result<Caller, AuthFault> {
        match is_public {
            true => Ok(self.nobody(Credential::Theirs)),
            false => Err(self.refuse(event, by, reason)),
        }
    }

    /// The event for what is nobody's in particular: no service account's where there are
    /// others, since those are known by what they say.
    pub(super) fn usual_event(&self) -> GatewayEvent {
        match self.oidc.is_none() {
            true => GatewayEvent::ServiceAccountRefused,
            false => GatewayEvent::PersonRefused,
        }
    }

    /// Refuses what cost nobody a question.
    pub(super) fn refuse(
        &self,
        event: GatewayEvent,
        by: By<'_>,
        reason: &'static str,
    ) -> AuthFault {
        self.told(by, by.record(event), reason);
        AuthFault::Unauthorized(reason)
    }

    /// Refuses what did, which its peer may not do too often.
    fn fail(&self, attempt: &Attempt<'_>, event: GatewayEvent, reason: &'static str) -> AuthFault {
        self.forget(attempt);
        self.failed(attempt.by, attempt.by.record(event), reason);
        AuthFault::Unauthorized(reason)
    }

    fn failed(&self, by: By<'_>, record: GatewayRecord<'_>, reason: &str) {
        if let By::Request(origin) = by {
            locked(&self.attempts).failed(origin.ip, Instant::now());
        }
        self.told(by, record, reason);
    }

    fn told(&self, by: By<'_>, record: GatewayRecord<'_>, reason: &str) {
        if record.event == GatewayEvent::ServiceAccountRefused {
            self.count(by, false);
        }
        let decision = "denied";
        self.write(
            by,
            GatewayRecord {
                reason,
                decision,
                ..record
            },
        );
    }

    /// Counts the token of a service account; one of an open socket is no attempt to
    /// authenticate.
    fn count(&self, by: By<'_>, ok: bool) {
        if matches!(by, By::Request(_)) {
            self.metrics.auth_attempt(ok);
        }
    }

    fn write(&self, by: By<'_>, record: GatewayRecord<'_>) {
        let (By::Request(origin) | By::Socket(_, origin)) = by;
        let record = GatewayRecord {
            remote_ip: &origin.ip.to_canonical().to_string(),
            request_id: &origin.id.to_string(),
            ..record
        };
        self.audit.record(self.clock.own.now_ms(), &record);
    }

    /// Says once that the API server does not answer, and once that it does again.
    fn tell(&self, error: Option<&ReviewError>) {
        let was_failing = self.is_failing.swap(error.is_some(), Relaxed);
        match error {
            Some(error) if !was_failing => {
                warn!("the API server cannot be asked whose token it is: {error}");
            }
            None if was_failing => log::info!("the API server says again whose token it is"),
            _ => {}
        }
    }

    fn forget(&self, attempt: &Attempt<'_>) {
        let gone = locked(&self.sessions).forget(&attempt.digest);
        self.ended(gone.as_slice());
    }

    pub(super) fn ended(&self, sessions: &[Arc<Session>]) {
        for account in sessions.iter().filter_map(|session| session.account()) {
            self.metrics.session_ended(&account.namespace);
        }
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&locked(&self.rules))
    }

    pub(super) fn nobody(&self, credential: Credential) -> Caller {
        Caller {
            session: Arc::clone(&self.rules().anonymous),
            credential,
        }
    }
}

impl Rules {
    pub(super) fn of(file: &GatewayFile) -> Self {
        let nobody = Principal::Anonymous;
        let permissions = file.grants.permissions(&nobody);
        Self {
            grants: file.grants.clone(),
            service_accounts: file.service_accounts,
            anonymous: Arc::new(Session::new(nobody, permissions)),
        }
    }
}

pub(super) fn ours(session: Arc<Session>) -> Caller {
    Caller {
        session,
        credential: Credential::Ours,
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A text of the API server, without what may be a part of a token.
fn without_token(text: &str) -> String {
    let words = text.split_whitespace().map(|word| match word.len() {
        ..=MAX_WORD => word,
        _ => "…",
    });
    let words: Vec<&str> = words.collect();
    printable(&words.join(" "), MAX_SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_repeated() {
        let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.".repeat(9);
        let said = format!("[invalid bearer token, \"{token}\" is\nnot for [a b]]");
        let told = without_token(&said);
        assert_eq!(told, "[invalid bearer token, … is not for [a b]]");
    }
}
