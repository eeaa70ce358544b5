//! The verification of a server's certificate: webpki's, with one addition.
//!
//! A certificate that the user gave as an authority is believed where a server
//! shows that very one, byte for byte, as its own. webpki refuses it if it says
//! that it is an authority (`CA:TRUE`, as `openssl req -x509` makes them), and if
//! somebody else signed it. Nobody gains by that who could not have come in
//! before: whoever has the key of an authority can sign any certificate for the
//! same name. Therefore an authority with name constraints, which cannot, is left
//! out. Name and validity have to fit as ever, and the handshake has to be signed
//! with that certificate's key.

use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

use super::certificate_fault::CertificateFault;

/// The certificates of authorities that may also be a server's own, by SHA-256.
pub(super) type Pins = Vec<[u8; 32]>;

/// The verifier of a server's certificate.
#[derive(Debug)]
pub(super) struct Trust {
    webpki: Arc<WebPkiServerVerifier>,
    roots: Arc<RootCertStore>,
    pins: Pins,
}

impl Trust {
    /// # Errors
    /// There is no root.
    pub(super) fn new(
        roots: RootCertStore,
        pins: Pins,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let roots = Arc::new(roots);
        Ok(Self {
            webpki: WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider)
                .build()?,
            roots,
            pins,
        })
    }

    /// The digest by which [`Pins`] know a certificate.
    pub(super) fn pin(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
        digest(&SHA256, certificate).as_ref().try_into().ok()
    }

    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        !self.pins.is_empty() && Self::pin(certificate).is_some_and(|pin| self.pins.contains(&pin))
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self.webpki.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let error = match judged {
            Err(Error::InvalidCertificate(error)) => error,
            judged => return judged,
        };
        let refused = if is_about_who_signed(&error) && self.is_pinned(end_entity) {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            match verify_server_name(&certificate, server_name) {
                Ok(()) => return Ok(ServerCertVerified::assertion()),
                Err(Error::InvalidCertificate(error)) => error,
                Err(error) => return Err(error),
            }
        } else {
            error
        };
        let fault = CertificateFault::of(&refused, end_entity, intermediates, &self.roots);
        Err(CertificateError::Other(OtherError(Arc::new(fault))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Returns whether all that is missing is an authority that may have signed it. webpki
/// comes to that after it has looked at the validity; a test holds it to that.
fn is_about_who_signed(error: &CertificateError) -> bool {
    match error {
        CertificateError::UnknownIssuer => true,
        // webpki's own error is in a crate that rustls keeps to itself.
        CertificateError::Other(other) => other.to_string() == "CaUsedAsEndEntity",
        _ => false,
    }
}
