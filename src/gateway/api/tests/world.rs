//! The API behind a socket of loopback, and a client of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use super::name;
use crate::config::gateway::{GatewayFile, GatewayTarget};
use crate::control::access::{Action, Grants, Identity, Pod, Principal, Role, ServiceAccountName};
use crate::gateway::api::serve_connection;
use crate::gateway::auth::{Authenticator, Session};
use crate::gateway::context::{Context, Parts};
use crate::gateway::listener::Slot;
use crate::gateway::wake::fake::{FakeKeeper, cold, target};
use crate::gateway::wake::{Change, Changed, Refusal};
use crate::net::Channel;
use crate::net::fake::run;
use crate::telemetry::GatewayAudit;
use crate::util::{Ahead, Clock, ServerClock, SortedMap};

/// The API with the targets `worker`, which is off and has 3 replicas by default, and `other`, which nobody may see but
/// who may do everything.
///
/// `operator` may do everything, `starter` may start up to 2 of `worker` and wait for it, `listener` may
/// see that it exists, and everybody may see the status of `open`.
pub(super) struct Api {
    pub(super) address: SocketAddr,
    pub(super) context: Arc<Context>,
    pub(super) worker: FakeKeeper,
}

fn session(grants: &Grants, account: &str) -> Session {
    let principal = Principal::ServiceAccount(
        ServiceAccountName {
            namespace: "ci".to_owned(),
            name: account.to_owned(),
        },
        Some(Pod {
            name: "pod".to_owned(),
            uid: "uid".to_owned(),
        }),
    );
    let permissions = grants.permissions(&principal);
    Session::new(principal, permissions)
}

fn grants() -> Grants {
    let role = |targets: Option<&str>, actions: &[Action]| Role {
        targets: targets.map(|target| [name(target)].into()),
        actions: actions.iter().copied().collect(),
        max_replicas: None,
        max_for: None,
    };
    let all = role(None, &Action::ALL);
    let start = Role {
        max_replicas: Some(2),
        max_for: Some(Duration::from_secs(7_200)),
        ..role(Some("worker"), &[Action::Start, Action::Wait])
    };
    let list = role(Some("worker"), &[Action::List]);
    let roles = [("operator", all), ("starter", start), ("listener", list)];
    let identities = roles.iter().map(|(role, _)| Identity {
        namespace: Some("ci".to_owned()),
        name: Some((*role).to_owned()),
        roles: vec![(*role).to_owned()],
        allow_unbound: false,
    });
    Grants {
        identities: identities.collect(),
        anonymous: Arc::new([(name("open"), [Action::Status].into_iter().collect())].into()),
        roles: roles
            .into_iter()
            .map(|(name, role)| (name.to_owned(), Arc::new(role)))
            .collect(),
        ..Grants::default()
    }
}

async fn api() -> Api {
    let grants = grants();
    let sessions = ["operator", "starter", "listener"].map(|who| (who, session(&grants, who)));
    let nobody = grants.permissions(&Principal::Anonymous);
    let (worker, keeper) = cold(GatewayTarget {
        replicas: 3,
        ..target("worker")
    });
    let mut targets = SortedMap::from([(name("worker"), worker)]);
    for other in ["other", "open"] {
        targets.insert(name(other), cold(target(other)).0);
    }
    let file = GatewayFile {
        grants,
        targets: Vec::new(),
        service_accounts: true,
        audit_successes: false,
        warnings: Vec::new(),
    };
    let parts = Parts {
        tls: None,
        authenticator: Authenticator::of_sessions(sessions, nobody),
        trusted_proxies: Vec::new(),
        audit: GatewayAudit::default(),
        metrics: Arc::default(),
        clock: Clock::stopped(),
        shared_clock: ServerClock::new(Clock::stopped(), Ahead::default()),
        drain: Duration::from_secs(30),
        max_streams: 3,
    };
    let context = Arc::new(Context::new(parts, file, targets));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shared = Arc::clone(&context);
    tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let context = Arc::clone(&shared);
            tokio::spawn(serve_connection(
                context,
                Channel::plain(stream),
                peer,
                Slot::alone(),
            ));
        }
    });
    Api {
        address,
        context,
        worker: keeper,
    }
}

