//! The reasons why there is no secure connection, and the cure of each.

use rustls::{AlertDescription, CertificateError, Error as RustlsError};
use thiserror::Error;

use super::certificate_fault::CertificateFault;

/// The reason why there is no secure connection. `Display` is the end of a sentence that
/// begins with the server; [`TlsFault::cure`] says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TlsFault {
    /// The server's certificate is refused here.
    #[error(transparent)]
    Certificate(CertificateFault),
    /// The server does not speak TLS on this port.
    #[error("it does not speak TLS on this port")]
    NotTls,
    /// The server speaks only versions before 1.2.
    #[error("it speaks only TLS before 1.2")]
    Outdated,
    /// The server sent this alert
    /// (<https://www.rfc-editor.org/rfc/rfc8446#section-6.2>).
    #[error("{} (alert {alert:?})", told(*.0).0, alert = .0)]
    Alert(AlertDescription),
    /// The handshake failed in another way.
    #[error("the TLS handshake failed")]
    Handshake,
}

impl TlsFault {
    pub(super) fn of(error: &RustlsError) -> Self {
        match error {
            RustlsError::InvalidCertificate(error) => Self::Certificate(of_certificate(error)),
            RustlsError::InvalidMessage(_) => Self::NotTls,
            RustlsError::PeerIncompatible(
                rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13,
            )
            | RustlsError::AlertReceived(AlertDescription::ProtocolVersion) => Self::Outdated,
            RustlsError::AlertReceived(alert) => Self::Alert(*alert),
            _ => Self::Handshake,
        }
    }

    /// The sentence that says what to do about it, if that is something else than to look at the server;
    /// `extra` is where a certificate of an authority can be given.
    pub fn cure(&self, extra: &str) -> Option<String> {
        Some(match self {
            Self::Certificate(fault) => fault.cure(extra),
            Self::NotTls => "write http:// where that is the port without TLS, as 8008 is on \
                many homeservers and 8080 on many Keycloaks, or give the port with TLS"
                .to_owned(),
            Self::Outdated => "let the server speak TLS 1.2 or 1.3".to_owned(),
            Self::Alert(alert) => told(*alert).1?.to_owned(),
            Self::Handshake => return None,
        })
    }
}

fn of_certificate(error: &CertificateError) -> CertificateFault {
    if let CertificateError::Other(other) = error
        && let Some(fault) = other.0.downcast_ref::<CertificateFault>()
    {
        return fault.clone();
    }
    // The handshake's signature, which is looked at after the certificate.
    CertificateFault::alone(error)
}

/// An alert as the end of a sentence that begins with the server, and what to do about it.
fn told(alert: AlertDescription) -> (&'static str, Option<&'static str>) {
    use AlertDescription as A;
    const LET_IN: &str = "let the bot in without a certificate of its own, which it has none of";
    match alert {
        A::HandshakeFailure | A::InsufficientSecurity => (
            "it and the bot have no cipher or kind of key in common",
            Some(
                "let the server use TLS 1.2 or 1.3 with AES-GCM or ChaCha20 and ECDHE, and a \
                 certificate with a key of P-256, P-384, Ed25519 or RSA of 2048 bits or more",
            ),
        ),
        A::UnrecognisedName => (
            "it serves no host of this name",
            Some("use a name that the server serves"),
        ),
        A::CertificateRequired | A::NoCertificate => {
            ("it wants a certificate of its clients", Some(LET_IN))
        }
        A::CertificateExpired | A::CertificateRevoked => (
            "it takes this client's certificate for expired or revoked",
            None,
        ),
        A::BadCertificate | A::CertificateUnknown | A::UnknownCA | A::AccessDenied => {
            ("it does not let this client in", Some(LET_IN))
        }
        A::NoApplicationProtocol => (
            "it does not speak HTTP/1.1",
            Some("let the server speak HTTP/1.1 as well"),
        ),
        A::InternalError => ("it has a fault of its own", None),
        A::CloseNotify | A::UserCanceled => ("it ended the handshake", None),
        _ => ("it broke the handshake off", None),
    }
}
