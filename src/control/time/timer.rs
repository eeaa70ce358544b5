//! Timers: what is to be done about a target that is to stop at a time.
//!
//! A timer is set by the clock on the wall, and the loop sleeps by one that cannot jump:
//! so it is looked at every minute. After downtime a stop comes late, not never; but what
//! people have said meanwhile counts first, and they are warned first.

use std::time::Duration;

use super::{ClockJump, ClockView, MAX_DURATION, TimeFault};

/// The longest wait for the next look at a timer.
const LOOK: Duration = Duration::from_secs(60);

/// The warning comes this long before the end, or a tenth of the time if that is less, in
/// milliseconds.
const WARNING_MS: u64 = 10 * 60_000;

/// After a start this long is waited for the first sync, and after a warning that came too
/// late for its answer, in milliseconds.
pub const GRACE_MS: u64 = 2 * 60_000;

/// A stop that is later than this is asked about, in milliseconds.
const STALE_MS: u64 = 24 * 60 * 60_000;

/// The times of a target that is to stop, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer {
    /// The time at which it stops.
    pub deadline_ms: u64,
    /// The time at which it was started.
    pub set_at_ms: u64,
    /// The time at which people were warned of this deadline.
    pub warned_at: Option<u64>,
}

/// The thing to do about a timer now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerStep {
    /// Nothing: look again after this, which is at most a minute.
    Wait(Duration),
    /// Tell people that the target is about to stop, and note in `warned_at` that it was told.
    Warn,
    /// Stop the target.
    Fire,
    /// It is more than 24 hours late: end the timer, and ask who set it what is to be done.
    AskInstead,
    /// The wall clock is not believed: do nothing until it is.
    Hold(ClockJump),
}

impl Timer {
    /// Decides what is to be done. `has_synced` is true once a sync of this run has been taken
    /// in and the commands that it brought are done: an `extend` among them counts.
    pub fn decide(&self, clock: ClockView, has_synced: bool) -> TimerStep {
        if let Some(jump) = clock.jump {
            return TimerStep::Hold(jump);
        }
        let now = clock.wall_ms;
        if now < self.deadline_ms {
            let warns_at = self.deadline_ms.saturating_sub(self.lead_ms());
            return match self.warned_at {
                None if now >= warns_at => TimerStep::Warn,
                None => wait(warns_at - now),
                Some(_) => wait(self.deadline_ms - now),
            };
        }
        if !has_synced && clock.up_ms < GRACE_MS {
            return wait(GRACE_MS - clock.up_ms);
        }
        if now - self.deadline_ms > STALE_MS {
            return TimerStep::AskInstead;
        }
        let Some(warned_at) = self.warned_at else {
            return TimerStep::Warn;
        };
        let notice = match warned_at < self.deadline_ms {
            true => GRACE_MS.min(self.lead_ms()),
            false => GRACE_MS,
        };
        match warned_at.saturating_add(notice) {
            fires_at if now < fires_at => wait(fires_at - now),
            _ => TimerStep::Fire,
        }
    }

    /// The time from the warning to the end, in milliseconds.
    fn lead_ms(&self) -> u64 {
        let whole = self.deadline_ms.saturating_sub(self.set_at_ms);
        WARNING_MS.min(whole / 10)
    }
}

/// A wait of this many milliseconds, or until the next look.
fn wait(ms: u64) -> TimerStep {
    TimerStep::Wait(LOOK.min(Duration::from_millis(ms)))
}

