//! Authenticators for tests: with sessions that are given, or with an API server and an
//! identity provider that a test plays.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::authenticator::Authenticator;
use super::bearer;
use super::checker::{Checker, Rules, locked};
use super::flights::Flights;
use super::issuer::{Issuer, Source};
use super::person::Hint;
use super::service_account::{Reviewer, Server};
use super::session::Session;
use super::sessions::Sessions;
use crate::config::gateway::Oidc;
use crate::control::access::{Grants, Permissions, Principal};
use crate::telemetry::{GatewayAudit, GatewayMetrics};
use crate::util::{Ahead, Clock, ServerClock};

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
            ServerClock::new(Clock::stopped(), Ahead::default()),
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
        clock: ServerClock,
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
        Self(Arc::new(Checker {
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
        clock: ServerClock,
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

    /// The audit log.
    pub(super) fn audit(&self) -> &GatewayAudit {
        &self.0.audit
    }

    /// The metrics.
    pub(super) fn metrics(&self) -> &GatewayMetrics {
        &self.0.metrics
    }
}
