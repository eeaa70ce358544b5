//! The reasons why a server's certificate is refused, and the cure of each.

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, RootCertStore};
use thiserror::Error;

use super::x509::{Certificate, MIN_RSA_BITS, called, rsa_bits};
use crate::util::{Utc, printable};

/// The longest text of a certificate that is shown, in bytes.
const MAX_SHOWN: usize = 64;

/// The names of a certificate that are shown.
const MAX_NAMES: usize = 3;

/// Certificates that an ingress shows for a host that it has none for.
const STAND_INS: [&str; 2] = [
    "\"Kubernetes Ingress Controller Fake Certificate\"",
    "\"TRAEFIK DEFAULT CERT\"",
];

/// The algorithms of signatures that certificates have and that are not believed:
/// the value of their identifier, as DER has it, and their name.
const ALGORITHMS: [(&[u8], &str); 7] = [
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4],
        "RSA with MD5",
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5],
        "RSA with SHA-1",
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 14],
        "RSA with SHA-224",
    ),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1], "ECDSA with SHA-1"),
    (
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4],
        "ECDSA with SHA-512",
    ),
    (&[0x2b, 0x65, 0x71], "Ed448"),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 2], "DSA"),
];

/// Errors without a variant in rustls are webpki's, known by name; a test pins the names.
const NAMED: [(&str, CertificateFault); 8] = [
    ("CaUsedAsEndEntity", CertificateFault::Authority),
    ("EndEntityUsedAsCa", CertificateFault::NoAuthority),
    ("NameConstraintViolation", CertificateFault::Constrained),
    ("PathLenConstraintViolated", CertificateFault::Constrained),
    ("UnsupportedCertVersion", CertificateFault::Version),
    ("UnsupportedCriticalExtension", CertificateFault::Critical),
    ("UnhandledCriticalExtension", CertificateFault::Critical),
    ("EmptyEkuExtension", CertificateFault::Purpose),
];

/// The reason why a certificate is refused. `Display` is the end of a sentence that begins
/// with the server; [`CertificateFault::cure`] says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateFault {
    /// It signed itself, and was not given as an authority.
    #[error("its certificate is self-signed ({name}), so nobody known issued it")]
    SelfSigned {
        /// Its subject.
        name: String,
    },
    /// Its issuer is not believed.
    #[error(
        "its certificate has an unknown issuer ({issuer}){}",
        if *.is_alone { ", and the server sends no intermediate certificate" } else { "" }
    )]
    UnknownIssuer {
        /// The name of the issuer.
        issuer: String,
        /// The server sent no other certificate.
        is_alone: bool,
    },
    /// It names a known authority and is signed with another key.
    #[error("its certificate names a known authority, but is signed with another key")]
    OtherKey,
    /// An RSA key of a certificate is too short, in bits.
    #[error(
        "its certificate depends on an RSA key of {0} bits, where {MIN_RSA_BITS} are the least"
    )]
    ShortKey(usize),
    /// A signature is of a kind that is not believed.
    #[error(
        "its certificate, or one that it depends on, is signed by {0}; accepted are RSA with \
         SHA-256 or better, ECDSA of P-256 or P-384 with SHA-256 or SHA-384, and Ed25519"
    )]
    Algorithm(String),
    /// It is for these names.
    #[error("its certificate is for another name ({})", some(.0))]
    OtherNames(Vec<String>),
    /// It is for no name (`subjectAltName`).
    #[error(
        "its certificate has no subjectAltName, which is where the host's name has to be: that in \
         its subject (CN) is not looked at"
    )]
    NoNames,
    /// It, or one that it depends on, is too old.
    #[error(
        "{} has expired: it was valid until {}, and here it is {}",
        if *.is_above { "a certificate that its own depends on" } else { "its certificate" },
        moment(*.until),
        moment(*.now)
    )]
    Expired {
        /// It is another one than the server's own.
        is_above: bool,
        /// The last moment, in seconds since 1970.
        until: u64,
        /// The moment of now.
        now: u64,
    },
    /// It is for later, or the clock here is slow.
    #[error(
        "its certificate is not valid yet: it is so from {}, and here it is {}",
        moment(*.from),
        moment(*.now)
    )]
    NotYetValid {
        /// The first moment, in seconds since 1970.
        from: u64,
        /// The moment of now.
        now: u64,
    },
    /// It says that it is an authority, and is not one that was given and may issue
    /// certificates for every name.
    #[error("its certificate says that it is an authority (CA:TRUE) and not a server's")]
    Authority,
    /// Its issuer is no authority.
    #[error("its certificate was issued by one that is no authority (CA:TRUE is missing)")]
    NoAuthority,
    /// It is not for servers.
    #[error("its certificate is not for servers (extendedKeyUsage lacks serverAuth)")]
    Purpose,
    /// Its issuer may not issue for this name, or not so far down.
    #[error(
        "who issued its certificate may not do so for this name, or not through so many others \
         (name or path length constraints)"
    )]
    Constrained,
    /// It is of X.509 version 1.
    #[error("its certificate is of X.509 version 1, which says too little")]
    Version,
    /// It has a critical extension that is not known here.
    #[error("its certificate has an extension that is marked critical and unknown here")]
    Critical,
    /// It is unusable in another way, by the TLS library's name for it.
    #[error("its certificate is not acceptable ({0})")]
    Other(String),
}