/// A connection of a client.
pub(super) struct Connection {
    stream: TcpStream,
    pub(super) read: Vec<u8>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// Without the date.
    pub(super) head: String,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(super) fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap().to_owned()
    }

    pub(super) fn closes(&self) -> bool {
        self.head.contains("connection: close")
    }
}

impl Api {
    pub(super) async fn connect(&self) -> Connection {
        Connection {
            stream: TcpStream::connect(self.address).await.unwrap(),
            read: Vec::new(),
        }
    }

    /// One request on a connection of its own.
    pub(super) async fn raw(&self, request: &str) -> Reply {
        self.connect().await.ask(request).await
    }

    pub(super) async fn get(&self, who: &str, path: &str) -> Reply {
        self.raw(&request("GET", who, path, "", "")).await
    }

    pub(super) async fn post(&self, who: &str, path: &str, body: &str) -> Reply {
        self.raw(&request("POST", who, path, JSON, body)).await
    }

    /// The change that a request asks the keeper for, which does not refuse it.
    pub(super) async fn changed(
        &mut self,
        request: &str,
        answer: Result<Changed, Refusal>,
    ) -> Asked {
        let mut connection = self.connect().await;
        connection.send(request).await;
        let (change, by) = self.worker.answer(answer).await.unwrap();
        (change, by, connection.reply().await)
    }
}

pub(super) type Asked = (Change, String, Reply);

pub(super) const JSON: &str = "Content-Type: application/json\r\n";

pub(super) fn request(method: &str, who: &str, path: &str, headers: &str, body: &str) -> String {
    let shown = match who {
        "" => String::new(),
        who => format!("Authorization: Bearer {who}\r\n"),
    };
    let length = match body {
        "" => String::new(),
        body => format!("Content-Length: {}\r\n", body.len()),
    };
    format!("{method} {path} HTTP/1.1\r\nHost: gateway\r\n{shown}{headers}{length}\r\n{body}")
}

impl Connection {
    pub(super) async fn send(&mut self, request: &str) {
        let mut rest = request.as_bytes();
        while !rest.is_empty() {
            self.stream.writable().await.unwrap();
            match self.stream.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
        }
    }

    pub(super) async fn ask(&mut self, request: &str) -> Reply {
        self.send(request).await;
        self.reply().await
    }

    /// Reads more; false at the end.
    pub(super) async fn more(&mut self) -> bool {
        loop {
            self.stream.readable().await.unwrap();
            let mut piece = [0; 4096];
            match self.stream.try_read(&mut piece) {
                Ok(0) => return false,
                Ok(read) => self.read.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(_) => return false,
            }
            return true;
        }
    }

    pub(super) async fn reply(&mut self) -> Reply {
        loop {
            let text = String::from_utf8(self.read.clone()).unwrap();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.map_or(0, |length| length.parse().unwrap());
                if body.len() >= length {
                    let status = head[9..12].parse().unwrap();
                    let lines = head.lines().filter(|line| !line.starts_with("date: "));
                    let reply = Reply {
                        status,
                        head: lines.collect::<Vec<_>>().join("\n"),
                        body: body[..length].to_owned(),
                    };
                    self.read.drain(..head.len() + 4 + length);
                    return reply;
                }
            }
            assert!(self.more().await, "closed after {text:?}");
        }
    }

    pub(super) async fn ends(&mut self) {
        assert!(
            !self.more().await,
            "{:?}",
            String::from_utf8_lossy(&self.read)
        );
    }
}

pub(super) fn on_loopback(test: impl AsyncFnOnce(Api)) {
    run(async { test(api().await).await });
}
