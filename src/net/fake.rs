//! A server on loopback that answers each request with the next of some
//! scripted replies, byte for byte, so that it can misbehave in any way.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ConfigBuilder, ServerConfig, ServerConnection, StreamOwned, WantsVerifier};

/// Runs a test as the program runs: on one thread.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test)
}

/// The answer to one request, or its absence.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Writes this and waits for the next request on the connection.
    Bytes(String),
    /// Writes this, then closes the connection.
    Cut(String),
    /// Writes this, then nothing, and keeps the connection open.
    Hang(String),
    /// Writes this, then another byte every 10 ms for as long as it can.
    Drip(String),
}

impl Reply {
    /// A proper answer; `headers` are whole lines with `\r\n`.
    pub(crate) fn with(status: u16, headers: &str, body: &str) -> Self {
        Self::Bytes(format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        ))
    }

    /// A proper answer without headers of interest.
    pub(crate) fn new(status: u16, body: &str) -> Self {
        Self::with(status, "", body)
    }
}

/// The server. It answers until the test ends.
pub(crate) struct Fake {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    replies: Mutex<VecDeque<Reply>>,
    requests: Mutex<Vec<String>>,
    connections: Mutex<usize>,
    tls: Mutex<Option<Arc<ServerConfig>>>,
}

impl Fake {
    /// Speaks plain HTTP. Out of replies, it closes connections.
    pub(crate) fn plain(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::start(None, replies)
    }

    /// Speaks TLS with this certificate.
    pub(crate) fn tls(identity: ServerConfig, replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::start(Some(Arc::new(identity)), replies)
    }

    fn start(tls: Option<Arc<ServerConfig>>, replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            replies: Mutex::new(replies.into_iter().collect()),
            tls: Mutex::new(tls),
            ..Shared::default()
        });
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let server = Arc::clone(&server);
                thread::spawn(move || server.accept(stream.unwrap()));
            }
        });
        Self { port, shared }
    }

    /// From now on, new connections get this certificate.
    pub(crate) fn rotate(&self, identity: ServerConfig) {
        *self.shared.tls.lock().unwrap() = Some(Arc::new(identity));
    }

    /// More replies, after those that are left.
    pub(crate) fn then(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.replies.lock().unwrap().extend(replies);
    }

    /// All requests so far, head and body, with header names in lower case as
    /// hyper writes them.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The number of connections so far.
    pub(crate) fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = match *self.shared.tls.lock().unwrap() {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://127.0.0.1:{}{path}", self.port)
    }
}

/// A port on loopback where nobody listens.
pub(crate) fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Shared {
    fn accept(&self, stream: TcpStream) {
        *self.connections.lock().unwrap() += 1;
        let tls = self.tls.lock().unwrap().clone();
        match tls {
            Some(config) => {
                let session = ServerConnection::new(config).unwrap();
                self.serve(StreamOwned::new(session, stream));
            }
            None => self.serve(stream),
        }
    }

    fn serve(&self, mut stream: impl Read + Write) {
        while let Some(request) = read_request(&mut stream) {
            self.requests.lock().unwrap().push(request);
            let Some(reply) = self.replies.lock().unwrap().pop_front() else {
                return;
            };
            let (Reply::Bytes(text) | Reply::Cut(text) | Reply::Hang(text) | Reply::Drip(text)) =
                &reply;
            if stream.write_all(text.as_bytes()).is_err() || stream.flush().is_err() {
                return;
            }
            match reply {
                Reply::Bytes(_) => {}
                Reply::Cut(_) => return,
                // Ends when the client has had enough.
                Reply::Hang(_) => drop(stream.read(&mut [0])),
                Reply::Drip(_) => {
                    while stream.write_all(b"x").and_then(|()| stream.flush()).is_ok() {
                        thread::sleep(Duration::from_millis(10));
                    }
                }
            }
        }
    }
}

/// The next request, head and body; `None` once the client is gone.
pub(super) fn read_request(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

/// A certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A server's certificate for 127.0.0.1.
    pub(crate) fn issue(&self) -> ServerConfig {
        self.issue_with("127.0.0.1", |_| {})
    }

    pub(crate) fn issue_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let certificate = self.sign(name, &key, change);
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap()
    }

    /// The same for a server that lets only clients in whose certificate this authority
    /// signed, too.
    pub(crate) fn issue_for_clients(&self) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let certificate = self.sign("127.0.0.1", &key, |_| {});
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap();
        builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap()
    }

    /// A certificate for a name and a key.
    pub(crate) fn sign(
        &self,
        name: &str,
        key: &KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> rcgen::Certificate {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        params.signed_by(key, &self.issuer).unwrap()
    }
}

fn builder() -> ConfigBuilder<ServerConfig, WantsVerifier> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
}