impl CertificateFault {
    /// Translates an error about `leaf`, which the server sent with the certificates
    /// `above`.
    pub(super) fn of(
        error: &CertificateError,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        roots: &RootCertStore,
    ) -> Self {
        let read = Certificate::read(leaf);
        let own = read.filter(Certificate::is_self_issued);
        let self_signed = |leaf: Certificate<'_>| Self::SelfSigned {
            name: called(leaf.subject),
        };
        match error {
            CertificateError::UnknownIssuer => own.map_or_else(
                || {
                    let last = above.last().and_then(|last| Certificate::read(last));
                    Self::UnknownIssuer {
                        issuer: called(last.or(read).map_or(&[], |last| last.issuer)),
                        is_alone: above.is_empty(),
                    }
                },
                self_signed,
            ),
            CertificateError::BadSignature => match short_key(leaf, above, roots) {
                Some(bits) => Self::ShortKey(bits),
                None => Self::OtherKey,
            },
            CertificateError::ExpiredContext { time, not_after } => Self::Expired {
                is_above: !read.is_some_and(|leaf| is_at(leaf.not_after, *not_after)),
                until: not_after.as_secs(),
                now: time.as_secs(),
            },
            CertificateError::NotValidYetContext { time, not_before } => Self::NotYetValid {
                from: not_before.as_secs(),
                now: time.as_secs(),
            },
            error => match (Self::alone(error), own) {
                (Self::Authority, Some(leaf)) if !is_root(&leaf, roots) => self_signed(leaf),
                (fault, _) => fault,
            },
        }
    }

    /// Translates an error without looking at the certificates.
    pub(super) fn alone(error: &CertificateError) -> Self {
        match error {
            CertificateError::NotValidForNameContext { presented, .. } => match presented[..] {
                [] => Self::NoNames,
                _ => Self::OtherNames(presented.iter().map(|name| bare(name)).collect()),
            },
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id,
                ..
            }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id,
                ..
            } => {
                let known = ALGORITHMS
                    .iter()
                    .find(|(id, _)| has(signature_algorithm_id, id));
                Self::Algorithm(known.map_or("an unknown kind", |(_, name)| name).to_owned())
            }
            CertificateError::BadSignature => Self::OtherKey,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::Purpose
            }
            error => {
                let error = error.to_string();
                let known = NAMED.into_iter().find(|(name, _)| error.contains(name));
                let other = || Self::Other(printable(&error, MAX_SHOWN));
                known.map_or_else(other, |(_, fault)| fault)
            }
        }
    }

    /// The sentence that says what to do about it; `extra` is where a certificate of an
    /// authority can be given.
    pub fn cure(&self, extra: &str) -> String {
        const NEW: &str = "give the server another certificate, as docs/certificates.md makes one";
        match self {
            Self::SelfSigned { name } if STAND_INS.contains(&name.as_str()) => {
                "give the Ingress a certificate for this host: this one stands in where it has none"
                    .to_owned()
            }
            Self::SelfSigned { .. } => {
                format!("give this very certificate in {extra}, if it is the server's")
            }
            Self::UnknownIssuer { issuer, is_alone } => {
                let chain = match is_alone {
                    true => ", and have the server send its whole chain (fullchain.pem)",
                    false => "",
                };
                format!(
                    "give the certificate of the authority that issued it ({issuer}) in \
                     {extra}{chain}"
                )
            }
            Self::OtherKey => format!(
                "give the authority's certificate of now in {extra}: it was made anew under the \
                 same name"
            ),
            Self::Expired { .. } | Self::NotYetValid { .. } => {
                "have the server's certificate renewed, or set this machine's clock".to_owned()
            }
            Self::OtherNames(_) => {
                "use a name that it is for, or give the server one for this name".to_owned()
            }
            Self::Authority => {
                format!("give this very certificate in {extra}, if it is the server's; or {NEW}")
            }
            _ => NEW.to_owned(),
        }
    }
}

