//! HTTP/1.1 with a limit on everything a peer controls: how long a request
//! takes, how large its answer is, how long it may ask us to wait. Knows
//! nothing of Matrix or Kubernetes.

mod authority;
mod backoff;
mod certificate_fault;
mod channel;
mod client;
mod connections;
mod dns;
mod error;
mod identity;
mod no_proxy;
mod proxy;
mod redirect;
mod remedy;
mod request;
mod response;
mod roots;
mod server;
mod stream;
mod tls_fault;
mod tls_server;
mod trust;
mod tunnel;
mod x509;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
pub(crate) mod fake_proxy;
#[cfg(test)]
pub(crate) mod fake_tls;
#[cfg(test)]
mod tests;

pub use authority::{Authority, BadUrl, is_host, is_private};
pub use backoff::{Backoff, MAX_ATTEMPTS, MAX_WAIT};
pub use certificate_fault::CertificateFault;
pub use channel::Channel;
pub use client::{Client, Opened, Stream, TlsUnavailable};
pub use dns::Unresolved;
pub use error::{Error, Fault, ProxyFault, Stage};
pub use hyper::body::Bytes;
pub use identity::{Chain, Identity, KeyFault, PrivateKey};
pub use proxy::{Proxy, ProxyError};
pub use redirect::Redirect;
pub use remedy::{Remedy, Responsible};
pub use request::{BadToken, Limits, Request};
pub use response::{MAX_RETRY_AFTER, Response};
pub use roots::{Bundle, BundleError, Roots};
pub use rustls::pki_types::ServerName;
pub use server::{Page, listen, page, serve, text_page};
pub use tls_fault::TlsFault;
pub use tls_server::TlsServer;
