//! The bearer token of a request
//! (<https://www.rfc-editor.org/rfc/rfc6750#section-2.1>), and what it says of itself before
//! anybody was asked. Without IO: rubbish costs nobody a question.

use std::time::SystemTime;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::service_account::PREFIX;
use super::session::Digest;
use crate::auth::jwt::{LEEWAY, Unverified};

/// The largest token, in bytes. Those of service accounts have about one thousand.
pub(super) const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The credential of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown<'a> {
    /// Nothing.
    Nothing,
    /// A credential that is no bearer token: the app's.
    Other,
    /// A bearer token that cannot be one of the gateway's.
    Foreign,
    /// A bearer token of a form that the gateway's have.
    Token(&'a str),
    /// More than one `Authorization`: the gateway and the app might read different ones.
    Twice,
}

/// Reads what a request shows.
pub(super) fn shown(headers: &HeaderMap) -> Shown<'_> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Shown::Nothing;
    };
    if values.next().is_some() {
        return Shown::Twice;
    }
    let value = value.as_bytes().trim_ascii();
    let (scheme, token) = value
        .split_at_checked("bearer".len())
        .unwrap_or((value, b""));
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer")
        && token
            .first()
            .is_none_or(|byte| matches!(byte, b' ' | b'\t'));
    if !is_bearer {
        return Shown::Other;
    }
    let token = token.trim_ascii_start();
    match str::from_utf8(token) {
        Ok(text)
            if token.len() <= MAX_TOKEN_BYTES
                && !token.is_empty()
                && token.iter().all(is_token) =>
        {
            Shown::Token(text)
        }
        _ => Shown::Foreign,
    }
}

/// A byte of `b64token`.
const fn is_token(byte: &u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}

/// The SHA-256 of a token, by which it is known again.
pub(super) fn digest(token: &[u8]) -> Digest {
    let digest = ring::digest::digest(&ring::digest::SHA256, token);
    digest.as_ref().try_into().unwrap_or_default()
}

/// The issuer that a token names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claimed {
    /// A service account's, for the gateway.
    ServiceAccount {
        /// The number of its audiences.
        audiences: usize,
        /// The end of its validity.
        expires: SystemTime,
    },
    /// One of the identity provider's, for the gateway.
    Person,
    /// One of the identity provider's that is not for the gateway.
    OtherAudience,
    /// One of a person or a client that somebody else has made.
    OtherIssuer,
    /// One that says it is for the gateway and has expired.
    Expired,
    /// A service account's that is not for the gateway.
    Foreign,
}

/// The things that tokens for the gateway say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The audience of service accounts' tokens; None if those are not taken.
    pub(super) audience: Option<&'a str>,
    /// The identity provider's issuer and the audience of its tokens, if there is one.
    pub(super) oidc: Option<(&'a str, &'a str)>,
}

/// Sorts a token by what it says, which nobody has proven. `iss` decides only whether it is
/// the identity provider's: clusters change theirs while tokens of both are valid. So what is
/// a service account's, `sub` says where there is an identity provider: what other issuers
/// have made is nothing that the API server should be shown, whatever its audience.
pub(super) fn claimed(token: &Unverified, wanted: Wanted<'_>, now: SystemTime) -> Claimed {
    if let Some((issuer, audience)) = wanted.oidc
        && token.text("iss") == Some(issuer)
    {
        return match token.audiences().contains(&audience) {
            true => Claimed::Person,
            false => Claimed::OtherAudience,
        };
    }
    let says_account = || {
        let subject = token.text("sub");
        wanted.audience.is_some() && subject.is_some_and(|name| name.starts_with(PREFIX))
    };
    if wanted.oidc.is_some() && !says_account() {
        return Claimed::OtherIssuer;
    }
    let audiences = token.audiences();
    let is_ours = |audience| audiences.contains(&audience);
    let (true, Some(expires)) = (wanted.audience.is_some_and(is_ours), token.expires()) else {
        return Claimed::Foreign;
    };
    // The API server's leeway is not known here; it says no itself.
    if now > expires + LEEWAY {
        return Claimed::Expired;
    }
    Claimed::ServiceAccount {
        audiences: audiences.len(),
        expires,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::auth::jwt::tests::base64;
    use crate::util::Secret;

    #[test]
    fn a_token_is_sorted_by_what_it_says() {
        const ACCOUNT: &str = "system:serviceaccount:openclaw:worker";
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let expires = now + Duration::from_secs(600);
        let taken = Claimed::ServiceAccount {
            audiences: 1,
            expires,
        };
        let (audience, oidc) = (Some("gateway"), Some(("https://kc", "claw")));
        for (iss, aud, sub, accounts, persons, both) in [
            // The columns: with service accounts alone, with persons alone, with both.
            (
                "https://cluster",
                "gateway",
                ACCOUNT,
                taken,
                Claimed::OtherIssuer,
                taken,
            ),
            ("", "gateway", ACCOUNT, taken, Claimed::OtherIssuer, taken),
            (
                "https://cluster",
                "cluster",
                ACCOUNT,
                Claimed::Foreign,
                Claimed::OtherIssuer,
                Claimed::Foreign,
            ),
            (
                "https://kc",
                "claw",
                "anna",
                Claimed::Foreign,
                Claimed::Person,
                Claimed::Person,
            ),
            (
                "https://kc",
                "account",
                "anna",
                Claimed::Foreign,
                Claimed::OtherAudience,
                Claimed::OtherAudience,
            ),
            (
                "https://kc",
                "gateway",
                "anna",
                taken,
                Claimed::OtherAudience,
                Claimed::OtherAudience,
            ),
            (
                "https://other",
                "gateway",
                "anna",
                taken,
                Claimed::OtherIssuer,
                Claimed::OtherIssuer,
            ),
            (
                "https://other",
                "claw",
                "anna",
                Claimed::Foreign,
                Claimed::OtherIssuer,
                Claimed::OtherIssuer,
            ),
            (
                "https://other",
                "gateway",
                "",
                taken,
                Claimed::OtherIssuer,
                Claimed::OtherIssuer,
            ),
            (
                "https://other",
                "gateway",
                "system:node:a",
                taken,
                Claimed::OtherIssuer,
                Claimed::OtherIssuer,
            ),
        ] {
            let claims = json!({"iss": iss, "aud": aud, "sub": sub, "exp": 1_600});
            let text = [base64("{}"), base64(claims.to_string()), base64("x")].join(".");
            let token = Unverified::decode(&Secret::new(text)).unwrap();
            let of = |audience, oidc| claimed(&token, Wanted { audience, oidc }, now);
            assert_eq!(of(audience, None), accounts, "{claims}");
            assert_eq!(of(None, oidc), persons, "{claims}");
            assert_eq!(of(audience, oidc), both, "{claims}");
            assert_eq!(of(None, None), Claimed::Foreign, "{claims}");
        }
    }
}