/// The shortest RSA key that a signature of the chain may be made with, if it is
/// too short.
fn short_key(
    leaf: &CertificateDer<'_>,
    above: &[CertificateDer<'_>],
    roots: &RootCertStore,
) -> Option<usize> {
    let chain = || std::iter::once(leaf).chain(above);
    let read = || chain().filter_map(|one| Certificate::read(one));
    let own = read().map(|one| one.key);
    let of_roots = roots
        .roots
        .iter()
        .filter(|root| read().any(|one| one.issuer == root.subject.as_ref()))
        .map(|root| root.subject_public_key_info.as_ref());
    let bits = own.chain(of_roots).filter_map(rsa_bits).min()?;
    (bits < MIN_RSA_BITS).then_some(bits)
}

fn is_root(certificate: &Certificate<'_>, roots: &RootCertStore) -> bool {
    roots.roots.iter().any(|root| {
        root.subject.as_ref() == certificate.subject
            && root.subject_public_key_info.as_ref() == certificate.key
    })
}

/// Returns whether the time of a certificate is this one. Its year may lack the century.
fn is_at(text: &[u8], time: UnixTime) -> bool {
    let at = Utc::of_seconds(time.as_secs());
    let digits = format!("{}{}Z", at.date(), at.time()).replace(['-', ':'], "");
    !text.is_empty() && digits.as_bytes().ends_with(text)
}

/// Returns whether an algorithm, which may have parameters, has this identifier.
fn has(algorithm: &[u8], id: &[u8]) -> bool {
    algorithm.windows(id.len()).any(|part| part == id)
}

/// A name of a certificate without what rustls puts around it.
fn bare(name: &str) -> String {
    let inner = name
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .unwrap_or(name);
    printable(inner.trim_matches('"'), MAX_SHOWN)
}

/// The first of these names, and that there are more.
fn some(names: &[String]) -> String {
    let more = match names.len() > MAX_NAMES {
        true => " and more",
        false => "",
    };
    let shown: Vec<&str> = names.iter().take(MAX_NAMES).map(String::as_str).collect();
    format!("{}{more}", shown.join(", "))
}

/// `2026-11-28 12:03 UTC`.
fn moment(seconds: u64) -> String {
    let at = Utc::of_seconds(seconds);
    format!("{} {:02}:{:02} UTC", at.date(), at.hour, at.minute)
}
