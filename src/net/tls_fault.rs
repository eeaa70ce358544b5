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
    #[error("{} (alert {alert:?})", words(*.0), alert = .0)]
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
        use AlertDescription as A;
        Some(match self {
            Self::Certificate(fault) => fault.cure(extra),
            Self::NotTls => "write http:// where that is the port without TLS, as 8008 is on \
                many homeservers and 8080 on many Keycloaks, or give the port with TLS"
                .to_owned(),
            Self::Outdated => "let the server speak TLS 1.2 or 1.3".to_owned(),
            Self::Alert(A::HandshakeFailure | A::InsufficientSecurity) => "let the server use \
                TLS 1.2 or 1.3 with AES-GCM or ChaCha20 and ECDHE, and a certificate with a key \
                of P-256, P-384, Ed25519 or RSA of 2048 bits or more"
                .to_owned(),
            Self::Alert(A::UnrecognisedName) => "use a name that the server serves".to_owned(),
            Self::Alert(
                A::CertificateRequired
                | A::NoCertificate
                | A::BadCertificate
                | A::CertificateUnknown
                | A::UnknownCA
                | A::AccessDenied,
            ) => "let the bot in without a certificate of its own, which it has none of".to_owned(),
            Self::Alert(A::NoApplicationProtocol) => {
                "let the server speak HTTP/1.1 as well".to_owned()
            }
            Self::Alert(_) | Self::Handshake => return None,
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

/// An alert as the end of a sentence that begins with the server.
fn words(alert: AlertDescription) -> &'static str {
    use AlertDescription as A;
    match alert {
        A::HandshakeFailure | A::InsufficientSecurity => {
            "it and the bot have no cipher or kind of key in common"
        }
        A::UnrecognisedName => "it serves no host of this name",
        A::CertificateRequired | A::NoCertificate => "it wants a certificate of its clients",
        A::BadCertificate | A::CertificateUnknown | A::UnknownCA | A::AccessDenied => {
            "it does not let this client in"
        }
        A::NoApplicationProtocol => "it does not speak HTTP/1.1",
        A::InternalError => "it has a fault of its own",
        A::CloseNotify | A::UserCanceled => "it ended the handshake",
        _ => "it broke the handshake off",
    }
}
