//! Which certificate authorities are believed.

use std::fmt;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use webpki_roots::TLS_SERVER_ROOTS;

/// Which certificate authorities a client believes.
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
    pub(super) fn store(self) -> RootCertStore {
        let mozilla = || RootCertStore {
            roots: TLS_SERVER_ROOTS.to_vec(),
        };
        match self {
            Self::Mozilla => mozilla(),
            Self::Bundle(bundle) => bundle.0,
            Self::MozillaAnd(bundle) => Bundle(mozilla()).and(bundle).0,
        }
    }
}

/// One or more certificates that are fit to be roots.
#[derive(Debug, Clone)]
pub struct Bundle(RootCertStore);

impl Bundle {
    /// Takes every certificate of a PEM text; other PEM sections are skipped.
    /// One broken certificate refuses the whole text: half a bundle would
    /// fail later and be harder to explain.
    pub fn from_pem(pem: &[u8]) -> Result<Self, BundleError> {
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| BundleError::Pem)?;
            store
                .add(certificate)
                .map_err(|_| BundleError::Certificate)?;
        }
        if store.is_empty() {
            return Err(BundleError::Empty);
        }
        Ok(Self(store))
    }

    /// The certificates of both.
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0.roots);
        self
    }
}

/// Why a text is no bundle of certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleError {
    /// No `BEGIN CERTIFICATE` in it.
    Empty,
    /// A section without an end, or not in base64.
    Pem,
    /// A section that is well-formed PEM, but no certificate.
    Certificate,
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "no PEM certificate in it",
            Self::Pem => "broken PEM",
            Self::Certificate => "a broken certificate in it",
        })
    }
}

impl std::error::Error for BundleError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fake::Authority;

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
        assert_eq!(Bundle::from_pem(two.as_bytes()).unwrap().0.len(), 2);
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(fault(""), BundleError::Empty);
        assert_eq!(fault("hello"), BundleError::Empty);
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
