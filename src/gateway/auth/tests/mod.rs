//! Callers, right and wrong ones, against an API server and an identity provider that the
//! tests play.

mod persons;
mod service_accounts;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::authenticator::Authenticator;
use super::issuer::Source;
use super::service_account::Server;
use super::session::{AuthFault, Caller, Credential, record_of};
use crate::auth::jwt::tests::base64;
use crate::config::gateway::{GatewayFile, Oidc};
use crate::control::access::{Action, Actions, Grants, Identity, Role};
use crate::gateway::origin::{Origin, RequestId};
use crate::kube::TokenReview;
use crate::telemetry::GatewayEvent;
use crate::util::{Ahead, Clock, ClockDifference, ServerClock, SortedMap};

const AUDIENCE: &str = "openclaw-gateway";

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 244, 1, 5));

/// A request from there.
fn origin() -> Origin {
    let id = RequestId::own();
    Origin { ip: PEER, id }
}

/// Runs a test as the program runs, in a time that passes only when all wait.
fn paused<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}

/// The number of questions that somebody was asked.
type Asked = Arc<AtomicU64>;

/// The time of the stopped clock, in seconds since 1970.
fn now() -> u64 {
    Clock::stopped().now_ms() / 1_000
}

/// This machine's clock, which is wrong by an hour, put right by the API server's.
fn wrong_clock(is_ahead: bool) -> ServerClock {
    const HOUR: Duration = Duration::from_secs(3_600);
    let (own, ms): (fn() -> SystemTime, _) = match is_ahead {
        true => (|| Clock::stopped().now() + HOUR, -3_600_000),
        false => (|| Clock::stopped().now() - HOUR, 3_600_000),
    };
    let ahead = Ahead::default();
    ahead.compared(ClockDifference::of_ahead(ms));
    ServerClock::new(Clock::of(own), ahead)
}

/// A clock that is right.
fn right_clock() -> ServerClock {
    ServerClock::new(Clock::stopped(), Ahead::default())
}

/// A token that nobody has signed: whom the API server believes, the test says.
fn token(claims: &Value) -> String {
    let header = base64(r#"{"alg":"RS256","kid":"k"}"#);
    [header, base64(claims.to_string()), base64("signature")].join(".")
}

/// The claims of a token of a pod, for the gateway.
fn pod_claims() -> Value {
    json!({"aud": [AUDIENCE], "exp": now() + 600, "iss": "https://kubernetes.default.svc",
           "sub": "system:serviceaccount:openclaw:worker"})
}

/// The answer about a token of a pod.
fn pod_review() -> TokenReview {
    TokenReview {
        authenticated: true,
        audiences: vec![AUDIENCE.to_owned()],
        username: "system:serviceaccount:openclaw:worker".to_owned(),
        pod_name: Some("worker-1".to_owned()),
        pod_uid: Some("9e5c".to_owned()),
        node_name: Some("node-1".to_owned()),
        credential_id: Some("JTI=1".to_owned()),
        ..TokenReview::default()
    }
}

/// An API server that answers so, and the number of questions that it was asked.
fn server(answer: impl Fn() -> Option<TokenReview> + Send + Sync + 'static) -> (Server, Asked) {
    let asked = Asked::default();
    let count = Arc::clone(&asked);
    let server = Server::Test(Box::new(move |_, audience| {
        assert_eq!(audience, AUDIENCE);
        count.fetch_add(1, Relaxed);
        answer()
    }));
    (server, asked)
}

/// The rights of the service account `openclaw/worker` and of people with the role `sme-user`.
fn grants() -> Grants {
    let role = Role {
        targets: None,
        actions: Actions::NONE.with(Action::Wake).with(Action::Connect),
        max_replicas: None,
        max_for: None,
    };
    Grants {
        roles: SortedMap::from([("node".to_owned(), Arc::new(role))]),
        identities: vec![Identity {
            namespace: Some("openclaw".to_owned()),
            name: Some("worker".to_owned()),
            roles: vec!["node".to_owned()],
            allow_unbound: false,
        }],
        oidc_roles: SortedMap::from([("sme-user".to_owned(), vec!["node".to_owned()])]),
        ..Grants::default()
    }
}

fn bearer(token: &str) -> HeaderMap {
    let value = format!("Bearer {token}").parse().unwrap();
    HeaderMap::from_iter([(AUTHORIZATION, value)])
}

/// A file that says no more than this.
fn file(grants: Grants) -> GatewayFile {
    GatewayFile {
        grants,
        targets: Vec::new(),
        service_accounts: true,
        audit_successes: false,
        warnings: Vec::new(),
    }
}

async fn show(authenticator: &Authenticator, token: &str) -> Result<Caller, AuthFault> {
    authenticator
        .authenticate(&bearer(token), &origin(), false)
        .await
}
