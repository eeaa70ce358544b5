//! A certificate of our own and its key: shown to servers that ask for one, and to the clients
//! of a server.
//!
//! Specification: <https://www.rfc-editor.org/rfc/rfc8446#section-4.4.2>.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys};
use thiserror::Error;
use zeroize::Zeroizing;

use super::roots::BundleError;
use super::x509::Certificate;
use crate::util::Utc;

/// A certificate with its chain, and the key that it is for. `Debug` shows nothing of them.
#[derive(Clone)]
pub struct Identity {
    pair: Arc<CertifiedKey>,
    until: Moment,
}

/// The certificates of a chain, one's own first.
pub struct Chain(Vec<CertificateDer<'static>>);

/// A private key.
pub struct PrivateKey(Arc<dyn SigningKey>);

/// A second as `YYYYMMDDhhmmss`, so that texts are in the order of time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(String);

impl Chain {
    /// Takes every certificate of a PEM text; other PEM sections are skipped.
    ///
    /// # Errors
    /// There is no certificate in the text, or a broken one.
    pub fn from_pem(pem: &[u8]) -> Result<Self, BundleError> {
        let read: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(pem).collect();
        let chain = read.map_err(|_| BundleError::Pem)?;
        if chain.is_empty() {
            return Err(BundleError::of_other(pem));
        }
        match chain.iter().all(|one| Certificate::read(one).is_some()) {
            true => Ok(Self(chain)),
            false => Err(BundleError::Certificate),
        }
    }
}

impl PrivateKey {
    /// Takes the first private key of a PEM text, in PKCS #8, PKCS #1 (`RSA`) or SEC 1
    /// (`EC`); other PEM sections are skipped.
    ///
    /// # Errors
    /// There is no usable key in the text.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyFault> {
        let says = |words: &[u8]| pem.windows(words.len()).any(|part| part == words);
        if says(b"ENCRYPTED") {
            return Err(KeyFault::Encrypted);
        }
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
            pem::Error::NoItemsFound => KeyFault::Empty,
            _ => KeyFault::Pem,
        })?;
        let key = Zeroizing::new(key);
        any_supported_type(&key)
            .map(Self)
            .map_err(|_| KeyFault::Kind)
    }
}

impl Identity {
    /// Puts a certificate and its key together.
    ///
    /// # Errors
    /// The key is another's.
    pub fn new(Chain(chain): Chain, key: PrivateKey) -> Result<Self, KeyFault> {
        let not_after = chain.first().and_then(|own| {
            let not_after = Certificate::read(own)?.not_after;
            Moment::of_certificate(not_after)
        });
        let pair = CertifiedKey::new(chain, key.0);
        match pair.keys_match() {
            // A kind of key that cannot tell.
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(_) => return Err(KeyFault::Another),
        }
        Ok(Self {
            pair: Arc::new(pair),
            // Without a time that can be read, it is the server's to judge.
            until: not_after.unwrap_or_else(|| Moment("99991231235959".to_owned())),
        })
    }

    /// True once the certificate is not valid any more.
    pub fn has_expired(&self, now: SystemTime) -> bool {
        self.until < Moment::of_time(now)
    }

    /// The last minute in which the certificate is valid, as `2026-11-28 12:03 UTC`.
    pub fn until(&self) -> String {
        let Moment(digits) = &self.until;
        let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
        let (date, time) = (
            [part(0, 4), part(4, 6), part(6, 8)],
            [part(8, 10), part(10, 12)],
        );
        format!("{} {} UTC", date.join("-"), time.join(":"))
    }

    /// The identity as rustls asks a client for it in a handshake.
    pub(super) fn resolver(&self) -> SingleCertAndKey {
        self.pair().into()
    }

    /// The certificate with its chain, and the key.
    pub(super) fn pair(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.pair)
    }
}

impl Moment {
    /// Reads a `UTCTime` or `GeneralizedTime`
    /// (<https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.5>).
    fn of_certificate(text: &[u8]) -> Option<Self> {
        let digits = str::from_utf8(text).ok()?.strip_suffix('Z')?;
        let is_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        let century = match digits.len() {
            14 => "",
            12 if digits >= "50" => "19",
            12 => "20",
            _ => return None,
        };
        is_digits.then(|| Self(format!("{century}{digits}")))
    }

    fn of_time(time: SystemTime) -> Self {
        let utc = Utc::from(time);
        Self(format!("{}{}", utc.date(), utc.time()).replace(['-', ':'], ""))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity until {}", self.until())
    }
}

/// The reason why a private key is not usable. `Display` is the rest of a sentence that
/// begins with the text's name and `:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyFault {
    /// There is none.
    #[error("no PEM private key in it")]
    Empty,
    /// It is locked by a password.
    #[error("the private key in it is encrypted, and nobody is there to type its password")]
    Encrypted,
    /// A section has no end, or is not base64.
    #[error("broken PEM")]
    Pem,
    /// Its kind, curve or length is not among those that are used.
    #[error("its private key is none of P-256, P-384, Ed25519 and RSA of 2048 bits or more")]
    Kind,
    /// It does not belong to the certificate.
    #[error("its private key is not the certificate's")]
    Another,
}

impl KeyFault {
    /// The remedy, as the rest of a sentence; `another_kind` is that of [`KeyFault::Kind`], which
    /// depends on who makes the certificate.
    pub const fn cure(self, another_kind: &'static str) -> &'static str {
        match self {
            Self::Encrypted => "decrypt it by: openssl pkey -in KEY -out PLAIN",
            Self::Kind => another_kind,
            Self::Another => "give the certificate and the key that were made together",
            Self::Empty | Self::Pem => "give the key in PEM: PKCS #8, PKCS #1 (RSA) or SEC 1 (EC)",
        }
    }
}
