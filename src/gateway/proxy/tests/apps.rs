//! A gateway with one target, `app.example.org`, and who comes to it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{pause, resume, sleep};

use super::peers::{listener, pair, read_to, write};
use crate::config::gateway::{GatewayFile, GatewayTarget};
use crate::control::TargetName;
use crate::control::access::{
    Action, Actions, Grants, Identity, Permissions, Principal, Role, ServiceAccountName,
};
use crate::gateway::auth::{Authenticator, Session};
use crate::gateway::context::{Context, Parts};
use crate::gateway::listener::Slot;
use crate::gateway::origin::{Origin, RequestId};
use crate::gateway::proxy::serve_connection;
use crate::gateway::proxy::standing::Standing;
use crate::gateway::wake::fake::{self, FakeKeeper};
use crate::net::Channel;
use crate::net::fake_tls::Served;
use crate::telemetry::GatewayAudit;
use crate::util::{Ahead, Clock, ServerClock, SortedMap};

/// A token of a service account that may do everything with the target.
pub(super) const TOKEN: &str = "of-somebody";

/// A token of one that may do nothing with it.
pub(super) const STRANGER: &str = "of-a-stranger";

/// A token that expires 30 s after the world has begun, of one who may do everything.
pub(super) const SHORT: &str = "of-somebody-for-a-while";

/// The actions of anybody who may use the target.
pub(super) const OPEN: &[Action] = &[Action::Connect];

/// A gateway, and the app behind its target.
pub(super) struct World {
    pub(super) context: Arc<Context>,
    pub(super) keeper: FakeKeeper,
    pub(super) app: TcpListener,
    /// The TLS that clients speak, if they do.
    pub(super) served: Option<Served>,
}

/// The target as the tests have it.
pub(super) fn target() -> GatewayTarget {
    let mut target = fake::target("app");
    let backend = target.backend.as_mut().unwrap();
    backend.no_wake_paths = vec!["/favicon.ico".to_owned()];
    backend.no_wake_agents = vec!["kube-probe".to_owned()];
    target
}

/// A file in which nobody may do anything.
fn nothing() -> GatewayFile {
    GatewayFile {
        grants: Grants::default(),
        targets: Vec::new(),
        service_accounts: true,
        audit_successes: false,
        warnings: Vec::new(),
    }
}

/// The actions that somebody may do with the target.
fn permissions(name: &str, anonymous: &[Action], granted: &[Action]) -> (Principal, Permissions) {
    let app = TargetName::parse("app").unwrap();
    let role = Role {
        targets: Some([app.clone()].into()),
        actions: granted.iter().copied().collect(),
        max_replicas: None,
        max_for: None,
    };
    let grants = Grants {
        roles: [("role".to_owned(), Arc::new(role))].into(),
        identities: vec![Identity {
            namespace: Some("ns".to_owned()),
            name: Some("granted".to_owned()),
            roles: vec!["role".to_owned()],
            allow_unbound: true,
        }],
        oidc_roles: SortedMap::new(),
        anonymous: Arc::new([(app, anonymous.iter().copied().collect::<Actions>())].into()),
    };
    let principal = match name {
        "" => Principal::Anonymous,
        name => Principal::ServiceAccount(
            ServiceAccountName {
                namespace: "ns".to_owned(),
                name: name.to_owned(),
            },
            None,
        ),
    };
    let permissions = grants.permissions(&principal);
    (principal, permissions)
}

impl World {
    /// A gateway whose target is off. `anonymous` is what anybody may do.
    pub(super) async fn cold(mut target: GatewayTarget, anonymous: &[Action]) -> Self {
        target.anonymous = anonymous.iter().copied().collect();
        let (handle, keeper) = fake::cold(target);
        let session = |name: &str| {
            let (principal, permissions) = permissions(name, anonymous, &Action::ALL);
            Session::new(principal, permissions)
        };
        let (_, nobody) = permissions("", anonymous, &[]);
        let mut short = session("granted");
        short.expires = Some(Clock::stopped().now() + Duration::from_secs(30));
        let tokens = [
            (TOKEN, session("granted")),
            (STRANGER, session("stranger")),
            (SHORT, short),
        ];
        let parts = Parts {
            tls: None,
            authenticator: Authenticator::of_sessions(tokens, nobody),
            trusted_proxies: Vec::new(),
            audit: GatewayAudit::default(),
            metrics: Arc::default(),
            clock: Clock::stopped(),
            shared_clock: ServerClock::new(Clock::stopped(), Ahead::default()),
            drain: Duration::ZERO,
            max_streams: 3,
        };
        let file = nothing();
        let targets = [(handle.target().name.clone(), handle)].into();
        Self {
            context: Arc::new(Context::new(parts, file, targets)),
            keeper,
            app: listener().await,
            served: None,
        }
    }

