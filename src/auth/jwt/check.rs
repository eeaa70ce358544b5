//! The checks that a homeserver makes of a token; all faults are returned at once.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::claims::{text, texts, time};
use super::decode::{Claims, Unverified};
use super::error::TokenError;
use super::jwks::Jwks;
use super::provider;
use crate::util::Secret;

/// The difference between clocks that is no fault: the same as in the homeserver's token
/// module.
pub const LEEWAY: Duration = Duration::from_secs(60);

/// The claims that a token should have.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The realm's public URL, as `iss` has it.
    pub issuer: &'a str,
    /// One of the audiences in `aud`; `aud` is not compared without.
    pub audience: Option<&'a str>,
    /// The claim that names the user, such as `preferred_username`.
    pub user_claim: &'a str,
    /// The localpart that is in it.
    pub user: &'a str,
    /// The client in `azp`; `azp` is not compared without.
    pub authorized_party: Option<&'a str>,
}

/// Returns all faults of a token, those of the signature first; none for a good one.
pub fn check(
    token: &Secret,
    keys: &Jwks,
    expected: &Expected<'_>,
    now: SystemTime,
) -> Vec<TokenError> {
    let unverified = match Unverified::decode(token) {
        Ok(unverified) => unverified,
        Err(error) => return vec![error.into()],
    };
    let claims = &unverified.claims;
    let mut names = vec!["sub", "preferred_username"];
    if !names.contains(&expected.user_claim) {
        names.push(expected.user_claim);
    }
    [
        signature(token, &unverified, keys),
        expiry(claims, now),
        beginning(claims, "nbf", now),
        beginning(claims, "iat", now),
        issuer(claims, expected),
        audience(claims, expected),
        authorized_party(claims, expected),
    ]
    .into_iter()
    .chain(names.into_iter().map(|name| user(claims, name, expected)))
    .filter_map(Result::err)
    .collect()
}

/// Checks the signature with the keys of the header's `kid`.
pub(super) fn signature(
    token: &Secret,
    unverified: &Unverified,
    keys: &Jwks,
) -> Result<(), TokenError> {
    let header = |name: &str| unverified.header.get(name).and_then(Value::as_str);
    let kid = header("kid");
    let named = header("alg").unwrap_or_default();
    ensure(keys.named(kid).next().is_some(), || {
        TokenError::UnknownKey(kid.unwrap_or_default().to_owned())
    })?;
    let (message, signature) = token.expose().rsplit_once('.').unwrap_or_default();
    // The header is not trusted: it only chooses among the algorithms of the key.
    let algorithm = named.parse().ok();
    let mut fitting = keys
        .named(kid)
        .filter_map(|key| Some((key.fitting(algorithm?)?, algorithm?)))
        .peekable();
    ensure(fitting.peek().is_some(), || {
        TokenError::Algorithm(named.to_owned())
    })?;
    let verified =
        fitting.any(|(key, algorithm)| provider::verify(signature, message, key, algorithm));
    ensure(verified, || TokenError::BadSignature)
}

fn expiry(claims: &Claims, now: SystemTime) -> Result<(), TokenError> {
    let expiry = time(claims, "exp")?.ok_or(TokenError::Missing("exp"))?;
    let ago = now.duration_since(expiry).unwrap_or_default();
    ensure(ago <= LEEWAY, || TokenError::Expired(ago))
}

fn beginning(claims: &Claims, claim: &'static str, now: SystemTime) -> Result<(), TokenError> {
    let from = time(claims, claim)?.unwrap_or(now);
    let ahead = from.duration_since(now).unwrap_or_default();
    ensure(ahead <= LEEWAY, || TokenError::NotYetValid { claim, ahead })
}

fn issuer(claims: &Claims, expected: &Expected<'_>) -> Result<(), TokenError> {
    let found = text(claims, "iss")?.ok_or(TokenError::Missing("iss"))?;
    ensure(found == expected.issuer, || TokenError::Issuer {
        found: found.to_owned(),
        expected: expected.issuer.to_owned(),
    })
}

fn audience(claims: &Claims, expected: &Expected<'_>) -> Result<(), TokenError> {
    let found = texts(claims, "aud")?.unwrap_or_default();
    let Some(audience) = expected.audience else {
        return Ok(());
    };
    ensure(found.contains(&audience), || TokenError::Audience {
        found: found.into_iter().map(str::to_owned).collect(),
        expected: audience.to_owned(),
    })
}

fn authorized_party(claims: &Claims, expected: &Expected<'_>) -> Result<(), TokenError> {
    let found = text(claims, "azp")?;
    let Some(party) = expected.authorized_party else {
        return Ok(());
    };
    ensure(found == Some(party), || TokenError::AuthorizedParty {
        found: found.map(str::to_owned),
        expected: party.to_owned(),
    })
}

/// Compares the one claim that names the user; of the others only the type is checked.
fn user(claims: &Claims, claim: &str, expected: &Expected<'_>) -> Result<(), TokenError> {
    let found = text(claims, claim)?;
    let is_user = claim != expected.user_claim || found == Some(expected.user);
    ensure(is_user, || {
        let (claim, expected) = (claim.to_owned(), expected.user.to_owned());
        match found.map(str::to_owned) {
            None => TokenError::NoUser { claim, expected },
            Some(found) => TokenError::OtherUser {
                claim,
                found,
                expected,
            },
        }
    })
}

/// A fault unless this is so.
fn ensure(is_so: bool, fault: impl FnOnce() -> TokenError) -> Result<(), TokenError> {
    is_so.then_some(()).ok_or_else(fault)
}
