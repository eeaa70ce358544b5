//! The homeserver's clock against this machine's, read from the header `Date` of its
//! answers: <https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1>.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::SystemTime,
};

/// No answer has told the time yet.
const UNKNOWN: i64 = i64::MIN;

/// By how much a homeserver's clock is ahead. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct ServerClock(Arc<AtomicI64>);

impl Default for ServerClock {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(UNKNOWN)))
    }
}

impl ServerClock {
    /// Notes the `Date` of an answer to a request that was sent at `sent` and answered at
    /// `now` (milliseconds since the Unix epoch). It has whole seconds: the true time is up to
    /// a second later.
    ///
    /// The server may have looked at its clock at any time between the two: Synapse does when
    /// it begins with a request, which it may hold for half a minute. So what was known before
    /// stays where the answer fits it, and moves no further than it has to.
    pub(crate) fn note(&self, date: Option<SystemTime>, sent: u64, now: u64) {
        let date = date.and_then(|date| date.duration_since(SystemTime::UNIX_EPOCH).ok());
        let Some(date) = date.and_then(|date| i64::try_from(date.as_millis()).ok()) else {
            return;
        };
        let least = date.saturating_sub_unsigned(now);
        let most = date.saturating_sub_unsigned(sent).max(least);
        let known = self.ahead_ms().unwrap_or_default();
        self.0.store(known.clamp(least, most), Relaxed);
    }

    /// In milliseconds; negative where it is behind; None where it is not known.
    pub(crate) fn ahead_ms(&self) -> Option<i64> {
        Some(self.0.load(Relaxed)).filter(|ahead| *ahead != UNKNOWN)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_clock_is_as_the_last_answer_told() {
        let clock = ServerClock::default();
        assert_eq!(clock.ahead_ms(), None);
        clock.note(None, 5, 5);
        assert_eq!(clock.ahead_ms(), None);
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let shared = clock.clone();
        clock.note(at(100), 40_000, 40_000);
        assert_eq!(shared.ahead_ms(), Some(60_000));
        clock.note(at(100), 160_500, 160_500);
        clock.note(None, 5, 5);
        assert_eq!(shared.ahead_ms(), Some(-60_500));
    }

    #[test]
    fn an_answer_that_was_held_says_no_more_than_it_can() {
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        // It was looked at when the request came, or when it was answered.
        let right = ServerClock::default();
        for date in [100, 115, 130] {
            right.note(at(date), 100_000, 130_200);
            assert_eq!(right.ahead_ms(), Some(0), "{date}");
        }
        // What answers that came at once have shown stays.
        let behind = ServerClock::default();
        behind.note(at(100), 160_000, 160_100);
        assert_eq!(behind.ahead_ms(), Some(-60_000));
        for date in [140, 155, 170] {
            behind.note(at(date), 200_000, 230_000);
            assert_eq!(behind.ahead_ms(), Some(-60_000), "{date}");
        }
        // What cannot be is put right, and no further.
        behind.note(at(300), 290_000, 320_000);
        assert_eq!(behind.ahead_ms(), Some(-20_000));
        // This machine's clock was set back meanwhile.
        behind.note(at(300), 400_000, 300_000);
        assert_eq!(behind.ahead_ms(), Some(0));
    }
}
