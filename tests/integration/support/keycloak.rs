//! A Keycloak on loopback with one realm: the password grant, the realm's keys
//! and its description, worded as Keycloak 26.4 words them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value, json};

use super::faults::{Fault, Faults, Faulty, matches};
use super::monitor::Monitor;
use super::redaction::hide;
use super::wire::{Answer, Listener, Request, Response, query, serve};

pub const REALM: &str = "matrix";
pub const CLIENT: &str = "operator";
pub const SECRET: &str = "7d21&client =secret+%41";

/// Nobody is to use it.
const REFRESH: &str = "refresh-token-of-keycloak";

/// Keys that are no secret: nothing but these tests believes them.
const KEYS: [(&str, &str); 2] = [
    ("first-key", include_str!("keys/rsa-1.pem")),
    ("second-key", include_str!("keys/rsa-2.pem")),
];

#[derive(Default)]
pub struct User {
    pub password: String,
    /// The secret of the one-time passwords, as bytes.
    pub totp: Option<Vec<u8>>,
    pub disabled: bool,
    /// A required action is open.
    pub unfinished: bool,
    /// The last step whose one-time password was taken.
    pub step: i64,
}

#[derive(Default)]
pub struct Client {
    /// A public client has none.
    pub secret: Option<String>,
    pub disabled: bool,
    pub no_direct_grants: bool,
    pub consent: bool,
}

pub struct State {
    pub users: BTreeMap<String, User>,
    pub clients: BTreeMap<String, Client>,
    /// Instead of the URL that was asked.
    pub issuer: Option<String>,
    /// The claim `aud`.
    pub audience: Value,
    /// For how many seconds a token is good.
    pub lifespan: i64,
    /// For how many seconds a one-time password is good.
    pub period: i64,
    /// By how many seconds the server's clock is wrong.
    pub clock: i64,
    /// Claims that come on top, or instead; `null` takes one out.
    pub claims: Map<String, Value>,
    /// Which of the two keys signs.
    pub signs: usize,
    /// Which of them the realm publishes.
    pub published: Vec<usize>,
    pub faults: Faults,
    pub log: Vec<Request>,
}

impl Faulty for State {
    fn faults(&mut self) -> &mut Faults {
        &mut self.faults
    }
}

type Shared = Monitor<State>;

/// A handle on the fake; clones share it.
#[derive(Clone)]
pub struct Keycloak {
    shared: Arc<Shared>,
    listener: Arc<Listener>,
}

impl Keycloak {
    /// With the client [`CLIENT`], and no user.
    pub fn start() -> Self {
        let client = Client {
            secret: Some(SECRET.to_owned()),
            ..Client::default()
        };
        let shared = Arc::new(Shared::new(State {
            users: BTreeMap::new(),
            clients: BTreeMap::from([(CLIENT.to_owned(), client)]),
            issuer: None,
            audience: json!("account"),
            lifespan: 300,
            period: 30,
            clock: 0,
            claims: Map::new(),
            signs: 0,
            published: vec![0],
            faults: Faults::default(),
            log: Vec::new(),
        }));
        let serving = Arc::clone(&shared);
        let listener = Listener::start(move |stream| {
            let _ = serve(stream, |request| serving.answer(&request));
        });
        Self {
            shared,
            listener: Arc::new(listener),
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.listener.port)
    }

    pub fn port(&self) -> u16 {
        self.listener.port
    }

