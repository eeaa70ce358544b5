//! A token taken apart, without asking who signed it.

use std::fmt;

use ruma::serde::Base64;
use ruma::serde::base64::UrlSafe;
use serde_json::{Map, Value};

use crate::util::{Secret, printable};

/// The largest token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// What is shown of a token: lines, and bytes of each.
const MAX_LINES: usize = 200;
const MAX_LINE_BYTES: usize = 300;

/// Header and claims of a token, for people to look at and for the checks of
/// this folder. That they can be read says nothing about who wrote them.
#[derive(Debug, Clone, PartialEq)]
pub struct Unverified {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
}

impl Unverified {
    /// Takes a signed token in compact form apart (RFC 7515, section 3.1).
    pub fn decode(token: &Secret) -> Result<Self, DecodeFault> {
        let text = token.expose();
        if text.len() > MAX_TOKEN_BYTES {
            return Err(DecodeFault::TooLarge { bytes: text.len() });
        }
        let parts: Vec<&str> = text.split('.').collect();
        let &[header, claims, _] = parts.as_slice() else {
            return Err(DecodeFault::Parts(parts.len()));
        };
        Ok(Self {
            header: object(header).ok_or(DecodeFault::Header)?,
            claims: object(claims).ok_or(DecodeFault::Claims)?,
        })
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

fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = Base64::<UrlSafe>::parse(part).ok()?;
    serde_json::from_slice(bytes.as_bytes()).ok()
}

fn shown(object: &Map<String, Value>) -> String {
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

/// Why a text is no token that can be read. `Display` is the rest of a sentence
/// that begins with the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeFault {
    /// Larger than [`MAX_TOKEN_BYTES`].
    TooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// Not three parts with dots between them. Encrypted tokens have five.
    Parts(usize),
    /// The first part is no JSON object in base64.
    Header,
    /// The second part is no JSON object in base64.
    Claims,
}

impl fmt::Display for DecodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes } => {
                write!(f, "is of {bytes} bytes, more than {MAX_TOKEN_BYTES}")
            }
            Self::Parts(5) => f.write_str("is encrypted"),
            Self::Parts(1) => f.write_str("is no JWT"),
            Self::Parts(parts) => write!(f, "has {parts} parts instead of three"),
            Self::Header => f.write_str("has a header that is no JSON object in base64"),
            Self::Claims => f.write_str("has claims that are no JSON object in base64"),
        }
    }
}

impl std::error::Error for DecodeFault {}
