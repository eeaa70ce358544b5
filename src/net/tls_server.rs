//! The server's side of TLS: one certificate for whoever asks, which can be replaced while
//! connections are open.
//!
//! Specification: <https://www.rfc-editor.org/rfc/rfc8446>.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;

use super::channel::Channel;
use super::client::TlsUnavailable;
use super::identity::Identity;

/// The only protocol that is spoken inside (RFC 7301).
const ALPN: &[u8] = b"http/1.1";

/// Makes [`Channel`]s whose clients are shown a certificate. TLS 1.2 and 1.3, and no client
/// certificates; nothing is kept of a connection that has ended.
pub struct TlsServer {
    config: Arc<ServerConfig>,
    shown: Arc<Shown>,
}

/// The certificate that is shown from now on.
#[derive(Debug)]
struct Shown(Mutex<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&shown))
    }
}

impl TlsServer {
    /// A server that shows this certificate.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn new(identity: &Identity) -> Result<Self, TlsUnavailable> {
        let shown = Arc::new(Shown(Mutex::new(identity.pair())));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| TlsUnavailable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A handshake costs less than what it takes to remember the one before.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self {
            config: Arc::new(config),
            shown,
        })
    }

    /// Shows another certificate to whoever connects from now on.
    pub fn show(&self, identity: &Identity) {
        *self.shown.0.lock().unwrap_or_else(PoisonError::into_inner) = identity.pair();
    }

    /// The connection that begins on this one.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn channel(&self, tcp: TcpStream) -> io::Result<Channel> {
        Channel::tls(tcp, Arc::clone(&self.config))
    }
}
