//! A client of a server of ours that speaks TLS, by another implementation of its stream.

use std::sync::Arc;

use rcgen::KeyPair;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, SupportedProtocolVersion};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{Connect, TlsConnector};

use super::fake::Authority;
use super::{Chain, Channel, Identity, PrivateKey, TlsServer};

/// A server with a certificate for 127.0.0.1, and who believes it.
pub(crate) struct Served {
    pub(crate) server: TlsServer,
    authority: Authority,
}

impl Served {
    pub(crate) fn new() -> Self {
        let authority = Authority::new();
        Self {
            server: TlsServer::new(&identity(&authority)).unwrap(),
            authority,
        }
    }

    /// From now on, new connections get another certificate.
    pub(crate) fn rotate(&self) {
        self.server.show(&identity(&self.authority));
    }

    /// The settings of a client.
    pub(crate) fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        let pem = self.authority.pem();
        let section = rustls::pki_types::pem::PemObject::from_pem_slice(pem.as_bytes());
        roots.add(section.unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// A connection: the client's end of TCP, and the server's.
    pub(crate) async fn connect(&self) -> (TcpStream, Channel) {
        let (near, far) = pair().await;
        (near, self.server.channel(far).unwrap())
    }

    /// A connection whose client encrypts what is written to its end, and decrypts what is read
    /// there.
    pub(crate) async fn encrypted(&self) -> (TcpStream, Channel) {
        let (near, channel) = self.connect().await;
        let (end, mut inner) = pair().await;
        let tls = begin(near, self.client(rustls::ALL_VERSIONS));
        tokio::spawn(async move {
            let mut tls = tls.await.unwrap();
            let _ = copy_bidirectional(&mut inner, &mut tls).await;
        });
        (end, channel)
    }
}

/// Begins a handshake with the server at 127.0.0.1.
pub(crate) fn begin(tcp: TcpStream, config: ClientConfig) -> Connect<TcpStream> {
    TlsConnector::from(Arc::new(config)).connect(name(), tcp)
}

/// A client that is moved by hand.
pub(crate) fn by_hand(config: ClientConfig) -> ClientConnection {
    ClientConnection::new(Arc::new(config), name()).unwrap()
}

fn name() -> ServerName<'static> {
    ServerName::try_from("127.0.0.1").unwrap()
}

fn identity(authority: &Authority) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = authority.sign("127.0.0.1", &key, |_| {}).pem();
    let chain = Chain::from_pem(certificate.as_bytes()).unwrap();
    Identity::new(
        chain,
        PrivateKey::from_pem(key.serialize_pem().as_bytes()).unwrap(),
    )
    .unwrap()
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = (TcpStream::connect(address).await, listener.accept().await);
    (near.unwrap(), far.unwrap().0)
}
