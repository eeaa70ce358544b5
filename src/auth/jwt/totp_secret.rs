//! The secret of one-time passwords as people get it.

use std::fmt;
use std::sync::atomic::AtomicU64;

use percent_encoding::percent_decode_str;
use ring::hmac::{Algorithm, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256, HMAC_SHA512, Key};
use zeroize::Zeroizing;

use super::totp::Totp;

/// Lengths of a secret in bytes. Keycloak's have 20; a shorter one than 10 is
/// rather a code than a secret.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 10..=128;

/// How an `otpauth` URI begins.
const SCHEME: &str = "otpauth://";

const DIGITS: std::ops::RangeInclusive<u32> = 6..=8;

/// Periods in seconds. Keycloak lets a realm have any.
const PERIODS: std::ops::RangeInclusive<u64> = 1..=300;

const DEFAULT_DIGITS: u32 = 6;
const DEFAULT_PERIOD: u64 = 30;

/// Base32 or a URI of the Key Uri Format.
pub(super) fn parse(text: &str) -> Result<Totp, TotpFault> {
    let text = text.trim();
    let is_uri = text
        .get(..SCHEME.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(SCHEME));
    if !is_uri {
        return totp(
            text,
            HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            DEFAULT_DIGITS,
            DEFAULT_PERIOD,
        );
    }
    let rest = text.get(SCHEME.len()..).unwrap_or_default();
    let (kind, rest) = rest.split_once('/').ok_or(TotpFault::Kind)?;
    if !kind.eq_ignore_ascii_case("totp") {
        return Err(TotpFault::Kind);
    }
    let (_label, query) = rest.split_once('?').ok_or(TotpFault::NoSecret)?;

    let mut secret = None;
    let mut algorithm = HMAC_SHA1_FOR_LEGACY_USE_ONLY;
    let (mut digits, mut period) = (DEFAULT_DIGITS, DEFAULT_PERIOD);
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = Zeroizing::new(percent_decode_str(value).decode_utf8_lossy().into_owned());
        match name {
            "secret" => secret = Some(value),
            "algorithm" => algorithm = hash(&value)?,
            "digits" => digits = value.parse().map_err(|_| TotpFault::Digits)?,
            "period" => period = value.parse().map_err(|_| TotpFault::Period)?,
            // The issuer, a counter, a picture.
            _ => {}
        }
    }
    totp(
        &secret.ok_or(TotpFault::NoSecret)?,
        algorithm,
        digits,
        period,
    )
}

fn hash(name: &str) -> Result<Algorithm, TotpFault> {
    match name.to_ascii_uppercase().as_str() {
        "SHA1" => Ok(HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        "SHA256" => Ok(HMAC_SHA256),
        "SHA512" => Ok(HMAC_SHA512),
        _ => Err(TotpFault::Algorithm),
    }
}

fn totp(secret: &str, algorithm: Algorithm, digits: u32, period: u64) -> Result<Totp, TotpFault> {
    let key = base32(secret).ok_or(TotpFault::Base32)?;
    if !KEY_BYTES.contains(&key.len()) {
        return Err(TotpFault::Length { bytes: key.len() });
    }
    if !DIGITS.contains(&digits) {
        return Err(TotpFault::Digits);
    }
    if !PERIODS.contains(&period) {
        return Err(TotpFault::Period);
    }
    Ok(Totp {
        key: Key::new(algorithm, &key),
        digits,
        period,
        unused: AtomicU64::new(0),
    })
}

/// RFC 4648, section 6; in either case, padded or not, in groups with spaces or
/// hyphens.
fn base32(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = text.trim_end_matches(|c: char| c == '=' || c.is_whitespace());
    // Made large enough at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let (mut waiting, mut bits, mut letters) = (0_u32, 0_u32, 0_usize);
    for letter in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
        let value = match letter.to_ascii_uppercase() {
            letter @ 'A'..='Z' => u32::from(letter) - u32::from('A'),
            letter @ '2'..='7' => u32::from(letter) - u32::from('2') + 26,
            _ => return None,
        };
        letters += 1;
        waiting = (waiting << 5 | value) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.extend(u8::try_from(waiting >> bits & 0xff));
        }
    }
    // Of these lengths, the last letter would be of no byte.
    (!matches!(letters % 8, 1 | 3 | 6)).then_some(bytes)
}

/// Why a text is no secret of one-time passwords. `Display` is the rest of a
/// sentence that begins with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TotpFault {
    /// Not base32.
    Base32,
    /// Too short or too long.
    Length {
        /// How long it is.
        bytes: usize,
    },
    /// A URI, but not of one-time passwords by the clock.
    Kind,
    /// A URI without `secret`.
    NoSecret,
    /// A hash that is not used.
    Algorithm,
    /// Too few or too many digits.
    Digits,
    /// Too short or too long a period.
    Period,
}

impl fmt::Display for TotpFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base32 => f.write_str("is not base32, letters and the digits from 2 to 7"),
            Self::Length { bytes } => write!(
                f,
                "has {bytes} bytes and not {} to {}",
                KEY_BYTES.start(),
                KEY_BYTES.end()
            ),
            Self::Kind => f.write_str("is a URI that does not begin with otpauth://totp/"),
            Self::NoSecret => f.write_str("is a URI without secret="),
            Self::Algorithm => {
                f.write_str("is a URI whose algorithm is not SHA1, SHA256 or SHA512")
            }
            Self::Digits => write!(
                f,
                "is a URI whose digits are not {} to {}",
                DIGITS.start(),
                DIGITS.end()
            ),
            Self::Period => write!(
                f,
                "is a URI whose period is not {} to {} seconds",
                PERIODS.start(),
                PERIODS.end()
            ),
        }
    }
}

impl std::error::Error for TotpFault {}