    /// Looks at the state or changes it.
    pub fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        self.shared.with(f)
    }

    pub fn add_user(&self, name: &str, password: &str) {
        let user = User {
            password: password.to_owned(),
            ..User::default()
        };
        self.with(|state| state.users.insert(name.to_owned(), user));
    }

    /// Changes a user that is there.
    pub fn user(&self, name: &str, f: impl FnOnce(&mut User)) {
        self.with(|state| f(state.users.get_mut(name).expect("the user was added")));
    }

    /// Changes [`CLIENT`].
    pub fn client(&self, f: impl FnOnce(&mut Client)) {
        self.with(|state| f(state.clients.get_mut(CLIENT).expect("it was not removed")));
    }

    /// The other key signs from now on, and is the only one published.
    pub fn rotate(&self) {
        self.with(|state| {
            state.signs = 1 - state.signs;
            state.published = vec![state.signs];
        });
    }

    pub fn fault(&self, pattern: &str, times: usize, fault: Fault) {
        self.with(|state| state.faults.add(pattern, times, fault));
    }

    /// The number of requests that match a pattern.
    pub fn count(&self, pattern: &str) -> usize {
        self.with(|state| {
            let log = state.log.iter();
            log.filter(|request| matches(pattern, &request.method, &request.path()))
                .count()
        })
    }
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        if Arc::strong_count(&self.listener) == 1 {
            self.with(|state| state.faults.close());
        }
    }
}

impl Shared {
    fn answer(&self, request: &Request) -> Answer {
        let fault = self.with(|state| {
            state.log.push(request.clone());
            state.faults.take(&request.method, &request.path())
        });
        let fault = match self.before(fault) {
            Ok(fault) => fault,
            Err(answer) => return answer,
        };
        let response = self.with(|state| state.handle(request));
        self.after(fault).unwrap_or(Answer::Reply(response))
    }
}

impl State {
    fn handle(&mut self, request: &Request) -> Response {
        let path = request.path();
        let Some(rest) = path.strip_prefix("/realms/") else {
            return Response::json(
                404,
                &json!({"error": "Unable to find matching target resource method"}),
            );
        };
        let Some(rest) = rest.strip_prefix(REALM) else {
            return Response::json(404, &json!({"error": "Realm does not exist"}));
        };
        let host = request.header("host").unwrap_or_default();
        let url = format!("http://{host}/realms/{REALM}");
        let issuer = self.issuer.clone().unwrap_or_else(|| url.clone());
        match (request.method.as_str(), rest) {
            ("POST", "/protocol/openid-connect/token") => match self.grant(request, &issuer) {
                Ok(answer) => Response::json(200, &answer),
                Err((status, error, description)) => Response::json(
                    status,
                    &json!({"error": error, "error_description": description}),
                ),
            },
            ("GET", "/protocol/openid-connect/certs") => Response::json(200, &self.jwks()),
            ("GET", "/.well-known/openid-configuration") => Response::json(
                200,
                &json!({
                    "issuer": issuer,
                    "token_endpoint": format!("{url}/protocol/openid-connect/token"),
                    "jwks_uri": format!("{url}/protocol/openid-connect/certs"),
                }),
            ),
            _ => Response::json(404, &json!({"error": "HTTP 404 Not Found"})),
        }
    }

