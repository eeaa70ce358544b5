//! Claims by their types (<https://www.rfc-editor.org/rfc/rfc7519#section-4.1>). A claim of
//! a wrong type is a fault, and is never treated as a missing one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::decode::Claims;
use super::error::TokenError;

/// The latest time that a claim can name, in seconds since 1970: the end of the year 9999.
const MAX_SECONDS: f64 = 253_402_300_799.0;

/// A claim; None where it is missing.
type Read<T> = Result<Option<T>, TokenError>;

/// A time: seconds since 1970, whole ones or not.
pub(super) fn time(claims: &Claims, claim: &str) -> Read<SystemTime> {
    read(claims, claim, "a number of seconds since 1970", |value| {
        let seconds = value
            .as_f64()
            .filter(|seconds| (0.0..=MAX_SECONDS).contains(seconds))?;
        UNIX_EPOCH.checked_add(Duration::from_secs_f64(seconds))
    })
}

/// A text.
pub(super) fn text<'a>(claims: &'a Claims, claim: &str) -> Read<&'a str> {
    read(claims, claim, "a text", Value::as_str)
}

/// A text or a list of texts.
pub(super) fn texts<'a>(claims: &'a Claims, claim: &str) -> Read<Vec<&'a str>> {
    read(
        claims,
        claim,
        "a text or a list of texts",
        |value| match value {
            Value::String(text) => Some(vec![text.as_str()]),
            Value::Array(list) => list.iter().map(Value::as_str).collect(),
            _ => None,
        },
    )
}

fn read<'a, T>(
    claims: &'a Claims,
    claim: &str,
    expected: &'static str,
    of: impl FnOnce(&'a Value) -> Option<T>,
) -> Read<T> {
    let value = claims.get(claim);
    let read = value.map(|value| {
        of(value).ok_or_else(|| TokenError::WrongType {
            claim: claim.to_owned(),
            expected,
        })
    });
    read.transpose()
}
