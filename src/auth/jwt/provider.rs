//! The cryptography of `jsonwebtoken`, done by `ring`: the crate's own providers
//! would bring a second implementation of everything.
//!
//! The provider is a global of that crate, and a call that finds none installs
//! one that panics. So this file alone calls what needs it.

use jsonwebtoken::crypto::{self, CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, new_error};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey, Header, encode,
};
use ring::hmac;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Serialize;

use crate::util::Secret;

/// Signs these claims with HS512 (<https://www.rfc-editor.org/rfc/rfc7518#section-3.2>).
///
/// # Errors
/// The library does not sign.
pub(super) fn sign(claims: &impl Serialize, secret: &Secret) -> Result<Secret, Error> {
    install();
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    encode(&Header::new(Algorithm::HS512), claims, &key).map(Secret::new)
}

/// Returns whether `key` made the base64 `signature` of `message` with `algorithm`, which is
/// one of public keys: HS* never fits.
pub(super) fn verify(
    signature: &str,
    message: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
) -> bool {
    install();
    crypto::verify(signature, message.as_bytes(), key, algorithm).unwrap_or(false)
}

/// Installs the provider. Of several threads one wins, and all of them install the same.
fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory,
        verifier_factory,
        // For `Jwk::from_encoding_key`, `Jwk::from_decoding_key` and
        // `Jwk::thumbprint`, which are not called. The crate's stand-ins panic.
        key_utils: KeyUtils {
            rsa_pub_components_from_private_key: |_| Err(unsupported()),
            rsa_pub_components_from_public_key: |_| Err(unsupported()),
            ec_pub_components_from_private_key: |_, _| Err(unsupported()),
            ed_pub_components_from_private_key: |_, _| Err(unsupported()),
            compute_digest: |_, _| Err(unsupported()),
        },
    };
    // An error means that it is installed already.
    let _ = PROVIDER.install_default();
}

fn unsupported() -> Error {
    new_error(ErrorKind::UnsupportedAlgorithm)
}

fn signer_factory(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    match (algorithm, key.family()) {
        (Algorithm::HS512, AlgorithmFamily::Hmac) => Ok(Box::new(Hs512(hmac::Key::new(
            hmac::HMAC_SHA512,
            key.as_bytes(),
        )))),
        _ => Err(unsupported()),
    }
}

struct Hs512(hmac::Key);

impl Signer<Vec<u8>> for Hs512 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl JwtSigner for Hs512 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS512
    }
}

fn verifier_factory(
    algorithm: &Algorithm,
    key: &DecodingKey,
) -> Result<Box<dyn JwtVerifier>, Error> {
    if algorithm.family() != key.family() {
        return Err(unsupported());
    }
    let method = match algorithm {
        Algorithm::RS256 => Method::Rsa(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Method::Rsa(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Method::Rsa(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Method::Rsa(&RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Method::Rsa(&RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Method::Rsa(&RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => Method::Point(&ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Method::Point(&ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Method::Point(&ED25519),
        _ => return Err(unsupported()),
    };
    Ok(Box::new(PublicKey {
        algorithm: *algorithm,
        method,
        key: key.clone(),
    }))
}

enum Method {
    /// A modulus and an exponent.
    Rsa(&'static RsaParameters),
    /// The bytes of a point.
    Point(&'static dyn VerificationAlgorithm),
}

struct PublicKey {
    algorithm: Algorithm,
    method: Method,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for PublicKey {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let verified = match (&self.method, self.key.kind()) {
            (Method::Rsa(parameters), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
            (Method::Point(algorithm), DecodingKeyKind::SecretOrDer(bytes)) => {
                UnparsedPublicKey::new(*algorithm, bytes).verify(message, signature)
            }
            _ => return Err(signature::Error::new()),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for PublicKey {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
