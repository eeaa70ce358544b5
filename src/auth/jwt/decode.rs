//! A token taken apart; its signature is not checked here.

use std::borrow::Cow;
#[cfg(feature = "gateway")]
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ruma::serde::Base64;
use ruma::serde::base64::UrlSafe;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::util::{Secret, printable};

/// The largest token, in bytes.
pub(super) const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// The most that is shown of a token: lines, and bytes of each.
const MAX_LINES: usize = 200;
const MAX_LINE_BYTES: usize = 300;

/// The latest time that a token can name, in seconds since 1970: the end of the year 9999.
#[cfg(feature = "gateway")]
const MAX_SECONDS: u64 = 253_402_300_799;

/// The claims of a token, or its header.
pub(super) type Claims = Map<String, Value>;

/// Header and claims of a token whose signature was not checked: for people to look at, and
/// for the checks of this folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Unverified {
    pub(super) header: Claims,
    pub(super) claims: Claims,
}

impl Unverified {
    /// Reads a signed token in compact form
    /// (<https://www.rfc-editor.org/rfc/rfc7515#section-3.1>).
    ///
    /// # Errors
    /// The text is too large, or is not of that form.
    pub fn decode(token: &Secret) -> Result<Self, DecodeError> {
        let text = token.expose();
        if text.len() > MAX_TOKEN_BYTES {
            return Err(DecodeError::TooLarge(text.len()));
        }
        let parts: Vec<&str> = text.split('.').collect();
        let &[header, claims, _] = parts.as_slice() else {
            return Err(DecodeError::Parts(parts.len()));
        };
        Ok(Self {
            header: object(header).ok_or(DecodeError::Header)?,
            claims: object(claims).ok_or(DecodeError::Claims)?,
        })
    }

    /// A claim that is a text; None where it is none, or is not there.
    #[cfg(feature = "gateway")]
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }

    /// The audiences (`aud`), as a text or a list of texts; none where it is anything else.
    #[cfg(feature = "gateway")]
    pub fn audiences(&self) -> Vec<&str> {
        match self.claims.get("aud") {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(list)) => {
                let texts: Option<_> = list.iter().map(Value::as_str).collect();
                texts.unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// The end of its validity (`exp`); None where it says none that can be read.
    #[cfg(feature = "gateway")]
    pub fn expires(&self) -> Option<SystemTime> {
        let seconds = self
            .claims
            .get("exp")?
            .as_u64()
            .filter(|at| *at <= MAX_SECONDS)?;
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    /// The header as indented JSON, bounded and fit for a terminal.
    pub fn header(&self) -> String {
        shown(&self.header)
    }

    /// The claims as indented JSON, bounded and fit for a terminal.
    pub fn claims(&self) -> String {
        shown(&self.claims)
    }
}

fn object(part: &str) -> Option<Claims> {
    let bytes = Base64::<UrlSafe>::parse(part).ok()?;
    serde_json::from_slice(bytes.as_bytes()).ok()
}

fn shown(object: &Claims) -> String {
    let json = serde_json::to_string_pretty(object).unwrap_or_default();
    let mut lines: Vec<String> = json
        .lines()
        .take(MAX_LINES)
        .map(|line| printable(line, MAX_LINE_BYTES))
        .collect();
    if json.lines().nth(MAX_LINES).is_some() {
        lines.push("…".to_owned());
    }
    lines.join("\n")
}

/// A text is no token that can be read. `Display` is the rest of a sentence that begins
/// with the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Larger than 64 KiB: of so many bytes.
    #[error("is of {0} bytes, more than {MAX_TOKEN_BYTES}")]
    TooLarge(usize),
    /// Not three parts with dots between them. Encrypted tokens have five.
    #[error("{}", parts(*.0))]
    Parts(usize),
    /// The first part is no JSON object in base64.
    #[error("has a header that is no JSON object in base64")]
    Header,
    /// The second part is no JSON object in base64.
    #[error("has claims that are no JSON object in base64")]
    Claims,
}

fn parts(count: usize) -> Cow<'static, str> {
    match count {
        5 => "is encrypted".into(),
        1 => "is no JWT".into(),
        count => format!("has {count} parts instead of three").into(),
    }
}
