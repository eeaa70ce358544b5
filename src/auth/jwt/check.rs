//! The checks that a homeserver makes of a token; all faults are returned at once.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::claims::{text, texts, time};
use super::decode::Unverified;
use super::error::TokenError;
use super::jwks::Jwks;
use super::provider;
use crate::util::Secret;

/// The difference between clocks that is no fault: the same as in the homeserver's token
/// module.
const LEEWAY: Duration = Duration::from_secs(60);

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

fn signature(token: &Secret, unverified: &Unverified, keys: &Jwks) -> Result<(), TokenError> {
    let header = |name: &str| unverified.header.get(name).and_then(Value::as_str);
    let kid = header("kid");
    let named = header("alg").unwrap_or_default();
    if keys.named(kid).next().is_none() {
        return Err(TokenError::UnknownKey {
            kid: kid.unwrap_or_default().to_owned(),
        });
    }
    // The header is not trusted: it only chooses among the algorithms of the key.
    let algorithm = named.parse().ok();
    let mut fitting = keys
        .named(kid)
        .filter_map(|key| Some((key.fitting(algorithm?)?, algorithm?)))
        .peekable();
    if fitting.peek().is_none() {
        return Err(TokenError::Algorithm {
            found: named.to_owned(),
        });
    }
    let verified = token
        .expose()
        .rsplit_once('.')
        .is_some_and(|(message, signature)| {
            fitting.any(|(key, algorithm)| provider::verify(signature, message, key, algorithm))
        });
    if verified {
        Ok(())
    } else {
        Err(TokenError::BadSignature)
    }
}

fn expiry(claims: &Map<String, Value>, now: SystemTime) -> Result<(), TokenError> {
    let expiry = time(claims, "exp")?.ok_or(TokenError::Missing { claim: "exp" })?;
    let ago = now.duration_since(expiry).unwrap_or_default();
    if ago > LEEWAY {
        return Err(TokenError::Expired { ago });
    }
    Ok(())
}

fn beginning(
    claims: &Map<String, Value>,
    claim: &'static str,
    now: SystemTime,
) -> Result<(), TokenError> {
    let from = time(claims, claim)?.unwrap_or(now);
    let ahead = from.duration_since(now).unwrap_or_default();
    if ahead > LEEWAY {
        return Err(TokenError::NotYetValid { claim, ahead });
    }
    Ok(())
}

fn issuer(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), TokenError> {
    let found = text(claims, "iss")?.ok_or(TokenError::Missing { claim: "iss" })?;
    if found != expected.issuer {
        return Err(TokenError::Issuer {
            found: found.to_owned(),
            expected: expected.issuer.to_owned(),
        });
    }
    Ok(())
}

fn audience(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), TokenError> {
    let found = texts(claims, "aud")?.unwrap_or_default();
    match expected.audience {
        Some(audience) if !found.contains(&audience) => Err(TokenError::Audience {
            found: found.into_iter().map(str::to_owned).collect(),
            expected: audience.to_owned(),
        }),
        _ => Ok(()),
    }
}

fn authorized_party(
    claims: &Map<String, Value>,
    expected: &Expected<'_>,
) -> Result<(), TokenError> {
    let found = text(claims, "azp")?;
    match expected.authorized_party {
        Some(party) if found != Some(party) => Err(TokenError::AuthorizedParty {
            found: found.map(str::to_owned),
            expected: party.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Compares the one claim that names the user; of the others only the type is checked.
fn user(
    claims: &Map<String, Value>,
    claim: &str,
    expected: &Expected<'_>,
) -> Result<(), TokenError> {
    let found = text(claims, claim)?;
    if claim == expected.user_claim && found != Some(expected.user) {
        let (claim, expected) = (claim.to_owned(), expected.user.to_owned());
        return Err(match found.map(str::to_owned) {
            None => TokenError::NoUser { claim, expected },
            Some(found) => TokenError::OtherUser {
                claim,
                found,
                expected,
            },
        });
    }
    Ok(())
}
