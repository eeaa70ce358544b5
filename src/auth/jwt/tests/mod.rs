//! Tokens made by hand, right and wrong ones.

#[cfg(feature = "gateway")]
mod access_tokens;
mod signatures;
mod times_and_parties;
mod tokens;
mod totp;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use ruma::serde::Base64;
use ruma::serde::base64::UrlSafe;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::decode::MAX_TOKEN_BYTES;
use super::jwks::{MAX_JWKS_BYTES, MAX_KEYS};
use super::*;
use crate::util::Secret;

const ISSUER: &str = "https://kc.example/realms/r";

/// The time of the checks, in seconds since 1970.
pub(crate) const NOW: u64 = 1_800_000_000;

const EXPECTED: Expected<'_> = Expected {
    issuer: ISSUER,
    audience: None,
    user_claim: "preferred_username",
    user: "bot",
    authorized_party: None,
};

pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    Base64::<UrlSafe, _>::new(bytes.as_ref().to_vec()).encode()
}

/// The claims of a token of Keycloak's.
fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "5a0f", "preferred_username": "bot", "azp": "client",
        "aud": "account", "iat": NOW, "exp": NOW + 300,
    })
}

/// A private key of any kind.
pub(crate) enum Private {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Private {
    fn rsa(pem: &str) -> Self {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        Self::Rsa(RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap())
    }

    pub(crate) fn first() -> Self {
        Self::rsa(include_str!(
            "../../../../tests/integration/support/keys/rsa-1.pem"
        ))
    }

    pub(crate) fn second() -> Self {
        Self::rsa(include_str!(
            "../../../../tests/integration/support/keys/rsa-2.pem"
        ))
    }

    pub(crate) fn ec(kind: &'static signature::EcdsaSigningAlgorithm) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        Self::Ec(EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap())
    }

    fn ed() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    /// The public half with this id.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let mut jwk = match self {
            Self::Rsa(key) => {
                let PublicKeyComponents { n, e } =
                    PublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "n": base64(n), "e": base64(e)})
            }
            Self::Ec(key) => {
                let (x, y) =
                    key.public_key().as_ref()[1..].split_at(key.public_key().as_ref().len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": curve, "x": base64(x), "y": base64(y)})
            }
            Self::Ed(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": base64(key.public_key())}),
        };
        jwk["kid"] = json!(kid);
        jwk["use"] = json!("sig");
        jwk
    }

    /// A token whose header says `algorithm` and is signed with it where the key
    /// can, and with another one of the key where it cannot.
    pub(crate) fn token(&self, kid: &str, algorithm: &str, claims: &Value) -> Secret {
        let header = json!({"alg": algorithm, "typ": "JWT", "kid": kid});
        self.sign(&header, algorithm, claims)
    }

    pub(crate) fn sign(&self, header: &Value, algorithm: &str, claims: &Value) -> Secret {
        let random = SystemRandom::new();
        let message = format!(
            "{}.{}",
            base64(header.to_string()),
            base64(claims.to_string())
        );
        let signature = match self {
            Self::Rsa(key) => {
                let padding: &dyn signature::RsaEncoding = match algorithm {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut bytes = vec![0; key.public().modulus_len()];
                key.sign(padding, &random, message.as_bytes(), &mut bytes)
                    .unwrap();
                bytes
            }
            Self::Ec(key) => key
                .sign(&random, message.as_bytes())
                .unwrap()
                .as_ref()
                .to_vec(),
            Self::Ed(key) => key.sign(message.as_bytes()).as_ref().to_vec(),
        };
        Secret::new(format!("{message}.{}", base64(signature)))
    }
}

pub(crate) fn jwks(keys: &[Value]) -> Jwks {
    Jwks::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}
