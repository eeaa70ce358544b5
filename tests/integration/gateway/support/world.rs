//! A gateway and everything around it: an API server, an identity provider, apps, and the
//! real binary, in one process or several.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::backend::{Backend, free_port};
use super::client::{Raw, Reply, get, request};
use super::cluster::{Cluster, GATEWAY};
use super::issuer::{AUDIENCE, CLIENT, Issuer, account_claims, unsigned};
use super::reviews::Token;
use crate::support::bot::{ALL, Bot, Victim};
use crate::support::monitor::{DEADLINE, poll};
use crate::support::temp::TempDir;

/// The audience of service accounts' tokens.
pub const TOKEN_AUDIENCE: &str = "openclaw-gateway";

/// The namespace of the apps.
pub const APPS: &str = "apps";

/// The memory that the manifests give the gateway.
pub const MEMORY_KB: u64 = 32 * 1024;

/// The beginning of the names of Leases.
pub const LEASE_PREFIX: &str = "openclaw-gateway-";

/// The ports of one gateway.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub proxy: u16,
    pub api: u16,
    pub health: u16,
}

/// A process of the gateway.
pub struct Replica {
    pub ports: Ports,
    pub run: Bot,
}

/// All of it. A failed test shows what happened; a passed one has looked for secrets in the
/// output of each process.
pub struct GatewayWorld {
    pub cluster: Cluster,
    pub issuer: Issuer,
    /// The apps by the names of their targets.
    pub apps: BTreeMap<String, Backend>,
    /// The gateway's file; written at a start and by [`GatewayWorld::write_file`].
    pub file: Value,
    /// What each process is given besides its ports and its name.
    pub env: BTreeMap<String, String>,
    pub replicas: Vec<Replica>,
    pub dir: TempDir,
}

impl GatewayWorld {
    /// The fakes, one role that may do everything, a service account and a person that have
    /// it, no target, and the gateway not started.
    pub fn new() -> Self {
        let dir = TempDir::new();
        let (cluster, issuer) = (Cluster::start(dir.path()), Issuer::start());
        let env = [
            ("GATEWAY_CONFIG", path(&dir).display().to_string()),
            ("TOKEN_AUDIENCE", TOKEN_AUDIENCE.to_owned()),
            ("OIDC_ISSUER_URL", issuer.url()),
            ("OIDC_AUDIENCE", AUDIENCE.to_owned()),
            ("OIDC_ALLOWED_CLIENTS", CLIENT.to_owned()),
            ("POD_NAMESPACE", GATEWAY.to_owned()),
            ("LEASE_PREFIX", LEASE_PREFIX.to_owned()),
            ("KUBERNETES_SERVICE_HOST", "127.0.0.1".to_owned()),
            ("KUBERNETES_SERVICE_PORT", cluster.port().to_string()),
            (
                "SERVICE_ACCOUNT_DIR",
                cluster.account_dir().display().to_string(),
            ),
            ("RUST_LOG", ALL.to_owned()),
        ];
        let verbs = [
            "list", "status", "wait", "wake", "connect", "start", "stop", "scale",
        ];
        let identity = json!({
            "namespace": APPS, "serviceAccount": "worker", "allowedRoles": ["all"],
        });
        Self {
            cluster,
            issuer,
            apps: BTreeMap::new(),
            file: json!({
                "k8sTrust": {
                    "enabled": true, "allowedIdentities": [identity],
                    "ephemeralSessions": true, "auditLog": true,
                },
                "roles": {"all": {"targets": ["*"], "verbs": verbs}},
                "oidcRoles": {"operator": ["all"]},
                "targets": {},
            }),
            env: env.map(|(name, value)| (name.to_owned(), value)).into(),
            replicas: Vec::new(),
            dir,
        }
    }

