//! The times at which the Service of a target is read: at first, and again where it may have
//! changed since.

use std::time::Duration;

use tokio::time::Instant;

use super::readiness::Readiness;
use crate::util::paced;

/// The pause before the Service is read again.
const AGAIN: Duration = Duration::from_secs(10);

/// The last reading of a Service, which is not watched.
#[derive(Debug, Default)]
pub(super) enum ServiceRead {
    /// It was not read yet.
    #[default]
    Not,
    /// It was read then.
    Done(Instant),
    /// Then there was none, or not the port: a sentence.
    Faulty(Instant, String),
}

impl ServiceRead {
    /// The fault of the last reading.
    pub(super) const fn fault(&self) -> Option<&String> {
        match self {
            Self::Faulty(_, fault) => Some(fault),
            Self::Not | Self::Done(_) => None,
        }
    }

    /// The time of the next reading, which may be over; None while what is known will do.
    /// `is_on` is whether the target should be there. `now` is the time that the caller
    /// compares with: a later one would never be over.
    pub(super) fn due(&self, readiness: &Readiness, is_on: bool, now: Instant) -> Option<Instant> {
        if !readiness.needs_service() {
            return None;
        }
        match self {
            Self::Not => Some(now),
            Self::Faulty(at, _) => Some(*at + paced(AGAIN)),
            Self::Done(at) => (is_on && readiness.is_unreachable()).then(|| *at + paced(AGAIN)),
        }
    }
}
