//! The certificate that the gateway's ports show, and its key: files that whoever renews them
//! writes anew while the gateway runs.

use std::time::{Duration, SystemTime};

use ring::digest::{Context, SHA256};
use zeroize::Zeroizing;

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
    files: Files,
    in_force: Digest,
    /// The pair that is in them.
    pub identity: Identity,
}

/// The paths of the files.
#[derive(Debug, Clone)]
struct Files {
    certificate: String,
    key: String,
}

/// The SHA-256 of both files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest(Vec<u8>);

/// The content of both files.
struct Contents<'a> {
    files: &'a Files,
    certificate: Result<Zeroizing<String>, Flaw>,
    key: Result<Zeroizing<String>, Flaw>,
}

/// The flaws of the files, with the variable that names each.
type Flawed = Vec<(&'static str, Flaw)>;

impl Tls {
    /// Reads both files, if they are named.
    pub(super) fn read(r: &mut Reader<'_>) -> Option<Option<Self>> {
        let certificate = r.optional(&TLS_CERT_FILE, text, String::clone);
        let key = r.optional(&TLS_KEY_FILE, text, String::clone);
        let files = match (certificate?, key?) {
            (None, None) => return Some(None),
            (Some(certificate), Some(key)) => Files { certificate, key },
            (certificate, _) => {
                let (given, missing) = match certificate {
                    Some(_) => (TLS_CERT_FILE.name, TLS_KEY_FILE.name),
                    None => (TLS_KEY_FILE.name, TLS_CERT_FILE.name),
                };
                let problem = format!("is set, and {missing} is not");
                let cure = "set both, or neither to speak HTTP without TLS";
                r.fault(given, Flaw::new(problem, cure));
                return None;
            }
        };
        let contents = files.read();
        let in_force = contents.digest();
        match contents.identity() {
            Ok(identity) => Some(Some(Self {
                files,
                in_force,
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

    /// Reads both files again; None if they are what is in force. `seen` is what was read the
    /// last time: files are two, and only what is the same twice is no half of a change.
    ///
    /// # Errors
    /// All faults of them.
    pub fn read_again(&self, seen: &mut Option<Digest>) -> Result<Option<Self>, Faults> {
        let contents = self.files.read();
        let digest = contents.digest();
        let before = seen.replace(digest.clone());
        if digest == self.in_force || before.as_ref() != Some(&digest) {
            return Ok(None);
        }
        match contents.identity() {
            Ok(identity) => Ok(Some(Self {
                files: self.files.clone(),
                in_force: digest,
                identity,
            })),
            Err(flaws) => {
                let mut faults = Faults::default();
                for (variable, flaw) in flaws {
                    faults.push(flaw.of(variable));
                }
                Err(faults)
            }
        }
    }

    /// A sentence if the certificate is not valid any more, or not for long.
    pub fn warning(&self, now: SystemTime) -> Option<String> {
        let has_expired = self.identity.has_expired(now);
        if !has_expired && !self.identity.has_expired(now + SOON) {
            return None;
        }
        let state = match has_expired {
            true => "is not valid any more, so that clients refuse it",
            false => "ends soon",
        };
        Some(format!(
            "TLS_CERT_FILE: the certificate {state}: it is valid until {}; renew it, the files are \
             read again when they change",
            self.identity.until()
        ))
    }
}

impl Files {
    fn read(&self) -> Contents<'_> {
        Contents {
            files: self,
            certificate: content(&self.certificate),
            key: content(&self.key),
        }
    }
}

impl Contents<'_> {
    /// The digest of what could be read.
    fn digest(&self) -> Digest {
        let mut digest = Context::new(&SHA256);
        for content in [&self.certificate, &self.key] {
            let content = content.as_ref().map_or("", |content| content.as_str());
            digest.update(&content.len().to_be_bytes());
            digest.update(content.as_bytes());
        }
        Digest(digest.finish().as_ref().to_vec())
    }

    /// The pair that both files are, or the flaws of both.
    fn identity(self) -> Result<Identity, Flawed> {
        let mut flaws = Vec::new();
        let chain = self.chain();
        let chain = chain.map_err(|flaw| flaws.push((TLS_CERT_FILE.name, flaw)));
        let key = self.private_key();
        let key = key.map_err(|flaw| flaws.push((TLS_KEY_FILE.name, flaw)));
        let (Ok(chain), Ok(key)) = (chain, key) else {
            return Err(flaws);
        };
        let identity = Identity::new(chain, key);
        identity.map_err(|fault| vec![(TLS_KEY_FILE.name, self.refused(fault))])
    }

    fn chain(&self) -> Result<Chain, Flaw> {
        let content = self.certificate.as_ref().map_err(Clone::clone)?;
        Chain::from_pem(content.as_bytes()).map_err(|fault| {
            let path = quoted(&self.files.certificate);
            Flaw::new(
                format!("names {path}, which has no certificate: {fault}"),
                "give the server's certificate in PEM, those of its issuers behind it",
            )
        })
    }

    fn private_key(&self) -> Result<PrivateKey, Flaw> {
        let content = self.key.as_ref().map_err(Clone::clone)?;
        PrivateKey::from_pem(content.as_bytes()).map_err(|fault| self.refused(fault))
    }

    fn refused(&self, fault: KeyFault) -> Flaw {
        let path = quoted(&self.files.key);
        let problem = format!("names {path}, which has no key that can be used: {fault}");
        Flaw::new(
            problem,
            fault.cure("make a certificate with another kind of key"),
        )
    }
}
