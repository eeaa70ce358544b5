//! The trust in the wall clock, by which timers are set.

use std::time::Duration;

use super::describe_duration;
use crate::util::ClockDifference;

/// The most that the wall clock may be apart from where it should be, in milliseconds.
const MAX_JUMP_MS: u64 = 5 * 60_000;

/// The most that a server's clock may be apart from one that it confirms, in milliseconds.
const CLOSE_MS: u64 = 2 * 60_000;

/// The wall clock, watched by a clock that cannot jump and by what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockWatch {
    /// The time that the wall clock showed when it was believed last.
    wall_ms: u64,
    /// The uptime then.
    up_ms: u64,
    /// The newest time that is stored from earlier runs.
    newest_ms: u64,
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockView {
    /// The wall clock, in milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// The uptime of the program by the clock that cannot jump, in milliseconds.
    pub up_ms: u64,
    /// The jump for which the wall clock is not believed, if it is not.
    pub jump: Option<ClockJump>,
}

/// The wall clock is more than 5 minutes from where it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockJump {
    /// It went forward.
    #[error("the clock has gone forward by {}", told(*.0))]
    Forward(u64),
    /// It went back.
    #[error("the clock has gone back by {}", told(*.0))]
    Back(u64),
    /// It shows an earlier time than one that is stored.
    #[error("the clock is {} behind a time that the store has", told(*.0))]
    BehindStore(u64),
}

impl ClockWatch {
    /// Begins when the uptime is `up_ms`: with the wall clock, and the newest time that is
    /// stored, in milliseconds since the Unix epoch.
    pub fn new(wall_ms: u64, up_ms: u64, newest_stored_ms: u64) -> Self {
        Self {
            wall_ms,
            up_ms,
            newest_ms: newest_stored_ms,
        }
    }

    /// Takes the clock of the API server in: an answer came when both clocks showed this, and
    /// its `Date` was this far from the wall clock. Within 2 minutes the wall clock is
    /// believed from now on, whatever it did and whatever is stored.
    pub fn compared(&mut self, difference: ClockDifference, wall_ms: u64, up_ms: u64) {
        if difference.ms <= CLOSE_MS {
            *self = Self {
                wall_ms,
                up_ms,
                newest_ms: 0,
            };
        }
    }

    /// Looks at both clocks.
    pub fn view(&self, wall_ms: u64, up_ms: u64) -> ClockView {
        let should_be = self
            .wall_ms
            .saturating_add(up_ms.saturating_sub(self.up_ms));
        let apart = wall_ms.abs_diff(should_be);
        let behind = self.newest_ms.saturating_sub(wall_ms);
        let jump = if apart > MAX_JUMP_MS {
            Some(match wall_ms > should_be {
                true => ClockJump::Forward(apart),
                false => ClockJump::Back(apart),
            })
        } else {
            (behind > MAX_JUMP_MS).then_some(ClockJump::BehindStore(behind))
        };
        ClockView {
            wall_ms,
            up_ms,
            jump,
        }
    }
}

/// A number of milliseconds for a person.
fn told(ms: u64) -> String {
    describe_duration(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const NOON: u64 = 1_000_000 * MINUTE;

    #[test]
    fn a_clock_that_goes_with_the_other_is_believed() {
        let watch = ClockWatch::new(NOON, 0, NOON);
        for (wall, up) in [
            (NOON, 0),
            (NOON + MINUTE, MINUTE),
            (NOON + 6 * MINUTE, MINUTE),
            (NOON, 5 * MINUTE),
            (NOON + 10_000 * MINUTE, 10_000 * MINUTE),
        ] {
            assert_eq!(watch.view(wall, up).jump, None, "{wall} {up}");
        }
        assert_eq!(
            ClockWatch::new(NOON, 0, NOON + 5 * MINUTE)
                .view(NOON, 0)
                .jump,
            None
        );
        // The first timer is set an hour after the program began.
        let late = ClockWatch::new(NOON, 60 * MINUTE, NOON);
        assert_eq!(late.view(NOON + MINUTE, 61 * MINUTE).jump, None);
    }

    #[test]
    fn a_jump_of_more_than_five_minutes_is_seen() {
        let watch = ClockWatch::new(NOON, 0, NOON);
        let at = |wall, up| watch.view(wall, up).jump;
        let six = 6 * MINUTE;
        assert_eq!(at(NOON + 7 * MINUTE, MINUTE), Some(ClockJump::Forward(six)));
        assert_eq!(at(NOON - 5 * MINUTE, MINUTE), Some(ClockJump::Back(six)));
        let watch = ClockWatch::new(NOON, 0, NOON + six);
        assert_eq!(watch.view(NOON, 0).jump, Some(ClockJump::BehindStore(six)));
        assert_eq!(
            ClockJump::Forward(90 * MINUTE).to_string(),
            "the clock has gone forward by 1 h 30 min"
        );
    }

    #[test]
    fn the_api_server_ends_the_doubt_if_its_clock_agrees() {
        let (wall, up) = (NOON + 600 * MINUTE, 10 * MINUTE);
        let far = ClockDifference::of_ahead(-600_000);
        let close = ClockDifference::of_ahead(1_500);
        let mut watch = ClockWatch::new(NOON, 0, NOON + 9_000 * MINUTE);
        watch.compared(far, wall, up);
        assert!(watch.view(wall, up).jump.is_some());
        watch.compared(close, wall, up);
        assert_eq!(watch.view(wall, up).jump, None);
        assert_eq!(watch.view(wall + MINUTE, up + MINUTE).jump, None);
        assert!(watch.view(wall - 8 * MINUTE, up + MINUTE).jump.is_some());
    }
}
