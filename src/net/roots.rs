//! The certificate authorities that are believed.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use thiserror::Error;
use webpki_roots::TLS_SERVER_ROOTS;

use super::trust::{Pins, Trust};
use super::x509::{Certificate, called, weakness};

/// The certificate authorities that a client believes.
#[derive(Debug, Clone)]
pub enum Roots {
    /// The public ones that Mozilla's programme lists, as of the build.
    Mozilla,
    /// Exactly these: the CA of a cluster or a company.
    Bundle(Bundle),
    /// The public ones and these: a company's CA beside the internet's.
    MozillaAnd(Bundle),
}

impl Roots {
    /// The authorities, and which of them may also be a server's own certificate.
    pub(super) fn store(self) -> (RootCertStore, Pins) {
        let mozilla = || RootCertStore {
            roots: TLS_SERVER_ROOTS.to_vec(),
        };
        match self {
            Self::Mozilla => (mozilla(), Pins::new()),
            Self::Bundle(Bundle { store, pins, .. }) => (store, pins),
            Self::MozillaAnd(Bundle { store, pins, .. }) => {
                let mut all = mozilla();
                all.extend(store.roots);
                (all, pins)
            }
        }
    }
}

/// One or more certificates that are fit to be roots.
#[derive(Debug, Clone)]
pub struct Bundle {
    store: RootCertStore,
    pins: Pins,
    idle: Vec<String>,
}

impl Bundle {
    /// Takes every certificate of a PEM text; other PEM sections are skipped.
    /// One broken certificate refuses the whole text: half a bundle would
    /// fail later and be harder to explain.
    ///
    /// # Errors
    /// There is no certificate in the text, or a broken one.
    pub fn from_pem(pem: &[u8]) -> Result<Self, BundleError> {
        // Some editors begin a file with the byte order mark of UTF-8.
        let pem = pem.strip_prefix(b"\xef\xbb\xbf").unwrap_or(pem);
        let mut store = RootCertStore::empty();
        let mut pins = Pins::new();
        let mut idle = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| BundleError::Pem)?;
            let pin = Trust::pin(&certificate);
            if let Some(read) = Certificate::read(&certificate)
                && let Some(weakness) = weakness(read.key)
            {
                idle.push(format!("{} ({weakness})", called(read.subject)));
            }
            store
                .add(certificate)
                .map_err(|_| BundleError::Certificate)?;
            let root = store.roots.last();
            let is_free = root.is_some_and(|root| root.name_constraints.is_none());
            pins.extend(pin.filter(|_| is_free));
        }
        if store.is_empty() {
            return Err(BundleError::of_other(pem));
        }
        Ok(Self { store, pins, idle })
    }

    /// The authorities whose signatures are not believed because of the kind of
    /// their key, by name and key; safe to show.
    pub fn idle(&self) -> &[String] {
        &self.idle
    }

    /// Adds the certificates of another bundle.
    pub fn and(mut self, other: Self) -> Self {
        self.store.extend(other.store.roots);
        self.pins.extend(other.pins);
        self.idle.extend(other.idle);
        self
    }
}

/// The reason why a text is no bundle of certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BundleError {
    /// It has no `BEGIN CERTIFICATE`.
    #[error("no PEM certificate in it")]
    Empty,
    /// It is a private key instead.
    #[error("a private key in it and no certificate")]
    Key,
    /// It is a request for a certificate instead.
    #[error("a request for a certificate in it and no certificate")]
    Request,
    /// It is not PEM, but a certificate in DER or a PKCS #7 or #12 file.
    #[error(
        "no PEM in it but DER or PKCS: convert it by openssl x509 -inform DER, openssl pkcs7 \
         -print_certs or openssl pkcs12 -nokeys"
    )]
    Binary,
    /// A section has no end, or is not base64.
    #[error("broken PEM")]
    Pem,
    /// A section is well-formed PEM, but no certificate.
    #[error("a broken certificate in it")]
    Certificate,
}

impl BundleError {
    /// Tells what a text without certificates is.
    pub(super) fn of_other(text: &[u8]) -> Self {
        let says = |words: &[u8]| text.windows(words.len()).any(|part| part == words);
        match text {
            // A long SEQUENCE of DER.
            [0x30, 0x82, ..] => Self::Binary,
            _ if says(b"PRIVATE KEY-----") => Self::Key,
            _ if says(b"CERTIFICATE REQUEST-----") => Self::Request,
            _ if says(b"BEGIN PKCS7-----") => Self::Binary,
            _ => Self::Empty,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::fake::Authority;

    fn fault(pem: &str) -> BundleError {
        Bundle::from_pem(pem.as_bytes()).unwrap_err()
    }

    #[test]
    fn every_certificate_of_a_text_is_taken() {
        let two = format!(
            "a comment\n{}\n{}",
            Authority::new().pem(),
            Authority::new().pem()
        );
        assert_eq!(Bundle::from_pem(two.as_bytes()).unwrap().store.len(), 2);
    }

    /// Files as editors of other systems, and tools that add what is there
    /// already, leave them.
    #[test]
    fn the_form_of_a_file_does_not_matter() {
        let one = Authority::new().pem();
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        for (text, count) in [
            (one.replace('\n', "\r\n"), 1),
            (format!("\u{feff}{one}"), 1),
            (format!("{one}{one}"), 2),
            (format!("{key}{one}"), 1),
            (one.trim_end().to_owned(), 1),
            (format!("# subject=/CN=x\n\n{one}\n\n"), 1),
        ] {
            let read = Bundle::from_pem(text.as_bytes());
            assert_eq!(read.unwrap().store.len(), count, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(fault(""), BundleError::Empty);
        assert_eq!(fault("hello"), BundleError::Empty);
        let key = rcgen::KeyPair::generate().unwrap();
        assert_eq!(fault(&key.serialize_pem()), BundleError::Key);
        let request =
            "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
        assert_eq!(fault(request), BundleError::Request);
        let der = CertificateDer::from_pem_slice(Authority::new().pem().as_bytes()).unwrap();
        assert_eq!(Bundle::from_pem(&der).unwrap_err(), BundleError::Binary);
        assert_eq!(fault("-----BEGIN CERTIFICATE-----\nAAAA"), BundleError::Pem);
        assert_eq!(
            fault("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n"),
            BundleError::Pem
        );
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(fault(broken), BundleError::Certificate);
        let mixed = format!("{}{broken}", Authority::new().pem());
        assert_eq!(fault(&mixed), BundleError::Certificate);
    }
}
