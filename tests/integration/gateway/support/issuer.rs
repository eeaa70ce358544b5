//! An identity provider on loopback: its description, its keys, and tokens that it signs, as
//! Keycloak does it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use serde_json::{Value, json};

use crate::support::faults::{Fault, Faults, Faulty, matches};
use crate::support::keycloak::{key, now};
use crate::support::monitor::Monitor;
use crate::support::redaction::hide;
use crate::support::wire::{Answer, Listener, Request, Response, serve};

/// The realm's path.
const REALM: &str = "/realms/test";

/// The client of the tokens.
pub const CLIENT: &str = "toggle-cli";

/// The audience of the gateway.
pub const AUDIENCE: &str = "openclaw-gateway-oidc";

/// The algorithm of a token, and the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// RS256 with the key `rsa-0`, which is published.
    Rsa,
    /// RS256 with the key `rsa-1`, which is not until [`Issuer::rotate`].
    OtherRsa,
    /// ES256 with the key `ec-0`, which is published.
    Ec,
}

#[derive(Default)]
pub struct State {
    pub faults: Faults,
    pub log: Vec<Request>,
    /// Instead of its own URL in the description.
    pub issuer: Option<String>,
    /// Instead of its keys.
    pub keys: Option<Value>,
    /// The number of the RSA key that is published.
    rsa: usize,
}

impl Faulty for State {
    fn faults(&mut self) -> &mut Faults {
        &mut self.faults
    }
}

pub struct Issuer {
    shared: Arc<Monitor<State>>,
    listener: Listener,
    ec: Arc<EcdsaKeyPair>,
}

impl Issuer {
    pub fn start() -> Self {
        let shared = Arc::new(Monitor::<State>::default());
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let der = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        let ec = EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), &random).expect("a key");
        let ec = Arc::new(ec);
        let (serving, public) = (Arc::clone(&shared), Arc::clone(&ec));
        let listener = Listener::start(move |stream| {
            let _ = serve(stream, |request| answer(&serving, &public, &request));
        });
        Self {
            shared,
            listener,
            ec,
        }
    }

    /// The issuer, as the gateway is told it.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{REALM}", self.listener.port)
    }

    pub fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        self.shared.with(f)
    }

    pub fn fault(&self, pattern: &str, times: usize, fault: Fault) {
        self.with(|state| state.faults.add(pattern, times, fault));
    }

    /// The number of requests that match a pattern, such as `"/certs"`.
    pub fn count(&self, pattern: &str) -> usize {
        self.with(|state| {
            let log = state.log.iter();
            log.filter(|request| matches(pattern, &request.method, &request.path()))
                .count()
        })
    }

    /// The other RSA key is published instead of the first.
    pub fn rotate(&self) {
        self.with(|state| state.rsa = 1 - state.rsa);
    }

    /// The claims of a good token of this person, with these roles in the realm.
    pub fn claims(&self, person: &str, roles: &[&str]) -> Value {
        let now = now();
        json!({
            "iss": self.url(), "sub": format!("id-of-{person}"), "aud": [AUDIENCE, "account"],
            "azp": CLIENT, "typ": "Bearer", "iat": now, "exp": now + 300,
            "preferred_username": person, "email": format!("{person}@example.org"),
            "realm_access": {"roles": roles},
        })
    }

    /// A good token of this person.
    pub fn token(&self, person: &str, roles: &[&str]) -> String {
        self.sign(Signer::Rsa, &self.claims(person, roles))
    }

    /// A token with any claims.
    pub fn sign(&self, signer: Signer, claims: &Value) -> String {
        let (algorithm, kid) = match signer {
            Signer::Rsa => ("RS256", "rsa-0"),
            Signer::OtherRsa => ("RS256", "rsa-1"),
            Signer::Ec => ("ES256", "ec-0"),
        };
        let header = json!({"alg": algorithm, "typ": "JWT", "kid": kid});
        self.sign_with(signer, &header, claims)
    }

    /// A token with any header, too: the signature is the signer's, whatever it says.
    pub fn sign_with(&self, signer: Signer, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", part(header), part(claims));
        let random = SystemRandom::new();
        let signature = match signer {
            Signer::Ec => {
                let signature = self.ec.sign(&random, message.as_bytes());
                signature.expect("a key can sign").as_ref().to_vec()
            }
            rsa => {
                let key = key(usize::from(rsa == Signer::OtherRsa));
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(
                    &RSA_PKCS1_SHA256,
                    &random,
                    message.as_bytes(),
                    &mut signature,
                )
                .expect("a key can sign");
                signature
            }
        };
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        hide_token("a token of the identity provider", &token);
        token
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.with(|state| state.faults.close());
    }
}

