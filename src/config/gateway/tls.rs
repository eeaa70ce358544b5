//! The certificate that the gateway's ports show, and its key: files that whoever renews them
//! writes anew while the gateway runs.

use std::time::{Duration, SystemTime};

use ring::digest::{Context, SHA256};

use super::table::{TLS_CERT_FILE, TLS_KEY_FILE};
use crate::config::fault::{Faults, Flaw, quoted};
use crate::config::reader::{Reader, text};
use crate::config::secrets::content;
use crate::net::{Chain, Identity, KeyFault, PrivateKey};

/// The time before a certificate's end in which it should have been renewed: `cert-manager`
/// renews it when a third of its lifetime is left, which is a month of most.
const SOON: Duration = Duration::from_secs(7 * 86_400);

/// A certificate and its key, and the files that they are in.
#[derive(Debug, Clone)]
pub struct Tls {
    certificate: String,
    key: String,
    /// What was read of them.
    pub identity: Identity,
}

/// The content of both files, as far as it can be told whether it has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest(Vec<u8>);

impl Tls {
    /// Reads both files, if they are named.
    pub(super) fn read(r: &mut Reader<'_>) -> Option<Option<Self>> {
        let certificate = r.optional(&TLS_CERT_FILE, text, String::clone);
        let key = r.optional(&TLS_KEY_FILE, text, String::clone);
        let (certificate, key) = match (certificate?, key?) {
            (None, None) => return Some(None),
            (Some(certificate), Some(key)) => (certificate, key),
            (given, _) => {
                let (given, missing) = match given {
                    Some(_) => (TLS_CERT_FILE.name, TLS_KEY_FILE.name),
                    None => (TLS_KEY_FILE.name, TLS_CERT_FILE.name),
                };
                let problem = format!("is set, and {missing} is not");
                let cure = "set both, or neither to speak HTTP without TLS";
                r.fault(given, Flaw::new(problem, cure));
                return None;
            }
        };
        match identity(&certificate, &key) {
            Ok(identity) => Some(Some(Self {
                certificate,
                key,
                identity,
            })),
            Err(flaws) => {
                for (variable, flaw) in flaws {
                    r.fault(variable, flaw);
                }
                None
            }
        }
    }

    /// Reads both files again.
    ///
    /// # Errors
    /// All faults of them.
    pub fn read_again(&self) -> Result<Identity, Faults> {
        identity(&self.certificate, &self.key).map_err(|flaws| {
            let mut faults = Faults::default();
            for (variable, flaw) in flaws {
                faults.push(flaw.of(variable));
            }
            faults
        })
    }

    /// The content of both files; None where one cannot be read.
    pub fn digest(&self) -> Option<Digest> {
        let mut digest = Context::new(&SHA256);
        for path in [&self.certificate, &self.key] {
            let content = content(path).ok()?;
            digest.update(&content.len().to_be_bytes());
            digest.update(content.as_bytes());
        }
        Some(Digest(digest.finish().as_ref().to_vec()))
    }

    /// A sentence if the certificate is not valid any more, or not for long.
    pub fn warning(&self, now: SystemTime) -> Option<String> {
        let until = self.identity.until();
        let (passed, cure) = (
            self.identity.has_expired(now),
            "renew it: the files are read again when they change",
        );
        match passed {
            true => Some(format!(
                "TLS_CERT_FILE has a certificate that was valid until {until}, and clients refuse \
                 it; {cure}"
            )),
            false if self.identity.has_expired(now + SOON) => Some(format!(
                "TLS_CERT_FILE has a certificate that is valid until {until}, which is soon; {cure}"
            )),
            false => None,
        }
    }
}

/// The flaws of the files of variables.
type Flawed = Vec<(&'static str, Flaw)>;

fn identity(certificate: &str, key: &str) -> Result<Identity, Flawed> {
    let mut flaws = Vec::new();
    let chain = chain(certificate).map_err(|flaw| flaws.push((TLS_CERT_FILE.name, flaw)));
    let private = private_key(key).map_err(|flaw| flaws.push((TLS_KEY_FILE.name, flaw)));
    let (Ok(chain), Ok(private)) = (chain, private) else {
        return Err(flaws);
    };
    Identity::new(chain, private).map_err(|fault| {
        let problem = format!("names {}, which has no key for it: {fault}", quoted(key));
        let cure = "give the certificate and the key that were made together";
        vec![(TLS_KEY_FILE.name, Flaw::new(problem, cure))]
    })
}

fn chain(path: &str) -> Result<Chain, Flaw> {
    Chain::from_pem(content(path)?.as_bytes()).map_err(|fault| {
        Flaw::new(
            format!("names {}, which has no certificate: {fault}", quoted(path)),
            "give the server's certificate in PEM, those of its issuers behind it",
        )
    })
}

fn private_key(path: &str) -> Result<PrivateKey, Flaw> {
    PrivateKey::from_pem(content(path)?.as_bytes()).map_err(|fault| {
        let problem = format!("names {}, which has no key: {fault}", quoted(path));
        let cure = match fault {
            KeyFault::Encrypted => "decrypt it by: openssl pkey -in KEY -out PLAIN",
            KeyFault::Kind => "make a certificate with another kind of key",
            _ => "give the key in PEM: PKCS #8, PKCS #1 (RSA) or SEC 1 (EC)",
        };
        Flaw::new(problem, cure)
    })
}
