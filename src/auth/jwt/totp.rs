//! Time-based one-time passwords
//! ([RFC 6238](https://www.rfc-editor.org/rfc/rfc6238)).

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use percent_encoding::percent_decode_str;
use ring::hmac::{self, Algorithm, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256, HMAC_SHA512};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::util::Secret;

/// The lengths of a secret that are accepted, in bytes. Keycloak's have 20; one shorter
/// than 10 is likely a code and not a secret.
const KEY_BYTES: RangeInclusive<usize> = 10..=128;

/// The scheme of the Key Uri Format
/// (<https://github.com/google/google-authenticator/wiki/Key-Uri-Format>).
const SCHEME: &str = "otpauth://";

/// The lengths of a code that are accepted, in digits.
const DIGITS: RangeInclusive<u32> = 6..=8;

/// The periods that are accepted, in seconds. A realm of Keycloak's may have any.
const PERIODS: RangeInclusive<u64> = 1..=300;

const DEFAULT_ALGORITHM: Algorithm = HMAC_SHA1_FOR_LEGACY_USE_ONLY;
const DEFAULT_DIGITS: u32 = 6;
const DEFAULT_PERIOD: u64 = 30;

/// The number of steps ahead of the clock that a code may have been used.
const MAX_AHEAD: u64 = 1;

/// The secret of one-time passwords. It remembers the last step that a code was taken of,
/// because Keycloak accepts each code once. `Debug` shows nothing of the secret.
#[derive(Debug)]
pub struct Totp {
    key: hmac::Key,
    digits: u32,
    /// The time for which a code is good, in seconds.
    period: u64,
    /// The first step of which no code was taken.
    unused: AtomicU64,
}

/// A one-time password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Its digits.
    pub text: Secret,
    /// The number of its period since 1970.
    pub step: u64,
    /// The rest of that period, by this machine's clock.
    pub valid_for: Duration,
}

/// A text is no secret of one-time passwords. `Display` is the rest of a sentence that
/// begins with the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TotpError {
    /// Not base32.
    #[error("is not base32, letters and the digits from 2 to 7")]
    Base32,
    /// A secret of so many bytes, which is too short or too long.
    #[error("has {0} bytes and not {min} to {max}", min = KEY_BYTES.start(), max = KEY_BYTES.end())]
    Length(usize),
    /// A URI of another kind, such as `hotp`.
    #[error("is a URI that does not begin with otpauth://totp/")]
    Kind,
    /// A URI without `secret`.
    #[error("is a URI without secret=")]
    NoSecret,
    /// A hash function that Keycloak does not use.
    #[error("is a URI whose algorithm is not SHA1, SHA256 or SHA512")]
    Algorithm,
    /// Too few or too many digits.
    #[error("is a URI whose digits are not {} to {}", DIGITS.start(), DIGITS.end())]
    Digits,
    /// A period that is too short or too long.
    #[error("is a URI whose period is not {} to {} seconds", PERIODS.start(), PERIODS.end())]
    Period,
}

impl Totp {
    /// Reads the secret as Keycloak shows it: base32, perhaps in groups and lower case, or
    /// an `otpauth://totp/` URI with its parameters.
    ///
    /// # Errors
    /// The text is neither, or a length, hash or period is outside the limits.
    pub fn parse(text: &str) -> Result<Self, TotpError> {
        let text = text.trim();
        let uri = text
            .split_at_checked(SCHEME.len())
            .filter(|(start, _)| start.eq_ignore_ascii_case(SCHEME));
        match uri {
            Some((_, rest)) => Self::parse_uri(rest),
            None => Self::new(text, DEFAULT_ALGORITHM, DEFAULT_DIGITS, DEFAULT_PERIOD),
        }
    }