/// A text that has the shape of a token with these claims, which nobody has signed: a fake
/// API server knows it by its text.
pub fn unsigned(claims: &Value) -> String {
    let header = json!({"alg": "RS256", "kid": "of-the-cluster"});
    let signature = URL_SAFE_NO_PAD.encode(format!("not a signature of {claims}"));
    format!("{}.{}.{signature}", part(&header), part(claims))
}

/// The claims of a token of a service account for one audience, good for an hour.
pub fn account_claims(namespace: &str, account: &str, audience: &str) -> Value {
    let now = now();
    json!({
        "aud": [audience], "exp": now + 3600, "iat": now, "nbf": now,
        "iss": "https://kubernetes.default.svc",
        "jti": format!("jti-{namespace}-{account}-{audience}"),
        "kubernetes.io": {
            "namespace": namespace,
            "serviceaccount": {"name": account, "uid": "uid-of-the-account"},
        },
        "sub": format!("system:serviceaccount:{namespace}:{account}"),
    })
}

/// Its header is no secret, and the same as others'.
fn hide_token(name: &str, token: &str) {
    if let Some((_, rest)) = token.split_once('.') {
        // Claims begin with the same bytes as those of others, but nobody shows them either.
        for part in rest.split('.').filter(|part| part.len() >= 16) {
            hide(name, part);
        }
    }
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn answer(shared: &Arc<Monitor<State>>, ec: &EcdsaKeyPair, request: &Request) -> Answer {
    let path = request.path();
    let fault = shared.with(|state| {
        state.log.push(request.clone());
        state.faults.take(&request.method, &path)
    });
    let fault = match shared.before(fault) {
        Ok(fault) => fault,
        Err(answer) => return answer,
    };
    let host = request.header("host").unwrap_or_default();
    let url = format!("http://{host}{REALM}");
    let response = shared.with(|state| match path.strip_prefix(REALM) {
        Some("/.well-known/openid-configuration") => Response::json(
            200,
            &json!({
                "issuer": state.issuer.as_ref().unwrap_or(&url),
                "token_endpoint": format!("{url}/protocol/openid-connect/token"),
                "jwks_uri": format!("{url}/protocol/openid-connect/certs"),
            }),
        ),
        Some("/protocol/openid-connect/certs") => {
            let keys = state.keys.clone();
            Response::json(200, &keys.unwrap_or_else(|| published(state.rsa, ec)))
        }
        _ => Response::json(404, &json!({"error": "HTTP 404 Not Found"})),
    });
    shared.after(fault).unwrap_or(Answer::Reply(response))
}

/// The keys that are published; Keycloak has one for encryption, too.
fn published(rsa: usize, ec: &EcdsaKeyPair) -> Value {
    let public = PublicKeyComponents::<Vec<u8>>::from(key(rsa).public());
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let point = ec.public_key().as_ref();
    json!({"keys": [
        {"kid": "enc", "kty": "RSA", "alg": "RSA-OAEP", "use": "enc", "n": "AQAB", "e": "AQAB"},
        {
            "kid": format!("rsa-{rsa}"), "kty": "RSA", "alg": "RS256", "use": "sig",
            "n": encode(&public.n), "e": encode(&public.e),
        },
        {
            "kid": "ec-0", "kty": "EC", "alg": "ES256", "use": "sig", "crv": "P-256",
            "x": encode(&point[1..33]), "y": encode(&point[33..65]),
        },
    ]})
}
