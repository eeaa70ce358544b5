//! One-time passwords by the clock (RFC 6238).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::hmac;

use super::totp_secret::{self, TotpFault};
use crate::util::Secret;

/// A secret that one-time passwords are made of. It knows which one it gave
/// away last, because Keycloak takes each of them once. `Debug` shows nothing
/// of it.
#[derive(Debug)]
pub struct Totp {
    pub(super) key: hmac::Key,
    pub(super) digits: u32,
    /// Seconds for which a code is good.
    pub(super) period: u64,
    /// The first step of which no code was given away.
    pub(super) unused: AtomicU64,
}

/// A one-time password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Its digits.
    pub text: Secret,
    /// Which of the periods since 1970 it belongs to.
    pub step: u64,
    /// For how long it is good, by this machine's clock.
    pub valid_for: Duration,
}

/// So many steps ahead of the clock a code may have been used.
const MAX_AHEAD: u64 = 1;

impl Totp {
    /// Reads the secret as Keycloak shows it, base32 perhaps in groups and lower
    /// case, or as an `otpauth://totp/` URI with its parameters.
    pub fn parse(text: &str) -> Result<Self, TotpFault> {
        totp_secret::parse(text)
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

    /// The code of this time, to be used: the next one is another. If it was
    /// given away before, this is how long to wait for the next one.
    pub fn take(&self, now: SystemTime) -> Result<Code, Duration> {
        let code = self.code(now);
        let next = code.step.saturating_add(1);
        let unused = self.unused.load(Ordering::Relaxed);
        // Far ahead is what it is when the clock was put back since.
        let was_used = (next..=next.saturating_add(MAX_AHEAD)).contains(&unused);
        if was_used {
            return Err(code.valid_for);
        }
        self.unused.store(next, Ordering::Relaxed);
        Ok(code)
    }

    /// RFC 4226, section 5.3.
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