    /// One with an app `web` behind `web.test`, which is off, whose pod is ready at once
    /// when it is started; and one gateway, running.
    pub fn with_web() -> Self {
        let mut world = Self::new();
        world.app("web");
        world.start();
        world
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    /// From the next start on each process waits so many times shorter where it has chosen
    /// the wait.
    pub fn pace(&mut self, times: u32) {
        self.set("OPENCLAW_TEST_PACE", &times.to_string());
    }

    /// Adds a target with an app: a Deployment without replicas, its Service, its Lease, and
    /// a pod that is ready at once when it is started.
    pub fn app(&mut self, name: &str) -> &Backend {
        self.app_with(name, json!({}))
    }

    /// The same with more in its entry, or other things.
    pub fn app_with(&mut self, name: &str, more: Value) -> &Backend {
        let backend = Backend::start();
        let port = backend.port;
        self.cluster.workload("deployments", APPS, name, 0);
        self.cluster.service(APPS, name, "127.0.0.1", port);
        self.cluster.endpoints(APPS, name, port, &[]);
        self.cluster.pods_follow(
            ("deployments", APPS, name),
            name,
            Duration::ZERO,
            &["127.0.0.1"],
            port,
        );
        self.cluster.lease(&lease(name));
        let mut entry = json!({
            "kind": "Deployment", "namespace": APPS, "name": name, "replicas": 1, "max": 3,
            "host": format!("{name}.test"), "service": name, "port": "http",
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            entry[key] = value.clone();
        }
        self.file["targets"][name] = entry;
        self.apps.insert(name.to_owned(), backend);
        &self.apps[name]
    }

    /// The app of a target.
    pub fn backend(&self, name: &str) -> &Backend {
        &self.apps[name]
    }

    /// The number of replicas of a target that [`GatewayWorld::app`] made.
    pub fn count(&self, name: &str) -> i64 {
        self.cluster.replicas("deployments", APPS, name).count
    }

    /// Waits until a target has so many replicas.
    pub fn wait_count(&self, name: &str, count: i64) {
        let what = format!("{name} to have {count} replicas");
        poll(&what, || (self.count(name) == count).then_some(()));
    }

    /// Writes the file as it is now. A rename, so that it is never seen half written.
    pub fn write_file(&self) {
        let path = path(&self.dir);
        let next = path.with_extension("next");
        std::fs::write(&next, self.file.to_string()).expect("the directory is there");
        std::fs::rename(&next, &path).expect("both are there");
    }

    /// Starts a process and waits until it is ready.
    pub fn start(&mut self) -> &mut Replica {
        self.spawn();
        self.wait_ready(self.replicas.len() - 1);
        self.replicas.last_mut().expect("it was just started")
    }

    /// Starts a process.
    pub fn spawn(&mut self) -> &mut Replica {
        self.write_file();
        let ports = Ports {
            proxy: free_port(),
            api: free_port(),
            health: free_port(),
        };
        let env = self.env_of(ports);
        let mut program = Bot::program();
        program.arg("gateway");
        let run = Bot::spawn_as(program, &env, &Victim::default());
        self.replicas.push(Replica { ports, run });
        self.replicas.last_mut().expect("it was just started")
    }

    /// The environment of the next process, with these ports.
    pub fn env_of(&self, ports: Ports) -> BTreeMap<String, String> {
        let mut env = self.env.clone();
        let address = |port: u16| format!("127.0.0.1:{port}");
        for (name, value) in [
            ("PROXY_ADDR", address(ports.proxy)),
            ("API_ADDR", address(ports.api)),
            ("HEALTH_ADDR", address(ports.health)),
            ("POD_NAME", format!("gateway-{}", self.replicas.len())),
        ] {
            env.entry(name.to_owned()).or_insert(value);
        }
        env
    }

    /// Waits until a process says that it is ready.
    pub fn wait_ready(&mut self, at: usize) {
        let replica = &mut self.replicas[at];
        let (health, began) = (replica.ports.health, Instant::now());
        loop {
            let is_up = std::net::TcpStream::connect(("127.0.0.1", health)).is_ok();
            if is_up && get(health, "health", "/readyz", "").status == 200 {
                return;
            }
            let is_running = replica.run.is_running();
            assert!(
                is_running && began.elapsed() < DEADLINE,
                "the gateway is not ready (it runs: {is_running}):\n{}",
                replica.run.log_tail()
            );
            sleep(Duration::from_millis(10));
        }
    }

    /// The ports of the first process.
    pub fn ports(&self) -> Ports {
        self.replicas.first().expect("one was started").ports
    }

    /// A connection to the proxy of the first process.
    pub fn connect(&self) -> Raw {
        Raw::connect(self.ports().proxy)
    }

    /// A GET through the proxy of the first process.
    pub fn get(&self, host: &str, path: &str, headers: &str) -> Reply {
        get(self.ports().proxy, host, path, headers)
    }

    /// A request to the API of the first process.
    pub fn api(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Reply {
        let port = self.ports().api;
        request(port, method, "gateway.test", path, token, body)
    }

    /// A token of the service account `worker`, which may do everything.
    pub fn worker(&self) -> String {
        self.account(APPS, "worker")
    }

    /// A token of a pod of a service account.
    pub fn account(&self, namespace: &str, account: &str) -> String {
        let text = unsigned(&account_claims(namespace, account, TOKEN_AUDIENCE));
        let token = Token::bound(namespace, account, TOKEN_AUDIENCE);
        self.cluster.token(&text, token);
        text
    }

    /// A token of the person `anna`, who may do everything.
    pub fn anna(&self) -> String {
        self.issuer.token("anna", &["operator"])
    }

    /// The metrics of the first process.
    pub fn metrics(&self) -> String {
        get(self.ports().health, "health", "/metrics", "").text()
    }

    /// The highest resident memory of the first process so far, in kB.
    pub fn peak_kb(&self) -> u64 {
        let id = self.replicas.first().expect("one was started").run.id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status"));
        let status = status.expect("it runs");
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("VmHWM:"));
        let mut words = line.expect("it has memory").split_whitespace();
        let peak = words.next().and_then(|word| word.parse().ok());
        peak.expect("a number of kB")
    }

    /// The lines of the audit log of all processes so far: those that are a JSON object with
    /// an `event`.
    pub fn audit(&self) -> Vec<Value> {
        let mut lines = Vec::new();
        for replica in &self.replicas {
            let log = replica.run.log();
            let parsed = log
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            lines.extend(parsed.filter(|line: &Value| line["event"].is_string()));
        }
        lines
    }

    /// Waits for a line of the audit log with this event, and gives the first.
    pub fn wait_audit(&self, event: &str) -> Value {
        poll(&format!("{event} in the audit log"), || {
            self.audit().into_iter().find(|line| line["event"] == event)
        })
    }
}

/// The name of a target's Lease.
pub fn lease(target: &str) -> String {
    format!("{LEASE_PREFIX}{target}")
}

/// `Authorization` with a token, as a header line.
pub fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn path(dir: &TempDir) -> PathBuf {
    dir.path().join("gateway.json")
}

impl Drop for GatewayWorld {
    /// A failed test shows what happened.
    #[allow(
        clippy::print_stderr,
        reason = "the test harness shows it with the failure"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (number, replica) in self.replicas.iter().enumerate() {
                eprintln!("--- gateway {number}:\n{}", replica.run.log_tail());
            }
            eprintln!("--- API server:\n{}", self.cluster.log_tail());
        }
        // Before what they talk to.
        self.replicas.clear();
    }
}
