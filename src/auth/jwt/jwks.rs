//! The public keys that a realm publishes
//! ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)).

use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

/// The largest key set, in bytes.
pub(super) const MAX_JWKS_BYTES: usize = 256 * 1024;

/// The largest number of keys in a set.
pub(super) const MAX_KEYS: usize = 64;

/// The sizes of RSA keys that are used, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The keys of a realm, which signatures are checked with.
#[derive(Debug, Clone)]
pub struct Jwks(Vec<Key>);

/// One key of a set.
#[derive(Debug, Clone)]
pub(super) struct Key {
    id: Option<String>,
    /// None for a key of a kind or size that is not used.
    public: Option<DecodingKey>,
    algorithms: Vec<Algorithm>,
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
            .filter_map(|entry| serde_json::from_slice(entry.get().as_bytes()).ok())
            .filter(|jwk: &Jwk| jwk.usage.as_deref().is_none_or(|usage| usage == "sig"))
            .map(|jwk| Key::of(&jwk))
            .collect();
        if keys.iter().all(|key| key.algorithms.is_empty()) {
            return Err(JwksError::Empty);
        }
        Ok(Self(keys))
    }

    /// Returns true if there is a key of this id.
    #[cfg(feature = "gateway")]
    pub fn has(&self, id: &str) -> bool {
        self.named(Some(id)).next().is_some()
    }

    /// The number of keys, those of kinds that are not used included.
    #[cfg(feature = "gateway")]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The keys of this id; all of them for a token that names none.
    pub(super) fn named<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        self.0
            .iter()
            .filter(move |key| id.is_none() || key.id.as_deref() == id)
    }
}

impl Key {
    /// The key, if signatures of this `algorithm` can be checked with it.
    pub(super) fn fitting(&self, algorithm: Algorithm) -> Option<&DecodingKey> {
        self.public
            .as_ref()
            .filter(|_| self.algorithms.contains(&algorithm))
    }

    fn of(jwk: &Jwk) -> Self {
        let (public, mut algorithms) = match public(jwk) {
            Some((key, algorithms)) => (Some(key), algorithms.to_vec()),
            None => (None, Vec::new()),
        };
        // A key that names its algorithm is for no other one:
        // <https://www.rfc-editor.org/rfc/rfc8725#section-3.1>
        if let Some(named) = &jwk.alg {
            algorithms.retain(|algorithm| named.parse().is_ok_and(|named| *algorithm == named));
        }
        Self {
            id: jwk.kid.clone(),
            public,
            algorithms,
        }
    }
}

/// The key with the algorithms of its kind. Symmetric keys are left out, so that no HS*
/// is ever checked with a key that a server publishes.
fn public(jwk: &Jwk) -> Option<(DecodingKey, &'static [Algorithm])> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let (x, y) = (jwk.x.as_deref(), jwk.y.as_deref());
    match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => Some((
            rsa(jwk.n.as_deref()?, jwk.e.as_deref()?)?,
            &[RS256, RS384, RS512, PS256, PS384, PS512],
        )),
        ("EC", Some("P-256")) => Some((DecodingKey::from_ec_components(x?, y?).ok()?, &[ES256])),
        ("EC", Some("P-384")) => Some((DecodingKey::from_ec_components(x?, y?).ok()?, &[ES384])),
        ("OKP", Some("Ed25519")) => Some((DecodingKey::from_ed_components(x?).ok()?, &[EdDSA])),
        _ => None,
    }
}

fn rsa(n: &str, e: &str) -> Option<DecodingKey> {
    let key = DecodingKey::from_rsa_components(n, e).ok()?;
    let DecodingKeyKind::RsaModulusExponent { n, e } = key.kind() else {
        return None;
    };
    // Some servers write the sign bit's zero byte, which `ring` does not take.
    let (n, e) = (without_zeros(n), without_zeros(e));
    let spare = usize::try_from(n.first()?.leading_zeros()).ok()?;
    RSA_BITS
        .contains(&(n.len() * 8 - spare))
        .then(|| DecodingKey::from_rsa_raw_components(n, e))
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
