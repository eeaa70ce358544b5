//! Access tokens of an identity provider, as whoever they are shown to checks them
//! ([RFC 9068](https://www.rfc-editor.org/rfc/rfc9068#section-4), with the cautions of
//! [RFC 8725](https://www.rfc-editor.org/rfc/rfc8725#section-3)). Keycloak's are taken as well
//! where they only say so in the claim `typ`.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::check::{LEEWAY, signature};
use super::claims;
use super::decode::{Claims, Unverified};
use super::error::TokenError;
use super::jwks::Jwks;
use crate::util::Secret;

/// The most roles that are read of a token, and the longest, in bytes.
const MAX_ROLES: usize = 200;
const MAX_ROLE_BYTES: usize = 200;

/// The longest subject, in bytes (<https://openid.net/specs/openid-connect-core-1_0.html#IDToken>).
const MAX_SUBJECT_BYTES: usize = 255;

/// The things that an access token has to say.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// `iss`, to the byte.
    pub issuer: &'a str,
    /// One of the audiences in `aud`.
    pub audience: &'a str,
    /// The clients that may be in `azp`, or in `client_id` where there is no `azp`.
    pub clients: &'a [String],
    /// The algorithms that may be in the header; of them those of public keys are checked.
    pub algorithms: &'a [String],
    /// The longest time from `iat` to `exp`.
    pub max_lifetime: Duration,
    /// The path to the claim with the roles.
    pub roles_claim: &'a [String],
}

/// The claims of an access token. Until its signature was checked, nobody has said them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// `sub`.
    pub subject: String,
    /// `preferred_username`, or empty.
    pub username: String,
    /// The roles: the first 200, without those that are longer than 200 bytes.
    pub roles: Vec<String>,
    /// `jti`.
    pub id: Option<String>,
    /// `exp`.
    pub expires: SystemTime,
    /// The id of the key that it says it is signed with.
    pub key_id: String,
}

/// The reason why an access token is not taken: a few words for a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessFault {
    /// The key set has no key of its id.
    UnknownKey,
    /// Anything else.
    Refused(&'static str),
}

impl From<TokenError> for AccessFault {
    fn from(error: TokenError) -> Self {
        Self::Refused(match error {
            TokenError::UnknownKey(_) => return Self::UnknownKey,
            TokenError::Algorithm(_) => "the key is not for its algorithm",
            TokenError::BadSignature => "bad signature",
            TokenError::WrongType { .. } => "a claim of a wrong type",
            _ => "a bad claim",
        })
    }
}

impl AccessToken {
    /// Reads what a token says, and refuses all that needs no key to be refused.
    ///
    /// # Errors
    /// It does not say what is wanted.
    pub fn read(
        token: &Unverified,
        wanted: &Wanted<'_>,
        now: SystemTime,
    ) -> Result<Self, AccessFault> {
        let key_id = header(&token.header, wanted)?;
        let claims = &token.claims;
        let text = |name| claims::text(claims, name);
        require(text("iss")? == Some(wanted.issuer), "another issuer")?;
        let audiences = claims::texts(claims, "aud")?.unwrap_or_default();
        require(audiences.contains(&wanted.audience), "another audience")?;
        kind(&token.header, text("typ")?)?;
        // Bound to a key of its holder, so that it proves nothing by itself:
        // <https://www.rfc-editor.org/rfc/rfc7800#section-3>
        require(!claims.contains_key("cnf"), "bound to a key (cnf)")?;
        let client = match text("azp")? {
            Some(client) => client,
            None => text("client_id")?.unwrap_or_default(),
        };
        let is_client = wanted.clients.iter().any(|allowed| allowed == client);
        require(is_client, "another client")?;
        let expires = times(claims, wanted.max_lifetime, now)?;
        let subject = text("sub")?.unwrap_or_default();
        require(!subject.is_empty(), "no subject")?;
        require(
            subject.len() <= MAX_SUBJECT_BYTES,
            "a subject that is too long",
        )?;
        Ok(Self {
            subject: subject.to_owned(),
            username: text("preferred_username")?.unwrap_or_default().to_owned(),
            roles: roles(claims, wanted.roles_claim),
            id: text("jti")?.map(str::to_owned),
            expires,
            key_id: key_id.to_owned(),
        })
    }
}

