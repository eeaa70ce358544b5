//! An API server on loopback over TLS, with one Deployment and what a test adds.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::faults::{Fault, Faults, Faulty, matches};
use super::leases::LeaseWatcher;
use super::monitor::Monitor;
use super::redaction::hide;
use super::watches::{Watcher, is_watch};
use super::wire::{Answer, Listener, Request, Response, http_date, serve};
use super::workloads::{Objects, Workload};

pub const NAMESPACE: &str = "clawdbot";
pub const NAME: &str = "clawdbot";
pub const TOKEN: &str = "the-service-account-token";

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct Call {
    pub at: Instant,
    pub method: String,
    pub path: String,
    pub target: String,
    pub content_type: String,
    pub body: Value,
    /// The time at which its answer was ready to be written; None while it is not.
    pub answered: Option<Instant>,
}

impl Call {
    pub fn is_dry_run(&self) -> bool {
        self.target.contains("dryRun=All") || self.body["dryRun"].is_array()
    }
}

#[derive(Default)]
pub struct State {
    pub objects: Objects,
    pub calls: Vec<Call>,
    pub faults: Faults,
    /// True if each answer has the time.
    pub tells_date: bool,
}

impl Faulty for State {
    fn faults(&mut self) -> &mut Faults {
        &mut self.faults
    }
}

type Shared = Monitor<State>;

pub struct ApiServer {
    shared: Arc<Shared>,
    listener: Listener,
    account: PathBuf,
    pki: Pki,
}

/// The cluster's authority, and a certificate that it gave the bot, in PEM.
pub struct Pki {
    pub ca: String,
    certificate: String,
    key: String,
}

impl ApiServer {
    /// Starts it and writes the service account's files below `dir`.
    pub fn start(dir: &Path) -> Self {
        let shared = Arc::new(Shared::default());
        shared.with(|state| {
            let mut first = Workload::new("apps/v1/deployments", NAMESPACE, NAME);
            first.uid = "0000".to_owned();
            state.objects.workloads.push(first);
        });
        let (tls, pki) = certificates();
        let account = dir.join("serviceaccount");
        std::fs::create_dir_all(&account).expect("a directory can be made");
        let write = |name: &str, text: &str| {
            std::fs::write(account.join(name), text).expect("a file can be written");
        };
        write("token", &format!("{TOKEN}\n"));
        write("namespace", NAMESPACE);
        write("ca.crt", &pki.ca);
        let serving = Arc::clone(&shared);
        let listener = Listener::start(move |stream| {
            let Ok(session) = ServerConnection::new(Arc::clone(&tls)) else {
                return;
            };
            let mut stream = StreamOwned::new(session, stream);
            if stream.conn.complete_io(&mut stream.sock).is_ok() {
                let is_certified = stream.conn.peer_certificates().is_some();
                let _ = serve(stream, |request| serving.answer(&request, is_certified));
            }
        });
        Self {
            shared,
            listener,
            account,
            pki,
        }
    }

    pub fn port(&self) -> u16 {
        self.listener.port
    }

    /// A kubeconfig as `kubectl config view --flatten --raw` prints it, with a token or with
    /// a client certificate.
    pub fn kubeconfig(&self, with_token: bool) -> String {
        let user = match with_token {
            true => format!("token: {TOKEN}"),
            false => format!(
                "client-certificate-data: {}\n    client-key-data: {}",
                STANDARD.encode(&self.pki.certificate),
                STANDARD.encode(&self.pki.key)
            ),
        };
        format!(
            "apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {}
    server: https://127.0.0.1:{}
  name: laptop
contexts:
- context:
    cluster: laptop
    namespace: of-somebody-else
    user: bot
  name: laptop
current-context: laptop
kind: Config
preferences: {{}}
users:
- name: bot
  user:
    {user}
",
            STANDARD.encode(&self.pki.ca),
            self.port()
        )
    }

    pub fn account_dir(&self) -> &Path {
        &self.account
    }

