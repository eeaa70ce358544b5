//! The public keys that a realm publishes
//! ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

/// The largest key set, in bytes.
pub(super) const MAX_JWKS_BYTES: usize = 256 * 1024;

/// The largest number of keys in a set.
pub(super) const MAX_KEYS: usize = 64;

/// The sizes of RSA keys that are used, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The algorithms of RSA keys (<https://www.rfc-editor.org/rfc/rfc7518#section-3.1>).
static RSA: [(&str, &RsaParameters); 6] = [
    ("RS256", &RSA_PKCS1_2048_8192_SHA256),
    ("RS384", &RSA_PKCS1_2048_8192_SHA384),
    ("RS512", &RSA_PKCS1_2048_8192_SHA512),
    ("PS256", &RSA_PSS_2048_8192_SHA256),
    ("PS384", &RSA_PSS_2048_8192_SHA384),
    ("PS512", &RSA_PSS_2048_8192_SHA512),
];

/// The keys of a realm, which signatures are checked with.
#[derive(Debug, Clone)]
pub struct Jwks(Vec<Key>);

/// One key of a set.
#[derive(Debug, Clone)]
pub(super) struct Key {
    id: Option<String>,
    /// None for a key of a kind or size that is not used.
    public: Option<PublicKey>,
    /// The names of the algorithms that it is for.
    algorithms: Vec<&'static str>,
}

#[derive(Debug, Clone)]
enum PublicKey {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    /// A point of a curve, which has one algorithm.
    Point(UnparsedPublicKey<Vec<u8>>),
}

#[derive(Deserialize)]
struct Set<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwks {
    /// Reads a key set. Keys for encryption and malformed entries are left out, as
    /// <https://www.rfc-editor.org/rfc/rfc7517#section-5> asks for; of keys of a kind that
    /// is not used here, only the id is kept.
    ///
    /// # Errors
    /// The answer is no key set, is too large, or has no key for signatures.
    pub fn parse(json: &[u8]) -> Result<Self, JwksError> {
        if json.len() > MAX_JWKS_BYTES {
            return Err(JwksError::TooLarge);
        }
        let set: Set<'_> = serde_json::from_slice(json).map_err(|_| JwksError::Malformed)?;
        if set.keys.len() > MAX_KEYS {
            return Err(JwksError::TooMany(set.keys.len()));
        }
        let keys: Vec<Key> = set
            .keys
            .iter()
            .filter_map(|entry| serde_json::from_str(entry.get()).ok())
            .filter(|jwk: &Jwk| jwk.usage.as_deref().is_none_or(|usage| usage == "sig"))
            .map(|jwk| Key::of(&jwk))
            .collect();
        if keys.iter().all(|key| key.algorithms.is_empty()) {
            return Err(JwksError::Empty);
        }
        Ok(Self(keys))
    }

    /// The keys of this id; all of them for a token that names none.
    pub(super) fn named<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        self.0
            .iter()
            .filter(move |key| id.is_none() || key.id.as_deref() == id)
    }
}

impl Key {
    /// Returns whether the key made this signature of `message`; None if it is not for this
    /// algorithm.
    pub(super) fn verify(&self, algorithm: &str, message: &str, signature: &[u8]) -> Option<bool> {
        if !self.algorithms.contains(&algorithm) {
            return None;
        }
        let verified = match self.public.as_ref()? {
            PublicKey::Rsa(key) => {
                let (_, parameters) = RSA.iter().find(|(name, _)| *name == algorithm)?;
                key.verify(parameters, message.as_bytes(), signature)
            }
            PublicKey::Point(key) => key.verify(message.as_bytes(), signature),
        };
        Some(verified.is_ok())
    }

    fn of(jwk: &Jwk) -> Self {
        let (public, mut algorithms) = public(jwk).unzip();
        // A key that names its algorithm is for no other one:
        // <https://www.rfc-editor.org/rfc/rfc8725#section-3.1>
        if let (Some(algorithms), Some(named)) = (&mut algorithms, &jwk.alg) {
            algorithms.retain(|algorithm| algorithm == named);
        }
        Self {
            id: jwk.kid.clone(),
            public,
            algorithms: algorithms.unwrap_or_default(),
        }
    }
}

/// The key with the algorithms of its kind. Symmetric keys are left out, so that no HS*
/// is ever checked with a key that a server publishes.
fn public(jwk: &Jwk) -> Option<(PublicKey, Vec<&'static str>)> {
    let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_ref()?).ok();
    // Uncompressed: <https://www.rfc-editor.org/rfc/rfc5480#section-2.2>
    let point = || Some([vec![4], bytes(&jwk.x)?, bytes(&jwk.y)?].concat());
    let (key, algorithm) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => {
            let key = rsa(&bytes(&jwk.n)?, &bytes(&jwk.e)?)?;
            return Some((PublicKey::Rsa(key), RSA.map(|(name, _)| name).to_vec()));
        }
        ("EC", Some("P-256")) => (
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point()?),
            "ES256",
        ),
        ("EC", Some("P-384")) => (
            UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point()?),
            "ES384",
        ),
        ("OKP", Some("Ed25519")) => (UnparsedPublicKey::new(&ED25519, bytes(&jwk.x)?), "EdDSA"),
        _ => return None,
    };
    Some((PublicKey::Point(key), vec![algorithm]))
}

fn rsa(n: &[u8], e: &[u8]) -> Option<RsaPublicKeyComponents<Vec<u8>>> {
    // Some servers write the sign bit's zero byte, which `ring` does not take.
    let (n, e) = (without_zeros(n).to_vec(), without_zeros(e).to_vec());
    let spare = usize::try_from(n.first()?.leading_zeros()).ok()?;
    RSA_BITS
        .contains(&(n.len() * 8 - spare))
        .then_some(RsaPublicKeyComponents { n, e })
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// An answer is no key set. `Display` is the rest of a sentence that begins with the key
/// set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JwksError {
    /// Larger than 256 KiB.
    #[error("is larger than {MAX_JWKS_BYTES} bytes")]
    TooLarge,
    /// No JSON object with a list of `keys`.
    #[error("is no JSON object with a list of keys")]
    Malformed,
    /// More than 64 keys.
    #[error("has {0} keys, more than {MAX_KEYS}")]
    TooMany(usize),
    /// No key that a signature can be checked with.
    #[error("has no key for signatures (RSA from 2048 to 8192 bits, P-256, P-384, Ed25519)")]
    Empty,
}