    /// A gateway whose target is ready.
    pub(super) async fn ready(target: GatewayTarget, anonymous: &[Action]) -> Self {
        let world = Self::cold(target, anonymous).await;
        world.wake();
        world
    }

    /// A gateway whose clients speak TLS, and whose target is ready.
    pub(super) async fn encrypted(target: GatewayTarget, anonymous: &[Action]) -> Self {
        Self {
            served: Some(Served::new()),
            ..Self::ready(target, anonymous).await
        }
    }

    /// The target is ready now.
    pub(super) fn wake(&self) {
        self.keeper.ready(self.app.local_addr().unwrap());
    }

    /// From now on nobody may do anything.
    pub(super) fn revoke(&self) {
        self.context.authenticator.reload(&nothing());
    }

    /// So many seconds pass at once, for everybody.
    pub(super) async fn seconds(seconds: u64) {
        pause();
        sleep(Duration::from_secs(seconds)).await;
        resume();
    }

    /// A connection to the gateway.
    pub(super) async fn client(&self) -> TcpStream {
        let (client, channel) = match &self.served {
            Some(served) => served.encrypted().await,
            None => {
                let (client, server) = pair().await;
                (client, Channel::plain(server))
            }
        };
        let context = Arc::clone(&self.context);
        let peer = client.local_addr().unwrap();
        tokio::spawn(serve_connection(context, channel, peer, Slot::alone()));
        client
    }

    /// The next connection to the app.
    pub(super) async fn accept(&self) -> TcpStream {
        self.app.accept().await.unwrap().0
    }

    /// A request with this head: the client's end and the app's, which has read it.
    pub(super) async fn asked(&self, lines: &str) -> (TcpStream, TcpStream) {
        let client = self.client().await;
        send(&client, lines).await;
        let app = self.accept().await;
        read_to(&app, "\r\n\r\n").await;
        (client, app)
    }

    /// The answer to these lines, of a connection of its own.
    pub(super) async fn ask(&self, lines: &str) -> String {
        let client = self.client().await;
        send(&client, lines).await;
        answer(&client).await
    }
}

/// The session of somebody who shows nothing.
pub(super) async fn nobody() -> Standing {
    let context = World::cold(target(), OPEN).await.context;
    Standing {
        target: context.table().hosts.values().next().unwrap().clone(),
        session: context.authenticator.anonymous(),
        action: Action::Connect,
        context,
        origin: Origin {
            ip: Ipv4Addr::LOCALHOST.into(),
            id: RequestId::own(),
        },
    }
}

/// Sends a request of these lines, with the Host that the target has if they have none.
pub(super) async fn send(client: &TcpStream, lines: &str) {
    let mut request = lines.trim_end().replace('\n', "\r\n");
    if !request.to_ascii_lowercase().contains("\r\nhost:") {
        request.push_str("\r\nHost: app.example.org");
    }
    request.push_str("\r\n\r\n");
    write(client, request.as_bytes()).await;
}

/// The next answer: its head, and its body if that has a length.
pub(super) async fn answer(client: &TcpStream) -> String {
    let mut all = read_to(client, "\r\n\r\n").await;
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    let mut left = length.saturating_sub(body.len());
    while left > 0 {
        let more = super::peers::read(client).await;
        assert!(!more.is_empty(), "the body of {all:?} ends early");
        left = left.saturating_sub(more.len());
        all.push_str(&String::from_utf8_lossy(&more));
    }
    all
}

/// Answers a request of the app with 200 and this body; returns its head.
pub(super) async fn serve(app: &TcpStream, body: &str) -> String {
    let head = read_to(app, "\r\n\r\n").await;
    let length = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
    write(app, answer.as_bytes()).await;
    head
}