    /// Reads a URI from behind its scheme.
    fn parse_uri(rest: &str) -> Result<Self, TotpError> {
        let (kind, rest) = rest.split_once('/').ok_or(TotpError::Kind)?;
        if !kind.eq_ignore_ascii_case("totp") {
            return Err(TotpError::Kind);
        }
        let (_label, query) = rest.split_once('?').ok_or(TotpError::NoSecret)?;
        let mut secret = None;
        let mut algorithm = DEFAULT_ALGORITHM;
        let (mut digits, mut period) = (DEFAULT_DIGITS, DEFAULT_PERIOD);
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = Zeroizing::new(percent_decode_str(value).decode_utf8_lossy().into_owned());
            match name {
                "secret" => secret = Some(value),
                "algorithm" => algorithm = hash(&value)?,
                "digits" => digits = value.parse().map_err(|_| TotpError::Digits)?,
                "period" => period = value.parse().map_err(|_| TotpError::Period)?,
                // The issuer, a counter, a picture.
                _ => {}
            }
        }
        let secret = secret.ok_or(TotpError::NoSecret)?;
        Self::new(&secret, algorithm, digits, period)
    }

    fn new(
        secret: &str,
        algorithm: Algorithm,
        digits: u32,
        period: u64,
    ) -> Result<Self, TotpError> {
        let key = base32(secret).ok_or(TotpError::Base32)?;
        if !KEY_BYTES.contains(&key.len()) {
            return Err(TotpError::Length(key.len()));
        }
        if !DIGITS.contains(&digits) {
            return Err(TotpError::Digits);
        }
        if !PERIODS.contains(&period) {
            return Err(TotpError::Period);
        }
        Ok(Self {
            key: hmac::Key::new(algorithm, &key),
            digits,
            period,
            unused: AtomicU64::new(0),
        })
    }

    /// The code of this time, used or not. A clock before 1970 counts as 1970.
    pub fn code(&self, now: SystemTime) -> Code {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let step = since.as_secs() / self.period;
        let end = Duration::from_secs(step.saturating_add(1).saturating_mul(self.period));
        Code {
            text: self.digits_of(step),
            step,
            valid_for: end.saturating_sub(since),
        }
    }

    /// The code of this time, which no later call returns again.
    ///
    /// # Errors
    /// The code was taken before; the error is the time until the next one.
    pub fn take(&self, now: SystemTime) -> Result<Code, Duration> {
        let code = self.code(now);
        let next = code.step.saturating_add(1);
        let unused = self.unused.load(Ordering::Relaxed);
        // A step far ahead of the clock shows that the clock was put back since.
        let was_used = (next..=next.saturating_add(MAX_AHEAD)).contains(&unused);
        if was_used {
            return Err(code.valid_for);
        }
        self.unused.store(next, Ordering::Relaxed);
        Ok(code)
    }

    /// Truncates the HMAC of a step to its digits
    /// (<https://www.rfc-editor.org/rfc/rfc4226#section-5.3>).
    fn digits_of(&self, step: u64) -> Secret {
        let tag = hmac::sign(&self.key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let offset = usize::from(tag.last().copied().unwrap_or_default() & 0xf);
        let number = tag
            .iter()
            .skip(offset)
            .take(4)
            .fold(0_u32, |number, byte| number << 8 | u32::from(*byte))
            & 0x7fff_ffff;
        let code = number % 10_u32.pow(self.digits);
        let width = self.digits as usize;
        Secret::new(format!("{code:0width$}"))
    }
}

fn hash(name: &str) -> Result<Algorithm, TotpError> {
    match name.to_ascii_uppercase().as_str() {
        "SHA1" => Ok(HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        "SHA256" => Ok(HMAC_SHA256),
        "SHA512" => Ok(HMAC_SHA512),
        _ => Err(TotpError::Algorithm),
    }
}

/// Decodes base32 (<https://www.rfc-editor.org/rfc/rfc4648#section-6>) in either case,
/// padded or not, in groups with spaces or hyphens.
fn base32(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = text.trim_end_matches(|c: char| c == '=' || c.is_whitespace());
    // Allocated at its full size: a buffer that grows leaves copies behind.
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
    // At these lengths the last letter belongs to no byte.
    (!matches!(letters % 8, 1 | 3 | 6)).then_some(bytes)
}