/// The new end of a timer that is extended `by` some time: that much after the old one, so
/// that nothing is lost by asking early. Times are milliseconds since the Unix epoch. People
/// are warned of the new end, too: [`Timer::warned_at`] becomes `None`.
///
/// # Errors
/// The whole, from `set_at_ms` on, is more than `max_for`, or more than 366 days.
pub fn extend(
    deadline_ms: u64,
    by: Duration,
    max_for: Option<Duration>,
    set_at_ms: u64,
) -> Result<u64, TimeFault> {
    let so_far = Duration::from_millis(deadline_ms.saturating_sub(set_at_ms));
    let sum = so_far.saturating_add(by);
    if let Some(max_for) = max_for
        && sum > max_for
    {
        return Err(TimeFault::OverMax { sum, max_for });
    }
    if sum > MAX_DURATION {
        return Err(TimeFault::TooLong);
    }
    let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    Ok(deadline_ms.saturating_add(by_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;
    /// The time at which the timer of the tests was set.
    const SET: u64 = 500_000 * HOUR;

    /// A timer of this many minutes, warned of at a time after it was set.
    fn timer(minutes: u64, warned_after: Option<u64>) -> Timer {
        Timer {
            deadline_ms: SET + minutes * MINUTE,
            set_at_ms: SET,
            warned_at: warned_after.map(|after| SET + after),
        }
    }

    /// Clocks that are believed, at a time after the timer was set.
    fn clock(after: u64, up_ms: u64) -> ClockView {
        ClockView {
            wall_ms: SET + after,
            up_ms,
            jump: None,
        }
    }

    fn seconds(seconds: u64) -> TimerStep {
        TimerStep::Wait(Duration::from_secs(seconds))
    }

    #[test]
    fn people_are_warned_ten_minutes_or_a_tenth_before_the_end() {
        use TimerStep::{Fire, Warn};
        for (minutes, warned, now, step) in [
            // Eight hours: ten minutes before.
            (480, None, 0, seconds(60)),
            (480, None, 469 * MINUTE + 20_000, seconds(40)),
            (480, None, 470 * MINUTE, Warn),
            (480, Some(470 * MINUTE), 470 * MINUTE, seconds(60)),
            (480, Some(470 * MINUTE), 480 * MINUTE - 5_000, seconds(5)),
            (480, Some(470 * MINUTE), 480 * MINUTE, Fire),
            (480, Some(470 * MINUTE), 481 * MINUTE, Fire),
            // Thirty: three before.
            (30, None, 27 * MINUTE - 1_000, seconds(1)),
            (30, None, 27 * MINUTE, Warn),
            // One: six seconds before, and two minutes more would be absurd.
            (1, None, 54_000, Warn),
            (1, Some(54_000), MINUTE, Fire),
            // Told when the end was near already: there is time for an answer.
            (480, Some(480 * MINUTE - 5_000), 480 * MINUTE, seconds(60)),
            (
                480,
                Some(480 * MINUTE - 5_000),
                482 * MINUTE - 6_000,
                seconds(1),
            ),
            (480, Some(480 * MINUTE - 5_000), 482 * MINUTE - 5_000, Fire),
        ] {
            let got = timer(minutes, warned).decide(clock(now, HOUR), true);
            assert_eq!(got, step, "{minutes} min, warned {warned:?}, now {now}");
        }
    }

    #[test]
    fn after_downtime_a_stop_waits_for_a_sync_and_for_its_warning() {
        let end = 60 * MINUTE;
        let late = |warned, after: u64, up, synced| {
            timer(60, warned).decide(clock(end + after, up), synced)
        };
        // Nothing is said or done before the first sync, for two minutes.
        assert_eq!(late(None, 3 * HOUR, 0, false), seconds(60));
        assert_eq!(
            late(Some(54 * MINUTE), 3 * HOUR, 110_000, false),
            seconds(10)
        );
        // It was told of before: it stops.
        assert_eq!(
            late(Some(54 * MINUTE), 3 * HOUR, 1_000, true),
            TimerStep::Fire
        );
        assert_eq!(
            late(Some(54 * MINUTE), 3 * HOUR, GRACE_MS, false),
            TimerStep::Fire
        );
        // It was not: it is told, and stops two minutes later.
        assert_eq!(late(None, 3 * HOUR, 1_000, true), TimerStep::Warn);
        assert_eq!(late(None, 3 * HOUR, GRACE_MS, false), TimerStep::Warn);
        let told = Some(end + 3 * HOUR);
        assert_eq!(late(told, 3 * HOUR + 1_000, 5_000, true), seconds(60));
        assert_eq!(late(told, 3 * HOUR + 119_000, 5_000, true), seconds(1));
        assert_eq!(
            late(told, 3 * HOUR + GRACE_MS, 5_000, true),
            TimerStep::Fire
        );
    }

    #[test]
    fn what_is_more_than_a_day_late_is_asked_about() {
        let warned = Some(54 * MINUTE);
        for warned in [None, warned] {
            let day_late = 60 * MINUTE + 24 * HOUR;
            let decide = |now, up, synced| timer(60, warned).decide(clock(now, up), synced);
            assert_ne!(decide(day_late, HOUR, true), TimerStep::AskInstead);
            assert_eq!(decide(day_late + 1, HOUR, true), TimerStep::AskInstead);
            assert_eq!(decide(day_late + 1, 0, false), seconds(60));
        }
    }

    #[test]
    fn a_clock_that_has_jumped_holds_every_timer() {
        let jump = ClockJump::Forward(HOUR);
        for now in [0, 55 * MINUTE, 60 * MINUTE, 100 * HOUR] {
            let clock = ClockView {
                jump: Some(jump),
                ..clock(now, HOUR)
            };
            assert_eq!(timer(60, None).decide(clock, true), TimerStep::Hold(jump));
        }
    }

    #[test]
    fn an_extension_adds_to_the_end_and_the_sum_has_a_limit() {
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        let end = SET + 8 * HOUR;
        assert_eq!(extend(end, hours(1), None, SET), Ok(SET + 9 * HOUR));
        let limit = Some(hours(24));
        assert_eq!(extend(end, hours(16), limit, SET), Ok(SET + 24 * HOUR));
        let fault = extend(end, hours(17), limit, SET).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "that would be 1 d 1 h in all, and 1 d are allowed"
        );
        assert_eq!(
            extend(end, hours(366 * 24), None, SET),
            Err(TimeFault::TooLong)
        );
        assert_eq!(
            extend(u64::MAX, Duration::MAX, None, 0),
            Err(TimeFault::TooLong)
        );
    }
}