/// Checks the signature of a token whose header [`AccessToken::read`] has taken.
///
/// # Errors
/// None of the keys with its id has made it.
pub fn verify(token: &Secret, unverified: &Unverified, keys: &Jwks) -> Result<(), AccessFault> {
    signature(token, unverified, keys).map_err(AccessFault::from)
}

fn require(is_so: bool, otherwise: &'static str) -> Result<(), AccessFault> {
    is_so.then_some(()).ok_or(AccessFault::Refused(otherwise))
}

/// Checks the header, and returns the id of its key. A key that it brings along or leads to
/// (`jwk`, `jku`, `x5u`, `x5c`) is not looked at.
fn header<'a>(header: &'a Claims, wanted: &Wanted<'_>) -> Result<&'a str, AccessFault> {
    // What has to be understood is not: <https://www.rfc-editor.org/rfc/rfc7515#section-4.1.11>
    let is_plain = !header.contains_key("crit") && !header.contains_key("b64");
    require(is_plain, "an extension (crit, b64)")?;
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    let algorithm = text("alg").unwrap_or_default();
    let is_taken = wanted.algorithms.iter().any(|taken| taken == algorithm);
    require(is_taken, "another algorithm")?;
    text("kid").ok_or(AccessFault::Refused("no key id"))
}

/// Refuses what is no access token: an ID token of any client has the same issuer and may
/// have the same audience (<https://www.rfc-editor.org/rfc/rfc8725#section-3.11>).
fn kind(header: &Claims, claim: Option<&str>) -> Result<(), AccessFault> {
    let in_header = match header.get("typ") {
        None => None,
        Some(Value::String(kind)) => Some(kind.to_ascii_lowercase()),
        Some(_) => return Err(AccessFault::Refused("a kind that is no text")),
    };
    let says_access = match in_header.as_deref() {
        Some("at+jwt" | "application/at+jwt") => true,
        None | Some("jwt") => false,
        Some(_) => return Err(AccessFault::Refused("another kind of token")),
    };
    match claim {
        Some("Bearer") => Ok(()),
        Some(_) => Err(AccessFault::Refused("another kind of token")),
        None => require(says_access, "no word that it is an access token"),
    }
}

/// Checks the times, and returns the end.
fn times(
    claims: &Claims,
    max_lifetime: Duration,
    now: SystemTime,
) -> Result<SystemTime, AccessFault> {
    let time = |name| claims::time(claims, name);
    let (Some(expires), Some(issued)) = (time("exp")?, time("iat")?) else {
        return Err(AccessFault::Refused("no exp or no iat"));
    };
    require(now <= expires + LEEWAY, "expired")?;
    let begins = time("nbf")?.unwrap_or(issued).max(issued);
    require(begins <= now + LEEWAY, "not valid yet")?;
    let lifetime = expires.duration_since(issued);
    let is_short = lifetime.is_ok_and(|lifetime| lifetime <= max_lifetime);
    require(is_short, "valid for too long")?;
    Ok(expires)
}

/// The roles at the end of a path: a list of texts, or one text. What is of another kind
/// gives none.
fn roles(claims: &Claims, path: &[String]) -> Vec<String> {
    let mut steps = path.iter();
    let first = steps.next().and_then(|name| claims.get(name));
    let found = steps.fold(first, |at, name| at?.as_object()?.get(name));
    let list = match found {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let texts = list.iter().take(MAX_ROLES).filter_map(Value::as_str);
    let fit = texts.filter(|role| !role.is_empty() && role.len() <= MAX_ROLE_BYTES);
    fit.map(str::to_owned).collect()
}