    pub fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        self.shared.with(f)
    }

    pub fn fault(&self, pattern: &str, times: usize, fault: Fault) {
        self.with(|state| state.faults.add(pattern, times, fault));
    }

    pub fn clear_faults(&self) {
        self.with(|state| state.faults.clear());
    }

    /// Adds a workload without replicas.
    pub fn add(&self, resource: &str, namespace: &str, name: &str) {
        let workload = Workload::new(resource, namespace, name);
        self.with(|state| state.objects.workloads.push(workload));
    }

    /// Changes or looks at a workload.
    pub fn workload<T>(&self, name: &str, f: impl FnOnce(&mut Workload) -> T) -> T {
        self.with(|state| f(state.objects.workload(name)))
    }

    /// Takes a right away from the bot, such as `list` on `pods`.
    pub fn forbid(&self, verb: &'static str, resource: &'static str) {
        self.with(|state| state.objects.forbidden.push((verb, resource)));
    }

    /// Pods of the deployment that are ready and available now.
    pub fn set_ready(&self, count: i64) {
        self.with(|state| {
            let first = state.objects.workload(NAME);
            first.ready = count;
            first.available = count;
        });
    }

    /// The replica counts asked for by PATCHes that were no dry run, in order.
    pub fn scaled_to(&self) -> Vec<i64> {
        self.with(|state| state.scaled_to())
    }

    pub fn calls(&self, pattern: &str) -> Vec<Call> {
        self.with(|state| {
            state
                .calls
                .iter()
                .filter(|call| matches(pattern, &call.method, &call.path))
                .cloned()
                .collect()
        })
    }

    /// Waits until `f` finds something in the state.
    pub fn wait<T>(&self, what: &str, f: impl FnMut(&mut State) -> Option<T>) -> T {
        self.shared.wait(what, f)
    }

    pub fn log_tail(&self) -> String {
        self.with(|state| {
            let lines: Vec<String> = state
                .calls
                .iter()
                .map(|call| format!("{} {} {}", call.method, call.target, call.body))
                .collect();
            lines.join("\n")
        })
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.with(|state| state.faults.close());
    }
}

/// The body that an API server gives with an error.
pub fn failure(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

/// A server that takes client certificates of its own authority, and asks for none.
pub fn certificates() -> (Arc<ServerConfig>, Pki) {
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().expect("a key");
    let ca = params.self_signed(&ca_key).expect("a certificate");
    let issuer = Issuer::new(params, ca_key);
    let mut leaf = CertificateParams::new(Vec::<String>::new()).expect("no names");
    let name = "kubernetes.default.svc".try_into().expect("a name");
    leaf.subject_alt_names = vec![
        SanType::IpAddress(IpAddr::from([127, 0, 0, 1])),
        SanType::DnsName(name),
    ];
    let key = KeyPair::generate().expect("a key");
    let certificate = leaf.signed_by(&key, &issuer).expect("a certificate");
    let client_key = KeyPair::generate().expect("a key");
    let client = CertificateParams::new(["bot".to_owned()]).expect("a name");
    let client = client
        .signed_by(&client_key, &issuer)
        .expect("a certificate");
    let pki = Pki {
        ca: ca.pem(),
        certificate: client.pem(),
        key: client_key.serialize_pem(),
    };
    hide(
        "the client's key",
        &STANDARD.encode(client_key.serialize_der()),
    );
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).expect("it is an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .expect("there is a root");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("the key belongs to the certificate");
    (Arc::new(config), pki)
}

impl State {
    fn scaled_to(&self) -> Vec<i64> {
        self.calls
            .iter()
            .filter(|call| call.method == "PATCH" && !call.is_dry_run())
            .filter_map(|call| match &call.body {
                Value::Array(steps) => steps.last()?["value"].as_i64(),
                merged => merged["spec"]["replicas"].as_i64(),
            })
            .collect()
    }

    fn handle(&mut self, request: &Request, is_certified: bool) -> Response {
        if !is_certified && request.bearer() != Some(TOKEN) {
            return Response::json(401, &failure(401, "Unauthorized", "Unauthorized"));
        }
        self.objects.handle(request)
    }
}

impl Shared {
    fn answer(self: &Arc<Self>, request: &Request, is_certified: bool) -> Answer {
        let path = request.path();
        let method = match is_watch(request) {
            true => "WATCH",
            false => &request.method,
        };
        let (call, fault) = self.with(|state| {
            state.calls.push(Call {
                at: Instant::now(),
                method: method.to_owned(),
                path: path.clone(),
                target: request.target.clone(),
                content_type: request
                    .header("content-type")
                    .unwrap_or_default()
                    .to_owned(),
                body: request.json(),
                answered: None,
            });
            // The preflight comes at any time after a start: what is to befall a command
            // does not befall it.
            let method = match request.target.contains("dryRun=All") {
                true => "DRY-RUN",
                false => method,
            };
            let fault = state.faults.take(method, &path);
            (state.calls.len() - 1, fault)
        });
        let fault = match self.before(fault) {
            Ok(fault) => fault,
            Err(answer) => return answer,
        };
        let response = self.with(|state| {
            let response = state.handle(request, is_certified);
            if let Some(call) = state.calls.get_mut(call) {
                call.answered = Some(Instant::now());
            }
            match state.tells_date {
                true => response.header("Date", &http_date(0)),
                false => response,
            }
        });
        if method == "WATCH" && response.status == 200 && path.ends_with("/leases") {
            let mut watcher = LeaseWatcher::new(self, request);
            return Answer::Pieces(Box::new(move || watcher.next()));
        }
        if method == "WATCH" && response.status == 200 {
            let mut watcher = Watcher::new(self, request);
            return Answer::Pieces(Box::new(move || watcher.next()));
        }
        self.after(fault).unwrap_or(Answer::Reply(response))
    }
}
