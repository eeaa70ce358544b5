//! The identity provider, whose access tokens persons and clients show.

use std::time::Duration;

use super::table::{
    OIDC_ALGORITHMS, OIDC_ALLOWED_CLIENTS, OIDC_AUDIENCE, OIDC_ISSUER_URL, OIDC_MAX_LIFETIME,
    OIDC_ROLES_CLAIM,
};
use super::words::shown;
use crate::config::BaseUrl;
use crate::config::fault::{Flaw, Flaws, quoted};
use crate::config::policy::each;
use crate::config::reader::{Reader, list};
use crate::config::values::time;
use crate::control::time::describe_duration;

/// The longest audience, client id or key of a claim, in bytes.
const MAX_NAME: usize = 255;

/// The deepest claim.
const MAX_KEYS: usize = 8;

/// The algorithms whose signatures can be checked. Those with a shared secret (`HS…`) and
/// `none` are no proof of who made a token (RFC 8725 3.1).
const ALGORITHMS: [&str; 9] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];

/// An identity provider and what its tokens have to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// `iss`, to the byte (`OIDC_ISSUER_URL`): `https`, or `http` inside the cluster or on
    /// this machine.
    pub issuer: String,
    /// The audience that has to be in `aud` (`OIDC_AUDIENCE`).
    pub audience: String,
    /// The clients that may be in `azp`, at least one (`OIDC_ALLOWED_CLIENTS`).
    pub clients: Vec<String>,
    /// The path of the claim with the roles (`OIDC_ROLES_CLAIM`), such as
    /// `realm_access.roles`, at its dots.
    pub roles_claim: Vec<String>,
    /// The algorithms that are taken, at least one (`OIDC_ALGORITHMS`), such as `RS256`.
    pub algorithms: Vec<String>,
    /// The longest lifetime of a token (`OIDC_MAX_LIFETIME`, 1 h), from 1 min to 24 h.
    pub max_lifetime: Duration,
}

impl Oidc {
    /// Reads the provider, if there is one.
    pub(super) fn read(r: &mut Reader<'_>) -> Option<Option<Self>> {
        if r.given_by(&OIDC_ISSUER_URL).is_none() {
            return none(r);
        }
        r.need = "OIDC_ISSUER_URL needs it".to_owned();
        let issuer = r.optional(&OIDC_ISSUER_URL, issuer, String::clone);
        let audience = r.read(&OIDC_AUDIENCE, name, String::clone);
        let clients = r.read(&OIDC_ALLOWED_CLIENTS, clients, |clients| list(clients));
        let roles_claim = r.read(&OIDC_ROLES_CLAIM, claim, |keys| list(keys));
        let algorithms = r.read(&OIDC_ALGORITHMS, algorithms, |names| list(names));
        let max_lifetime = r.read(&OIDC_MAX_LIFETIME, lifetime, |time| {
            describe_duration(*time)
        });
        Some(Some(Self {
            issuer: issuer??,
            audience: audience?,
            clients: clients?,
            roles_claim: roles_claim?,
            algorithms: algorithms?,
            max_lifetime: max_lifetime?,
        }))
    }
}

/// No provider: then nothing may be said of its tokens.
fn none(r: &mut Reader<'_>) -> Option<Option<Oidc>> {
    let mut is_alone = true;
    for setting in [
        &OIDC_AUDIENCE,
        &OIDC_ALLOWED_CLIENTS,
        &OIDC_ROLES_CLAIM,
        &OIDC_ALGORITHMS,
        &OIDC_MAX_LIFETIME,
    ] {
        if let Some(given) = r.given_by(setting) {
            let flaw = Flaw::new(
                "is set, and OIDC_ISSUER_URL is not",
                "set OIDC_ISSUER_URL to the issuer of the tokens, or leave both unset",
            );
            r.fault(given, flaw);
            is_alone = false;
        }
    }
    r.row(OIDC_ISSUER_URL.name, OIDC_ISSUER_URL.unset.to_owned());
    is_alone.then_some(None)
}

/// The issuer is compared to the byte, and so it is kept as it is given.
fn issuer(text: &str) -> Result<String, Flaw> {
    match BaseUrl::parse(text)?.is_near() {
        true => Ok(text.to_owned()),
        false => Err(Flaw::new(
            format!("is not encrypted: {}", quoted(text)),
            "give an https:// URL, since whoever is on the way could put other keys into the \
             answer; http:// is taken to *.svc and to this machine alone",
        )),
    }
}

fn name(text: &str) -> Result<String, Flaw> {
    shown(
        text,
        MAX_NAME,
        "name",
        "write it as the identity provider shows it",
    )
}

fn clients(text: &str) -> Result<Vec<String>, Flaws> {
    each(text, "names no client", "list the ids of clients", name)
}

/// The keys of a claim's path, between dots that have no backslash before them.
fn claim(text: &str) -> Result<Vec<String>, Flaw> {
    let mut keys = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, keys.last_mut()) {
            ('.', _) => keys.push(String::new()),
            ('\\', Some(key)) => key.extend(chars.next()),
            (c, Some(key)) => key.push(c),
            (_, None) => {}
        }
    }
    let is_path = keys.len() <= MAX_KEYS && keys.iter().all(|key| name(key).is_ok());
    match is_path {
        true => Ok(keys),
        false => Err(Flaw::new(
            format!("is not the path of a claim: {}", quoted(text)),
            "write at most 8 keys with dots between them, such as realm_access.roles or groups",
        )),
    }
}

fn algorithms(text: &str) -> Result<Vec<String>, Flaws> {
    const CURE: &str = "write RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA, \
        separated by commas";
    each(text, "names no algorithm", CURE, |name| {
        let known = ALGORITHMS.contains(&name);
        let unknown = || {
            Flaw::new(
                format!("names {}, which cannot be taken", quoted(name)),
                CURE,
            )
        };
        known.then(|| name.to_owned()).ok_or_else(unknown)
    })
}

fn lifetime(text: &str) -> Result<Duration, Flaw> {
    time(text)
        .filter(|time| (60..=86_400).contains(&time.as_secs()))
        .ok_or_else(|| {
            Flaw::new(
                format!("is no time, or out of range: {}", quoted(text)),
                "write minutes or hours, such as 15m or 1h, from 1m to 24h",
            )
        })
}