    fn grant(
        &mut self,
        request: &Request,
        issuer: &str,
    ) -> Result<Value, (u16, &'static str, &'static str)> {
        const CLIENT_FAULT: &str = "Invalid client or Invalid client credentials";
        const NO_CLIENT: (u16, &str, &str) = (401, "invalid_client", CLIENT_FAULT);
        const NO_SECRET: (u16, &str, &str) = (401, "unauthorized_client", CLIENT_FAULT);
        const WRONG: (u16, &str, &str) = (401, "invalid_grant", "Invalid user credentials");
        let form = format!("?{}", String::from_utf8_lossy(&request.body));
        let field = |name: &str| query(&form, name);
        let id = field("client_id").unwrap_or_default();
        let client = self.clients.get(&id).filter(|client| !client.disabled);
        let client = client.ok_or(NO_CLIENT)?;
        if client.secret.is_some() && client.secret != field("client_secret") {
            return Err(NO_SECRET);
        }
        if field("grant_type").as_deref() != Some("password") {
            return Err((400, "unsupported_grant_type", "Unsupported grant_type"));
        }
        if client.no_direct_grants {
            let description = "Client not allowed for direct access grants";
            return Err((400, "unauthorized_client", description));
        }
        if client.consent {
            return Err((400, "invalid_client", "Client requires user consent"));
        }
        let now = now() + self.clock;
        let name = field("username").unwrap_or_default();
        let user = self.users.get_mut(&name).ok_or(WRONG)?;
        if user.disabled {
            return Err((400, "invalid_grant", "Account disabled"));
        }
        if Some(&user.password) != field("password").as_ref() {
            return Err(WRONG);
        }
        if let Some(key) = &user.totp {
            let given = field("totp").ok_or(WRONG)?;
            // One step to either side, and none twice.
            let step = now / self.period;
            let found = (step - 1..=step + 1).find(|step| totp(key, *step) == given);
            user.step = found.filter(|step| *step > user.step).ok_or(WRONG)?;
        }
        if user.unfinished {
            return Err((400, "invalid_grant", "Account is not fully set up"));
        }
        let mut claims = json!({
            "exp": now + self.lifespan, "iat": now, "iss": issuer, "aud": self.audience,
            "sub": format!("id-of-{name}"), "typ": "Bearer", "azp": id,
            "scope": "email profile", "preferred_username": name,
        });
        for (claim, value) in &self.claims {
            claims[claim] = value.clone();
        }
        if let Some(claims) = claims.as_object_mut() {
            claims.retain(|_, value| !value.is_null());
        }
        let token = sign(self.signs, &claims);
        hide("a token of Keycloak", &token);
        hide("a refresh token of Keycloak", REFRESH);
        Ok(json!({
            "access_token": token, "expires_in": self.lifespan,
            "refresh_token": REFRESH, "token_type": "Bearer", "scope": "email profile",
        }))
    }

    /// The key set that the realm publishes; Keycloak has a key for encryption in it too.
    pub fn jwks(&self) -> Value {
        let mut keys = vec![
            json!({"kid": "enc", "kty": "RSA", "alg": "RSA-OAEP", "use": "enc", "n": "AQAB", "e": "AQAB"}),
        ];
        keys.extend(self.published.iter().map(|&at| {
            let public = PublicKeyComponents::<Vec<u8>>::from(key(at).public());
            json!({
                "kid": KEYS[at].0, "kty": "RSA", "alg": "RS256", "use": "sig",
                "n": URL_SAFE_NO_PAD.encode(public.n), "e": URL_SAFE_NO_PAD.encode(public.e),
            })
        }));
        json!({ "keys": keys })
    }
}

pub fn key(at: usize) -> RsaKeyPair {
    let der = PrivatePkcs8KeyDer::from_pem_slice(KEYS[at].1.as_bytes()).expect("it is a key");
    RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).expect("it is a key")
}

/// A token of the realm, with any claims.
pub fn sign(at: usize, claims: &Value) -> String {
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": KEYS[at].0});
    let [header, claims] = [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{header}.{claims}");
    let key = key(at);
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        message.as_bytes(),
        &mut signature,
    )
    .expect("a key can sign");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("it is after 1970").as_secs()).expect("and not much")
}

/// The one-time password of a step: six digits, SHA-1.
fn totp(key: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let at = usize::from(tag.as_ref()[19] & 15);
    let four: [u8; 4] = tag.as_ref()[at..at + 4].try_into().expect("four are four");
    format!(
        "{:06}",
        (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000
    )
}

/// The secret of one-time passwords as Keycloak shows it to a person.
pub fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    let letters: Vec<String> = bits
        .chunks(5)
        .map(|five| {
            let number = five
                .iter()
                .fold(0, |number, bit| number << 1 | usize::from(*bit));
            char::from(LETTERS[number << (5 - five.len())]).to_string()
        })
        .collect();
    let groups: Vec<String> = letters.chunks(4).map(<[String]>::concat).collect();
    groups.join(" ")
}
